"""Recordings that a program's driver makes (ESPLANADE_RECORD=FILE): read as hostile input, decoded, compared, checked.

File: the magic, a line of JSON, records. A record, little-endian: u64 nanoseconds since the card was opened, u64 address, u64 value, u32 duration in
nanoseconds, u32 thread, u8 kind, u8 flags, u16 length of the payload behind it, u32 0."""
import dataclasses
import json
import struct
from pathlib import Path

from scope.cardmap import ScopeError

MAGIC = b"ESPDRV1\n"
HEAD = struct.Struct("<QQQIIBBHI")
KINDS = {1: "read", 2: "write", 3: "allocate", 4: "free", 5: "to-card", 6: "from-card", 7: "ring", 8: "error", 9: "submitted", 10: "delivered"}
RINGS = {0: ("submission", "Descriptor"), 1: ("completion", "Completion"), 2: ("event", "Event")}
REDACTED = 1
FILE_MAX = 4 << 30
HEAD_MAX = 64 * 1024
SIZES = {"lanes": 64, "queues": 64, "clock_hz": 1 << 32, "max_packet": 1 << 16, "sa_entries": 1 << 20, "slots": 1 << 16, "unix_ns": 1 << 64}


@dataclasses.dataclass(slots=True)
class Record:
    number: int
    ns: int
    address: int
    value: int
    duration: int
    thread: int
    kind: str
    flags: int
    payload: bytes

    @property
    def redacted(self):
        return self.kind == "write" and bool(self.flags & REDACTED)


def parse(octets, name):
    """(header, records) of one file; ScopeError names file, offset and what is wrong. A file that ends inside a record is one whose program
    was killed: what is whole counts."""
    def bad(at, what):
        return ScopeError(f"{name}: octet {at}: {what}")

    if octets[:len(MAGIC)] != MAGIC:
        raise bad(0, "no recording of a driver (those of the simulator begin with ESPREC1; esp-card-sim --replay reads them)")
    end = octets.find(b"\n", len(MAGIC), len(MAGIC) + HEAD_MAX)
    if end < 0:
        raise bad(len(MAGIC), "the header has no end")
    try:
        header = json.loads(octets[len(MAGIC):end])
    except ValueError as error:
        raise bad(len(MAGIC), f"the header is no JSON: {error}") from error
    except RecursionError as error:
        raise bad(len(MAGIC), "the header is nested too deeply") from error
    if not isinstance(header, dict):
        raise bad(len(MAGIC), "the header is no object")
    for key, most in SIZES.items():
        value = header.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < most:
            raise bad(len(MAGIC), f"{key} is {value!r}, not a number below {most}")
    if header["clock_hz"] < 1_000_000:
        raise bad(len(MAGIC), f"clock_hz is {header['clock_hz']}")
    records, at = [], end + 1
    while at + HEAD.size <= len(octets):
        ns, address, value, duration, thread, kind, flags, length, zero = HEAD.unpack_from(octets, at)
        if kind not in KINDS or zero:
            raise bad(at, f"record {len(records)} has kind {kind}")
        if KINDS[kind] == "ring":
            if flags not in RINGS:
                raise bad(at, f"record {len(records)} is of a ring of kind {flags}")
            if length % (32 if flags == 2 else 64) or not length:
                raise bad(at, f"record {len(records)} has {length} octets of a {RINGS[flags][0]} ring")
        elif length and KINDS[kind] != "error":
            raise bad(at, f"record {len(records)} is a {KINDS[kind]} with {length} octets")
        payload = octets[at + HEAD.size:at + HEAD.size + length]
        if len(payload) < length:
            break
        records.append(Record(len(records), ns, address, value, duration, thread, KINDS[kind], flags, payload))
        at += HEAD.size + length
    return header, records


class Recording:
    """One recording: FILE, and FILE.1 before it where the limit was reached."""

    def __init__(self, path):
        self.path = Path(path)
        self.records = []
        former = Path(f"{path}.1")
        for file in ([former] if former.exists() else []) + [self.path]:
            try:
                if not file.is_file():
                    raise ScopeError(f"{file}: no such file")
                if file.stat().st_size > FILE_MAX:
                    raise ScopeError(f"{file}: larger than {FILE_MAX >> 30} GiB")
                self.header, part = parse(file.read_bytes(), file)
            except OSError as error:
                raise ScopeError(f"{file}: {error.strerror}") from error
            self.records += part
        for number, record in enumerate(self.records):
            record.number = number


def text_of(card, record):
    """One line about one record."""
    kind = record.kind
    if kind in ("read", "write"):
        register = card.by_offset.get(record.address)
        value = "redacted" if record.redacted else f"0x{record.value:08x}"
        if register and register.fields and not record.redacted:
            value += " " + " ".join(f"{f.name}={f.get(record.value)}" for f in register.fields if f.get(record.value))
        return f"{kind:9} {card.name_at(record.address)} {value}".rstrip()
    if kind == "ring":
        ring, form = RINGS[record.flags]
        size = card.formats[form][0]
        return f"{ring:9} queue {record.value}: " + "; ".join(entry_text(card, form, record.payload[i:i + size]) for i in range(0, len(record.payload), size))
    if kind == "error":
        return f"error     at 0x{record.address:x}: {printable(record.payload)}"
    if kind in ("submitted", "delivered"):
        return f"{kind:9} queue {record.value}: #{record.address}"
    return f"{kind:9} 0x{record.address:x} {record.value} bytes"


def printable(thing):
    """A text, or octets, of a stranger, on one line and without effect on a terminal."""
    return "".join(c if " " <= c <= "~" else "?" for c in (thing.decode("latin-1") if isinstance(thing, bytes) else str(thing)))


def entry_text(card, form, octets):
    e = card.decode(form, octets)
    if form == "Descriptor":
        return f"#{e['Cookie']} {card.enum('Op', e['Op'])} SA {e['SaIndex']} {e['SrcLen']} bytes"
    if form == "Completion":
        return f"#{e['Cookie']} {card.enum('Op', e['Op'])} {card.enum('Status', e['Status'])} SPI 0x{e['Spi']:x} seq {e['Seq']} {e['OutLen']} bytes"
    return f"{card.enum('EventType', e['Type'])} SA {e['SaIndex']} SPI 0x{e['Spi']:x} arg {e['Arg']} cycle {e['Cycle']}"


@dataclasses.dataclass(slots=True)
class Packet:
    """What a recording says of one packet. Times in nanoseconds of the recording, cycles unwrapped to 64 bits."""
    queue: int
    life: int     # how often the queue had been switched on
    number: int
    op: str
    sa_index: int
    bytes: int
    moved_ns: int
    submitted_ns: int | None = None
    rung_ns: int | None = None
    done_ns: int | None = None
    delivered_ns: int | None = None
    status: str | None = None
    spi: int = 0
    seq: int = 0
    out_bytes: int = 0
    next_header: int = 0
    completion: bytes = b""
    cycles: dict = dataclasses.field(default_factory=dict)

    @property
    def name(self):
        return f"q{self.queue}:{self.number}" + (f"@{self.life}" if self.life > 1 else "")


STAMPS = (("fetched", "CycleFetched"), ("started", "CycleStarted"), ("ciphered", "CycleCiphered"), ("hashed", "CycleHashed"), ("done", "CycleDone"))


class Journeys:
    """Every packet of a recording, and what breaks the rules. `wrong`: (record number, text)."""

    def __init__(self, card, recording):
        self.card = card
        self.packets, self.wrong, self.depth = [], [], []
        self._open = {}    # (queue, number) -> Packet, not completed
        self._handed, self._ended = {}, {}  # (queue, number) -> when it was submitted; -> Packet, completed and not yet delivered
        self._rung, self._life, self._order = {}, {}, {}
        self._last_cycle, self._seqs = 0, {}
        self._truncated = Path(f"{recording.path}.1").exists()
        for record in recording.records:
            if record.kind == "ring" and record.flags == 0:
                self._submitted(record)
            elif record.kind == "ring" and record.flags == 1:
                self._completed(record)
            elif record.kind == "write":
                self._written(record)
            elif record.kind == "submitted":
                self._handed[(record.value, record.address)] = record.ns
            elif record.kind == "delivered" and (packet := self._ended.pop((record.value, record.address), None)) is not None:
                packet.delivered_ns = record.ns
        self.unfinished = list(self._open.values())

    def _entries(self, record, size):
        return (record.payload[i:i + size] for i in range(0, len(record.payload), size))

    def _submitted(self, record):
        for octets in self._entries(record, 64):
            d = self.card.decode("Descriptor", octets)
            key = (record.value, d["Cookie"])
            if key in self._open:
                self.wrong.append((record.number, f"queue {key[0]}: descriptor {key[1]} is there twice"))
                continue
            packet = Packet(record.value, self._life.get(record.value, 1), d["Cookie"], self.card.enum("Op", d["Op"]), d["SaIndex"], d["SrcLen"], record.ns,
                            self._handed.pop(key, None))
            self._open[key] = packet
            self.packets.append(packet)

    def _written(self, record):
        register = self.card.by_offset.get(record.address)
        if register is None:
            return
        if register.array == "SQ_TAIL":
            queue, tail = register.n, record.value
            for packet in self._open.values():
                if packet.queue == queue and packet.rung_ns is None and (tail - packet.number - 1) & 0xffffffff < 1 << 16:
                    packet.rung_ns = record.ns
            self.depth.append((record.ns, queue, sum(p.queue == queue and p.rung_ns is not None for p in self._open.values())))
        elif register.array == "Q_CONTROL" and record.value & 1:
            queue = register.n
            self._life[queue] = self._life.get(queue, 0) + 1
            self._order[queue] = bool(record.value & 2)
            for key in [k for k in self._open if k[0] == queue]:
                packet = self._open.pop(key)
                if packet.rung_ns is not None:
                    packet.status = "(queue switched off)"

    def _completed(self, record):
        for octets in self._entries(record, 64):
            c = self.card.decode("Completion", octets)
            queue, number = record.value, c["Cookie"]
            packet = self._open.pop((queue, number), None)
            status = self.card.enum("Status", c["Status"])
            if packet is None:
                if not self._truncated or number in (p.number for p in self.packets[-4096:] if p.queue == queue):
                    self.wrong.append((record.number, f"queue {queue}: completion of packet {number} ({status}) without a submission"))
                continue
            if packet.rung_ns is None:
                self.wrong.append((record.number, f"queue {queue}: packet {number} is complete, and no doorbell rang for it"))
            same = [p for p in self._open.values() if p.queue == queue and p.number < number]
            if self._order.get(queue) and same:
                self.wrong.append((record.number, f"queue {queue}: packet {number} is complete before {min(p.number for p in same)}, in a queue that keeps the order"))
            elif any(p.op == packet.op == "Encap" and p.sa_index == packet.sa_index for p in same):
                self.wrong.append((record.number, f"queue {queue}: packet {number} of SA {packet.sa_index} is complete before an older one of the same SA"))
            if c["Op"] != {v[0]: k for k, v in self.card.enums["Op"].items()}.get(packet.op):
                self.wrong.append((record.number, f"queue {queue}: packet {number} was {packet.op}, its completion says {self.card.enum('Op', c['Op'])}"))
            if packet.op == "Encap" and status == "Ok":
                before = self._seqs.get(c["SaIndex"])
                if before is not None and before[0] == c["Spi"] and c["Seq"] != before[1] + 1 and len(self._life) <= 1:
                    self.wrong.append((record.number, f"SA {c['SaIndex']}: sequence number {c['Seq']} follows {before[1]}"))
                self._seqs[c["SaIndex"]] = (c["Spi"], c["Seq"])
            packet.status, packet.spi, packet.seq, packet.out_bytes = status, c["Spi"], c["Seq"], c["OutLen"]
            packet.next_header, packet.completion, packet.done_ns = c["NextHeader"], octets, record.ns
            self._ended[(queue, number)] = packet
            if c["SaIndex"] != 0xffffffff:
                packet.sa_index = c["SaIndex"]
            for stamp, field in STAMPS:
                if c[field]:
                    packet.cycles[stamp] = self._unwrap(c[field])

    def _unwrap(self, low):
        """The cycle with these low 32 bits that is nearest to the newest so far."""
        near = self._last_cycle & ~0xffffffff | low
        near = min((near - (1 << 32), near, near + (1 << 32)), key=lambda c: (abs(c - self._last_cycle), c < 0))
        self._last_cycle = max(self._last_cycle, near)
        return max(near, 0)

    def overtaken(self):
        """Packets without a completion though one that had to wait for them has one: a later one of the queue, or where the queue does not keep the order
        of the same SA."""
        of = lambda p: (p.queue, p.life) if self._order.get(p.queue) else (p.queue, p.life, p.op, p.sa_index)
        newest = {}
        for p in self.packets:
            if p.done_ns is not None:
                newest[of(p)] = max(p.number, newest.get(of(p), -1))
        return [p for p in self.unfinished if p.rung_ns is not None and newest.get(of(p), -1) > p.number]

    def find(self, text):
        """17, q1:17, spi=0x1000, seq=5 or spi=0x1000,seq=5: the first that fits."""
        wanted = {}
        for part in text.split(","):
            key, _, value = part.partition("=")
            try:
                if value and key in ("spi", "seq"):
                    wanted[key] = int(value, 0)
                elif not value and key.startswith("q") and ":" in key:
                    wanted["queue"], wanted["number"] = (int(x) for x in key[1:].split(":"))
                elif not value:
                    wanted["number"] = int(key)
                else:
                    raise ValueError
            except ValueError:
                raise ScopeError(f"{text}: a packet is named 17, q1:17, spi=0x1000 or spi=0x1000,seq=5") from None
        for packet in self.packets:
            if all(getattr(packet, k) == v for k, v in wanted.items()):
                return packet
        raise ScopeError(f"{text}: no such packet among the {len(self.packets)} of the recording")


def normal(card, recording):
    """What two runs of the same program have in common: (record, text), without polls that brought nothing, times and places in memory."""
    out = []
    volatile = ("CYCLES", "BUSY_CYCLES", "SECONDS", "BASE", "SA_STATUS", "CQ_TAIL", "EVENT_TAIL", "SQ_HEAD", "BUILD")
    for record in recording.records:
        if record.kind in ("from-card", "to-card", "allocate", "free", "submitted", "delivered"):
            continue
        if record.kind in ("read", "write"):
            name = card.name_at(record.address)
            if record.kind == "read" and (any(v in name for v in volatile) or name.startswith("Q_STATUS")):
                continue
            value = "" if "BASE" in name else " redacted" if record.redacted else f" 0x{record.value:x}"
            if name.startswith("CQ_HEAD"):
                continue  # when it is told depends on how many came at once
            out.append((record, f"{record.kind} {name}{value}"))
        elif record.kind == "ring":
            form = RINGS[record.flags][1]
            size = card.formats[form][0]
            for i in range(0, len(record.payload), size):
                text = entry_text(card, form, record.payload[i:i + size])
                out.append((record, f"{RINGS[record.flags][0]} queue {record.value} {text.split(' cycle ')[0]}"))
        else:
            out.append((record, text_of(card, record)))
    return out


def difference(card, one, other):
    """The first place at which two runs part, by lane of events: submissions, completions, events and register accesses each in their own order, since
    their interleaving is the machine's. None when they agree; else (lane, index, (record, text) or None of each, the common texts before)."""
    def lanes(recording):
        out = {}
        for record, text in normal(card, recording):
            lane = " ".join(text.split()[:3]) if record.kind == "ring" else "errors" if record.kind == "error" else "registers"
            if lane == "registers" and "SQ_TAIL" in text:
                continue  # batches depend on the machine
            out.setdefault(lane, []).append((record, text))
        return out

    mine, theirs = lanes(one), lanes(other)
    found = []
    for lane in sorted(set(mine) | set(theirs)):
        a, b = mine.get(lane, []), theirs.get(lane, [])
        for i in range(max(len(a), len(b))):
            x, y = (a[i] if i < len(a) else None), (b[i] if i < len(b) else None)
            if x is None or y is None or x[1] != y[1]:
                first = min(r[0].ns for r in (x, y) if r)
                found.append((first, lane, i, x, y, [t for _, t in a[max(0, i - 3):i]]))
                break
    return min(found, key=lambda f: f[0])[1:] if found else None


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def summary(values):
    """Median, 90th, 99th percentile, largest; and a histogram by powers of two."""
    bins = {}
    for v in values:
        bins[max(0, int(v)).bit_length()] = bins.get(max(0, int(v)).bit_length(), 0) + 1
    return {"count": len(values), "p50": percentile(values, 0.5), "p90": percentile(values, 0.9), "p99": percentile(values, 0.99), "max": max(values),
            "histogram": {str((1 << b) >> 1): n for b, n in sorted(bins.items())}}


def statistics(card, recording):
    journeys = Journeys(card, recording)
    by_kind, registers = {}, {}
    for r in recording.records:
        by_kind.setdefault(r.kind, []).append(r.duration)
        if r.kind in ("read", "write"):
            key = f"{r.kind} {card.by_offset[r.address].array if r.address in card.by_offset else card.name_at(r.address)}"
            registers[key] = registers.get(key, 0) + 1
    done = [p for p in journeys.packets if p.done_ns is not None and p.rung_ns is not None]
    inside = [p.cycles["done"] - p.cycles["fetched"] for p in done if {"done", "fetched"} <= p.cycles.keys()]
    times = sorted(r.ns for r in recording.records)
    gaps = [b - a for a, b in zip(times, times[1:])]
    polls = sum(r.kind == "from-card" for r in recording.records)
    fruit = sum(r.kind == "ring" and r.flags == 1 for r in recording.records)
    statuses = {}
    for p in journeys.packets:
        statuses[p.status or "(not completed)"] = statuses.get(p.status or "(not completed)", 0) + 1
    return {"records": len(recording.records), "seconds": (times[-1] - times[0]) / 1e9 if times else 0, "threads": len({r.thread for r in recording.records}),
            "duration_ns": {k: summary(v) for k, v in by_kind.items() if k in ("read", "write", "to-card", "from-card")}, "registers": registers,
            "packets": len(journeys.packets), "statuses": statuses,
            "submit_to_complete_ns": summary([p.done_ns - p.rung_ns for p in done]) if done else None, "card_cycles": summary(inside) if inside else None,
            "largest_gap_ns": max(gaps) if gaps else 0, "polls": polls, "polls_in_vain": max(0, polls - fruit),
            "errors": [printable(r.payload) for r in recording.records if r.kind == "error"][:100]}
