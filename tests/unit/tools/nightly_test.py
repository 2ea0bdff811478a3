#!/usr/bin/env python3
"""tools/nightly.py: the shards of a run hold each unit once and repeat, failures tell how to repeat them, and nothing that is
missing counts as passed. Usage: nightly_test.py NIGHTLY"""
import json
import pathlib
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET

NIGHTLY = pathlib.Path(sys.argv[1]).resolve()
PLAN = """
[[job]]
name = "good"
command = ["sh", "-c", "echo seed $ESPLANADE_SEED; echo '{\\"packets\\": 10, \\"coverage\\": {\\"g\\": {\\"a\\": 1}}, \\"holes\\": [{\\"cell\\": \\"x\\", \\"reached_by\\": \\"\\"}]}' > card_coverage.json"]
seeds = 5
timeout_s = 10
cost_s = 3
[[job]]
name = "bad"
command = ["sh", "-c", "echo it went wrong; exit $CODE"]
env = { CODE = "3" }
seeds = 1
timeout_s = 10
cost_s = 5
[[job]]
name = "hangs"
command = ["sh", "-c", "sleep 60 & sleep 60"]
timeout_s = 1
cost_s = 1
"""


def nightly(plan, *args):
    done = subprocess.run([NIGHTLY, "--plan", plan, *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    return done.returncode, done.stdout


def expect(holds, what, output=""):
    if not holds:
        sys.exit(f"{what}\n{output}")


with tempfile.TemporaryDirectory() as name:
    top = pathlib.Path(name)
    plan = top / "plan.toml"
    plan.write_text(PLAN)
    status, output = nightly(plan, "run", "--build", top, "--out", top / "whole", "--seed", 7, "--jobs", 2)
    whole = json.loads((top / "whole/result.json").read_text())
    expect(status == 1 and "5 passed, 2 failed" in output, "one run of all", output)
    expect("FAILED bad.0: exit code 3; to repeat: CODE=3 ESPLANADE_SEED=" in output and "FAILED hangs: took longer than 1 s" in output,
           "failures with their commands", output)
    seeds = {u["name"]: u["seed"] for u in whole["units"]}
    expect(len({s for s in seeds.values() if s is not None}) == 6, "every unit has a seed of its own", str(seeds))

    for shard in (1, 2, 3):
        nightly(plan, "run", "--build", top, "--out", top / f"s{shard}", "--seed", 7, "--shard", f"{shard}/3")
    status, output = nightly(plan, "merge", "--out", top / "merged", *(top / f"s{s}" for s in (3, 1, 2)))
    merged = json.loads((top / "merged/result.json").read_text())
    expect(status == 1 and {u["name"]: u["seed"] for u in merged["units"]} == seeds, "three shards are the whole run", output)
    suite = ET.parse(top / "merged/junit.xml").getroot()
    expect((suite.get("tests"), suite.get("failures")) == ("7", "2"), "JUnit counts", ET.tostring(suite, "unicode"))
    failure = suite.find("testcase[@name='bad.0']/failure")
    expect("to repeat: CODE=3" in failure.get("message") and "it went wrong" in failure.text, "JUnit tells what and how", failure.text)
    coverage = json.loads((top / "merged/card_coverage.json").read_text())
    expect(coverage["packets"] == 50 and coverage["coverage"]["g"]["a"] == 5 and len(coverage["holes"]) == 1, "coverage adds up", str(coverage))

    status, output = nightly(plan, "merge", "--out", top / "short", top / "s1", top / "s3")
    expect(status == 1 and "has no result: its shard is missing" in output, "a missing shard is a failure", output)
    nightly(plan, "run", "--build", top, "--out", top / "other", "--seed", 8, "--shard", "2/3")
    status, output = nightly(plan, "merge", "--out", top / "mixed", top / "s1", top / "other", top / "s3")
    expect(status == 2 and "not of one run: seed differs" in output, "shards of two runs do not mix", output)
    status, output = nightly(plan, "run", "--build", top, "--out", top / "x", "--shard", "1/2")
    expect(status == 2 and "--shard wants --seed" in output, "a shard without a seed", output)
    status, output = nightly(plan, "run", "--build", top, "--out", top / "only", "--seed", 7, "--only", "good")
    expect(status == 0 and "5 passed, 0 failed" in output, "one job alone", output)
    for wrong, why in (('[[job]]\nname = "a"\n', "without command"), (PLAN + PLAN, "twice"), (PLAN.replace("cost_s", "cost"), "no key of a job"), ("x", "plan.toml")):
        plan.write_text(wrong)
        status, output = nightly(plan, "list")
        expect(status == 2 and why in output, f"a plan that is wrong: {why}", output)
