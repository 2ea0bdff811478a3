"""Journeys of packets as text, Chrome trace, pcapng and a page that opens offline."""
import html
import itertools
import json
import struct

STAGES = ("packet read (DMA), SA, slot", "cipher", "hash and ICV", "result to memory, in order")
PACKETS_DRAWN = 2000


def stages(packet):
    """(stage, first cycle, last cycle) of what the card did. Encapsulation hashes what the cipher made; decapsulation does both at once."""
    c = packet.cycles
    ends = [c[k] for k in ("ciphered", "hashed", "started", "fetched") if k in c]
    pairs = [(0, c.get("fetched"), c.get("started")), (1, c.get("started"), c.get("ciphered")), (2, c.get("ciphered" if packet.op == "Encap" else "started"), c.get("hashed")),
             (3, max(ends[:2] if len(ends) > 2 else ends, default=None), c.get("done"))]
    return [(stage, a, b) for stage, a, b in pairs if a is not None and b is not None and a <= b]


def steps(packet, clock_hz):
    """Rows of one packet's way: (what, host time in us or None, cycle or None, what it took). Where the card's clock goes evenly each row has both, the one that is not
    recorded as far as it can be told."""
    c, zero = packet.cycles, packet.card_zero and sum(packet.card_zero) / 2
    at = lambda ns: (ns / 1e3, None if zero is None else max(0, round((ns - zero) * clock_hz / 1e9)))
    on = lambda cycle: (None if zero is None else (zero + cycle * 1e9 / clock_hz) / 1e3, cycle)
    since = lambda then, now, what: "" if then is None else f"{(now - then) / 1e3:.1f} us since {what}"
    rows = []
    if packet.arrived_ns is not None:
        rows.append(("read by the program", *at(packet.arrived_ns), ""))
    if packet.submitted_ns is not None:
        rows.append(("handed to the driver by the program", *at(packet.submitted_ns), ""))
    rows.append(("descriptor and packet moved to the card", *at(packet.moved_ns), ""))
    if packet.rung_ns is not None:
        rows.append(("doorbell (SQ_TAIL)", *at(packet.rung_ns), ""))
    if "fetched" in c:
        error = "" if zero is None else f"times of the card to {(packet.card_zero[1] - packet.card_zero[0]) / 2e3:.1f} us"
        rows.append(("descriptor fetched by the card", *on(c["fetched"]), error))
    for stage, first, last in stages(packet):
        rows.append((STAGES[stage], *on(last), f"{last - first} cycles, {(last - first) / clock_hz * 1e6:.2f} us"))
    if packet.done_ns is not None:
        rows.append((f"completion fetched by the host: {packet.status}", *at(packet.done_ns), since(packet.rung_ns, packet.done_ns, "the doorbell")))
    if packet.delivered_ns is not None:
        rows.append(("result taken by the program", *at(packet.delivered_ns), since(packet.submitted_ns, packet.delivered_ns, "it was handed over")))
    elif packet.done_ns is None and packet.status is None:
        rows.append(("no completion in this recording", None, None, ""))
    if packet.sent_ns is not None:
        rows.append(("sent by the program", *at(packet.sent_ns), since(packet.arrived_ns, packet.sent_ns, "it was read")))
    return rows


def as_text(packet, clock_hz):
    lines = [f"{packet.name}: {packet.op} of {packet.bytes} bytes" + ("" if packet.sa_index is None else f" by SA {packet.sa_index}")
             + (f", SPI 0x{packet.spi:x} seq {packet.seq}, {packet.out_bytes} bytes out" if packet.completion else "")]
    for what, us, cycle, took in steps(packet, clock_hz):
        when, card = "" if us is None else f"{us:.1f} us", "" if cycle is None else f"{cycle} cyc"
        lines.append(f"  {when:>17} {card:>16}  {what:42} {took}".rstrip())
    return "\n".join(lines)


def as_dict(packet, clock_hz):
    fields = {k: getattr(packet, k) for k in ("op", "sa_index", "bytes", "status", "spi", "seq", "out_bytes", "cycles")}
    return {"packet": packet.name} | fields | {"steps": [{"what": w, "host_us": u, "cycle": c, "took": t} for w, u, c, t in steps(packet, clock_hz)]}


def perfetto(packets, clock_hz, program):
    """Chrome trace events: the host's view by queue, the card's by stage, each clock on its own process."""
    events = [{"ph": "M", "pid": 1, "name": "process_name", "args": {"name": f"host: {program}"}},
              {"ph": "M", "pid": 2, "name": "process_name", "args": {"name": "card (cycles as time)"}},
              {"ph": "M", "pid": 3, "name": "process_name", "args": {"name": f"{program}: read to sent"}}]
    events += [{"ph": "M", "pid": 2, "tid": i, "name": "thread_name", "args": {"name": what}} for i, what in enumerate(STAGES)]
    for p in packets:
        args = {"packet": p.name, "sa_index": p.sa_index, "bytes": p.bytes, "status": p.status, "spi": f"0x{p.spi:x}", "seq": p.seq}
        if p.done_ns is not None and p.rung_ns is not None:
            events.append({"ph": "X", "pid": 1, "tid": p.queue, "name": f"{p.op} {p.name}", "ts": p.rung_ns / 1e3, "dur": (p.done_ns - p.rung_ns) / 1e3, "args": args})
        if p.sent_ns is not None:
            events.append({"ph": "X", "pid": 3, "tid": p.queue, "name": f"{p.op} {p.name}", "ts": p.arrived_ns / 1e3, "dur": max(0, p.sent_ns - p.arrived_ns) / 1e3, "args": args})
        for stage, first, last in stages(p):
            events.append({"ph": "X", "pid": 2, "tid": stage, "name": p.name, "ts": first / clock_hz * 1e6, "dur": (last - first) / clock_hz * 1e6, "args": args})
    return json.dumps({"traceEvents": events, "displayTimeUnit": "ns"})


def pcapng(packets, header):
    """A capture whose packets are the completions (LINKTYPE_USER0: the octets of the packets themselves are in no recording), each with its journey as
    comment and its true length."""
    def option(code, value):
        return struct.pack("<HH", code, len(value)) + value + b"\0" * (-len(value) % 4)

    def block(kind, body):
        size = 12 + len(body)
        return struct.pack("<II", kind, size) + body + struct.pack("<I", size)

    end = option(0, b"")
    out = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1) + option(4, b"espscope") + end)
    out += block(1, struct.pack("<HHI", 147, 0, 0) + option(2, b"esp_card") + option(9, b"\x09") + end)
    for p in (p for p in packets if p.done_ns is not None):
        when = header["unix_ns"] + p.done_ns
        comment = as_text(p, header["clock_hz"]).encode()[:60000]
        size = len(p.completion)  # a multiple of 4
        out += block(6, struct.pack("<IIIII", 0, when >> 32 & 0xffffffff, when & 0xffffffff, size, max(size, p.out_bytes)) + p.completion + option(1, comment) + end)
    return out


def bars(rows, width, height, unit):
    """An SVG of horizontal bars: rows of (lane, label, start, end, class)."""
    if not rows:
        return "<p>nothing to draw</p>"
    low, high = min(r[2] for r in rows), max(r[3] for r in rows)
    scale = (width - 20) / max(1e-9, high - low)
    lanes = sorted({r[0] for r in rows})
    out = [f'<svg viewBox="0 0 {width} {height * len(lanes) + 24}" role="img">']
    for lane, label, start, end, kind in rows:
        out.append(f'<rect class="{kind}" x="{10 + (start - low) * scale:.2f}" y="{lanes.index(lane) * height + 2}" width="{max(0.7, (end - start) * scale):.2f}" height="{height - 4}">'
                   f"<title>{html.escape(label)}</title></rect>")
    out.append(f'<text x="10" y="{height * len(lanes) + 18}">{low:,.1f} {unit}</text><text x="{width - 10}" y="{height * len(lanes) + 18}" text-anchor="end">{high:,.1f} {unit}</text></svg>')
    return "".join(out)


def steps_line(points, width, height, unit):
    """An SVG of a step curve through (time, value)."""
    if not points:
        return "<p>nothing to draw</p>"
    low, high = points[0][0], points[-1][0]
    points = points[::max(1, len(points) // 1500)]
    most = max(1, max(v for _, v in points))
    x = lambda t: 10 + (t - low) * (width - 20) / max(1e-9, high - low)
    y = lambda v: height - 20 - v * (height - 30) / most
    path = f"M {x(points[0][0]):.1f} {y(points[0][1]):.1f}" + "".join(f" H {x(t):.1f} V {y(v):.1f}" for t, v in points[1:])
    return (f'<svg viewBox="0 0 {width} {height}" role="img"><path d="{path}"/><text x="10" y="{height - 4}">{low:,.1f} {unit}</text>'
            f'<text x="{width - 10}" y="{height - 4}" text-anchor="end">{high:,.1f} {unit}, at most {most}</text></svg>')


def page(journeys, statistics, header, chosen=None):
    """The report as one HTML file without scripts and without anything from elsewhere."""
    clock = header["clock_hz"]
    drawn = [p for p in journeys.packets if p.done_ns is not None and p.rung_ns is not None][:PACKETS_DRAWN]
    host = [((p.queue, p.number % 16), f"{p.name} {p.op} {p.status}", p.rung_ns / 1e3, p.done_ns / 1e3, "ok" if p.status == "Ok" else "drop") for p in drawn]
    inside_card = [(stage, f"{STAGES[stage]}: {p.name}", first, last, f"s{stage}") for p in drawn for stage, first, last in stages(p)]
    changes = sorted((p.cycles[stamp], step) for p in drawn if {"started", "done"} <= p.cycles.keys() for stamp, step in (("started", 1), ("done", -1)))
    occupancy = list(zip((cycle for cycle, _ in changes), itertools.accumulate(step for _, step in changes)))
    depth = [(ns / 1e3, n) for ns, n in journeys.depth]
    escape, program = html.escape, html.escape(str(header.get("program", "?")))
    rows = "".join(f"<tr><td>{escape(k)}</td><td>{v:,}</td></tr>" for k, v in sorted(statistics["statuses"].items(), key=lambda kv: -kv[1]))
    broken = "".join(f"<li>record {n}: {escape(t)}</li>" for n, t in journeys.wrong[:200]) or "<li>none</li>"
    latency, cycles = statistics["submit_to_complete_ns"], statistics["card_cycles"]
    facts = f"{statistics['records']:,} transactions of {program} in {statistics['seconds']:.3f} s, {statistics['packets']:,} packets"
    if latency:
        facts += f"; doorbell to completion {latency['p50'] / 1e3:,.1f} us median, {latency['p99'] / 1e3:,.1f} us at 99 %"
    if cycles:
        facts += f"; in the card {cycles['p50']:,} cycles median, {cycles['max']:,} at most"
    one = f"<h2>Packet {escape(chosen.name)}</h2><pre>{escape(as_text(chosen, clock))}</pre>" if chosen else ""
    legend = "".join(f'<span class="key s{i}">{what}</span>' for i, what in enumerate(STAGES))
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>esp_card: {program}</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<style>
body {{ font: 15px/1.4 sans-serif; margin: 2em auto; max-width: 1100px; padding: 0 1em; color: #222 }}
svg {{ width: 100%; background: #f6f6f6; border: 1px solid #ddd }} text {{ font-size: 12px; fill: #555 }} path {{ fill: none; stroke: #1666a8; stroke-width: 1.2 }}
rect.ok {{ fill: #2b8a57 }} rect.drop {{ fill: #c23b22 }} rect.s0 {{ fill: #999 }} rect.s1 {{ fill: #1666a8 }} rect.s2 {{ fill: #d08a00 }} rect.s3 {{ fill: #7a3d9a }}
.key {{ padding: 0 .6em; margin-right: .5em; color: #fff }} .s0 {{ background: #999 }} .s1 {{ background: #1666a8 }} .s2 {{ background: #d08a00 }} .s3 {{ background: #7a3d9a }}
table {{ border-collapse: collapse }} td, th {{ border: 1px solid #ccc; padding: .2em .7em; text-align: right }} td:first-child {{ text-align: left }}
</style></head><body>
<h1>What passed between {program} and the card</h1>
<p>{facts}.</p>{one}
<h2>Timeline: doorbell to completion, by queue</h2>{bars(host, 1080, 14, "us")}
<h2>Stages inside the card</h2><p>{legend}</p>{bars(inside_card, 1080, 22, "cycles")}
<h2>Queue depth</h2>{steps_line(depth, 1080, 140, "us")}
<h2>Lane occupancy: packets in slots</h2>{steps_line(occupancy, 1080, 140, "cycles")}
<h2>How packets ended</h2><table id="statuses"><tr><th>status</th><th>packets</th></tr>{rows}</table>
<h2>Broken invariants</h2><ul id="broken">{broken}</ul>
</body></html>
"""
