#!/usr/bin/env python3
"""Adds up Verilator's coverage files of a folder: line and toggle coverage by module.

    rtl_coverage.py FOLDER --json FILE --lcov FILE [--page docs/coverage.md]

A point is a line block or one bit that must go both ways, counted once however many instances a module has. What the tests
of the whole card cannot reach is explained in coverage_holes.toml (patterns on "module: signal[bit]" and on "module: line: the
line's text"); an entry that explains nothing is an error, so that the list stays true. Exit code 1 then, or when no file is there.
"""
import argparse
import collections
import functools
import json
import pathlib
import re
import sys
import tomllib

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
sys.path.insert(0, str(ROOT / "tools"))
from perf_report import fill  # noqa: E402


def read(folder):
    """(kind, file, line, point) -> count."""
    points = collections.Counter()
    for file in sorted(folder.glob("*.dat")):
        for line in file.read_text(errors="replace").splitlines():
            match = re.match(r"C '(.*)' (\d+)$", line)
            if not match:
                continue
            field = dict(part.split("\x02", 1) for part in match[1].split("\x01") if "\x02" in part)
            kind = field["page"].split("/")[0].removeprefix("v_")
            place = pathlib.Path(field["f"])
            if "rtl" not in place.parts:
                continue
            where = "hw/" + "/".join(place.parts[place.parts.index("rtl"):])
            points[(kind, where, int(field["l"]), field.get("o", ""))] += int(match[2])
    return points


@functools.cache
def source(file):
    return (ROOT / file).read_text().splitlines()


def page(modules, explained, missed):
    lines = ["Written by the target `card-coverage`: the tests of the whole card (smoke, scoreboard, vectors, hostile) on a model with",
             "Verilator's line and toggle coverage. A module's own bench reaches more of it; these figures are what whole packets reach.",
             "A toggle point is one bit that went both ways. Explained: out of reach for a card of this build, see below.", "",
             "| module | lines | reached | toggles | reached | explained | open |", "|---|---|---|---|---|---|---|"]
    total = collections.Counter()
    for name, m in sorted(modules.items()):
        total.update(m)
        lines.append(row(name, m))
    lines.append(row("**all**", total))
    lines += ["", "### Holes explained", "", "| points | pattern | why |", "|---|---|---|"]
    for entry, n in explained:
        lines.append(f"| {n:,} | `{entry['points']}` | {entry['why']} |".replace("|`", "| `"))
    lines += ["", f"### Open holes", "", "Points that no test of the whole card reached and that nothing explains, by module, the largest groups:", "",
              "| module | points | signals |", "|---|---|---|"]
    groups = collections.defaultdict(collections.Counter)
    for module, point in missed:
        groups[module][re.sub(r"\[\d+\]", "", point)] += 1
    for module, signals in sorted(groups.items(), key=lambda g: -sum(g[1].values()))[:20]:
        names = ", ".join(f"`{s}` ({n})" for s, n in signals.most_common(6))
        lines.append(f"| {module} | {sum(signals.values()):,} | {names} |")
    return "\n".join(lines) + "\n"


def row(name, m):
    part = lambda hit, all_: f"{100 * hit / all_:.1f} %" if all_ else "-"
    return (f"| {name} | {m['line']:,} | {part(m['line hit'], m['line'])} | {m['toggle']:,} | {part(m['toggle hit'], m['toggle'])} | "
            f"{m['explained']:,} | {m['open']:,} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--json", type=pathlib.Path, required=True)
    parser.add_argument("--lcov", type=pathlib.Path, required=True)
    parser.add_argument("--page", type=pathlib.Path)
    options = parser.parse_args()
    points = read(options.folder)
    if not points:
        sys.exit(f"rtl_coverage: no coverage in {options.folder}")
    entries = tomllib.loads((HERE / "coverage_holes.toml").read_text())["hole"]
    patterns = [(re.compile(e["points"]), e) for e in entries]
    used = collections.Counter()
    modules, missed, lines = collections.defaultdict(collections.Counter), [], collections.defaultdict(dict)
    for (kind, file, line, point), count in points.items():
        kind = "toggle" if kind == "toggle" else "line"
        module = pathlib.Path(file).stem
        m = modules[module]
        m[kind] += 1
        if kind == "line":
            lines[file][line] = lines[file].get(line, 0) + count
        if count:
            m[f"{kind} hit"] += 1
            continue
        name = f"{module}: {point if kind == 'toggle' else f'line: {source(file)[line - 1].strip()}'}"
        hole = next((e for pattern, e in patterns if pattern.fullmatch(name)), None)
        if hole is not None:
            used[hole["points"]] += 1
            m["explained"] += 1
        else:
            m["open"] += 1
            missed.append((module, point if kind == "toggle" else f"line {line}"))
    idle = [e["points"] for e in entries if not used[e["points"]]]
    explained = [(e, used[e["points"]]) for e in entries if used[e["points"]]]
    options.json.write_text(json.dumps({"modules": modules, "open": [f"{m}: {p}" for m, p in missed],
                                        "explained": [{**e, "count": n} for e, n in explained]}, indent=1) + "\n")
    with options.lcov.open("w") as out:
        for file, counts in sorted(lines.items()):
            out.write(f"SF:{ROOT / file}\n" + "".join(f"DA:{n},{c}\n" for n, c in sorted(counts.items())) + "end_of_record\n")
    if options.page:
        options.page.write_text(fill(options.page.read_text(), {"rtl": page(modules, explained, missed)}, options.page))
    total = sum(modules.values(), collections.Counter())
    print(f"rtl_coverage: lines {total['line hit']}/{total['line']}, toggles {total['toggle hit']}/{total['toggle']}, "
          f"holes: {total['explained']} explained, {total['open']} open")
    for pattern in idle:
        print(f"rtl_coverage: {pattern} explains nothing", file=sys.stderr)
    sys.exit(1 if idle else 0)


main()
