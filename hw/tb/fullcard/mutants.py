#!/usr/bin/env python3
"""Checks that the whole-card tests can fail: breaks the RTL in one place at a time (mutants.toml) and wants a failing test.

    mutants.py --check               every text stands in its file exactly once; no building
    mutants.py BUILD_DIR [--without PATTERN] [NAME...]
        BUILD_DIR has the fullcard tests built; NAME picks mutants; test cases of PATTERN (doctest -tce) are left out

A test that fails without a mutant proves nothing: each is run on the sound card first. Takes about a minute a mutant, so
it is no part of the test run. Exit code 1 if a mutant survives.
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[3]
RTL = ROOT / "hw/rtl"
MUTANTS = tomllib.loads((pathlib.Path(__file__).parent / "mutants.toml").read_text())["mutant"]
OBJCACHE = {"OBJCACHE": "ccache"} if shutil.which("ccache") else {}  # most files of two mutants are the same
PARTS = ("crypto", "front", "back", "sad", "queue", "card")  # as in hw/CMakeLists.txt


def run(args, **more):
    return subprocess.run([str(a) for a in args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)


def check():
    for m in MUTANTS:
        n = (RTL / m["file"]).read_text().count(m["from"])
        if n != 1:
            sys.exit(f"{m['name']}: its text stands {n} times in {m['file']}")


def files():
    out = []
    for part in PARTS:
        for line in (RTL / part / "files.txt").read_text().splitlines():
            if line and not line.startswith("#") and line not in out:
                out.append(line)
    return out


def passes(bench, without):
    args = [bench] + ([f"-tce={without}"] if without else [])
    try:
        return run(args, timeout=1200, env=os.environ | {"ESPLANADE_COVERAGE": ""}).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def survives(build, m, folder, without):
    changed = folder / pathlib.Path(m["file"]).name
    changed.write_text((RTL / m["file"]).read_text().replace(m["from"], m["to"]))
    sources = [changed if f == m["file"] else RTL / f for f in files()]
    made = run(["verilator", "--cc", "--build", "-j", "2", "--top-module", "esp_card", "--Mdir", folder / "obj", "-O3",
                "--x-assign", "fast", "--trace-fst", "--trace-structs", "-CFLAGS", "-O1 -fPIC", "-Wno-fatal",
                ROOT / "hw/model/esp_card.vlt", *sources], env=os.environ | OBJCACHE)
    if made.returncode:
        sys.exit(f"{m['name']}: does not build\n{made.stdout[-3000:]}")
    libraries = [next(build.rglob(f"lib{n}.a")) for n in
                 ("fullcard_models", "fullcard_bench", "verilated_runtime", "esplanade_esp", "esplanade_crypto", "esplanade_testing", "esplanade_base")]
    objects = [*build.glob(f"tests/rtl/fullcard/CMakeFiles/rtl_fullcard_{m['test']}.dir/*.o"),
               *build.glob("common/CMakeFiles/esplanade_test_main.dir/testing/*.o")]
    linked = run(["g++", *objects, libraries[0], folder / "obj/Vesp_card__ALL.a", *libraries[1:], "-lfmt", "-lcrypto",
                  "-lz", "-lpthread", "-o", folder / "bench"])
    if linked.returncode:
        sys.exit(f"{m['name']}: does not link\n{linked.stdout[-3000:]}")
    return passes(folder / "bench", without)


def main():
    check()
    if sys.argv[1:] == ["--check"]:
        return
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    build, names, without = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2:], ""
    if names[:1] == ["--without"]:
        without, names = names[1], names[2:]
    unknown = set(names) - {m["name"] for m in MUTANTS}
    if unknown:
        sys.exit(f"no such mutant: {', '.join(sorted(unknown))}")
    chosen = [m for m in MUTANTS if not names or m["name"] in names]
    for test in sorted({m["test"] for m in chosen}):
        if not passes(build / f"bin/rtl_fullcard_{test}", without):
            sys.exit(f"{test} fails on the card without a mutant")
    left = []
    for m in chosen:
        with tempfile.TemporaryDirectory() as folder:
            alive = survives(build, m, pathlib.Path(folder), without)
        print(f"{m['name']}: {'SURVIVES' if alive else 'caught by'} {m['test']}", flush=True)
        left += [m["name"]] if alive else []
    sys.exit(1 if left else 0)


main()
