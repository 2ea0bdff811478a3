"""The way of each packet of a recording, what breaks the rules on it, and figures."""
import bisect
import collections
import dataclasses
import itertools
import re

from scope.cardmap import ScopeError
from scope.recording import SA_KEYLESS, entries, printable

PACKETS_MAX = 2_000_000       # that are kept, somewhat below 1 KB each
OPEN_MAX = 1 << 19            # of 16 rings of 2^15
WRONG_MAX = 1000              # that are told
NUMBERS_KEPT = 1 << 12        # of an inbound SA, below its newest: four times the largest window
HANGS_CYCLES = 400_000        # of a card that does nothing: driver/packet_queue.cpp
CLOCKS_TOGETHER = 64          # packets in whose time the clocks of host and card do not part
STAMPS = (("fetched", "CycleFetched"), ("started", "CycleStarted"), ("ciphered", "CycleCiphered"), ("hashed", "CycleHashed"), ("done", "CycleDone"))


class Numbers:
    """Sequence numbers that one outbound SA gave from its installation to its removal. The card gives them at the look-up, whatever the queue, each one higher
    than the one before; a queue's packets are looked up in its order (docs/adr/0006, 0007). So of two packets the one that was submitted later in the
    same queue, or after the other was completed in another, has the higher number, and none is left out or given twice. That holds for every status: a
    packet that failed after its look-up has a number, too."""

    def __init__(self, sa):
        self.sa = sa
        self.last = {}     # queue -> number of its newest completed packet
        self.holders = []  # of packets that may have one which no completion told: it is above this
        self.gaps = [(0, 1 << 65, 0)]  # numbers not seen, ascending: [first, end), record that made it; the first and last lie around all

    def take(self, seq, record):
        """False: it was taken before."""
        at = bisect.bisect(self.gaps, seq, key=lambda gap: gap[0]) - 1
        first, end, _ = self.gaps[at]
        if seq < end:
            self.gaps[at:at + 1] = [gap for gap in ((first, seq, record), (seq + 1, end, record)) if gap[0] < gap[1]]
        return seq < end

    def missing(self):
        """(record, text) of each gap that no packet without completion explains."""
        above, missed = sorted(self.holders), 0
        for first, end, record in self.gaps[1:-1]:
            missed += end - first
            able = bisect.bisect_left(above, first)
            if missed > able:
                yield record, f"SA {self.sa}: no packet has sequence number {first}" + (f" to {end - 1}" if end - first > 1 else "")
                missed = able


class Window:
    """Numbers that one inbound SA took, from its installation on. Whatever the queues, the card takes none twice (RFC 4303 s3.4.3), none that is left of the window
    which packets completed before its submission made, and refuses as replayed only what it has seen or what is left of the window. With extended numbers a
    refusal proves nothing: the high word of what was refused is a guess."""

    def __init__(self, sa, entry, nth, whole):
        self.sa, self.spi, self.esn, self.nth = sa, entry["Spi"], bool(entry["Esn"]), nth
        self.size = entry["ReplayWindow"] if entry["Auth"] else 0  # without an ICV there is no check
        self.whole = whole and not self.esn  # all packets of it are in the recording
        self.first = self.top = self.newest = entry["Seq"] if whole else 0  # below: none; taken; handed over
        self._taken, self._offered = set(), collections.Counter()

    def offer(self, low):
        """A packet with this number was handed over. The highest number that is left of the window for it."""
        if self.whole:
            self.newest = max(self.newest, low)
            self._offered[low] += 1
            if len(self._offered) > 2 * NUMBERS_KEPT:
                self._offered = collections.Counter({n: count for n, count in self._offered.items() if n > self.newest - NUMBERS_KEPT})
        return self.top - self.size

    def took(self, name, seq, left):
        """What is wrong about a packet of this number that was let through, or None."""
        again = seq in self._taken
        self._taken.add(seq)
        self.top = max(self.top, seq)
        if len(self._taken) > 2 * NUMBERS_KEPT:
            self._taken = {n for n in self._taken if n > self.top - NUMBERS_KEPT}
        if again:
            return f"SA {self.sa}: packet {name} has sequence number {seq}, which was let in before"
        if left is not None and seq <= left:
            return f"SA {self.sa}: packet {name} with sequence number {seq} was let in, left of the window: {left + self.size} was before it"

    def refused(self, name, seq):
        """The same of one that was refused as replayed."""
        if self.whole and self.size and seq > max(self.first, self.newest - self.size) and self._offered[seq] < 2:
            return f"SA {self.sa}: packet {name} with sequence number {seq} was refused as replayed, and none had it before"


@dataclasses.dataclass(slots=True)
class Packet:
    """What a recording says of one packet. Times in nanoseconds of the recording, cycles unwrapped to 64 bits."""
    queue: int
    life: int     # how often the queue had been switched on
    nth: int      # of the recording
    number: int
    op: str
    sa_index: int | None  # of a packet to be decapsulated: not before its completion
    bytes: int
    moved_ns: int
    submitted_ns: int | None = None
    rung_ns: int | None = None
    done_ns: int | None = None
    delivered_ns: int | None = None
    arrived_ns: int | None = None  # at the program
    sent_ns: int | None = None     # by it
    shape: object = None           # recording.Shape
    room: int = 0                  # for the result
    status: str | None = None
    spi: int = 0
    seq: int = 0
    out_bytes: int = 0
    next_header: int = 0
    completion: bytes = b""
    cycles: dict = dataclasses.field(default_factory=dict)
    numbers: Numbers | None = None  # of its SA when it was submitted
    above: int = -1                 # its number is
    overtaken: bool = False
    window: Window | None = None    # of the inbound SA that its SPI named when it was submitted
    left: int | None = None         # number that was left of it then
    card_zero: tuple | None = None  # when the card's cycle 0 was, at the earliest and the latest, in the recording's nanoseconds

    @property
    def name(self):
        return f"q{self.queue}:{self.number}" + (f"@{self.life}" if self.life > 1 else "")

    def least(self):
        """Its sequence number is above this: what was completed before it was submitted, or before it in its queue."""
        return self.above if self.overtaken or not self.numbers else max(self.above, self.numbers.last.get(self.queue, -1))


class Journeys:
    """Follows packets through the records that `take` gets, and `end`. `wrong`: (record number, text) of what breaks the rules, `broken` of them in all.
    `keep`: all packets stay in `packets`; else only those that are open. `each` is called with a packet when it leaves."""

    def __init__(self, card, recording, keep, each):
        self.card, self.truncated, self.keep, self.each = card, recording.truncated, keep, each
        header = recording.header
        self._entries = header["sa_entries"]
        self._ns_per_cycle = None if header.get("simulated", True) else 1e9 / header["clock_hz"]  # a simulated clock goes as it likes
        self.packets, self.wrong, self.depth = [], [], []
        self.lost = []  # packets without a completion though one that had to wait for them has one
        self.through = Summary()  # nanoseconds from a packet's arrival at the program to where its result went
        self.stuck = []  # those at which a queue stands still for good
        self.count, self.broken, self.records = 0, 0, 0
        self._ring = (1 << card.limits["RingLog2Max"]) - 1
        self._open = collections.defaultdict(dict)  # queue -> {number: Packet}, not completed
        self._silent = collections.defaultdict(collections.deque)  # queue -> its packets for which no doorbell has rung
        self._lines = collections.defaultdict(collections.deque)   # those that leave in order -> their open packets
        self._handed, self._ended = {}, {}  # queue -> when its present batch began; (queue, place) -> Packet, completed and not yet delivered
        self._life, self._order, self._inside, self._first = {}, {}, {}, {}
        self._numbers, self._past, self._removed = {}, [], set()  # SA -> Numbers; of SAs removed; those to be replaced
        self._sa_index, self._sa_command, self._last_cycle = 0, None, 0
        self._shapes, self._arrived, self._passing = {}, {}, {}  # queue -> of the descriptors that come next; (queue, number) -> when; (queue, place) -> Packet, to be sent
        self._windows, self._image, self._blind = {}, None, False  # SA -> Window; of the command under way; packets were handed over unseen
        self._zero, self._zero_of = None, 0
        self._asked = None  # CYCLES when the host first asked after the newest completion
        self._hangs = 0     # cycles since then
        self._stopped, self._in_vain = set(), set()  # queues that stopped; where the host looked for a completion that CQ_TAIL said is written
        self._reset, self._silent_card = set(), False  # queues that were found off; the newest access failed, as all do when the card is gone
        self._rings, self._span = {}, {}  # queue -> address of its completions; octets of them
        self._seen, self._told = collections.Counter(), {}  # how many came; CQ_TAIL where that is more

    def take(self, record):
        self.records += 1
        if record.kind in ("read", "write", "to-card", "from-card", "error"):
            self._silent_card = record.kind == "error"
        if record.kind == "ring" and record.flags == 0:
            self._submitted(record)
        elif record.kind == "ring" and record.flags == 1:
            self._asked, self._hangs = None, 0
            self._seen[record.value] += len(record.payload) // 64
            self._told.pop(record.value, None)
            self._in_vain.discard(record.value)
            for i, c in enumerate(entries(self.card, record)):
                self._completed(record, c, record.payload[64 * i:64 * i + 64])
        elif record.kind == "from-card":
            for queue in [q for q in self._told if 0 <= record.address - self._rings.get(q, 1 << 64) < self._span.get(q, 0)]:
                self._in_vain.add(queue)  # until the completion comes
        elif record.kind == "write":
            self._written(record)
        elif record.kind == "read":
            self._read(record)
        elif record.kind == "submitted":
            self._handed[record.of_queue] = record.ns
        elif record.kind == "delivered":
            for number in range(record.address, record.address + record.packets):
                if (packet := self._ended.pop((record.of_queue, number & self._ring), None)) and packet.number == number:
                    packet.delivered_ns = record.ns
                    if packet.arrived_ns is not None:
                        self._passing[record.of_queue, number & self._ring] = packet
        elif record.kind == "shape":
            self._shapes[record.of_queue] = record.shapes
        elif record.kind == "arrived":
            self._arrived[record.of_queue, record.address] = record.ns
            if len(self._arrived) > OPEN_MAX:
                raise ScopeError(f"record {record.number}: more than {OPEN_MAX} packets arrived and none was handed over")
        elif record.kind == "sent":
            if (packet := self._passing.pop((record.of_queue, record.address & self._ring), None)) and packet.number == record.address:
                packet.sent_ns = record.ns
                self.through.add(record.ns - packet.arrived_ns)
        elif record.kind == "sa":
            self._sa(record)
        elif record.kind == "queue":
            self._order.setdefault(record.address, bool(record.value & 2))

    def open_packet(self, queue, number):
        """A packet that is not completed, or None."""
        return self._open[queue].get(number)

    def end(self):
        for queue, opened in self._open.items():
            why = "does not answer any more" if self._silent_card else "was reset" if queue in self._reset else "stopped it" if queue in self._stopped else "says that it is complete" if queue in self._in_vain else f"hangs: none was done for {self._hangs} cycles" if self._hangs >= HANGS_CYCLES else None
            if why and (oldest := next((p for p in opened.values() if p.rung_ns is not None), None)):
                self._breaks(self.records, f"queue {queue}: the card {why}, with packet {oldest.name} inside")
                self.stuck.append(oldest)
        for packet in itertools.chain.from_iterable(queue.values() for queue in self._open.values()):
            self._leaves(packet)
            if packet.overtaken and packet.rung_ns is not None:
                self.lost.append(packet)
        for numbers in [*self._past, *self._numbers.values()]:
            for record, text in numbers.missing():
                self._breaks(record, text)
        self.wrong.sort(key=lambda w: w[0])

    def _breaks(self, record, text):
        self.broken += 1
        if len(self.wrong) < WRONG_MAX:
            self.wrong.append((record, text))

    def _leaves(self, packet):
        """Without a completion."""
        if packet.numbers:
            packet.numbers.holders.append(packet.least())
        self.each(packet)

    def _sa(self, record):
        entry = self.card.decode("SaEntry", record.payload.ljust(2 * SA_KEYLESS, b"\0"))
        if record.before:
            self._windows.setdefault(record.address, None if entry["Outbound"] else Window(record.address, entry, self.count, False))
        else:
            self._image = entry

    def _of_sa(self, index):
        return self._numbers.get(index) or self._numbers.setdefault(index, Numbers(index))

    def _submitted(self, record):
        queue, opened = record.value, self._open[record.value]
        shapes = self._shapes.pop(queue, [])
        for nth, d in enumerate(entries(self.card, record)):
            number, op = d["Cookie"], self.card.enum("Op", d["Op"])
            if number in opened:
                self._breaks(record.number, f"queue {queue}: descriptor {number} is there twice")
                continue
            packet = Packet(queue, self._life.get(queue, 1), self.count, number, op, d["SaIndex"] if op == "Encap" else None, d["SrcLen"], record.ns,
                            self._handed.get(queue), arrived_ns=self._arrived.pop((queue, number), None), shape=shapes[nth] if nth < len(shapes) else None, room=d["DstSize"])
            if op == "Decap":
                self._offered(packet)
            if op == "Encap":
                packet.numbers = self._of_sa(packet.sa_index)
                packet.above = packet.numbers.gaps[-1][0] - 1  # the newest
            self.count += 1
            if self.keep:
                self.packets.append(packet)
            if len(self.packets) > PACKETS_MAX or len(opened) > OPEN_MAX:
                raise ScopeError(f"record {record.number}: more than {PACKETS_MAX} packets, which cannot be kept at once: name one" if self.keep else
                                 f"record {record.number}: queue {queue} has more than {OPEN_MAX} packets without completion")
            opened[number] = packet
            self._first.setdefault(queue, number)
            self._silent[queue].append(packet)
            if (line := self._line(packet)) is not None:
                line.append(packet)

    def _offered(self, packet):
        """A packet to be decapsulated, to the SA that its SPI names."""
        shape = packet.shape
        self._blind |= shape is None or not shape.version
        window = self._windows.get(shape.spi & self._entries - 1) if shape and shape.spi else None
        if window and window.spi == shape.spi:
            packet.window, packet.left = window, window.offer(shape.seq)

    def _line(self, packet):
        """Open packets of which none may leave before an older one: of the queue where it keeps the order, else of its outbound SA in the queue."""
        keeps = self._order.get(packet.queue)
        return self._lines[packet.queue, None if keeps else packet.sa_index] if keeps or packet.op == "Encap" else None

    def _written(self, record):
        register, value = self.card.by_offset.get(record.address), record.value
        array, queue = (register.array, register.n) if register else ("", 0)
        if array == "SQ_TAIL":
            silent = self._silent[queue]
            while silent and (value - silent[0].number - 1) & 0xffffffff < 1 << 16:
                packet = silent.popleft()
                if packet.done_ns is None:
                    packet.rung_ns = record.ns
                    self._inside[queue] = self._inside.get(queue, 0) + 1
            if self.keep:
                self.depth.append((record.ns, self._inside.get(queue, 0)))
        elif array == "Q_CONTROL" and value & 1:
            self._life[queue] = self._life.get(queue, 0) + 1
            for packet in self._open.pop(queue, {}).values():
                if packet.rung_ns is not None:
                    packet.status = "(queue switched off)"
                self._leaves(packet)
            for key in [k for k in self._lines if k[0] == queue]:
                del self._lines[key]
            self._silent[queue].clear()
            self._span[queue] = 64 << (value >> 8 & 15)
            self._stopped.discard(queue)
            self._reset.discard(queue)
            self._in_vain.discard(queue)
            self._told.pop(queue, None)
            self._seen[queue] = 0
            self._order[queue], self._inside[queue], self._first[queue] = bool(value & 2), 0, 0
        elif array in ("CQ_BASE_LO", "CQ_BASE_HI"):
            low, high = (value, self._rings.get(queue, 0) >> 32) if array == "CQ_BASE_LO" else (self._rings.get(queue, 0) & 0xffffffff, value)
            self._rings[queue] = high << 32 | low
        elif array == "SA_INDEX":
            self._sa_index = value
            if value in self._removed:  # another comes to its place: a completion until now was of the former
                self._removed.discard(value)
                self._replaced(value)
        elif array == "SA_COMMAND":
            self._sa_command = (self.card.enum("SaCommand", value), self._sa_index)

    def _read(self, record):
        name = self.card.name_at(record.address)
        if name == "CYCLES_LO":
            self._asked = record.value if self._asked is None else self._asked
            self._hangs = record.value - self._asked & 0xffffffff
        elif name.startswith("CQ_TAIL") and not self.truncated and 0 < (record.value - self._seen[queue := self.card.by_offset[record.address].n] & 0xffffffff) < 1 << 31:
            self._told[queue] = record.value
        elif name.startswith("Q_CONTROL") and not record.value & 1:
            self._reset.add(self.card.by_offset[record.address].n)
        elif name.startswith("Q_STATUS") and record.value & 1:
            self._stopped.add(self.card.by_offset[record.address].n)
        if self._sa_command is None or name != "SA_STATUS":
            return
        busy, result = (f.get(record.value) for f in self.card.by_name["SA_STATUS"].fields)
        if not busy:
            (command, index), self._sa_command = self._sa_command, None
            image, self._image = self._image, None
            done = self.card.enum("SaResult", result) == "Ok"
            if done and command in ("Install", "Remove"):
                self._windows[index] = Window(index, image, self.count, True) if image and not image["Outbound"] else None
            if command == "Clear":
                self._windows.clear()
            if command == "Remove" and index in self._numbers and done:
                self._removed.add(index)
            for index in list(self._numbers) if command == "Clear" else []:
                self._replaced(index)

    def _replaced(self, index):
        numbers = self._numbers.pop(index, None)
        if numbers and len(numbers.gaps) > 2:
            self._past.append(numbers)

    def _completed(self, record, c, octets):
        queue, number, status = record.value, c["Cookie"], self.card.enum("Status", c["Status"])
        packet = self._open[queue].pop(number, None)
        if packet is None:
            if number >= self._first.get(queue, number + 1 if self.truncated else 0):
                self._breaks(record.number, f"queue {queue}: completion of packet {number} ({status}) without a submission")
            elif c["Seq"] and self.card.enum("Op", c["Op"]) == "Encap":  # submitted before the recording begins
                self._of_sa(c["SaIndex"]).holders.append(-1)
            return
        if packet.rung_ns is None:
            self._breaks(record.number, f"queue {queue}: packet {number} is complete, and no doorbell rang for it")
        else:
            self._inside[queue] -= 1
        if not packet.overtaken and (line := self._line(packet)) is not None:
            older = list(itertools.takewhile(lambda p: p is not packet, iter(line.popleft, None)))
            for first in older:
                first.above, first.overtaken = first.least(), True
            if older:
                of, why = ("", ", in a queue that keeps the order") if self._order.get(queue) else (f" of SA {packet.sa_index}", " of the same SA")
                self._breaks(record.number, f"queue {queue}: packet {number}{of} is complete before {older[0].number}{why}")
        if self.card.enum("Op", c["Op"]) != packet.op:
            self._breaks(record.number, f"queue {queue}: packet {number} was {packet.op}, its completion says {self.card.enum('Op', c['Op'])}")
        if packet.op == "Encap" and c["Seq"]:
            self._numbered(record, packet, c["Seq"])
        if packet.window and c["Spi"]:
            self._received(record, packet, status, c)
        packet.status, packet.spi, packet.seq, packet.out_bytes, packet.next_header = status, c["Spi"], c["Seq"], c["OutLen"], c["NextHeader"]
        packet.completion, packet.done_ns = octets, record.ns
        packet.cycles = {stamp: self._unwrap(c[field]) for stamp, field in STAMPS if c[field]}
        if c["SaIndex"] != 0xffffffff:
            packet.sa_index = c["SaIndex"]
        self._align(packet)
        self._ended[(queue, number & self._ring)] = packet
        self.each(packet)

    def _received(self, record, packet, status, c):
        """Checks the number of a packet that an inbound SA took or refused."""
        window, seq, shape = packet.window, c["Seq"], packet.shape
        if (c["Spi"], seq & 0xffffffff) != (shape.spi, shape.seq) and status in ("Ok", "Replay"):
            self._breaks(record.number, f"queue {packet.queue}: packet {packet.name} had SPI 0x{shape.spi:x} and number {shape.seq}, its completion says 0x{c['Spi']:x} and {seq & 0xffffffff}")
        elif self._windows.get(window.sa) is window and packet.nth >= window.nth and window.size:  # else: the SA was replaced meanwhile
            wrong = (window.took(packet.name, seq, packet.left) if status == "Ok" else
                     window.refused(packet.name, seq) if status == "Replay" and not self._blind and not self.truncated else None)
            if wrong:
                self._breaks(record.number, wrong)

    def _align(self, packet):
        """When the card's cycle 0 was: the doorbell is before the fetch, and the result is in memory before the host sees its completion."""
        c = packet.cycles
        if self._ns_per_cycle is None or packet.rung_ns is None or not {"fetched", "done"} <= c.keys():
            return
        first, last = packet.rung_ns - c["fetched"] * self._ns_per_cycle, packet.done_ns - c["done"] * self._ns_per_cycle
        if self._zero and self._zero_of < CLOCKS_TOGETHER and max(first, self._zero[0]) <= min(last, self._zero[1]):
            first, last = max(first, self._zero[0]), min(last, self._zero[1])
            self._zero_of += 1
        else:
            self._zero_of = 0
        if first <= last:
            packet.card_zero = self._zero = (first, last)

    def _numbered(self, record, packet, seq):
        """Checks the sequence number of a packet whose completion came."""
        numbers, sa = packet.numbers, packet.numbers.sa
        if self._numbers.get(sa) is not numbers:  # the SA was replaced meanwhile: it is of the former or of the new one
            numbers.holders.append(packet.least())
            self._of_sa(sa).holders.append(-1)
            return
        least = packet.least()
        if not numbers.take(seq, record.number):
            self._breaks(record.number, f"SA {sa}: packet {packet.name} has sequence number {seq}, and so has another")
        elif seq <= least:
            self._breaks(record.number, f"SA {sa}: packet {packet.name} has sequence number {seq}, and one before it {least}")
        if not packet.overtaken:
            numbers.last[packet.queue] = seq

    def _unwrap(self, low):
        """The cycle with these low 32 bits that is nearest to the newest so far."""
        near = self._last_cycle & ~0xffffffff | low
        near = min((near - (1 << 32), near, near + (1 << 32)), key=lambda c: (abs(c - self._last_cycle), c < 0))
        self._last_cycle = max(self._last_cycle, near)
        return max(near, 0)


def named(text):
    """Whether a packet is the one so named: 17, q1:17, spi=0x1000, seq=5 or spi=0x1000,seq=5; all are by nothing."""
    wanted = {}
    for part in text.split(",") if text else []:
        match = re.fullmatch(r"(?:q(?P<queue>\d+):)?(?P<number>\d+)|spi=(?P<spi>\w+)|seq=(?P<seq>\w+)", part)
        try:
            wanted |= {k: int(v, 0 if k in ("spi", "seq") else 10) for k, v in match.groupdict().items() if v}
        except (AttributeError, ValueError):
            raise ScopeError(f"{text}: a packet is named 17, q1:17, spi=0x1000 or spi=0x1000,seq=5") from None
    return lambda packet: all(getattr(packet, k) == v for k, v in wanted.items())


class Summary:
    """Of many values: median, 90th, 99th percentile, largest; and a histogram by powers of two. Values above 2,048 count as the next below of 11 bits,
    so that any number of them takes little room."""

    def __init__(self):
        self._counts, self._max = collections.Counter(), 0

    def add(self, value):
        self._max = max(self._max, value := max(0, value))
        rest = max(0, value.bit_length() - 11)
        self._counts[value >> rest << rest] += 1

    def as_dict(self):
        """None where there was nothing."""
        values, total = sorted(self._counts.items()), self._counts.total()
        sums, bins = list(itertools.accumulate(n for _, n in values)), collections.Counter()
        for value, n in values:
            bins[str(1 << value.bit_length() >> 1)] += n
        at = lambda share: values[bisect.bisect(sums, min(total - 1, int(share * total)))][0]
        return {"count": total, "p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "max": self._max, "histogram": bins} if total else None


def statistics(card, recording, keep=False, also=lambda packet: None):
    """(figures, the journeys that they are of)"""
    durations = {kind: Summary() for kind in ("read", "write", "to-card", "from-card")}
    kinds, registers, statuses, outside, inside, threads, errors = collections.Counter(), collections.Counter(), collections.Counter(), Summary(), Summary(), set(), []
    first, last, gap = None, 0, 0

    def each(packet):
        also(packet)
        statuses[packet.status or "(not completed)"] += 1
        if packet.done_ns is not None and packet.rung_ns is not None:
            outside.add(packet.done_ns - packet.rung_ns)
            if {"done", "fetched"} <= packet.cycles.keys():
                inside.add(packet.cycles["done"] - packet.cycles["fetched"])

    journeys = Journeys(card, recording, keep, each)
    for r in recording.records:
        journeys.take(r)
        threads.add(r.thread)
        kinds[r.kind, r.flags] += 1
        if r.kind in durations:
            durations[r.kind].add(r.duration)
        if r.kind in ("read", "write"):
            registers[f"{r.kind} {card.by_offset[r.address].array if r.address in card.by_offset else 'none'}"] += 1
        elif r.kind == "error" and len(errors) < 100:
            errors.append(printable(r.payload))
        first = r.ns if first is None else min(first, r.ns)
        gap = max(gap, r.ns - max(last, first))
        last = max(last, r.ns)
    journeys.end()
    polls = kinds["from-card", 0]
    return {"records": journeys.records, "seconds": (last - (first or 0)) / 1e9, "threads": len(threads), "duration_ns": {k: d for k, s in durations.items() if (d := s.as_dict())},
            "registers": registers, "packets": journeys.count, "statuses": statuses, "submit_to_complete_ns": outside.as_dict(), "arrived_to_sent_ns": journeys.through.as_dict(), "card_cycles": inside.as_dict(),
            "lost_records": recording.lost, "largest_gap_ns": gap, "polls": polls, "polls_in_vain": max(0, polls - kinds["ring", 1]), "errors": errors}, journeys
