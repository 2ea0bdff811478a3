"""Recordings that a program's driver makes (ESPLANADE_RECORD=FILE): read as hostile input, one record after the other, decoded and compared.

File: the magic, a line of JSON, records, each told by what differs from what those before it let expect: docs/espscope.md."""
import collections
import json
import struct
from pathlib import Path

from scope.cardmap import RINGS, ScopeError

FAMILY, VERSION = b"ESPDRV", b"2"
MAGIC = FAMILY + VERSION + b"\n"
KINDS = {1: "read", 2: "write", 3: "allocate", 4: "free", 5: "to-card", 6: "from-card", 7: "ring", 8: "error", 9: "submitted", 10: "delivered",
         11: "sa", 12: "shape", 13: "arrived", 14: "sent", 15: "queue"}
MOMENTS = ("submitted", "delivered", "arrived", "sent")
TAKE_TIME = ("read", "write", "allocate", "free", "to-card", "from-card", "error")
SA_KEYLESS = 128  # octets of an SA entry before its keys
BEFORE = 0  # flags of an SA or a queue that was there when its file began
SHAPE = struct.Struct("<BBBxHHII")
KEPT = 5  # recordings under one name
RUN_MAX = 1 << 16  # packets of one moment
ENTRIES_MAX = 512  # of one record
TEXT_MAX = 400
RECORD_MAX = 64 + ENTRIES_MAX * (3 + 16 * 5)  # octets
BLOCK = 1 << 20  # octets that are read at a time
LOW = 0xffffffff
WIDE = (1 << 64) - 1
HEAD_MAX = 64 * 1024
SIZES = {"lanes": range(64), "queues": range(64), "clock_hz": range(1_000_000, 1 << 32), "max_packet": range(1 << 16), "sa_entries": range(1 << 20),
         "slots": range(1 << 16), "unix_ns": range(1 << 64), "records_before": range(1 << 63), "recording": range(1, 1 << 63)}
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


class Cut(Exception):
    """The file ends inside a record."""


class Octets:
    """A file as numbers, a block at a time."""

    def __init__(self, file, at):
        self._file, self._block, self._next, self._base = file, b"", 0, at
        self._whole = False  # its end is in the block

    @property
    def at(self):
        return self._base + self._next

    def more(self):
        """Whether a record may begin here; it lies in the block then, as far as it is in the file."""
        if not self._whole and len(self._block) - self._next < RECORD_MAX:
            new = self._file.read(BLOCK)
            self._base += self._next
            self._block, self._next, self._whole = self._block[self._next:] + new, 0, len(new) < BLOCK
        return self._next < len(self._block)

    def take(self, count):
        self._next += count
        if self._next > len(self._block):
            raise Cut
        return self._block[self._next - count:self._next]

    def varint(self):
        """7 bits an octet, the lowest first; bit 7: more follow. None: more than 64 bits."""
        number = shift = 0
        for place in range(self._next, len(self._block)):
            octet = self._block[place]
            number |= (octet & 127) << shift
            shift += 7
            if octet < 128:
                self._next = place + 1
                return number if number <= WIDE else None
            if shift >= 70:
                return None
        raise Cut

    def difference(self):
        """0, 1, 2, 3 are 0, -1, 1, -2 and so on."""
        number = self.varint()
        return None if number is None else number >> 1 ^ -(number & 1)


class Series:
    """Entries of one ring, or shapes of one queue's packets, as words of 32 bits: each is expected to go on as it did from the one before to the last."""

    def __init__(self, size):
        self._words = struct.Struct(f"<{size // 4}I")
        self._last = self._step = [0] * (size // 4)

    def take(self, octets):
        """The next entry; None: its octets make no sense."""
        other = octets.varint()
        if other is None or other >> len(self._last):
            return None
        last = self._last
        words = [(word + step) & LOW for word, step in zip(last, self._step)]
        while other:
            place = (other & -other).bit_length() - 1
            if (off := octets.difference()) is None:
                return None
            words[place] = (words[place] + off) & LOW
            other &= other - 1
        self._step = [word - before for word, before in zip(words, last)]
        self._last = words
        return self._words.pack(*words)


def parse(file, name):
    """(header, iterator over the records, the first of which has the number that the header says); ScopeError names file, offset and what is wrong. A file that ends
    inside a record is one whose program was killed: what is whole counts."""
    def bad(at, what):
        return ScopeError(f"{name}: octet {at}: {what}")

    magic = file.read(len(MAGIC))
    if magic.startswith(FAMILY) and magic.endswith(b"\n") and magic != MAGIC:
        raise bad(0, f"a recording in format {printable(magic[len(FAMILY):-1])}; this release reads format {VERSION.decode()}: use the espscope of the release that made it")
    if magic != MAGIC:
        raise bad(0, "no recording of a driver (those of the simulator begin with ESPREC1; esp-card-sim --replay reads them)")
    line = file.readline(HEAD_MAX)
    if not line.endswith(b"\n"):
        raise bad(len(MAGIC), "the header has no end")
    try:
        header = dict(json.loads(line))
    except (ValueError, TypeError, RecursionError) as error:
        raise bad(len(MAGIC), f"the header is no JSON object: {error}") from error
    for key, allowed in SIZES.items():
        if type(value := header.get(key)) is not int or value not in allowed:
            raise bad(len(MAGIC), f"{key} is {value!r:.80}, not a number from {allowed.start} to {allowed[-1]}")
    return header, _records(Octets(file, len(MAGIC) + len(line)), bad, header["records_before"])


def _records(octets, bad, number):
    """The records; see docs/espscope.md."""
    former = {kind: (0, 0) for kind in KINDS.values()}  # address and value
    series = {}  # (ring or shape, queue) -> Series
    ns = thread = 0
    while octets.more():
        at = octets.at

        def wrong(what):
            return bad(at, f"record {number} {what}")

        def known(value, what):
            if value is None:
                raise wrong(f"has {what} of more than 64 bits")
            return value

        try:
            first, = octets.take(1)
            kind, flags = KINDS.get(first & 15), first >> 4 & 7
            if kind is None:
                raise wrong(f"has kind {first & 15}")
            if first & 128:
                thread = known(octets.varint(), "a thread")
            ns = ns + known(octets.difference(), "a time") & WIDE
            address = former[kind][0] + known(octets.difference(), "an address") & WIDE
            value = former[kind][1] + known(octets.difference(), "a value") & WIDE
            former[kind] = address, value
            if kind in MOMENTS:
                value = value >> 32 | (value & LOW) << 32
                if not 0 < value >> 32 <= RUN_MAX:
                    raise wrong(f"is of {value >> 32} packets")
            duration = known(octets.varint(), "a duration") if kind in TAKE_TIME else 0
            payload = b""
            if kind in ("ring", "shape"):
                if kind == "ring" and flags >= len(RINGS):
                    raise wrong(f"is of a ring of kind {flags}")
                if value not in SIZES["queues"]:
                    raise wrong(f"is of queue {value}")
                if not 0 < (count := known(octets.varint(), "a count")) <= ENTRIES_MAX:
                    raise wrong(f"has {count} entries")
                key = (flags if kind == "ring" else kind, value)
                of = series.get(key) or series.setdefault(key, Series(SHAPE.size if kind == "shape" else 32 if flags == 2 else 64))
                taken = [of.take(octets) for _ in range(count)]
                if None in taken:
                    raise wrong("has an entry that makes no sense")
                payload = b"".join(taken)
            elif kind == "error":
                if (length := known(octets.varint(), "a length")) > TEXT_MAX:
                    raise wrong(f"has a text of {length} octets")
                payload = octets.take(length)
            elif kind == "sa":
                if address not in SIZES["sa_entries"] or flags not in (BEFORE, 1, 5):
                    raise wrong(f"is of an SA {address}, after command {flags}")
                payload = octets.take(SA_KEYLESS)
            elif kind == "queue" and address not in SIZES["queues"]:
                raise wrong(f"is of queue {address}")
        except Cut:
            return
        yield Record(number, ns, address, value, duration, thread, kind, flags, payload)
        number += 1


class Recording:
    """One recording: FILE, and FILE.1 before it where the limit was reached. `records` reads it from the beginning, and keeps nothing."""

    def __init__(self, path):
        former, self.path = Path(f"{path}.1"), Path(path)
        if not self.path.is_file():
            raise ScopeError(f"{path}: no such file")
        self.header, self._files = self._head(path), [self.path]
        self.lost = self.header["records_before"]  # records that it began with and that are gone
        if former.exists() and self.lost:
            head = self._head(former)
            if all(head[k] == self.header[k] for k in ("unix_ns", "recording")) and head["records_before"] < self.lost:
                self._files.insert(0, former)
                self.header, self.lost = head, head["records_before"]
        self.truncated = self.lost > 0  # packets were submitted before it begins

    @staticmethod
    def _head(path):
        with open(path, "rb") as opened:
            return parse(opened, path)[0]

    def notes(self):
        """What a reader must know of what is not in it, in lines."""
        if self.lost:
            yield f"the first {self.lost} records of this recording are lost: it grew beyond ESPLANADE_RECORD_MIB"
        if (number := self.header["recording"]) > KEPT:
            yield f"recording {number} under its name, which keeps {KEPT}: what was recorded before those is gone"

    @property
    def records(self):
        for n, file in enumerate(self._files):
            with open(file, "rb") as opened:
                for record in parse(opened, file)[1]:
                    if n == 0 or not record.before:  # what it tells is known
                        yield record


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
