#!/usr/bin/env python3
"""Writes the tables and plots of docs/performance.md from what the benchmarks measured.

    perf_report.py [--card bench/card.json] [--area bench/area.json] [--ike bench/ike.json] [--doc docs/performance.md]

Only the text between `<!-- begin NAME -->` and `<!-- end NAME -->` changes. A section whose input is missing stays as it is. Plots
are SVG files in a folder beside the document with its name. The same input gives the same bytes.
"""
import argparse
import json
import sys
import tomllib
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "hw/pack"))

COLOURS = ("#1f5fbf", "#d9730d", "#2e8b57", "#8e44ad", "#b03a2e", "#7f8c8d", "#c9a227", "#16a085")
WIDTH, HEIGHT = 760, 400
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 50, 70  # margins


class ReportError(Exception):
    """The text says what is wrong and where."""


# ------------------------------------------------------------------------------------------------ SVG
class Plot:
    """Axes with round ticks; the caller draws in data coordinates."""

    def __init__(self, title, x_label, y_label, categories, y_max):
        self.categories = categories
        self.y_step = round_step(y_max)
        self.y_max = self.y_step * max(1, -(-y_max // self.y_step))
        self.items = [f'<text x="{WIDTH / 2:g}" y="24" text-anchor="middle" font-size="16" font-weight="bold">{escape(title)}</text>']
        bottom = HEIGHT - BOTTOM
        tick = 0.0
        while tick <= self.y_max * 1.0001:
            y = self.y(tick)
            self.items.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="#dddddd"/>')
            self.items.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
            tick += self.y_step
        for n, name in enumerate(categories):
            self.items.append(f'<text x="{self.x(n):.1f}" y="{bottom + 18}" text-anchor="middle">{escape(str(name))}</text>')
        self.items.append(f'<line x1="{LEFT}" y1="{bottom}" x2="{WIDTH - RIGHT}" y2="{bottom}" stroke="#333333"/>')
        self.items.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2:g}" y="{bottom + 38}" text-anchor="middle">{escape(x_label)}</text>')
        middle = (TOP + bottom) / 2
        self.items.append(f'<text x="18" y="{middle:g}" text-anchor="middle" transform="rotate(-90 18 {middle:g})">{escape(y_label)}</text>')
        self.legend_x = LEFT

    def x(self, n):
        return LEFT + (n + 0.5) * (WIDTH - LEFT - RIGHT) / max(1, len(self.categories))

    def y(self, value):
        return HEIGHT - BOTTOM - value / self.y_max * (HEIGHT - TOP - BOTTOM)

    def legend(self, name, colour, dashed=False):
        y = HEIGHT - 12
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        self.items.append(f'<line x1="{self.legend_x}" y1="{y - 4}" x2="{self.legend_x + 24}" y2="{y - 4}" stroke="{colour}" stroke-width="3"{dash}/>')
        self.items.append(f'<text x="{self.legend_x + 30}" y="{y}">{escape(name)}</text>')
        self.legend_x += 44 + 7 * len(name)

    def line(self, name, values, colour, dashed=False):
        """values: one a category, None for a gap."""
        at = [(self.x(n), self.y(v)) for n, v in enumerate(values) if v is not None]
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
        self.items.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>')
        if not dashed:
            self.items += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in at]
        self.legend(name, colour, dashed)

    def stack(self, n, parts):
        """parts: (value, colour, text) from the bottom up."""
        wide = min(120, 0.5 * (WIDTH - LEFT - RIGHT) / len(self.categories))
        base = 0.0
        for value, colour, text in parts:
            top, foot = self.y(base + value), self.y(base)
            self.items.append(f'<rect x="{self.x(n) - wide / 2:.1f}" y="{top:.1f}" width="{wide:.1f}" height="{foot - top:.1f}" fill="{colour}"/>')
            if foot - top > 12:
                self.items.append(f'<text x="{self.x(n):.1f}" y="{(top + foot) / 2 + 4:.1f}" text-anchor="middle" fill="#ffffff">{escape(text)}</text>')
            base += value

    def text(self):
        body = "\n".join(self.items)
        return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
                f'font-size="12" fill="#222222">\n<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>\n{body}\n</svg>\n')


def round_step(top):
    """A step of 1, 2 or 5 times a power of ten that makes 4 to 10 steps."""
    if top <= 0:
        return 1.0
    size = 1.0
    while size * 10 <= top:
        size *= 10
    while size > top:
        size /= 10
    for factor in (0.1, 0.2, 0.5, 1, 2):
        if top / (size * factor) <= 10:
            return size * factor
    return size * 5


# ------------------------------------------------------------------------------------------------ numbers
def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join("-" if cell is None else str(cell) for cell in row) + " |" for row in rows]) + "\n"


def size_key(size):
    """Numbers by value, names such as imix behind them."""
    return (isinstance(size, str), size if isinstance(size, str) else int(size))


def thousands(value):
    return None if value is None else f"{value:,}"


def checked(card):
    need = ("bytes", "direction", "sas", "lanes", "bytes_per_cycle", "roofline", "fraction", "gbps_at_300mhz", "latency_cycles")
    rows = card.get("rows")
    if not rows:
        raise ReportError("card.json has no rows")
    for n, row in enumerate(rows):
        missing = [key for key in need if key not in row]
        if missing:
            raise ReportError(f"card.json: row {n} has no {', '.join(missing)}")
    return sorted(rows, key=lambda r: (r["lanes"], r["direction"], r["sas"], size_key(r["bytes"])))


def best_of(rows, size, direction, lanes, key=lambda r: -r["bytes_per_cycle"]):
    fits = [r for r in rows if r["bytes"] == size and r["direction"] == direction and r["lanes"] == lanes]
    return min(fits, key=key) if fits else None


def directions_of(rows):
    return list(dict.fromkeys(r["direction"] for r in sorted(rows, key=lambda r: ({"encap": 0, "decap": 1}.get(r["direction"], 2), r["direction"]))))


def card_sections(card, plots):
    rows = checked(card)
    fewest = min(r["lanes"] for r in rows)
    one = [r for r in rows if r["lanes"] == fewest]
    sizes = sorted({r["bytes"] for r in one}, key=size_key)
    ways = directions_of(one)
    out = {}

    head = ["inner packet, bytes", "direction", "SAs", "lanes", "bytes a cycle", "roofline", "of roofline", "Gb/s at 300 MHz", "latency, cycles"]
    out["rates"] = table(head, [[r["bytes"], r["direction"], r["sas"], r["lanes"], f"{r['bytes_per_cycle']:.2f}", f"{r['roofline']:.2f}",
                                 f"{100 * r['fraction']:.0f} %", f"{r['gbps_at_300mhz']:.1f}", thousands(r["latency_cycles"])] for r in rows])

    top = max(max(r["bytes_per_cycle"], r["roofline"]) for r in one)
    plot = Plot(f"Rate of a card with {fewest} lane{'s' if fewest > 1 else ''} against its roofline", "inner packet, bytes", "payload bytes a cycle", sizes, top)
    for n, way in enumerate(ways):
        found = [best_of(one, size, way, fewest) for size in sizes]
        plot.line(f"{way}, roofline", [f and f["roofline"] for f in found], COLOURS[n], dashed=True)
        plot.line(way, [f and f["bytes_per_cycle"] for f in found], COLOURS[n])
    plots["rate"] = plot.text()

    lanes = sorted({r["lanes"] for r in rows})
    if len(lanes) > 1:
        common = [s for s in sizes if all(any(r["bytes"] == s and r["lanes"] == n for r in rows) for n in lanes)]
        shown = [s for s in common if s in (64, 1500, "imix")] or common[-2:]
        series = [(size, way) for size in shown for way in ways]
        plot = Plot("Rate by number of lanes", "lanes", "Gb/s at 300 MHz", lanes, max(r["gbps_at_300mhz"] for r in rows if r["bytes"] in shown))
        lines = []
        for n, (size, way) in enumerate(series):
            found = [best_of(rows, size, way, count) for count in lanes]
            plot.line(f"{way}, {size}", [f and f["gbps_at_300mhz"] for f in found], COLOURS[n % len(COLOURS)])
            lines.append([size, way] + [f and f"{f['gbps_at_300mhz']:.1f}" for f in found])
        plots["lanes"] = plot.text()
        out["lanes"] = table(["bytes", "direction"] + [f"Gb/s, {n} lane{'s' if n > 1 else ''}" for n in lanes], lines)
    else:
        out["lanes"] = f"Only {lanes[0]} lane was measured.\n"

    timed = [r for r in one if r["latency_cycles"] is not None]
    if timed:
        sizes = sorted({r["bytes"] for r in timed}, key=size_key)
        least = {way: [best_of(timed, size, way, fewest, key=lambda r: r["latency_cycles"]) for size in sizes] for way in ways}
        plot = Plot("Latency of a packet, descriptor seen to result in memory", "inner packet, bytes", "cycles", sizes,
                    max(f["latency_cycles"] for found in least.values() for f in found if f))
        for n, way in enumerate(ways):
            plot.line(way, [f and f["latency_cycles"] for f in least[way]], COLOURS[n])
        plots["latency"] = plot.text()

    mixed = card.get("mixed") or []
    if mixed:
        flows = [(m, f) for m in mixed for f in m["flows"]]
        out["mixed"] = table(["mix", "lanes", "bytes a cycle, all", "flow", "bytes a cycle", "of its fair share"],
                             [[m["mix"], str(m["lanes"]), f"{m['bytes_per_cycle']:.2f}", f["name"], f"{f['bytes_per_cycle']:.3f}", f"{100 * f['share']:.0f} %"]
                              for m, f in flows])
    else:
        out["mixed"] = "None was measured.\n"
    return out


def area_sections(area, plots):
    import pack  # lanes that fit a platform

    rows = area.get("rows")
    if not rows:
        raise ReportError("area.json has no rows")
    out = {}
    head = ["module", "LUT", "FF", "BRAM", "URAM", "LUT levels", "kLUT per Gb/s"]
    out["area"] = table(head, [[r["module"], thousands(r["lut"]), thousands(r["ff"]), f"{r['bram']:g}", r["uram"], r["logic_levels"],
                                None if r["klut_per_gbps"] is None else f"{r['klut_per_gbps']:.2f}"] for r in rows])
    out["area"] += f"\nMade with {area.get('tool', 'Yosys')}; what is counted stands in hw/syn/area.py and netlist.py.\n"
    if area.get("missing"):
        out["area"] += "\nNot measured: " + "; ".join(area["missing"]) + "\n"
    out["paths"] = table(["module", "levels", "from", "to", "through"],
                         [[p["module"], p["levels"], f"`{p['start']}`", f"`{p['end']}`", ", ".join(c.split()[0] for c in p["cells"])] for p in area.get("worst_paths", [])])

    stacks = area.get("stacks") or {}
    if stacks:
        parts = list(dict.fromkeys(part for stack in stacks.values() for part in stack))
        short = {part: part.split(" (")[0] for part in parts}
        names = list(dict.fromkeys(short.values()))
        colour = {name: COLOURS[n % len(COLOURS)] for n, name in enumerate(names)}
        plot = Plot("LUTs of the card by part", "", "kLUT", list(stacks), max(sum(stack.values()) for stack in stacks.values()) / 1000)
        for n, stack in enumerate(stacks.values()):
            plot.stack(n, [(lut / 1000, colour[short[part]], f"{short[part]} {lut / 1000:.1f}") for part, lut in sorted(stack.items(), key=lambda i: -i[1])])
        for name in names:
            plot.legend(name, colour[name])
        plots["area"] = plot.text()

    try:
        out["fit"] = pack.fit_markdown(rows)
    except pack.PackError as error:
        out["fit"] = f"Not known yet: {error}.\n"

    peers = tomllib.loads((ROOT / "hw/syn/peers.toml").read_text())["peer"]
    lines = []
    for r in rows:
        if r["module"] in ("tdes_pipe", "sha1_ring", "crypto_lane"):
            lines.append([r["module"], thousands(r["lut"]), thousands(r["ff"]), 300, f"{r['gbps']:.2f}", f"{r['lut'] / 1000 / r['gbps']:.2f}", "this card, Yosys"])
    for p in peers:
        lut = p.get("lut")
        lines.append([f"{p['name']}: {p['what']}", thousands(lut), thousands(p.get("ff")), p.get("mhz"), f"{p['gbps']:.2f}", lut and f"{lut / 1000 / p['gbps']:.2f}",
                      "same flow" if p["measured"] else "authors' figures"])
    out["peers"] = table(["core", "LUT", "FF", "MHz", "Gb/s", "kLUT per Gb/s", "measured by"], lines)
    out["peers"] += "\nSources and commands: hw/syn/peers.toml.\n"
    return out


# ------------------------------------------------------------------------------------------------ document
def fill(text, sections, path):
    for name, body in sections.items():
        begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->"
        if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
            raise ReportError(f"{path}: needs one pair of markers for {name}")
        head, rest = text.split(begin)
        text = head + begin + body + end + rest.split(end)[1]
    return text


def ike_sections(file, plots):
    lines = ["| set-ups | keyd a second | charon a second | ratio | of the ceiling | p50 ms | p99 ms | charon p50 ms | charon p99 ms |",
             "|---|---|---|---|---|---|---|---|---|"]
    for r in file["rows"]:
        lines.append(f"| {r['name']} | {r['setups_per_s']:,.0f} | {r['charon_setups_per_s']:,.0f} | {r['ratio']:.2f} | {100 * r['ceiling_fraction']:.0f} % | "
                     f"{r['p50_ms']:.1f} | {r['p99_ms']:.1f} | {r['charon_p50_ms']:.1f} | {r['charon_p99_ms']:.1f} |")
    lines += ["", f"Memory of all of keyd's processes: {file['rows'][0]['bytes_per_sa']:,} octets an SA, its part of a main mode SA of its own among them; "
              f"{file['resident_bytes'] / 2**20:,.0f} MiB with {file['sas']:,} SAs.", ""]
    return {"ike": "\n".join(lines)}


def driver_sections(file, plots):
    """The driver's rings, apart from a card."""
    return {"driver": table(["what", "million a second", "ns each"], [[r["name"], f"{r['mops']:.1f}", f"{r['ns_per_op']:.0f}"] for r in file["rows"]])}


def espd_sections(file, plots):
    """What espd costs beside the engine."""
    return {"espd": table(["what", "packets a second", "Mb/s inside", "sender, ns a packet", "receiver, ns a packet", "sender, calls a packet", "receiver, calls a packet"],
                          [[r["name"], thousands(r["packets_per_s"]), f"{r['mbit_per_s']:,.0f}", thousands(r["sender_ns"]), thousands(r["receiver_ns"]),
                            f"{r['sender_calls']:.2f}", f"{r['receiver_calls']:.2f}"] for r in file["rows"]])}


def sim_sections(file, plots):
    """The simulation's speed."""
    def show(value):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}"
    return {"sim": table(["what", "measured", "unit"], [[r["name"], show(r["value"]), r["unit"]] for r in file["rows"]])}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--card", type=Path, default=ROOT / "build/release/bench/card.json")
    parser.add_argument("--area", type=Path, default=ROOT / "build/release/bench/area.json")
    parser.add_argument("--ike", type=Path, default=ROOT / "build/release/bench/ike.json")
    parser.add_argument("--driver", type=Path, default=ROOT / "build/release/bench/driver.json")
    parser.add_argument("--espd", type=Path, default=ROOT / "build/release/bench/espd.json")
    parser.add_argument("--sim", type=Path, default=ROOT / "build/release/bench/sim.json")
    parser.add_argument("--doc", type=Path, default=ROOT / "docs/performance.md")
    options = parser.parse_args()
    try:
        sections, plots = {}, {}
        for path, make in ((options.card, card_sections), (options.area, area_sections), (options.ike, ike_sections), (options.sim, sim_sections),
                           (options.driver, driver_sections), (options.espd, espd_sections)):
            if path.exists():
                sections |= make(json.loads(path.read_text()), plots)
            else:
                print(f"perf_report: no {path}: its sections stay as they are", file=sys.stderr)
        if not sections:
            raise ReportError("nothing to report: run bench-card, bench-area, bench-ike, bench-sim, bench-driver or bench-espd")
        text = fill(options.doc.read_text(), sections, options.doc)
        folder = options.doc.with_suffix("")
        folder.mkdir(exist_ok=True)
        for name, svg in plots.items():
            (folder / f"{name}.svg").write_text(svg)
        options.doc.write_text(text)
    except (ReportError, OSError, KeyError, json.JSONDecodeError) as error:
        sys.exit(f"perf_report: {error}")


if __name__ == "__main__":
    main()
