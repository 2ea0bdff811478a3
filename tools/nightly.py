#!/usr/bin/env python3
"""Runs the long tests of tools/nightly.toml, or one shard of them, and puts the results of shards together.

    nightly.py list  [--seed N] [--shard I/N]
    nightly.py run   --build DIR --out DIR [--seed N] [--shard I/N] [--jobs N] [--only NAME]...
    nightly.py merge --out DIR SHARD_DIR...

A unit's seed follows from --seed, the job and its number, so that every shard knows which units are its own without asking
another; with --shard, --seed must be given, and the same to all. `run` writes into its --out: junit.xml, result.json, and
a folder a unit with its log and what else it leaves. `merge` wants all shards of one run, and adds up JUnit, functional
coverage (card_coverage.json) and lcov trace files (*.info). Exit code 1 when a unit failed or is missing, 2 for wrong usage.
"""
import argparse
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import time
import tomllib
import xml.etree.ElementTree as ET

ROOT = pathlib.Path(__file__).resolve().parent.parent
KEYS = {"name": str, "command": list, "seeds": int, "env": dict, "timeout_s": int, "cost_s": int}


def die(text):
    print(f"nightly: {text}", file=sys.stderr)
    sys.exit(2)


def read_jobs(path):
    try:
        jobs = tomllib.loads(path.read_text())["job"]
    except (OSError, KeyError, tomllib.TOMLDecodeError) as error:
        die(f"{path}: {error}")
    seen = set()
    for job in jobs:
        for key, value in job.items():
            if key not in KEYS or not isinstance(value, KEYS[key]):
                die(f"{path}: job {job.get('name')}: {key} is no key of a job, or not a {KEYS.get(key, type(None)).__name__}")
        missing = [key for key in ("name", "command", "timeout_s", "cost_s") if key not in job]
        if missing or job["name"] in seen:
            die(f"{path}: job {job.get('name')}: " + (f"without {', '.join(missing)}" if missing else "twice"))
        seen.add(job["name"])
    return jobs


def seed_of(base, job, number):
    return int.from_bytes(hashlib.sha256(f"{base}/{job}/{number}".encode()).digest()[:6], "big")


def units_of(jobs, base):
    units = []
    for job in jobs:
        for number in range(job.get("seeds", 1)):
            units.append({"name": f"{job['name']}.{number}" if "seeds" in job else job["name"], "job": job,
                          "seed": seed_of(base, job["name"], number) if "seeds" in job else None})
    return units


def deal(units, shards):
    """The shard of each unit: the dearest first, each to the shard with the least so far."""
    load, place = [0] * shards, {}
    for unit in sorted(units, key=lambda u: (-u["job"]["cost_s"], u["name"])):
        shard = min(range(shards), key=lambda s: (load[s], s))
        load[shard] += unit["job"]["cost_s"]
        place[unit["name"]] = shard + 1
    return place


def command_of(unit, build, out):
    places = {"{build}": str(build), "{source}": str(ROOT), "{out}": str(out)}

    def filled(text):
        return re.sub("|".join(map(re.escape, places)), lambda m: places[m[0]], text)

    env = {k: filled(v) for k, v in unit["job"].get("env", {}).items()}
    if unit["seed"] is not None:
        env["ESPLANADE_SEED"] = str(unit["seed"])
    return [filled(word) for word in unit["job"]["command"]], env


def run_unit(unit, build, out):
    out.mkdir(parents=True, exist_ok=True)
    words, env = command_of(unit, build, out)
    again = shlex.join([f"{k}={v}" for k, v in env.items()]) + (" " if env else "") + shlex.join(words)
    began = time.monotonic()
    with open(out / "log.txt", "w") as log:
        try:
            process = subprocess.Popen(words, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=out,
                                       env=os.environ | env, start_new_session=True)
            status = process.wait(unit["job"]["timeout_s"])
            why = "" if status == 0 else f"exit code {status}" if status > 0 else f"killed by signal {-status}"
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            why = f"took longer than {unit['job']['timeout_s']} s"
        except OSError as error:
            why = str(error)
    return {"name": unit["name"], "seed": unit["seed"], "seconds": round(time.monotonic() - began, 3), "failure": why, "repeat": again}


def tail(path, octets=6000):
    data = path.read_bytes()[-octets:] if path.exists() else b""
    return "".join(c if c.isprintable() or c in "\n\t" else "?" for c in data.decode(errors="replace"))


def write_junit(path, results, folder_of):
    suite = ET.Element("testsuite", name="nightly", tests=str(len(results)), failures=str(sum(1 for r in results if r["failure"])),
                       time=str(sum(r["seconds"] for r in results)))
    for r in results:
        case = ET.SubElement(suite, "testcase", classname="nightly", name=r["name"], time=str(r["seconds"]))
        if r["failure"]:
            failure = ET.SubElement(case, "failure", message=f"{r['failure']}; to repeat: {r['repeat']}")
            failure.text = tail(folder_of(r) / "log.txt")
    ET.ElementTree(suite).write(path, encoding="utf-8", xml_declaration=True)


def write_results(out, head, results, folder_of):
    results = sorted(results, key=lambda r: r["name"])
    (out / "result.json").write_text(json.dumps(head | {"units": results}, indent=1) + "\n")
    write_junit(out / "junit.xml", results, folder_of)
    bad = [r for r in results if r["failure"]]
    for r in bad:
        print(f"FAILED {r['name']}: {r['failure']}; to repeat: {r['repeat']}")
    print(f"{len(results) - len(bad)} passed, {len(bad)} failed")
    return 1 if bad else 0


def plan_of(args):
    jobs = read_jobs(args.plan)
    digest = hashlib.sha256(args.plan.read_bytes()).hexdigest()[:16]
    shard, shards = 1, 1
    if args.shard:
        try:
            shard, shards = (int(part) for part in args.shard.split("/"))
        except ValueError:
            die(f"--shard {args.shard}: wants I/N")
        if not 1 <= shard <= shards:
            die(f"--shard {args.shard}: I must be 1 to N")
        if args.seed is None:
            die("--shard wants --seed, the same for all shards")
    base = secrets.randbits(32) if args.seed is None else args.seed
    units = units_of(jobs, base)
    place = deal(units, shards)
    return {"plan": digest, "seed": base, "shard": shard, "shards": shards, "all": sorted(place)}, [u for u in units if place[u["name"]] == shard]


def run(args):
    head, units = plan_of(args)
    if args.only:
        unknown = set(args.only) - {u["job"]["name"] for u in units}
        if unknown:
            die(f"--only {' '.join(sorted(unknown))}: no such job in this shard")
        units = [u for u in units if u["job"]["name"] in args.only]
        head["all"] = sorted(u["name"] for u in units)
    out, build = args.out.resolve(), args.build.resolve()
    out.mkdir(parents=True, exist_ok=True)
    print(f"seed {head['seed']}, shard {head['shard']} of {head['shards']}: {len(units)} units", flush=True)
    results = []
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        running = [pool.submit(run_unit, u, build, out / u["name"]) for u in sorted(units, key=lambda u: -u["job"]["cost_s"])]
        for done in concurrent.futures.as_completed(running):
            r = done.result()
            results.append(r)
            print(f"{r['name']}: {r['failure'] or 'passed'} ({r['seconds']:.1f} s)", flush=True)
    sys.exit(write_results(out, head, results, lambda r: out / r["name"]))


def merge(args):
    shards = {}
    for folder in args.shard_dirs:
        try:
            data = json.loads((folder / "result.json").read_text())
            shards[data["shard"]] = (folder.resolve(), data)
        except (OSError, ValueError, KeyError, TypeError) as error:
            die(f"{folder}: no result of a shard: {error}")
    heads = [data for _, data in shards.values()]
    first = heads[0]
    for key in ("plan", "seed", "shards", "all"):
        if any(h[key] != first[key] for h in heads):
            die(f"these shards are not of one run: {key} differs")
    results, folders = [], {}
    for folder, data in shards.values():
        for r in data["units"]:
            results.append(r)
            folders[r["name"]] = folder / r["name"]
    missing = sorted(set(first["all"]) - set(folders))
    results += [{"name": name, "seed": None, "seconds": 0, "failure": "has no result: its shard is missing or did not end", "repeat": ""} for name in missing]
    args.out.mkdir(parents=True, exist_ok=True)
    merge_coverage(args.out, sorted(p for f in folders.values() for p in f.glob("card_coverage.json")))
    infos = sorted(str(p) for f, _ in shards.values() for p in f.rglob("*.info"))
    if infos and shutil.which("lcov"):
        subprocess.run(["lcov", "-q", *[w for i in infos for w in ("-a", i)], "-o", args.out / "coverage.info"], check=True)
    head = {k: first[k] for k in ("plan", "seed", "shards", "all")}
    sys.exit(write_results(args.out, head, results, lambda r: folders.get(r["name"], args.out)))


def merge_coverage(out, files):
    """Cells add up; a hole stays one that no run has filled."""
    if not files:
        return
    total, holes, packets = {}, None, 0
    for file in files:
        data = json.loads(file.read_text())
        packets += data["packets"]
        for group, cells in data["coverage"].items():
            for cell, count in cells.items():
                total.setdefault(group, {})[cell] = total.get(group, {}).get(cell, 0) + count
        here = {h["cell"]: h["reached_by"] for h in data["holes"]}
        holes = here if holes is None else {c: t for c, t in holes.items() if c in here}
    open_holes = [c for c, test in holes.items() if not test]
    merged = {"packets": packets, "runs": len(files), "coverage": total, "holes": [{"cell": c, "reached_by": t} for c, t in sorted(holes.items())]}
    (out / "card_coverage.json").write_text(json.dumps(merged, indent=1) + "\n")
    print(f"functional coverage: {packets} packets in {len(files)} runs; {len(holes)} holes, {len(open_holes)} of them not reached by a test of their own")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plan", type=pathlib.Path, default=ROOT / "tools/nightly.toml", help="jobs (default: tools/nightly.toml)")
    sub = parser.add_subparsers(dest="what", required=True)
    for name in ("list", "run"):
        p = sub.add_parser(name)
        p.add_argument("--seed", type=int)
        p.add_argument("--shard")
        if name == "run":
            p.add_argument("--build", type=pathlib.Path, required=True)
            p.add_argument("--out", type=pathlib.Path, required=True)
            p.add_argument("--jobs", type=int, default=1)
            p.add_argument("--only", action="append")
    p = sub.add_parser("merge")
    p.add_argument("--out", type=pathlib.Path, required=True)
    p.add_argument("shard_dirs", type=pathlib.Path, nargs="+")
    args = parser.parse_args()
    if args.what == "list":
        head, units = plan_of(args)
        print(f"seed {head['seed']}")
        for unit in units:
            print(f"{unit['name']:<20} {unit['job']['cost_s']:>6} s  seed {unit['seed']}")
    elif args.what == "run":
        run(args)
    else:
        merge(args)


main()
