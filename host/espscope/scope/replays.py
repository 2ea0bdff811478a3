"""Replay of a driver's recording on the simulated card: makes of its records the steps that esp-replay runs (host/espscope/replay/plan.h), in their order. What the
host did after it had a completion the replay does after it has that completion."""
import collections
import json
import subprocess

from scope.cardmap import ScopeError
from scope.journeys import Journeys
from scope.recording import SA_KEYLESS

UNKNOWN, LOST = -1, -2  # in the place of a status
NO_SA = 0xffffffff
OF_TIME = ("SoftSeconds", "HardSeconds")  # events of a clock that the replay does not have
LIFETIMES = ("SoftSeconds", "HardSeconds", "SoftBytes", "HardBytes", "SoftPackets", "HardPackets")
SLOTS_OF_ANY_SIZE = 10  # log2: a ring up to this size gets room for the largest packets in every slot


class Sa:
    """An SA of the recording. One that was there before it begins is installed with its first packet, which tells where its numbers stand."""

    def __init__(self, payload, entry, before):
        self.payload, self.entry, self.before = payload, entry, before
        self.installed, self.seen, self.newest = not before, set(), 0 if before else entry["Seq"]

    def number(self, packet):
        """The whole number of a packet to be decapsulated. Where it was refused, the card's guess of an extended one's high word is none to go by."""
        if packet.status == "Ok" and packet.seq & 0xffffffff == packet.shape.seq:
            self.newest = max(self.newest, packet.seq)
            if self.before:
                self.seen.add(packet.seq)
            return packet.seq
        high = self.newest >> 32 if self.entry["Esn"] else 0
        return min((h << 32 | packet.shape.seq for h in range(max(0, high - 1), high + 2 if self.entry["Esn"] else 1)), key=lambda n: abs(n - self.newest))

    def refused_for_the_past(self, packet, number):
        """It was refused as the replay of one that is in no record any more."""
        return self.before and packet.status == "Replay" and number not in self.seen and number > self.newest - self.entry["ReplayWindow"]


class Plan:
    """`lines` are the steps; `left_out` counts by reason the packets that are not among them."""

    def __init__(self, card, recording):
        self.card, self.recording = card, recording
        self.left_out = collections.Counter()
        self._journeys = Journeys(card, recording, False, lambda packet: None)
        self._status = {text: value for value, (text, _) in card.enums["Status"].items()}
        self._fields = {f.name: f for f in card.formats["SaEntry"][1]}
        self._waiting = collections.deque()  # steps that are not told before the completion of a packet among them comes
        self._queues, self._sas = {}, {}     # number -> (Q_CONTROL, whether it was told); index -> Sa
        self._index, self._command, self._image, self._events = 0, None, None, False

    def lines(self):
        for record in self.recording.records:
            self._journeys.take(record)
            self._take(record)
            while self._waiting and not self._is_open(self._waiting[0]):
                yield from self._tell(self._waiting.popleft())
        self._journeys.end()
        lost = {id(packet) for packet in self._journeys.lost + self._journeys.stuck}
        for step in self._waiting:
            yield from self._tell(step, lost)

    def broken(self):
        """Rules that the recording breaks by itself (as `assert` tells them), whatever a replay does."""
        return [f"record {record}: {text}" for record, text in self._journeys.wrong[:3]]

    def _is_open(self, step):
        return step[0] == "packet" and self._journeys.open_packet(step[2].queue, step[2].number) is step[2]

    def _take(self, record):
        kind, add = record.kind, self._waiting.append
        if kind == "ring" and record.flags == 0:
            for d in self.card.entries("Descriptor", record.payload):
                if packet := self._journeys.open_packet(record.value, d["Cookie"]):
                    add(("packet", record.number, packet, d))
        elif kind == "ring" and record.flags == 1:
            for c in self.card.entries("Completion", record.payload):
                add(("await", record.value, c["Cookie"]))
        elif kind == "ring" and self._events:
            for e in self.card.entries("Event", record.payload):
                if self.card.enum("EventType", e["Type"]) not in OF_TIME:
                    add(("event", record.number, e["Type"], e["SaIndex"], e["Arg"]))
        elif kind == "sa" and record.before:
            add(("there", record.address, record.payload))
        elif kind == "sa":
            self._image = record
        elif kind == "queue":
            add(("queue", record.address, record.value))
        elif kind == "write":
            self._written(self.card.by_offset.get(record.address), record.value)
        elif kind == "read" and self._command and self.card.name_at(record.address) == "SA_STATUS":
            busy, result = (f.get(record.value) for f in self.card.by_name["SA_STATUS"].fields)
            if not busy:
                command, index = self._command
                image, self._command, self._image = self._image, None, None
                if self.card.enum("SaResult", result) == "Ok" and (command != "View"):
                    add(("sa", command, index, image))

    def _written(self, register, value):
        array = register.array if register else ""
        if array == "SQ_TAIL":
            self._waiting.append(("ring", register.n))
        elif array == "Q_CONTROL" and value & 1:
            self._waiting.append(("queue", register.n, value))
        elif array == "EVENT_CONTROL" and value & 1:
            self._events = not self.recording.truncated  # else counts and limits began before
        elif array == "SA_INDEX":
            self._index = value
        elif array == "SA_COMMAND":
            self._command = (self.card.enum("SaCommand", value), self._index)

    def _tell(self, step, lost=()):
        """The lines of one step."""
        kind = step[0]
        if kind == "packet":
            yield from self._packet(*step[1:], lost)
        elif kind == "queue":
            self._queues[step[1]] = (step[2], False)
        elif kind == "there":
            self._sas[step[1]] = Sa(step[2], self._entry(step[2]), True)
        elif kind == "sa":
            yield from self._sa(*step[1:])
        elif kind != "ring" or self._queues.get(step[1], (0, False))[1]:
            if kind != "await" or self._queues.get(step[1], (0, False))[1]:
                yield " ".join(map(str, step))

    def _entry(self, payload):
        return self.card.decode("SaEntry", payload.ljust(2 * SA_KEYLESS, b"\0"))

    def _sa(self, command, index, image):
        if command == "Clear":
            gone, self._sas = self._sas, {}
            yield from (f"remove {i}" for i, sa in gone.items() if sa.installed)
        elif command == "Remove":
            sa = self._sas.pop(index, None)
            if sa and sa.installed:
                yield f"remove {index}"
        elif image:
            known = self._sas.get(index)
            if command == "Install" or known is None or not known.installed:
                self._sas[index] = Sa(image.payload, self._entry(image.payload), command != "Install")
            if self._sas[index].installed:
                yield f"sa {index} {image.flags} {image.payload.hex()}"

    def _install(self, index, seq):
        """An SA that was there before. What it counted is not known, so its lifetimes are left out."""
        sa = self._sas[index]
        number = int.from_bytes(sa.payload, "little")
        for name, value in [("Seq", seq)] + [(name, 0) for name in LIFETIMES]:
            f = self._fields[name]
            number = number & ~((1 << f.width) - 1 << f.lsb) | value << f.lsb
        sa.installed = True
        yield f"sa {index} 1 {number.to_bytes(SA_KEYLESS, 'little').hex()}"

    def _packet(self, record, packet, d, lost):
        shape, queue = packet.shape, packet.queue
        if shape is None:
            raise ScopeError(f"{self.recording.path}: record {record}: packet {packet.name} has no shape: this is no whole recording")
        index = d["SaIndex"] if packet.op == "Encap" else shape.spi & self.recording.header["sa_entries"] - 1
        sa = self._sas.get(index)
        if packet.op != "Encap" and sa and (sa.entry["Spi"] != shape.spi or sa.entry["Outbound"]):
            sa = None
        number = sa.number(packet) if sa and packet.op != "Encap" else shape.seq
        why = ("no doorbell rang for it" if packet.rung_ns is None else
               "it was in no buffer that the driver knows" if not shape.version else
               "not an operation or a length that the driver hands over" if packet.op not in ("Encap", "Decap", "Nop") or not 0 < packet.bytes < 1 << 16 else
               "it brought its own IV" if packet.status == "HostIvRefused" else
               "the time of its SA was over, or another of its limits" if packet.status == "Expired" and sa and sa.entry["HardSeconds"] else
               "refused as the replay of one before the recording" if sa and packet.op != "Encap" and sa.refused_for_the_past(packet, number) else None)
        if why:
            self.left_out[why] += 1
            return
        if sa is None and packet.status == "Ok" and self.recording.truncated:
            raise ScopeError(f"{self.recording.path}: record {record}: the SA of packet {packet.name} is in no record that is left: there were too many SAs for its size (ESPLANADE_RECORD_MIB)")
        control, told = self._queues.get(queue, (None, False))
        if control is None:
            raise ScopeError(f"{self.recording.path}: record {record}: nothing says how queue {queue} was set up: this is no whole recording")
        if not told:
            self._queues[queue] = (control, True)
            log2_size = control >> 8 & 15
            yield f"queue {queue} {log2_size} {control >> 1 & 1} {0 if log2_size <= SLOTS_OF_ANY_SIZE else min(0xffff, max(2048, packet.bytes, packet.room))}"
        completed = packet.done_ns is not None
        if sa and not sa.installed:
            seq = packet.seq - 1 if packet.op == "Encap" else number - max(1, sa.entry["ReplayWindow"])
            yield from self._install(index, max(0, seq))
        status = self._status.get(packet.status, None) if completed else LOST if id(packet) in lost else UNKNOWN
        if status is None:
            raise ScopeError(f"{self.recording.path}: record {record}: packet {packet.name} ended with status {packet.status}, which this release does not know")
        cycles = packet.cycles["done"] - packet.cycles["fetched"] if {"done", "fetched"} <= packet.cycles.keys() else 0
        yield " ".join(map(str, (
            "packet", queue, packet.number, record, d["Op"], d["SaIndex"], packet.bytes, packet.room,
            shape.version, shape.flags & 3, shape.protocol, shape.header_bytes, shape.total_bytes, shape.spi, number,
            status, NO_SA if packet.sa_index is None else packet.sa_index, packet.out_bytes, packet.seq, packet.next_header, int(packet.overtaken), max(0, cycles) & 0xffffffff)))


def run(program, plan, environment, seed, *options):
    """What esp-replay tells of the plan. ScopeError where it cannot be run."""
    try:
        process = subprocess.Popen([program, str(seed), *options], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace")
    except OSError as error:
        raise ScopeError(f"{program}: {error.strerror}") from error
    with process:
        try:
            try:
                process.stdin.writelines(line + "\n" for line in plan.lines())
            except BrokenPipeError:
                pass  # it says why
            told, why = process.communicate()
        except BaseException:
            process.kill()
            raise
    if process.returncode not in (0, 1):
        raise ScopeError(f"{plan.recording.path}: {why.strip() or f'{program} ended with {process.returncode}'}")
    return json.loads(told)


WHY = {  # a status of the recording that the replay does not have: what that speaks for
    "BusError": "the memory answered that card with an error",
    "Poisoned": "a bit of that card's SA table was not what had been written",
    "NoSa": "that card had no such SA any more, or the packet's SPI was changed",
    "BadIcv": "what that card had of the packet or of the key was not what the host had, if the packet was good",
    "NoSeed": "that card was reset",
}


def summary(plan, told):
    """What came of a replay, in lines."""
    found = told["divergence"]
    lines = [f"{told['packets']} packets replayed, {told['compared']} compared, {told['events']} events"]
    lines += [f"  left out: {count}, {why}" for why, count in plan.left_out.items()]
    lines += [f"  {count} were made so that they end with {status}: whether the packet or the card was bad, no recording can tell (--sound)" for status, count in told["made_so"].items()]
    if told["cycles_then"]:
        middle = lambda values: sorted(values)[len(values) // 2]
        lines.append(f"  cycles in the card, median and most: recorded {middle(told['cycles_then'])}, {max(told['cycles_then'])}; "
                     f"replayed {middle(told['cycles_now'])}, {max(told['cycles_now'])}")
    stopped = [f"the recorded card stopped there, and so did this one: {told['stopped']}"] if told["stopped"] else []
    return lines + stopped + (explained(found) if found else ["every packet ended as recorded"]) + [f"the recording alone shows: {text}" for text in told["broken"]]


def explained(found):
    """A divergence in words."""
    head = f"first divergence: {found['where']} (record {found['record']}): {found['field']}"
    lines = [head, f"  recorded  {found['recorded']}", f"  replayed  {found['replayed']}"]
    if found["field"] == "status" and (why := WHY.get(found["recorded"])):
        lines.append(f"  so {why}")
    elif found["recorded"].startswith("no completion, though"):
        lines.append("  so its completion got lost between that card and the host, or that card held it")
    return lines
