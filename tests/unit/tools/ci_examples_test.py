#!/usr/bin/env python3
"""The examples of docs/examples/ci: the YAML reads, and each of our programs that they call takes the arguments that they give.
Usage: ci_examples_test.py SOURCE"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(sys.argv[1])
CI = ROOT / "docs/examples/ci"
wrong = []
called = 0
for file in sorted(CI.iterdir()) + [ROOT / "docs/ci.md"]:
    text = file.read_text().replace("\\\n", " ")
    if file.suffix == ".yml":
        # The indentation is what breaks: no tabs, and each line's depth is even.
        for number, line in enumerate(text.splitlines(), 1):
            if "\t" in line or (len(line) - len(line.lstrip())) % 2:
                wrong.append(f"{file.name}:{number}: indentation")
    for command in re.findall(r"tools/nightly\.py ((?:run|merge) [^\n`]*)", text):
        command = re.sub(r'"?\$\{?\w+\}?"?/"?\$\{?\w+\}?"?|\{\}/4|I/N', "1/4", command.split(":::")[0].replace("...", ""))
        words = [re.sub(r'\$\{?\w+\}?|\{\}|(?<=--seed )"\$\w+"|^S$', "1", word.strip('"')) for word in command.split()]
        if "--build" not in words and words[0] == "run":
            words += ["--build", "/nowhere", "--out", "/nowhere"]
        words[0:0] = ["--plan", "/nowhere.toml"]
        done = subprocess.run([ROOT / "tools/nightly.py", *words], capture_output=True, text=True)
        called += 1
        # The plan or the shard is not there: the arguments were taken.
        if "/nowhere.toml" not in done.stderr and "no result of a shard" not in done.stderr:
            wrong.append(f"{file.name}: nightly.py {' '.join(words)}: {done.stderr.strip()}")
    for path in re.findall(r"(?:\./|\s)((?:tools|docs)/[\w./-]+|bootstrap\.sh)", text):
        if not (ROOT / path.rstrip(".")).exists():
            wrong.append(f"{file.name}: there is no {path}")
print("\n".join(wrong) or f"{called} calls are sound")
sys.exit(1 if wrong or called < 5 else 0)
