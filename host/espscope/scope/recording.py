"""Recordings that a program's driver makes (ESPLANADE_RECORD=FILE): read as hostile input, one record after the other, decoded and compared.

File: the magic, a line of JSON, records. A record, little-endian: u64 nanoseconds since the card was opened, u64 address, u64 value, u32 duration in
nanoseconds, u32 thread, u8 kind, u8 flags, u16 length of the payload behind it, u32 0."""
import collections
import json
import struct
from pathlib import Path

from scope.cardmap import RINGS, ScopeError

MAGIC = b"ESPDRV1\n"
HEAD = struct.Struct("<QQQIIBBHI")
KINDS = {1: "read", 2: "write", 3: "allocate", 4: "free", 5: "to-card", 6: "from-card", 7: "ring", 8: "error", 9: "submitted", 10: "delivered",
         11: "sa", 12: "shape", 13: "arrived", 14: "sent", 15: "queue"}
MOMENTS = ("submitted", "delivered", "arrived", "sent")
SA_KEYLESS = 128  # octets of an SA entry before its keys
BEFORE = 0  # flags of an SA or a queue that was there when its file began
SHAPE = struct.Struct("<BBBxHHII")
KEPT = 5  # recordings under one name
RUN_MAX = 1 << 16  # packets of one moment
HEAD_MAX = 64 * 1024
SIZES = {"lanes": range(64), "queues": range(64), "clock_hz": range(1_000_000, 1 << 32), "max_packet": range(1 << 16), "sa_entries": range(1 << 20),
         "slots": range(1 << 16), "unix_ns": range(1 << 64)}
MARKS = {"records_before": range(1 << 63), "recording": range(1, 1 << 63)}  # of a driver that says what is lost, and records what a replay needs
APART_MAX = 1 << 18  # what one run may have done and the other not yet, while they are compared
VOLATILE = ("CYCLES", "BUSY_CYCLES", "SECONDS", "BASE", "SA_STATUS", "CQ_TAIL", "EVENT_TAIL", "SQ_HEAD", "BUILD", "Q_STATUS")


class Record(collections.namedtuple("Record", "number ns address value duration thread kind flags payload")):
    __slots__ = ()

    @property
    def redacted(self):
        return self.kind == "write" and bool(self.flags & 1)

    @property
    def of_queue(self):
        """The queue of a ring or of a moment in packets' lives."""
        return self.value & 0xffffffff

    @property
    def packets(self):
        """Of a moment."""
        return self.value >> 32

    @property
    def before(self):
        """It tells of an SA or a queue that was there when its file began."""
        return self.kind in ("sa", "queue") and self.flags == BEFORE

    @property
    def shapes(self):
        return [Shape(*fields) for fields in SHAPE.iter_unpack(self.payload)]


class Shape(collections.namedtuple("Shape", "version flags protocol header_bytes total_bytes spi seq")):
    """What a recording has of a packet's headers. `version` 0: the packet was in no buffer that the driver knows; `spi` and the low word of `seq`: of one to be
    decapsulated."""
    __slots__ = ()
    sound = property(lambda self: bool(self.flags & 1))
    fragment = property(lambda self: bool(self.flags & 2))

    def __str__(self):
        if not self.sound:
            return f"IPv{self.version}, header not sound" if self.version else "not seen"
        return (f"IPv{self.version}, header {self.header_bytes} of {self.total_bytes} bytes, protocol {self.protocol}{', fragment' if self.fragment else ''}"
                + (f", SPI 0x{self.spi:x} seq {self.seq}" if self.spi else ""))


def parse(file, name, number=0):
    """(header, iterator over the records, the first of which has this number, or the one that the header says); ScopeError names file, offset and what is wrong. A file that ends
    inside a record is one whose program was killed: what is whole counts."""
    def bad(at, what):
        return ScopeError(f"{name}: octet {at}: {what}")

    if file.read(len(MAGIC)) != MAGIC:
        raise bad(0, "no recording of a driver (those of the simulator begin with ESPREC1; esp-card-sim --replay reads them)")
    line = file.readline(HEAD_MAX)
    if not line.endswith(b"\n"):
        raise bad(len(MAGIC), "the header has no end")
    try:
        header = dict(json.loads(line))
    except (ValueError, TypeError, RecursionError) as error:
        raise bad(len(MAGIC), f"the header is no JSON object: {error}") from error
    for key, allowed in (SIZES | {key: allowed for key, allowed in MARKS.items() if key in header}).items():
        if type(value := header.get(key)) is not int or value not in allowed:
            raise bad(len(MAGIC), f"{key} is {value!r:.80}, not a number from {allowed.start} to {allowed[-1]}")

    def records(at, number):
        while len(head := file.read(HEAD.size)) == HEAD.size:
            ns, address, value, duration, thread, kind, flags, length, zero = HEAD.unpack(head)
            if kind not in KINDS or zero:
                raise bad(at, f"record {number} has kind {kind}")
            kind = KINDS[kind]
            if kind == "ring":
                if flags >= len(RINGS):
                    raise bad(at, f"record {number} is of a ring of kind {flags}")
                if length % (32 if flags == 2 else 64) or not length:
                    raise bad(at, f"record {number} has {length} octets of a {RINGS[flags][0]} ring")
            elif kind in MOMENTS and not 0 < value >> 32 <= RUN_MAX:
                raise bad(at, f"record {number} is of {value >> 32} packets")
            elif kind == "sa" and (length != SA_KEYLESS or address not in SIZES["sa_entries"] or flags not in (BEFORE, 1, 5)):
                raise bad(at, f"record {number} is of an SA {address}, with {length} octets after command {flags}")
            elif kind == "queue" and address not in SIZES["queues"]:
                raise bad(at, f"record {number} is of queue {address}")
            elif kind == "shape" and (length % SHAPE.size or not length):
                raise bad(at, f"record {number} has {length} octets of packets' shapes")
            elif length and kind not in ("error", "sa", "shape"):
                raise bad(at, f"record {number} is a {kind} with {length} octets")
            payload = file.read(length)
            if len(payload) < length:
                return
            yield Record(number, ns, address, value, duration, thread, kind, flags, payload)
            number += 1
            at += HEAD.size + length
    return header, records(len(MAGIC) + len(line), header.get("records_before", number))


class Recording:
    """One recording: FILE, and FILE.1 before it where the limit was reached. `records` reads it from the beginning, and keeps nothing."""

    def __init__(self, path):
        former, self.path = Path(f"{path}.1"), Path(path)
        if not self.path.is_file():
            raise ScopeError(f"{path}: no such file")
        self.header, self._files = self._head(path), [self.path]
        before = self.header.get("records_before")
        if former.exists():
            head = self._head(former)
            if before is None or before and all(head.get(k) == self.header[k] for k in ("unix_ns", "recording")) and head.get("records_before", before) < before:
                self._files.insert(0, former)
                self.header, before = head, head.get("records_before")
        self.lost = before  # records that it began with and that are gone; None: its driver did not say
        self.truncated = len(self._files) > 1 if before is None else before > 0  # packets were submitted before it begins

    @staticmethod
    def _head(path):
        with open(path, "rb") as opened:
            return parse(opened, path)[0]

    def notes(self):
        """What a reader must know of what is not in it, in lines."""
        if self.lost:
            yield f"the first {self.lost} records of this recording are lost: it grew beyond ESPLANADE_RECORD_MIB"
        elif self.lost is None and self.truncated:
            yield "records before these may be lost: the driver that made this recording did not say"
        if (number := self.header.get("recording", 1)) > KEPT:
            yield f"recording {number} under its name, which keeps {KEPT}: what was recorded before those is gone"

    @property
    def records(self):
        number = 0
        for n, file in enumerate(self._files):
            with open(file, "rb") as opened:
                for record in parse(opened, file, number)[1]:
                    if n == 0 or not record.before:  # what it tells is known
                        yield record
                    number = record.number + 1


def entries(card, record):
    """The decoded entries of a ring's record."""
    return card.entries(RINGS[record.flags][1], record.payload)


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
        return f"{RINGS[record.flags][0]:9} queue {record.value}: " + "; ".join(entry_text(card, record.flags, e) for e in entries(card, record))
    if kind == "error":
        return f"error     at 0x{record.address:x}: {printable(record.payload)}"
    if kind == "sa":
        e = card.decode("SaEntry", record.payload.ljust(card.formats["SaEntry"][0], b"\0"))
        said = "there before" if record.before else card.enum("SaCommand", record.flags)
        return (f"sa        {record.address} {said}: {'out' if e['Outbound'] else 'in'} SPI 0x{e['Spi']:x} {'AH' if e['Ah'] else card.enum('Cipher', e['Cipher'])} "
                f"{card.enum('Auth', e['Auth'])}{' transport' if e['Transport'] else ''}{' ESN' if e['Esn'] else ''} seq {e['Seq']}")
    if kind == "shape":
        return f"shape     queue {record.of_queue}: " + "; ".join(map(str, record.shapes))
    if kind == "queue":
        return f"queue     {record.address} there before: Q_CONTROL 0x{record.value:x}"
    if kind in MOMENTS:
        last = record.address + record.packets - 1
        return f"{kind:9} queue {record.of_queue}: #{record.address}" + (" and on" if kind == "submitted" else f" to #{last}" if record.packets > 1 else "")
    return f"{kind:9} 0x{record.address:x} {record.value} bytes"


def printable(thing):
    """A text, or octets, of a stranger, on one line and without effect on a terminal."""
    return "".join(c if " " <= c <= "~" else "?" for c in (thing.decode("latin-1") if isinstance(thing, bytes) else str(thing)))


def entry_text(card, ring, e, cycle=True):
    if ring == 0:
        return f"#{e['Cookie']} {card.enum('Op', e['Op'])} SA {e['SaIndex']} {e['SrcLen']} bytes"
    if ring == 1:
        return f"#{e['Cookie']} {card.enum('Op', e['Op'])} {card.enum('Status', e['Status'])} SPI 0x{e['Spi']:x} seq {e['Seq']} {e['OutLen']} bytes"
    return f"{card.enum('EventType', e['Type'])} SA {e['SaIndex']} SPI 0x{e['Spi']:x} arg {e['Arg']}" + (f" cycle {e['Cycle']}" if cycle else "")


def normal(card, recording):
    """What two runs of the same program have in common: (lane, record, text), without polls that brought nothing, times, places in memory and what
    depends on how many came at once. Lanes are submissions, completions, events, register accesses and errors."""
    for record in recording.records:
        if record.kind in ("read", "write"):
            name = card.name_at(record.address)
            if name.startswith(("CQ_HEAD", "SQ_TAIL")) or record.kind == "read" and (any(v in name for v in VOLATILE) or name.startswith("Q_CONTROL") and record.value & 1):  # a slow card is asked whether it lives
                continue
            yield "registers", record, f"{record.kind} {name}" + ("" if "BASE" in name else " redacted" if record.redacted else f" 0x{record.value:x}")
        elif record.kind == "ring":
            lane = f"{RINGS[record.flags][0]} queue {record.value}"
            for e in entries(card, record):
                yield lane, record, f"{lane} {entry_text(card, record.flags, e, cycle=False)}"
        elif record.kind == "error":
            yield "errors", record, text_of(card, record)


def difference(card, one, other):
    """The first place at which two runs part, each lane in its own order, since their interleaving is the machine's. None when they agree; else
    (lane, index, (record, text) or None of each, the common texts before)."""
    waiting = collections.defaultdict(collections.deque)  # lane -> what one side has and the other not yet: (side, (record, text))
    common = collections.defaultdict(lambda: [0, collections.deque(maxlen=3)])
    found = {}

    def part(lane, side, mine, theirs=None):
        found[lane] = (min(x[0].ns for x in (mine, theirs) if x), lane, common[lane][0], *((mine, theirs) if side == 0 else (theirs, mine)), list(common[lane][1]))
        waiting.pop(lane)

    sides = [normal(card, one), normal(card, other)]
    turn = 0
    while sides[0] or sides[1]:
        turn = 1 - turn if sides[1 - turn] else turn
        lane, *mine = next((x for x in sides[turn] if x[0] not in found), (None,))
        rest = waiting[lane]
        if lane is None:
            sides[turn] = None
        elif rest and rest[0][0] != turn:
            theirs = rest.popleft()[1]
            if theirs[1] != mine[1]:
                part(lane, turn, mine, theirs)
            else:
                common[lane][0] += 1
                common[lane][1].append(mine[1])
        elif sides[1 - turn]:
            rest.append((turn, mine))
            if len(rest) > APART_MAX:
                raise ScopeError(f"{lane}: one run is {APART_MAX} ahead of the other where each has done as much: too far to compare them")
        else:
            part(lane, turn, rest[0][1] if rest else mine)
    for lane in [lane for lane, rest in waiting.items() if rest]:
        part(lane, *waiting[lane][0])
    return min(found.values(), key=lambda f: f[0])[1:] if found else None
