#!/usr/bin/env python3
"""Area and logic levels of the modules of modules.toml after Yosys' synth_xilinx for UltraScale+, out of context.

    area.py                      all rows, into --output (default build/release/bench/area.json)
    area.py --only NAME ...      some rows, printed; --output only when given
    area.py --source FILE ... --module NAME [--parameter P=V ...]    a module from elsewhere, printed

A result is kept under the hash of everything that it depends on, so only what changed is synthesised again. LUTs are counted
after mapping, without the pairing of small LUTs into one LUT6_2 that placement does: real figures are somewhat lower. Levels
are those of netlist.py; `sta_ps` is Yosys' own sum of cell delays (7-series, no wires, carry and RAM for free).
"""
import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

import netlist

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
FORMAT = 1  # of a kept result
WORST_PATHS = 10


class SynthesisError(Exception):
    """The text says what failed and where."""


def rtl_index():
    """Module or package name -> file."""
    return {file.stem: file for file in sorted((ROOT / "hw/rtl").rglob("*.sv"))}


def find_files(module, index):
    """The files of `module` and of all that it names, packages first. One module or package a file, named after it."""
    if module not in index:
        raise SynthesisError(f"no {module}.sv under hw/rtl")
    seen, order = set(), []

    def visit(name):
        if name in seen:
            return
        seen.add(name)
        text = re.sub(r"//[^\n]*|/\*.*?\*/", "", index[name].read_text(), flags=re.S)
        for word in re.findall(r"\b([a-z]\w*)\s*(?=::|#\s*\(|\s\w+\s*\()", text):
            if word in index and word != name:
                visit(word)
        order.append(name)

    visit(module)
    return [index[n] for n in sorted(order, key=lambda n: not n.endswith("_pkg"))]


def number_literal(value):
    return value if isinstance(value, int) else int(str(value), 0)


class Row:
    def __init__(self, name, module, files, parameters=None, gbps=0, parts=()):
        self.name, self.module, self.files = name, module, files
        self.parameters, self.gbps, self.parts = parameters or {}, gbps, parts  # parts: Rows


def key_of(row, yosys_version):
    h = hashlib.sha256()
    for text in (FORMAT, yosys_version, (HERE / "netlist.py").read_text(), row.module, sorted(row.parameters.items()),
                 sorted(p.module for p in row.parts)):
        h.update(repr(text).encode())
    for file in row.files:
        h.update(file.read_bytes())
    return h.hexdigest()[:32]


def synthesise(row, yosys, timeout):
    """Runs Yosys on one row: {cells: {type: n}, boxes: {module: n}, levels, io_levels, paths, sta_ps, seconds}."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        script = [f"read_verilog -sv {' '.join(str(f) for f in row.files)}"]
        script += [f"chparam -set {k} {number_literal(v)} {row.module}" for k, v in row.parameters.items()]
        script += [f"hierarchy -check -top {row.module}", "rename -top top"]
        # A part stays a box; its derived name ends with the module's, whatever its parameters.
        script += [f"blackbox {part.module} $paramod*\\\\{part.module} $paramod*\\\\{part.module}\\\\*" for part in row.parts]
        script += ["synth_xilinx -family xcup -abc9 -uram -flatten -noiopad -top top", f"write_json {work}/netlist.json"]
        if not row.parts:
            script += [f"tee -o {work}/sta sta"]
        (work / "script.ys").write_text("\n".join(script) + "\n")
        start = time.monotonic()
        try:
            ran = subprocess.run(["nice", "-n", "5", yosys, "-q", "-s", str(work / "script.ys")], capture_output=True, text=True, timeout=timeout)
        except subprocess.TimeoutExpired as error:
            raise SynthesisError(f"{row.name}: not done after {timeout} s; give it parts") from error
        if ran.returncode != 0:
            errors = " ".join(line for line in (ran.stderr + ran.stdout).splitlines() if "ERROR" in line)
            raise SynthesisError(f"{row.name}: Yosys ended with {ran.returncode} (negative: a signal, such as for want of memory): {errors or ran.stderr[-400:]}")
        seconds = time.monotonic() - start
        design = json.loads((work / "netlist.json").read_text())
        sta = (work / "sta").read_text() if (work / "sta").exists() else ""
    top = design["modules"]["top"]
    cells = {}
    for cell in top["cells"].values():
        cells[cell["type"]] = cells.get(cell["type"], 0) + 1
    boxes = {}
    for part in row.parts:
        boxes[part.name] = sum(n for kind, n in cells.items() if kind == part.module or re.search(rf"\\{part.module}(\\|$)", kind))
    paths = netlist.Paths(top)
    found = re.search(r"Latest arrival time in '[^']*' is (\d+)", sta)
    return {"cells": cells, "boxes": boxes, "levels": paths.levels(inside=True), "io_levels": paths.levels(inside=False), "loops": paths.loops,
            "paths": paths.worst(WORST_PATHS), "sta_ps": int(found[1]) if found else None, "seconds": round(seconds, 1)}


def result_of(row, options, version):
    file = options.cache / f"{key_of(row, version)}.json"
    if file.exists():
        return json.loads(file.read_text())
    print(f"area: synthesising {row.name}", file=sys.stderr, flush=True)
    result = synthesise(row, options.yosys, options.timeout)
    options.cache.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(f".{os.getpid()}")
    partial.write_text(json.dumps(result))
    partial.rename(file)
    return result


def figures(row, results):
    """The row of the report: its own cells and those of its parts."""
    own = results[row.name]
    total = netlist.area(own["cells"])
    stack = {"rest": total["lut"]}
    levels = own["levels"]
    for part in row.parts:
        count = own["boxes"][part.name]
        if count == 0:
            raise SynthesisError(f"{row.name}: holds no {part.module}, which its row names as a part")
        inner, _ = figures(part, results)
        for what in total:
            total[what] += count * inner[what]
        stack[part.name] = count * inner["lut"]
        levels = max(levels, inner["logic_levels"])
    out = {"module": row.name} | total | {"logic_levels": levels, "io_levels": own["io_levels"], "sta_ps": own["sta_ps"], "gbps": row.gbps,
                                          "klut_per_gbps": round(total["lut"] / 1000 / row.gbps, 3) if row.gbps else None}
    return out, stack


def load_rows(only):
    table = tomllib.loads((HERE / "modules.toml").read_text())
    index = rtl_index()
    entries = {entry["name"]: entry for entry in table["row"]}
    unknown = [name for name in only if name not in entries]
    if unknown:
        raise SynthesisError(f"no row {', '.join(unknown)} in modules.toml; there are: {', '.join(entries)}")
    rows, missing = {}, []

    def build(name):
        if name in rows:
            return rows[name]
        e = entries[name]
        files = [ROOT / f for f in e["files"]] if "files" in e else find_files(e["module"], index)
        rows[name] = Row(name, e["module"], files, e.get("parameters"), e["gbps"], [build(p) for p in e.get("parts", [])])
        return rows[name]

    for name in only or [n for n, e in entries.items() if not e.get("on_request")]:
        try:
            build(name)
        except SynthesisError as error:
            missing.append(f"{name}: {error}")
    return list(rows.values()), missing


def show(out, seconds):
    per = "-" if out["klut_per_gbps"] is None else f"{out['klut_per_gbps']:.3f}"
    print(f"{out['module']:<20} {out['lut']:>7} LUT {out['ff']:>7} FF {out['bram']:>6} BRAM {out['uram']:>4} URAM {out['logic_levels']:>3} levels "
          f"{per:>7} kLUT/Gbps  {seconds} s", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="rows of modules.toml")
    parser.add_argument("--output", type=Path, help="area.json to write")
    parser.add_argument("--cache", type=Path, default=ROOT / "build/syn", help="folder of kept results")
    parser.add_argument("--yosys", default="yosys")
    parser.add_argument("--timeout", type=int, default=1800, help="seconds that one synthesis may take")
    parser.add_argument("--source", nargs="+", type=Path, help="files of a module from elsewhere")
    parser.add_argument("--module")
    parser.add_argument("--parameter", nargs="+", default=[], metavar="P=V")
    parser.add_argument("--paths", action="store_true", help="print the longest paths as well")
    options = parser.parse_args()
    try:
        version = subprocess.run([options.yosys, "-V"], capture_output=True, text=True, check=True).stdout.strip()
        if options.source:
            rows, missing = [Row(options.module, options.module, options.source, dict(p.split("=", 1) for p in options.parameter))], []
        else:
            rows, missing = load_rows(options.only)
            for text in missing:
                print(f"area: {text}", file=sys.stderr, flush=True)
        results, report, worst, stacks = {}, [], [], {}
        for row in rows:  # parts stand before what holds them
            try:
                results[row.name] = result_of(row, options, version)
                out, stack = figures(row, results)
            except (SynthesisError, KeyError) as error:
                missing.append(str(error) if isinstance(error, SynthesisError) else f"{row.name}: its part {error} has no result")
                print(f"area: {missing[-1]}", file=sys.stderr, flush=True)
                continue
            report.append(out)
            if row.parts:
                stacks[row.name] = stack
            worst += [{"module": row.name} | path for path in results[row.name]["paths"]]
            show(out, results[row.name]["seconds"])
            if options.paths:
                for path in results[row.name]["paths"]:
                    print(f"  {path['levels']:>3}  {path['start']} -> {path['end']}: {', '.join(path['cells'])}")
    except (SynthesisError, OSError, subprocess.CalledProcessError, tomllib.TOMLDecodeError) as error:
        sys.exit(f"area: {error}")
    output = options.output or (None if options.only or options.source else ROOT / "build/release/bench/area.json")
    if output:
        worst.sort(key=lambda p: -p["levels"])
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps({"tool": version, "rows": report, "stacks": stacks, "worst_paths": worst[:WORST_PATHS], "missing": missing}, indent=1) + "\n")
    sys.exit(1 if missing else 0)


if __name__ == "__main__":
    main()
