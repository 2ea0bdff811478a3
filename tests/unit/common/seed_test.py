#!/usr/bin/env python3
"""Every failure of a random test tells the command that repeats it. Usage: seed_test.py PROGRAM (seed_fails)"""
import os
import re
import subprocess
import sys

PROGRAM = sys.argv[1]
BARE = {k: v for k, v in os.environ.items() if not k.startswith("ESPLANADE_")}


def run(command, extra=None):
    done = subprocess.run(command, shell=isinstance(command, str), env=BARE | (extra or {}), cwd="/", timeout=20,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


def expect(holds, what, output):
    if not holds:
        sys.exit(f"{what}\n{output}")


def value(output):
    return re.search(r"^value (\d+)$", output, re.M)[1]


status, first = run([PROGRAM, "--no-colors"], {"ESPLANADE_TEXT": "it's a text"})
expect(status == 1, "the failing program must say so", first)
lines = re.findall(r'^to repeat the failure of "(.*)": (.*)$', first, re.M)
expect([name for name, _ in lines] == ['a case that fails, with "quotes" in its name'],
       "one line for the case that failed, none for the others", first)
command = lines[0][1]
expect("ESPLANADE_TEXT='it'\\''s a text' " in command and command.endswith(" --no-colors"), "a variable or argument is missing", command)
status, second = run(command)
expect(status == 1 and value(second) == value(first), "the command does not repeat the run", first + second)
_, third = run([PROGRAM])
expect(value(third) != value(first), "two runs without a seed should differ", third)
status, hexadecimal = run([PROGRAM], {"ESPLANADE_SEED": "0x10"})
expect(value(hexadecimal) == value(run([PROGRAM], {"ESPLANADE_SEED": "16"})[1]), "0x10 is 16", hexadecimal)

status, died = run([PROGRAM, "--test-case=*dies*"], {"ESPLANADE_DIE": "1"})
expect(status != 0 and 'to repeat the failure of "a case that dies": ESPLANADE_DIE=1 /' in died, "a crash tells it too", died)
for bad in ("x", "-1", "1e3", "99999999999999999999"):
    status, output = run([PROGRAM], {"ESPLANADE_SEED": bad})
    expect(status == 2 and f"ESPLANADE_SEED={bad} is not a number" in output, "a wrong seed must end the run", output)
