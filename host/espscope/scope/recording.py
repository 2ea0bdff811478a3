"""Recordings that a program's driver makes (ESPLANADE_RECORD=FILE): read as hostile input, decoded, compared, checked.

File: the magic, a line of JSON, records. A record, little-endian: u64 nanoseconds since the card was opened, u64 address, u64 value, u32 duration in
nanoseconds, u32 thread, u8 kind, u8 flags, u16 length of the payload behind it, u32 0."""
import array
import collections
import contextlib
import dataclasses
import itertools
import json
import struct
from pathlib import Path

from scope.cardmap import ScopeError

MAGIC = b"ESPDRV1\n"
HEAD = struct.Struct("<QQQIIBBHI")
KINDS = {1: "read", 2: "write", 3: "allocate", 4: "free", 5: "to-card", 6: "from-card", 7: "ring", 8: "error", 9: "submitted", 10: "delivered"}
RINGS = {0: ("submission", "Descriptor"), 1: ("completion", "Completion"), 2: ("event", "Event")}
MOMENTS = (9, 10)
RUN_MAX = 1 << 16  # packets of one moment
REDACTED = 1
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


def begin(stream, name):
    """The header of one file, which is an open stream. ScopeError, here and in records_of(), names file, offset and what is wrong."""
    bad = lambda at, what: ScopeError(f"{name}: octet {at}: {what}")
    if stream.read(len(MAGIC)) != MAGIC:
        raise bad(0, "no recording of a driver (those of the simulator begin with ESPREC1; esp-card-sim --replay reads them)")
    line = stream.readline(HEAD_MAX)
    if not line.endswith(b"\n"):
        raise bad(len(MAGIC), "the header has no end")
    try:
        header = json.loads(line)
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
    return header


def records_of(stream, name, number=0):
    """The records behind the header, counted from `number` on. A file that ends inside a record is one whose program was killed: what is whole counts."""
    at = stream.tell()
    bad = lambda what: ScopeError(f"{name}: octet {at}: record {number} {what}")
    while len(head := stream.read(HEAD.size)) == HEAD.size:
        ns, address, value, duration, thread, kind, flags, length, zero = HEAD.unpack(head)
        if kind not in KINDS or zero:
            raise bad(f"has kind {kind}")
        if KINDS[kind] == "ring":
            if flags not in RINGS:
                raise bad(f"is of a ring of kind {flags}")
            if length % (32 if flags == 2 else 64) or not length:
                raise bad(f"has {length} octets of a {RINGS[flags][0]} ring")
        elif kind in MOMENTS and not 0 < value >> 32 <= RUN_MAX:
            raise bad(f"is of {value >> 32} packets")
        elif length and KINDS[kind] != "error":
            raise bad(f"is a {KINDS[kind]} with {length} octets")
        payload = stream.read(length)
        if len(payload) < length:
            return
        yield Record(number, ns, address, value, duration, thread, KINDS[kind], flags, payload)
        number += 1
        at += HEAD.size + length


class Recording:
    """One recording: FILE, and FILE.1 before it where the limit was reached. Its records are read from the disk each time that they are asked for."""

    def __init__(self, path):
        self.path = Path(path)
        former = Path(f"{path}.1")
        self.files = ([former] if former.exists() else []) + [self.path]
        for file in self.files:
            with self._open(file) as stream:
                self.header = begin(stream, file)

    @staticmethod
    @contextlib.contextmanager
    def _open(file):
        try:
            if not file.is_file():
                raise ScopeError(f"{file}: no such file")
            with open(file, "rb") as stream:
                yield stream
        except OSError as error:
            raise ScopeError(f"{file}: {error.strerror}") from error

    @property
    def records(self):
        number = 0
        for file in self.files:
            with self._open(file) as stream:
                begin(stream, file)
                for record in records_of(stream, file, number):
                    yield record
                    number = record.number + 1


def entries(card, record):
    """The entries of a record of a ring: (name of the format, octets) of each."""
    form = RINGS[record.flags][1]
    size = card.formats[form][0]
    return ((form, record.payload[i:i + size]) for i in range(0, len(record.payload), size))


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
        return f"{RINGS[record.flags][0]:9} queue {record.value}: " + "; ".join(entry_text(card, form, octets) for form, octets in entries(card, record))
    if kind == "error":
        return f"error     at 0x{record.address:x}: {printable(record.payload)}"
    if kind in ("submitted", "delivered"):
        queue, count = record.value & 0xffffffff, record.value >> 32
        return f"{kind:9} queue {queue}: #{record.address}" + (" and on" if kind == "submitted" else f" to #{record.address + count - 1}" if count > 1 else "")
    return f"{kind:9} 0x{record.address:x} {record.value} bytes"


def printable(octets):
    return "".join(chr(c) if 32 <= c < 127 else "?" for c in octets)


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


class OpenPackets:
    """Packets of one queue that have no completion, in the order of submission."""

    def __init__(self):
        self.all = collections.OrderedDict()     # number -> Packet
        self.by_sa = {}                          # (operation, SA) -> the same, of these alone
        self.unrung = collections.OrderedDict()  # of those no doorbell has rung for

    def add(self, packet):
        for those in (self.all, self.by_sa.setdefault((packet.op, packet.sa_index), collections.OrderedDict()), self.unrung):
            those[packet.number] = packet

    def take(self, number):
        packet = self.all.pop(number, None)
        if packet is not None:
            self.by_sa[(packet.op, packet.sa_index)].pop(number)
            self.unrung.pop(number, None)
        return packet

    def ring(self, tail, ns):
        """The doorbell: those before `tail` are the card's."""
        while self.unrung and (tail - next(iter(self.unrung)) - 1) & 0xffffffff < 1 << 16:
            self.unrung.popitem(last=False)[1].rung_ns = ns
        return len(self.all) - len(self.unrung)

    def oldest(self, packet=None):
        """The number of the oldest, or of the oldest that is of the same SA as `packet`."""
        return next(iter(self.all if packet is None else self.by_sa[(packet.op, packet.sa_index)]), None)


class Numbers:
    """Sequence numbers of one outbound SA since it was installed. Its packets may take several queues, each of which keeps their order."""

    def __init__(self):
        self.queues = set()  # that were given packets of it
        self.last, self.seen = {}, set()

    def wrong(self, queue, spi, seq):
        """What is wrong with the next number that a queue completes; None."""
        before, self.last[queue] = self.last.get(queue), (spi, seq)
        if (spi, seq) in self.seen:
            return f"sequence number {seq} is there twice"
        self.seen.add((spi, seq))
        if before is None or before[0] != spi:
            return None
        if seq <= before[1] or (len(self.queues) == 1 and seq != before[1] + 1):
            return f"sequence number {seq} follows {before[1]}"
        return None


class Journeys:
    """Every packet of a recording, and what breaks the rules. `wrong`: (record number, text)."""

    def __init__(self, card, recording):
        self.card = card
        self.packets, self.wrong, self.depth, self.records = [], [], [], 0
        self._open = collections.defaultdict(OpenPackets)  # queue -> its packets
        self._handed, self._ended = {}, {}  # queue -> when its present batch began; (queue, number) -> Packet, completed and not yet delivered
        self._life, self._order = {}, {}
        self._last_cycle, self._numbers, self._sa_index = 0, collections.defaultdict(Numbers), 0
        self._truncated = len(recording.files) > 1
        for record in recording.records:
            self.records += 1
            if record.kind == "ring" and record.flags == 0:
                self._submitted(record)
            elif record.kind == "ring" and record.flags == 1:
                self._completed(record)
            elif record.kind == "write":
                self._written(record)
            elif record.kind == "submitted":
                self._handed[record.value & 0xffffffff] = record.ns
            elif record.kind == "delivered":
                for number in range(record.address, record.address + (record.value >> 32)):
                    if (packet := self._ended.pop((record.value & 0xffffffff, number), None)) is not None:
                        packet.delivered_ns = record.ns
        self.unfinished = [p for queue in self._open.values() for p in queue.all.values()]

    def _submitted(self, record):
        queue = record.value
        for form, octets in entries(self.card, record):
            d = self.card.decode(form, octets)
            if d["Cookie"] in self._open[queue].all:
                self.wrong.append((record.number, f"queue {queue}: descriptor {d['Cookie']} is there twice"))
                continue
            packet = Packet(queue, self._life.get(queue, 1), d["Cookie"], self.card.enum("Op", d["Op"]), d["SaIndex"], d["SrcLen"], record.ns, self._handed.get(queue))
            self._open[queue].add(packet)
            self.packets.append(packet)
            if packet.op == "Encap":
                self._numbers[packet.sa_index].queues.add(queue)

    def _written(self, record):
        register = self.card.by_offset.get(record.address)
        if register is None:
            return
        if register.array == "SQ_TAIL":
            self.depth.append((record.ns, register.n, self._open[register.n].ring(record.value, record.ns)))
        elif register.array == "Q_CONTROL" and record.value & 1:
            queue = register.n
            self._life[queue] = self._life.get(queue, 0) + 1
            self._order[queue] = bool(record.value & 2)
            for packet in self._open.pop(queue, OpenPackets()).all.values():
                if packet.rung_ns is not None:
                    packet.status = "(queue switched off)"
        elif register.array == "SA_INDEX":
            self._sa_index = record.value
        elif register.array == "SA_COMMAND":
            command = self.card.enum("SaCommand", record.value)
            if command in ("Install", "Remove"):
                self._numbers.pop(self._sa_index, None)
            elif command == "Clear":
                self._numbers.clear()

    def _completed(self, record):
        queue = record.value
        waiting = self._open[queue]
        for form, octets in entries(self.card, record):
            c = self.card.decode(form, octets)
            number = c["Cookie"]
            packet = waiting.take(number)
            status = self.card.enum("Status", c["Status"])
            if packet is None:
                if not self._truncated or number in (p.number for p in self.packets[-4096:] if p.queue == queue):
                    self.wrong.append((record.number, f"queue {queue}: completion of packet {number} ({status}) without a submission"))
                continue
            if packet.rung_ns is None:
                self.wrong.append((record.number, f"queue {queue}: packet {number} is complete, and no doorbell rang for it"))
            oldest, of_sa = waiting.oldest(), waiting.oldest(packet)
            if self._order.get(queue) and oldest is not None and oldest < number:
                self.wrong.append((record.number, f"queue {queue}: packet {number} is complete before {oldest}, in a queue that keeps the order"))
            elif packet.op == "Encap" and of_sa is not None and of_sa < number:
                self.wrong.append((record.number, f"queue {queue}: packet {number} of SA {packet.sa_index} is complete before an older one of the same SA"))
            if c["Op"] != {v[0]: k for k, v in self.card.enums["Op"].items()}.get(packet.op):
                self.wrong.append((record.number, f"queue {queue}: packet {number} was {packet.op}, its completion says {self.card.enum('Op', c['Op'])}"))
            if packet.op == "Encap" and status == "Ok" and (what := self._numbers[packet.sa_index].wrong(queue, c["Spi"], c["Seq"])):
                self.wrong.append((record.number, f"SA {packet.sa_index}: {what}"))
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
            for form, octets in entries(card, record):
                text = entry_text(card, form, octets)
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


def summary(values):
    """Median, 90th, 99th percentile, largest; and a histogram by powers of two."""
    values = sorted(values)
    percentile = lambda share: values[min(len(values) - 1, int(share * len(values)))]
    bins = {}
    for v in values:
        bins[max(0, int(v)).bit_length()] = bins.get(max(0, int(v)).bit_length(), 0) + 1
    return {"count": len(values), "p50": percentile(0.5), "p90": percentile(0.9), "p99": percentile(0.99), "max": values[-1],
            "histogram": {str((1 << b) >> 1): n for b, n in sorted(bins.items())}}


def statistics(card, recording):
    journeys = Journeys(card, recording)
    by_kind, registers, statuses, threads, errors = {}, {}, {}, set(), []
    times, polls, fruit = array.array("Q"), 0, 0
    for r in recording.records:
        times.append(r.ns)
        threads.add(r.thread)
        if r.kind in ("read", "write", "to-card", "from-card"):
            by_kind.setdefault(r.kind, array.array("I")).append(r.duration)
        if r.kind in ("read", "write"):
            key = f"{r.kind} {card.by_offset[r.address].array if r.address in card.by_offset else card.name_at(r.address)}"
            registers[key] = registers.get(key, 0) + 1
        elif r.kind == "error" and len(errors) < 100:
            errors.append(printable(r.payload))
        polls += r.kind == "from-card"
        fruit += r.kind == "ring" and r.flags == 1
    done = [p for p in journeys.packets if p.done_ns is not None and p.rung_ns is not None]
    inside = [p.cycles["done"] - p.cycles["fetched"] for p in done if {"done", "fetched"} <= p.cycles.keys()]
    times = sorted(times)
    for p in journeys.packets:
        statuses[p.status or "(not completed)"] = statuses.get(p.status or "(not completed)", 0) + 1
    return {"records": journeys.records, "seconds": (times[-1] - times[0]) / 1e9 if times else 0, "threads": len(threads),
            "duration_ns": {k: summary(v) for k, v in by_kind.items()}, "registers": registers,
            "packets": len(journeys.packets), "statuses": statuses,
            "submit_to_complete_ns": summary([p.done_ns - p.rung_ns for p in done]) if done else None, "card_cycles": summary(inside) if inside else None,
            "largest_gap_ns": max((b - a for a, b in itertools.pairwise(times)), default=0), "polls": polls, "polls_in_vain": max(0, polls - fruit),
            "errors": errors}
