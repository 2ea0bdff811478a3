"""The commands of espscope."""
import argparse
import io
import itertools
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from scope import bundle, doctor, recording as rec, replays, report, state
from scope.cardmap import CardMap, ScopeError
from scope.journeys import named, statistics
from scope.live import Live


BEFORE_IT, BEHIND_IT = 2000, 500  # cycles of waves around what is looked for
OF_THE_RECORDED = ("ESPLANADE_RECORD", "ESPLANADE_SCOPE", "ESPLANADE_SIM_RECORD", "ESPLANADE_SIM_CONTROL", "ESPLANADE_SIM_STATS", "ESPLANADE_SIM_WAVE")  # places of the program that was recorded


def table(rows, columns):
    """Lines of a table; `columns`: (title, key or function of a row)."""
    cells = [[str(f(r) if callable(f) else r[f]) for _, f in columns] for r in rows]
    widths = [max([len(t)] + [len(c[i]) for c in cells]) for i, (t, _) in enumerate(columns)]
    line = lambda parts: "  ".join(p.ljust(w) for p, w in zip(parts, widths)).rstrip()
    return "\n".join([line([t for t, _ in columns])] + [line(c) for c in cells])


def tell(options, data, text, anomalies=()):
    """Anomalies first, then the text; or all as JSON. Exit status 1 when something is wrong."""
    print(json.dumps(data | {"anomalies": list(anomalies)}, indent=1) if options.json else "\n".join([f"! {a}" for a in anomalies] + [text]))
    return 1 if anomalies else 0


def opened(options):
    """The recording, with what is not in it told: before the text, or beside a list of JSON."""
    recording = rec.Recording(options.recording)
    for note in recording.notes():
        print(f"note: {note}", file=sys.stderr if getattr(options, "json", False) else sys.stdout)
    return recording


def connected(options):
    return CardMap(), Live(options.socket)


def regs(options):
    card, live = connected(options)
    chosen = card.matching(options.names)
    skipped = {r.name: r.why_not_read() for r in chosen if r.why_not_read()}
    before = {}
    while True:
        values = live.read(chosen)
        if options.json:
            print(json.dumps({"registers": {r.name: {"offset": r.offset, "value": values[r.name], "fields": r.decode(values[r.name])}
                                            for r in chosen if r.name in values}, "skipped": skipped}, indent=1))
        for r in chosen if not options.json else []:
            value = values.get(r.name)
            if value is None:
                if r.n == 0 and not before:
                    print(f"{r.array:24} not read: {skipped.get(r.name, 'its driver does not')}")
            elif before.get(r.name) != value and (value or r.n == 0 or options.names or options.watch):  # not the rest of an array that is empty
                print(f"{r.name:24} 0x{r.offset:04x} 0x{value:08x}  {r.doc if r.n == 0 else ''}".rstrip())
                for f in r.fields:
                    if f.get(value) or options.names:
                        print(f"  .{f.name:20} {f.get(value):>11}  {f.doc}")
        sys.stdout.flush()
        if not options.watch:
            return 0
        before = values
        time.sleep(options.interval)
        if not options.json:
            print(f"-- {time.strftime('%H:%M:%S')}")


SPI = ("SPI", lambda r: f"0x{r['spi']:08x}")
TABLES = {  # what `look` looks at: name in the JSON, text when there is nothing, columns
    "rings": ("queues", "no rings", [(k.replace("_", " "), k) for k in ("queue", "entries", "sq_head", "sq_tail", "cq_tail", "cq_head", "to_fetch", "inside", "stopped")]),
    "slots": ("slots", "no packet is inside", [("queue", "queue"), ("packet", "number"), ("operation", "op"), ("SA", "sa_index"), ("bytes", "bytes"),
                                               ("stays", lambda r: "yes" if r["stays"] else "")]),
    "sas": ("sas", "no SA", [("index", "index"), SPI, ("direction", lambda r: "out" if r["outbound"] else "in"), ("from", "src"), ("to", "dst"), ("cipher", "cipher"), ("auth", "auth"),
                             ("", lambda r: " ".join(k for k in ("ah", "transport", "natt", "esn") if r[k]))]),
    "events": ("events", "no events", [("event", "type"), ("SA", lambda r: "" if r["sa_index"] is None else r["sa_index"]), SPI, ("argument", "arg"), ("cycle", "cycle")])}


def look(name, options):
    rows, wrong = state.looks(*connected(options))[name]()
    key, nothing, columns = TABLES[name]
    return tell(options, {key: rows}, table(rows, columns) if rows else nothing, wrong)


def errors(options):
    found, wrong = state.errors(*connected(options))
    lines = [f"{name:16} {s['packets']:>10}  {s['doc']}" for name, s in found["statuses"].items()]
    lines += [f"first bus error at 0x{found['bus_error_address']:x}"] if found["causes"] and found["bus_error_address"] else []
    return tell(options, found, "\n".join(lines) or "no packet ended with an error", wrong)


def everything_wrong(card, live):
    return [anomaly for look_at in state.looks(card, live).values() for anomaly in look_at()[1]]


def health(options):
    card, live = connected(options)
    hello = live.ask("hello")
    bits = card.by_name["STATUS"].decode(*live.read_names(card, "STATUS"))
    wrong = everything_wrong(card, live)
    text = (f"{rec.printable(hello['program'])} (pid {hello['pid']}) drives {'a simulated' if hello['simulated'] else 'a'} card: {hello['lanes']} lane(s), {hello['queues']} queues, "
            f"{hello['sa_entries']} SA entries, {hello['clock_hz'] / 1e6:.0f} MHz\n"
            f"{'idle' if bits['IDLE'] else 'at work'}, IV generator {'seeded' if bits['SEEDED'] else 'NOT seeded'}, {hello['transactions']} transactions\n"
            + ("nothing is wrong" if not wrong else f"{len(wrong)} thing(s) wrong"))
    return tell(options, hello | {"status": bits}, text, wrong)


def check(options):
    """assert: invariants, live or of a recording."""
    card = CardMap()
    if options.recording:
        figures, journeys = statistics(card, opened(options))
        wrong = [f"record {n}: {t}" for n, t in journeys.wrong] + ([f"and {more} more"] if (more := journeys.broken - len(journeys.wrong)) else [])
        wrong += [f"packet {p.name}{'' if p.sa_index is None else f' of SA {p.sa_index}'} was never completed, and a later one was" for p in journeys.lost]
        said, broken = f"{journeys.count} packets, {journeys.records} records: ", journeys.broken + len(journeys.lost)
        return tell(options, {"packets": journeys.count, "lost_records": figures["lost_records"]}, said + (f"{broken} broken" if broken else "every invariant holds"), wrong)
    live = Live(options.socket)
    end = time.monotonic() + options.seconds
    while not (wrong := everything_wrong(card, live)) and time.monotonic() < end:
        time.sleep(options.interval)
    return tell(options, {}, f"{len(wrong)} broken" if wrong else "every invariant holds", wrong)


def top(options):
    card, live = connected(options)
    hello = live.ask("hello")

    def sample():
        now = {n: state.wide(card, live, n) for n in ("CYCLES", "BUSY_CYCLES", "ENCAP_BYTES", "DECAP_BYTES")}
        names = ("ENCAP_PACKETS", "DECAP_PACKETS", "SA_VALID_COUNT")
        return now | dict(zip(names, live.read_names(card, *names))) | {"at": time.monotonic()}

    bar = lambda part: f"[{'#' * (n := round(max(0, min(1, part)) * 40))}{'.' * (40 - n)}]"
    before = sample()
    for _ in range(options.count) if options.count else itertools.count():
        time.sleep(options.interval)
        now = sample()
        grown = {k: v - before[k] for k, v in now.items()}
        cycles, rate = max(1, grown["CYCLES"]), lambda n: (grown[n] & 0xffffffff) / grown["at"]
        rows = {"busy": grown["BUSY_CYCLES"] / cycles, "cycles_per_second": cycles / grown["at"], "encap_packets_per_second": rate("ENCAP_PACKETS"),
                "decap_packets_per_second": rate("DECAP_PACKETS"), "bits_per_cycle": 8 * (grown["ENCAP_BYTES"] + grown["DECAP_BYTES"]) / cycles, "sas": now["SA_VALID_COUNT"],
                "queues": [{k: getattr(q, k) for k in ("queue", "entries", "to_fetch", "inside", "stopped")} for q in state.queues(card, live).values()],
                "buffers": live.ask("buffers")["buffers"]}
        text = [f"{rec.printable(hello['program'])}  {time.strftime('%H:%M:%S')}  SAs {rows['sas']} of {hello['sa_entries']}  buffers {sum(b['bytes'] for b in rows['buffers']) >> 10} KiB",
                f"lanes busy  {bar(rows['busy'])} {100 * rows['busy']:5.1f} %   {rows['bits_per_cycle'] * hello['clock_hz'] / 1e9:.2f} Gb/s at the card's clock",
                f"encap {rows['encap_packets_per_second']:,.0f} packets/s   decap {rows['decap_packets_per_second']:,.0f} packets/s   clock {rows['cycles_per_second']:,.0f} cycles/s"]
        text += [f"queue {q['queue']:2}    {bar((q['to_fetch'] + q['inside']) / q['entries'])} {q['to_fetch']} to fetch, {q['inside']} inside{', STOPPED' if q['stopped'] else ''}"
                 for q in rows["queues"]]
        print(json.dumps(rows) if options.json else ("\x1b[H\x1b[2J" if sys.stdout.isatty() else "") + "\n".join(text), flush=True)
        before = now
    return 0


def record(options):
    program = options.program[options.program[:1] == ["--"]:]
    if not program:
        raise ScopeError("which program? espscope record -o FILE -- PROGRAM ARGUMENT...")
    written = lambda: Path(options.output).stat().st_mtime_ns if Path(options.output).exists() else None
    before = written()
    environment = os.environ | {"ESPLANADE_RECORD": str(Path(options.output).resolve()), "ESPLANADE_RECORD_MIB": str(options.mib)}
    try:
        done = subprocess.run(program, env=environment, check=False)
    except OSError as error:
        raise ScopeError(f"{program[0]}: {error.strerror}") from error
    if written() == before:
        raise ScopeError(f"{program[0]} opened no card: nothing was recorded")
    return done.returncode if done.returncode >= 0 else 128 - done.returncode


def asked_for(card, options, r):
    name = card.name_at(r.address) if r.kind in ("read", "write") else ""
    of_queue = r.of_queue == options.queue if r.kind in ("ring", "shape", *rec.MOMENTS) else name.startswith(("SQ_", "CQ_", "Q_")) and name.endswith(f"[{options.queue}]")
    return ((not options.kind or r.kind in options.kind) and (not options.register or options.register.upper() in name) and (options.queue is None or of_queue)
            and (options.thread is None or r.thread == options.thread) and options.since <= r.ns / 1e6 <= options.until
            and (options.sa is None or r.kind == "ring" and any(e["SaIndex"] == options.sa for e in rec.entries(card, r)) or r.kind == "sa" and r.address == options.sa))


def show(options):
    card = CardMap()
    for r in filter(partial(asked_for, card, options), opened(options).records):
        if options.json:
            print(json.dumps({"number": r.number, "ms": r.ns / 1e6, "us": r.duration / 1e3, "thread": r.thread, "kind": r.kind, "address": r.address,
                              "name": card.name_at(r.address) if r.kind in ("read", "write") else None, "value": None if r.redacted else r.value, "text": rec.text_of(card, r)}))
        else:
            print(f"{r.number:>8} {r.ns / 1e6:12.4f} ms {r.duration / 1e3:9.1f} us  {r.thread:>7}  {rec.text_of(card, r)}")
    return 0


def diff(options):
    found = rec.difference(CardMap(), rec.Recording(options.recording), rec.Recording(options.other))
    if found is None:
        return tell(options, {"same": True}, "no difference but time and place")
    lane, index, *sides, before = found
    if options.json:
        one, other = ({"record": x[0].number, "ms": x[0].ns / 1e6, "text": x[1]} if x else None for x in sides)
        print(json.dumps({"same": False, "lane": lane, "index": index, "one": one, "other": other, "before": before}, indent=1))
        return 1
    print("\n".join([f"first divergence: {lane}, number {index}"] + [f"  both      {text}" for text in before]))
    for name, x in zip(("one", "other"), sides):
        print(f"  {name:9} " + (f"{x[1]}   (record {x[0].number}, {x[0].ns / 1e6:.3f} ms)" if x else "ends here"))
    return 1


def stats(options):
    found, _ = statistics(CardMap(), opened(options))
    us = lambda s: f"median {s['p50'] / 1e3:.1f} us, 90 % {s['p90'] / 1e3:.1f}, 99 % {s['p99'] / 1e3:.1f}, most {s['max'] / 1e3:.1f}"
    text = [f"{found['records']} records of {found['threads']} thread(s) in {found['seconds']:.3f} s; largest gap {found['largest_gap_ns'] / 1e6:.3f} ms"]
    text += [f"  {kind:9} {s['count']:>8} x  {us(s)}" for kind, s in found["duration_ns"].items()]
    text.append(f"  polls of the completion rings {found['polls']}, in vain {found['polls_in_vain']}")
    text.append(f"{found['packets']} packets: " + ", ".join(f"{k} {v}" for k, v in sorted(found["statuses"].items(), key=lambda kv: -kv[1])))
    if s := found["submit_to_complete_ns"]:
        text.append(f"  doorbell to completion  {us(s)}")
        most = max(s["histogram"].values())
        text += [f"    {int(low) / 1e3:>12,.1f} us and up {n:>8} {'#' * max(1, round(40 * n / most))}" for low, n in s["histogram"].items()]
    if s := found["arrived_to_sent_ns"]:
        text.append(f"  read to sent            {us(s)}")
    if s := found["card_cycles"]:
        text.append(f"  in the card             median {s['p50']} cycles, 90 % {s['p90']}, 99 % {s['p99']}, most {s['max']}")
    print(json.dumps(found, indent=1) if options.json else "\n".join(text + [f"! {error}" for error in found["errors"]]))
    return 0


def journey(options):
    recording = opened(options)
    clock, program = recording.header["clock_hz"], recording.header.get("program", "?")
    fits, found = named(options.packet or ""), []

    def each(packet):
        if options.packet and fits(packet) and (not found or packet.nth < found[0].nth):
            found[:] = [packet]

    figures, journeys = statistics(CardMap(), recording, keep=not options.packet or bool(options.html), also=each)
    packets = found if options.packet else journeys.packets
    if options.packet and not found:
        raise ScopeError(f"{options.packet}: no such packet among the {journeys.count} of the recording")
    if options.perfetto:
        Path(options.perfetto).write_text(report.perfetto(packets, clock, program), "utf-8")
    if options.pcapng:
        Path(options.pcapng).write_bytes(report.pcapng(packets, recording.header))
    if options.html:
        Path(options.html).write_text(report.page(journeys, figures, recording.header, *found), "utf-8", "backslashreplace")
    if options.json:
        print(json.dumps([report.as_dict(p, clock) for p in packets], indent=1))
    elif found or not (options.perfetto or options.pcapng or options.html):
        print("\n".join(report.as_text(p, clock) for p in packets))
    return 0


def beside(program, given=None):
    """A program of the same build or installation."""
    return given or shutil.which(program) or str(Path(sys.argv[0]).absolute().parent / program)


def of_simulator(options, recording, wave):
    """esp-card-sim on a recording of its own: to the cycle."""
    done = subprocess.run([beside("esp-card-sim", options.simulator), "--replay", recording, *(["--wave", wave] if wave else [])], capture_output=True, text=True, errors="replace", check=False)
    return done.returncode, (done.stdout + done.stderr).strip()


def replay(options):
    """A recording against the simulated card: the simulator's own to the cycle, a driver's as far as it goes."""
    with open(options.recording, "rb") as file:
        of_driver = file.read(8) == rec.MAGIC
    if of_driver:
        return replay_driver(options)
    if given := [f"--{name.replace('_', '-')}" for name in ("seed", "model", "record", "sim_record", "sound") if getattr(options, name)]:
        raise ScopeError(f"{options.recording} is not a driver's recording: {', '.join(given)} is for those")
    status, said = of_simulator(options, options.recording, options.wave)
    print(said)
    at = re.search(r"^divergence at cycle (\d+)", said, re.M)
    if at and options.wave_at_divergence:
        waves(options, options.recording, options.wave_at_divergence, int(at[1]), int(at[1]))
    return status


def waves(options, recording, file, first, last):
    first, last = max(0, first - BEFORE_IT), last + BEHIND_IT
    status, said = of_simulator(options, recording, f"{file}:{first}:{last}")
    if not Path(file).exists():
        raise ScopeError(f"no waves came of the simulator's recording {recording} (exit status {status}): {said}")
    print(f"waves of cycles {first} to {last}: {file}")


def replay_driver(options):
    recording = opened(options)
    seed = int(os.environ.get("ESPLANADE_SEED") or secrets.randbelow(1 << 32)) if options.seed is None else options.seed
    file, _, when = (options.wave or "").partition(":")
    packet = re.fullmatch(r"q(\d+):(\d+)", when)
    wanted = bool(options.wave or options.wave_at_divergence)
    environment = {k: v for k, v in os.environ.items() if k not in OF_THE_RECORDED}
    environment |= {k: v for k, v in {"ESPLANADE_SIM_MODEL": options.model, "ESPLANADE_SIM": options.simulator and str(Path(options.simulator).resolve()),
                                      "ESPLANADE_RECORD": options.record and str(Path(options.record).resolve()),
                                      "ESPLANADE_SIM_RECORD": options.sim_record and str(Path(options.sim_record).resolve())}.items() if v}
    if wanted and environment.get("ESPLANADE_SIM_MODEL") == "functional":
        raise ScopeError("the functional model has no waves: --model rtl")
    with tempfile.TemporaryDirectory(prefix="espscope-") as folder:
        if wanted:  # what the card saw, so that the waves are of the same cycles
            seen = environment.setdefault("ESPLANADE_SIM_RECORD", f"{folder}/card.rec")
        print(f"stand-in keys and packets: --seed {seed}", flush=True)
        plan = replays.Plan(CardMap(), recording)
        told = replays.run(beside("esp-replay"), plan, environment, seed, *(["--sound"] if options.sound else []), *(["--watch", when[1:]] if packet else []))
        found = told["divergence"]
        told["broken"] = [] if found or told["stopped"] else plan.broken()
        print("\n".join(replays.summary(plan, told)))
        if found and options.wave_at_divergence:
            if not found["cycles"]:
                raise ScopeError(f"nobody can say at which cycle {found['where']} diverges: ask for waves by a trigger")
            waves(options, seen, options.wave_at_divergence, *found["cycles"])
        if packet:
            if not told["watched"]:
                raise ScopeError(f"packet {when} did not come out of the card in the replay")
            waves(options, seen, file, *told["watched"])
        elif options.wave:
            print(of_simulator(options, seen, options.wave)[1])
    return 1 if found or told["broken"] else 0


def examine(options):
    found = doctor.examine(doctor.Machine(xclbin=options.xclbin))
    wrong = [f for f in found if not f["ok"]]
    said = [f"  {f['what']}" for f in found if f["ok"]] + [f"{len(wrong)} of {len(found)} checks found something" if wrong else "nothing is wrong"]
    return tell(options, {"checks": found}, "\n".join(said), [f"{f['what']}\n    {f['mend']}" for f in wrong])


def make_bundle(options):
    members = bundle.collect(CardMap(), lambda: Live(options.socket), doctor.Machine(), options.recording)
    bundle.write(options.output, members)
    print(f"{options.output}: {', '.join(sorted(members))}")
    print("".join(f"  without {name}: {why}\n" for name, why in json.loads(members["missing.json"]).items()), end="")
    return 0


def open_bundle(options):
    members = bundle.read(options.bundle)
    if options.extract:
        folder = Path(options.extract)
        folder.mkdir(mode=0o700, parents=True)
        for name, octets in members.items():
            (folder / name).write_bytes(octets)

    def load(name, kind):
        value = json.loads(members.get(name, b"null"))
        return value if isinstance(value, kind) else kind()

    lines = [f"{options.bundle}: {len(members)} members: {', '.join(f'{n} ({len(o)} octets)' for n, o in sorted(members.items()))}"]
    if hello := load("hello.json", dict):
        lines.append(f"  program {hello.get('program')}, build {hello.get('build')}, {hello.get('lanes')} lane(s), {'simulated' if hello.get('simulated') else 'a board'}")
    lines += [f"  ! {f.get('what')}" for f in load("doctor.json", list) if isinstance(f, dict) and not f.get("ok")]
    for name in ("errors.json", "rings.json", "slots.json", "sas.json", "events.json", "counters.json"):
        anomalies = load(name, list)[1:2]
        lines += [f"  ! {text}" for text in anomalies[0]] if anomalies and isinstance(anomalies[0], list) else []
    if "recording" in members:
        lines.append(f"  recording: {sum(1 for _ in rec.parse(io.BytesIO(members['recording']), 'recording')[1])} records")
    lines += [f"  without {name}: {why}" for name, why in load("missing.json", dict).items()]
    print("\n".join(map(rec.printable, lines)))
    return 0


def inject(options):
    """Faults of the simulation, now or at a trigger, in a card that runs."""
    path = options.control or os.environ.get("ESPLANADE_SIM_CONTROL")
    if not path:
        raise ScopeError("where does the simulated card listen? Start its program with ESPLANADE_SIM_CONTROL=PATH and name the same path with --control")
    plan = f'[[fault]]\npoint = "{options.point}"\nwhen = "{options.when}"\n' + "".join(f"{p.replace('=', ' = ', 1)}\n" for p in options.parameter)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
        s.settimeout(15)
        try:
            s.connect(path)
            s.sendall(plan.encode() + b"\0")
            answer = b""
            while len(answer) <= 4096 and (part := s.recv(4096)):
                answer += part
        except OSError as error:
            raise ScopeError(f"{path}: {error.strerror or error}") from error
    text = rec.printable(answer.strip())
    print(text)
    return 0 if text.startswith("armed") else 1


def parser():
    top_level = argparse.ArgumentParser(prog="espscope", description="Shows, records and breaks what passes between a program and its esp_card.")
    commands = top_level.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name, function, text, *positional, live=True, as_json=True):
        p = commands.add_parser(name, help=text, description=text)
        p.set_defaults(function=function)
        if live:
            p.add_argument("--socket", help="where the driver of the card listens (ESPLANADE_SCOPE of its program)")
        if as_json:
            p.add_argument("--json", action="store_true")
        for argument in positional:
            p.add_argument(argument)
        return p

    p = add("regs", regs, "registers by name, fields decoded; what cannot be read without an effect is skipped")
    p.add_argument("names", nargs="*", metavar="REGISTER")
    p.add_argument("--watch", action="store_true", help="again and again, what has changed")
    p.add_argument("--interval", type=float, default=1.0)
    add("rings", partial(look, "rings"), "submission and completion rings: heads, tails, what is stuck or lost")
    add("slots", partial(look, "slots"), "packets inside the card, and those that do not leave")
    add("sa", partial(look, "sas"), "SAs as the host installed them, against the card's count")
    add("events", partial(look, "events"), "the newest events")
    add("errors", errors, "sticky causes, the first bus error, statuses other than Ok")
    add("health", health, "all of these in a few lines")
    p = add("assert", check, "invariants of a card at work or, with --recording, of a recording")
    p.add_argument("--recording", metavar="FILE")
    p.add_argument("--seconds", type=float, default=0)
    p.add_argument("--interval", type=float, default=0.5)
    p = add("top", top, "occupancy of lanes, rings and memory, live")
    p.add_argument("--interval", type=float, default=1.0)
    p.add_argument("--count", type=int, default=0, help="samples (0: until interrupted)")
    p = add("record", record, "runs a program and records what its driver and the card say to each other", live=False, as_json=False)
    p.add_argument("-o", "--output", required=True, metavar="FILE")
    p.add_argument("--mib", type=float, default=256, help="keep the newest so many MiB (256)")
    p.add_argument("program", nargs=argparse.REMAINDER)
    p = add("show", show, "a recording, line by line", "recording", live=False)
    p.add_argument("--kind", action="append", choices=sorted(rec.KINDS.values()))
    p.add_argument("--register", metavar="NAME")
    for name in ("--queue", "--sa", "--thread"):
        p.add_argument(name, type=int)
    p.add_argument("--since", type=float, default=0, metavar="MS")
    p.add_argument("--until", type=float, default=float("inf"), metavar="MS")
    add("diff", diff, "where two runs first part", "recording", "other", live=False)
    add("stats", stats, "latencies, gaps, polls in vain", "recording", live=False)
    p = add("journey", journey, "one packet's way through driver and card, or all", "recording", live=False)
    p.add_argument("packet", nargs="?", help="17, q1:17, spi=0x1000 or spi=0x1000,seq=5; none: all")
    for name, text in (("--perfetto", "as Chrome trace JSON"), ("--pcapng", "as comments in a capture"), ("--html", "as a page that opens offline")):
        p.add_argument(name, metavar="FILE", help=text)
    p = add("replay", replay, "a recording against the simulated card: the simulator's to the cycle, a driver's as far as it goes; with waves where asked", "recording", live=False, as_json=False)
    p.add_argument("--wave", metavar="FILE:WHEN", help="waves from a trigger on, of FROM:TO cycles or, of a driver's recording, around a packet (q0:17)")
    p.add_argument("--wave-at-divergence", metavar="FILE", help="waves around the first cycle that differs")
    p.add_argument("--simulator", help="esp-card-sim of that card")
    p.add_argument("--model", choices=("rtl", "functional"), help="of a driver's recording: on which model (ESPLANADE_SIM_MODEL, rtl)")
    p.add_argument("--seed", type=int, help="of a driver's recording: of the keys and packets in the place of those that it does not have")
    p.add_argument("--sound", action="store_true", help="of a driver's recording: a packet that was refused for its content (BadIcv, ...) comes unharmed")
    p.add_argument("--record", metavar="FILE", help="of a driver's recording: the driver's recording of the replay")
    p.add_argument("--sim-record", metavar="FILE", help="of a driver's recording: the simulator's recording of the replay")
    p = add("inject", inject, "a fault of the simulation, by name", live=False, as_json=False)
    p.add_argument("point", help="as esp-card-sim --faults lists them")
    p.add_argument("parameter", nargs="*", metavar="KEY=VALUE")
    p.add_argument("--when", default="now", help="trigger (now)")
    p.add_argument("--control", metavar="PATH", help="ESPLANADE_SIM_CONTROL of the card's program")
    p = add("bundle", make_bundle, "one archive for a bug report, without secrets", as_json=False)
    p.add_argument("-o", "--output", required=True, metavar="FILE.tar.gz")
    p.add_argument("--recording", metavar="FILE")
    p = add("open", open_bundle, "what is in a bundle", "bundle", live=False, as_json=False)
    p.add_argument("--extract", metavar="FOLDER", help="a new folder")
    add("doctor", examine, "what is wrong with this machine's set-up, and the mend", live=False).add_argument("--xclbin")
    return top_level


def main():
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.stdout.reconfigure(errors="backslashreplace")
    options = parser().parse_args()
    try:
        sys.exit(options.function(options))
    except (ScopeError, OSError) as error:
        sys.exit(f"espscope {options.command}: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
