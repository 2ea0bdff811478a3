#!/usr/bin/env python3
"""Runs the formal proofs of proofs.toml with Yosys and z3.

  prove.py             all proofs but those marked slow
  prove.py NAME...     these
  prove.py --slow      all
  prove.py --list      names and what each one proves

A proof holds when its asserts hold from reset for `depth` steps, when they are inductive (where `induction` is
given: its k), when each cover is reached within `cover_depth` steps, and when every mutant breaks it. One line a result;
exit code 0 only when everything holds. Traces of failures stay in --work.

Fields of a proof in proofs.toml; paths are relative to the root of the repository:
  name, doc      what is proved
  top, files     top module; files in compile order
  params         parameters of the top module (small ones prove as much and end sooner)
  defines        preprocessor names, beside FORMAL
  depth          steps of the bounded check
  induction      k of the induction; left out: bounded check only
  cover_depth    default: depth
  mutants        [{file, from, to}]: `from` stands once in `file`; replaced by `to`, the proof must fail
  slow           true: only with --slow or by name
  seconds        most time for one run of the solver, default 120
"""
import argparse
import concurrent.futures
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]
KNOWN = {"name", "doc", "top", "files", "params", "defines", "depth", "induction", "cover_depth", "mutants", "slow", "seconds"}


class Broken(Exception):
    """The proof could not be run at all: never counts as a caught mutant."""


def run(command, log, seconds):
    with open(log, "w") as out:
        # A session of its own, so that the solver under yosys-smtbmc ends with it
        child = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, cwd=log.parent, start_new_session=True)
        try:
            return child.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            raise Broken(f"no answer in {seconds} s: {command[0]}, see {log}") from None


def build(proof, files, work):
    """One SMT2 model of the proof's top in `work`; returns its path."""
    defines = " ".join(f"-D{d}" for d in proof.get("defines", []))
    params = "".join(f" -chparam {k} {v}" for k, v in proof.get("params", {}).items())
    smt2 = work / "model.smt2"
    script = work / "build.ys"
    # memory_map is not needed: the SMT2 writer keeps memories as arrays.
    script.write_text(
        f"read_verilog -formal -sv {defines} {' '.join(str(f) for f in files)}\n"
        f"hierarchy -check -top {proof['top']}{params}\n"
        f"prep -flatten -top {proof['top']}\nasync2sync\ndffunmap\n"
        f"write_smt2 -wires {smt2}\n")
    log = work / "build.log"
    if run(["yosys", "-q", "-s", str(script)], log, 300) != 0:
        raise Broken(f"yosys: {log.read_text().strip().splitlines()[-1:]}, see {log}")
    return smt2


def solve(smt2, work, mode, steps, seconds):
    """True when the solver says that all is well."""
    flags = {"bmc": [], "induction": ["-i"], "cover": ["-c"]}[mode]
    log = work / f"{mode}.log"
    trace = [] if mode == "cover" else ["--dump-vcd", str(work / f"{mode}.vcd")]
    code = run(["yosys-smtbmc", "-s", "z3", "--unroll", "--noprogress", *flags, "-t", str(steps), *trace, str(smt2)], log, seconds)
    text = log.read_text()
    if "Status: PASSED" in text or "Status: passed" in text:
        return True
    if "Status: FAILED" not in text and "Status: failed" not in text or "PREUNSAT" in text or "Assumptions are unsatisfiable" in text:
        raise Broken(f"{mode} ended with {code} and no verdict, see {log}")
    return False


def prove(proof, work):
    """Empty when the proof holds, else what broke."""
    files = [ROOT / f for f in proof["files"]]
    seconds = proof.get("seconds", 120)
    smt2 = build(proof, files, work)
    text = smt2.read_text()
    asserts, covers = text.count("yosys-smt2-assert "), text.count("yosys-smt2-cover ")
    if asserts == 0 or covers == 0:
        return f"{asserts} asserts and {covers} covers: a proof needs both", ""
    if not solve(smt2, work, "bmc", proof["depth"], seconds):
        return f"an assert fails within {proof['depth']} steps, see {work}/bmc.log", ""
    if "induction" in proof and not solve(smt2, work, "induction", proof["induction"], seconds):
        return f"not inductive with k = {proof['induction']}, see {work}/induction.log", ""
    if not solve(smt2, work, "cover", proof.get("cover_depth", proof["depth"]), seconds):
        return f"a cover is not reached, see {work}/cover.log", ""
    how = f"induction k={proof['induction']}" if "induction" in proof else f"bounded {proof['depth']}"
    return "", f"{how}, {asserts} asserts, {covers} covers"


def mutate(proof, mutant, work):
    """Empty when the mutant is caught."""
    path = ROOT / mutant["file"]
    source = path.read_text()
    if source.count(mutant["from"]) != 1:
        return f"'{mutant['from']}' stands {source.count(mutant['from'])} times in {mutant['file']}, not once", ""
    copy = work / path.name
    copy.write_text(source.replace(mutant["from"], mutant["to"]))
    if mutant["file"] not in proof["files"]:
        return f"{mutant['file']} is not a file of the proof", ""
    files = [copy if f == mutant["file"] else ROOT / f for f in proof["files"]]
    seconds = proof.get("seconds", 120)
    smt2 = build(proof, files, work)
    if not solve(smt2, work, "bmc", proof["depth"], seconds):
        return "", "caught within the bound"
    if "induction" in proof and not solve(smt2, work, "induction", proof["induction"], seconds):
        return "", "caught by the induction only"
    return "SURVIVED", ""


def job(proof, index, work):
    """Runs a proof (index None) or its mutant; returns (ok, line)."""
    started = time.monotonic()
    label = proof["name"] if index is None else f"{proof['name']} mutant {index + 1}"
    folder = work / label.replace(" ", "_")
    folder.mkdir(parents=True)
    try:
        bad, good = prove(proof, folder) if index is None else mutate(proof, proof["mutants"][index], folder)
    except Broken as e:
        bad, good = str(e), ""
    took = time.monotonic() - started
    if index is not None and bad == "SURVIVED":
        m = proof["mutants"][index]
        bad = f"not caught: '{m['from']}' -> '{m['to']}'"
    return bad == "", f"{'ok  ' if bad == '' else 'FAIL'} {label}: {bad or good} ({took:.1f} s)"


def main():
    parser = argparse.ArgumentParser(description="Formal proofs of the RTL.")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--slow", action="store_true", help="also the proofs marked slow")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("-j", "--jobs", type=int, default=2)
    parser.add_argument("--no-mutants", action="store_true")
    parser.add_argument("--toml", type=pathlib.Path, default=pathlib.Path(__file__).with_name("proofs.toml"))
    parser.add_argument("--work", type=pathlib.Path, help="folder for models, logs and traces; kept (default: a temporary one)")
    args = parser.parse_args()

    proofs = tomllib.loads(args.toml.read_text())["proof"]
    for p in proofs:
        unknown = set(p) - KNOWN
        if unknown or not {"name", "top", "files", "depth"} <= set(p):
            sys.exit(f"{args.toml}: proof {p.get('name')}: unknown fields {sorted(unknown)} or one of name, top, files, depth missing")
    if args.list:
        for p in proofs:
            print(f"{p['name']:24} {p.get('doc', '')}{' (slow)' if p.get('slow') else ''}")
        return 0
    unknown = set(args.names) - {p["name"] for p in proofs}
    if unknown:
        sys.exit(f"no such proof: {', '.join(sorted(unknown))}")
    for tool in ("yosys", "yosys-smtbmc", "z3"):
        if shutil.which(tool) is None:
            sys.exit(f"{tool} is not installed (Debian: yosys, z3)")
    chosen = [p for p in proofs if (p["name"] in args.names if args.names else args.slow or not p.get("slow"))]
    if not chosen:
        sys.exit("nothing to prove")

    keep = args.work is not None
    work = args.work.resolve() if keep else pathlib.Path(tempfile.mkdtemp(prefix="prove."))
    if keep and work.exists():
        sys.exit(f"{work} is there already")
    passed = failed = 0
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        jobs = [(p, i) for p in chosen for i in [None, *range(0 if args.no_mutants else len(p.get("mutants", [])))]]
        for ok, line in pool.map(lambda j: job(j[0], j[1], work), jobs):
            print(line, flush=True)
            passed, failed = passed + ok, failed + (not ok)
    print(f"{passed} passed, {failed} failed")
    if failed == 0 and not keep:
        shutil.rmtree(work)
    return 0 if failed == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
