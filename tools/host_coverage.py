#!/usr/bin/env python3
"""Writes the section of the host code in docs/coverage.md from what lcov counted: lines and functions by folder, and the files with the most lines that no test ran.

    host_coverage.py host.info --junit junit.xml [--page docs/coverage.md]

junit.xml (ctest --output-junit) says which tests ran. Only the text between `<!-- begin host -->` and `<!-- end host -->` changes."""
import argparse
import collections
import pathlib
import sys
import xml.etree.ElementTree

from perf_report import fill

ROOT = pathlib.Path(__file__).resolve().parents[1]
LARGEST = 20  # files


def read(info):
    """{file: counter with line, line hit, function, function hit} of an lcov trace file."""
    files, file = {}, None
    for text in info.read_text().splitlines():
        key, _, value = text.partition(":")
        if key == "SF":
            file = files.setdefault(str(pathlib.Path(value).relative_to(ROOT)), collections.Counter())
        elif key == "DA":
            file["line"] += 1
            file["line hit"] += int(value.split(",")[1]) > 0
        elif key == "FNDA":
            file["function"] += 1
            file["function hit"] += int(value.split(",")[0]) > 0
    return files


def tests(junit):
    """How many tests of each kind ran, "unit.common.base" being one of unit; and how many of them failed, if any did."""
    cases = xml.etree.ElementTree.parse(junit).getroot().findall("testcase")
    ran = [c for c in cases if c.get("status") in ("run", "fail")]
    kinds = collections.Counter(c.get("name").split(".")[0] for c in ran)
    failed = sum(c.get("status") == "fail" for c in ran)
    return ", ".join(f"{n} of {kind}" for kind, n in sorted(kinds.items())) + (f"; {failed} failed" if failed else "")


def part(hit, all_):
    return f"{100 * hit / all_:.1f} %" if all_ else "-"


def row(name, n):
    return f"| {name} | {n['line']:,} | {part(n['line hit'], n['line'])} | {n['function']:,} | {part(n['function hit'], n['function'])} |"


def section(files, tests):
    folders, total = collections.defaultdict(collections.Counter), collections.Counter()
    for name, counts in files.items():
        folders["/".join(pathlib.Path(name).parts[:2][: len(pathlib.Path(name).parts) - 1])].update(counts)
        total.update(counts)
    lines = [f"Tests: {tests}.", "", "| folder | lines | reached | functions | reached |", "|---|---|---|---|---|"]
    lines += [row(name, counts) for name, counts in sorted(folders.items())] + [row("**all**", total)]
    lines += ["", "The files with the most lines that none of them ran:", "", "| file | lines | not run | reached |", "|---|---|---|---|"]
    missed = sorted(files.items(), key=lambda f: f[1]["line hit"] - f[1]["line"])[:LARGEST]
    lines += [f"| {name} | {n['line']:,} | {n['line'] - n['line hit']:,} | {part(n['line hit'], n['line'])} |" for name, n in missed]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("info", type=pathlib.Path)
    parser.add_argument("--junit", type=pathlib.Path, required=True)
    parser.add_argument("--page", type=pathlib.Path)
    options = parser.parse_args()
    files = read(options.info)
    if not files:
        sys.exit(f"host_coverage: no file in {options.info}")
    body = section(files, tests(options.junit))
    if options.page:
        options.page.write_text(fill(options.page.read_text(), {"host": body}, options.page))
    else:
        print(body)


if __name__ == "__main__":
    main()
