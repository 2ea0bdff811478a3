#!/usr/bin/env python3
"""Runs the formal proofs of proofs.toml with Yosys and z3, or Yosys alone.

  prove.py             all proofs but those marked slow
  prove.py NAME...     these
  prove.py --slow      all
  prove.py --list      names and what each one proves

A proof holds when its asserts hold from reset for `depth` steps, when they are inductive (where `induction` is
given: its k), when each cover is reached within `cover_depth` steps, and when every mutant breaks it. One line a result;
exit code 0 only when everything holds. Traces of failures stay in --work.

Engines: `smt` as above. `sat`: the same bounded check by the SAT solver inside Yosys, better at wide bit vectors and long
runs; what must be reachable stands as an assert of the contrary under the names of `reach`, and has to fail. `cone`: no bit
of the nets `secret` reaches an output of the top by any path through any register, so in no number of cycles; the outputs
of `open` are free to be reached, and have to be.

Fields of a proof in proofs.toml; paths are relative to the root of the repository:
  name, doc      what is proved
  top, files     top module; files in compile order
  params         parameters of the top module (small ones prove as much and end sooner)
  defines        preprocessor names, beside FORMAL
  engine         smt (default), sat or cone
  depth          steps of the bounded check (not for cone)
  induction      k of the induction; left out: bounded check only
  cover_depth    default: depth
  reach          sat: preprocessor names, one at a time
  secret, open   cone: nets of the flat netlist, `name` or `name[first +: width]`; output ports
  cut            cone: outputs of black boxes that nothing is followed through, `module.port`
  edits          as mutants, but part of the proof itself: a black box instead of a module
  mutants        [{file, from, to}]: `from` stands once in `file`; replaced by `to`, the proof must fail
  slow           true: only with --slow or by name
  seconds        most time for one run of the solver, default 120
"""
import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]
KNOWN = {"name", "doc", "top", "files", "params", "defines", "depth", "induction", "cover_depth", "mutants", "slow", "seconds",
         "engine", "reach", "secret", "open", "cut", "edits"}


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


def read_script(proof, files, sources, define=None):
    """Commands that read the proof's design."""
    defines = " ".join(f"-D{d}" for d in [*proof.get("defines", []), *([define] if define else [])])
    params = "".join(f" -chparam {k} {v}" for k, v in proof.get("params", {}).items())
    return f"read_verilog {sources} {defines} {' '.join(str(f) for f in files)}\nhierarchy -check -top {proof['top']}{params}\n"


def yosys(script, work, name, seconds):
    """Text of a run of Yosys."""
    file, log = work / f"{name}.ys", work / f"{name}.log"
    file.write_text(script)
    code = run(["yosys", "-s", str(file)], log, seconds)
    if code != 0:
        raise Broken(f"yosys: {log.read_text().strip().splitlines()[-1:]}, see {log}")
    return log.read_text()


def build(proof, files, work):
    """One SMT2 model of the proof's top in `work`; returns its path."""
    smt2 = work / "model.smt2"
    # memory_map is not needed: the SMT2 writer keeps memories as arrays.
    yosys(read_script(proof, files, "-formal -sv") +
          f"prep -flatten -top {proof['top']}\nasync2sync\ndffunmap\nwrite_smt2 -wires {smt2}\n", work, "build", 300)
    return smt2


def sat(proof, files, work, define=None):
    """True when the asserts hold for `depth` steps."""
    name = define or "sat"
    text = yosys(read_script(proof, files, "-formal -sv", define) +
                 "proc\nflatten\nmemory_map\nopt -full\nchformal -remove -cover\nasync2sync\ndffunmap\ntechmap\ndffunmap\nopt -full\n"
                 f"dffunmap\nopt_clean -purge\nsat -set-assumes -prove-asserts -seq {proof['depth']}\n", work, name, proof.get("seconds", 120))
    if "SAT proof finished - no model found: SUCCESS!" in text:
        return True
    if "SAT proof finished - model found: FAIL!" in text:
        return False
    raise Broken(f"sat gave no verdict, see {work}/{name}.log")


def cone(proof, files, work):
    """Of each output port of the top: whether a secret bit reaches it; and how many bits reach the ports that none may."""
    yosys(read_script(proof, files, "-sv") + f"proc\nflatten\nmemory -nomap\nopt -full\nsimplemap\nopt -full\nwrite_json {work}/netlist.json\n",
          work, "netlist", proof.get("seconds", 120))
    top = json.loads((work / "netlist.json").read_text())["modules"][proof["top"]]
    secret = set()
    for text in proof["secret"]:
        name, first, width = re.fullmatch(r"([^\[]+)(?:\[(\d+) \+: (\d+)\])?", text).groups()
        if name not in top["netnames"]:
            raise Broken(f"no net {name}")
        bits = top["netnames"][name]["bits"]
        bits = bits if first is None else bits[int(first):int(first) + int(width)]
        bits = [b for b in bits if not isinstance(b, str)]  # constants: a block's padding
        if not bits:
            raise Broken(f"{text} has no bits")
        secret.update(bits)
    driver = {}
    for cell in top["cells"].values():
        inputs, outputs = [], []
        for port, bits in cell["connections"].items():
            if cell["port_directions"][port] == "input":
                inputs += [b for b in bits if not isinstance(b, str)]
            elif not any(cell["type"].endswith(module) and port == out for module, out in (c.split(".") for c in proof.get("cut", []))):
                outputs += bits
        driver.update((bit, inputs) for bit in outputs)
    meets, public = {}, set()
    for name, port in top["ports"].items():
        if port["direction"] != "output":
            continue
        todo = collections.deque(b for b in port["bits"] if not isinstance(b, str))
        seen = set(todo)
        while todo:
            for source in driver.get(todo.popleft(), ()):
                if source not in seen:
                    seen.add(source)
                    todo.append(source)
        meets[name] = not seen.isdisjoint(secret)
        if name not in proof["open"]:
            public |= seen
    return meets, len(public)


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


def edited(proof, edits, work):
    """The proof's files, those with edits as copies in `work`."""
    files = {f: ROOT / f for f in proof["files"]}
    for edit in edits:
        if edit["file"] not in files:
            raise Broken(f"{edit['file']} is not a file of the proof")
        text = files[edit["file"]].read_text()
        if text.count(edit["from"]) != 1:
            raise Broken(f"'{edit['from']}' stands {text.count(edit['from'])} times in {edit['file']}, not once")
        files[edit["file"]] = work / pathlib.Path(edit["file"]).name
        files[edit["file"]].write_text(text.replace(edit["from"], edit["to"]))
    return list(files.values())


def prove(proof, work):
    """What broke, empty when the proof holds; and how it holds."""
    files = edited(proof, proof.get("edits", []), work)
    engine = proof.get("engine", "smt")
    if engine == "cone":
        meets, bits = cone(proof, files, work)
        leaks = [name for name, met in meets.items() if met and name not in proof["open"]]
        blind = [name for name in proof["open"] if not meets[name]]
        return (f"reached by a secret: {', '.join(leaks)}" if leaks else f"not reached: {', '.join(blind)}" if blind else "",
                f"{len(meets) - len(proof['open'])} outputs, {bits} bits behind them")
    if engine == "sat":
        if not proof.get("reach"):
            return "no `reach`: a proof needs one", ""
        if not sat(proof, files, work):
            return f"an assert fails within {proof['depth']} steps, see {work}/sat.log", ""
        missed = [define for define in proof["reach"] if sat(proof, files, work, define)]
        return f"not reached: {', '.join(missed)}" if missed else "", f"bounded {proof['depth']}, {len(proof['reach'])} cases reached"
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
    files = edited(proof, [*proof.get("edits", []), mutant], work)
    engine = proof.get("engine", "smt")
    if engine == "cone":
        meets, _ = cone(proof, files, work)
        return "" if any(met for name, met in meets.items() if name not in proof["open"]) else "SURVIVED", "caught"
    if engine == "sat":
        return "SURVIVED" if sat(proof, files, work) else "", "caught within the bound"
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
        needed = {"name", "top", "files"} | ({"secret", "open"} if p.get("engine") == "cone" else {"depth"})
        if unknown or not needed <= set(p) or p.get("engine", "smt") not in ("smt", "sat", "cone"):
            sys.exit(f"{args.toml}: proof {p.get('name')}: unknown fields {sorted(unknown)}, an unknown engine, or one of {', '.join(sorted(needed))} missing")
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
