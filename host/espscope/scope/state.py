"""What a card and its rings look like at this moment, decoded, and what about it is wrong."""
import time

from scope.cardmap import ScopeError

STUCK_SECONDS = 0.3
STATUSES_EACH = 32  # Q_PACKETS_BY_STATUS: queue n starts at 32 n


def wide(card, live, low, high):
    """A counter of two registers; HI, LO, HI until stable."""
    while True:
        first, lo, hi = live.read_names(card, high, low, high)
        if first == hi:
            return hi << 32 | lo


def decode_register(register, value):
    return {f.name: f.get(value) for f in register.fields}


def errors(card, live):
    """Sticky causes, the first bus error, statuses other than Ok; anomalies."""
    causes, low, high = live.read_names(card, "ERROR_CAUSE", "ERROR_ADDR_LO", "ERROR_ADDR_HI")
    register = card.by_name["ERROR_CAUSE"]
    out = {"causes": [{"name": f.name, "doc": f.doc} for f in register.fields if f.get(causes)], "bus_error_address": high << 32 | low, "statuses": {}}
    counts = live.read(card.matching(["PACKETS_BY_STATUS"]))
    for value, (name, doc) in card.enums["Status"].items():
        count = counts.get(f"PACKETS_BY_STATUS[{value}]", 0)
        if value and count:
            out["statuses"][name] = {"packets": count, "doc": doc}
    out["anomalies"] = [f"ERROR_CAUSE.{c['name']}: {c['doc']}" for c in out["causes"]]
    return out


class QueueState:
    """One queue: what the card says of it and what the host has in its rings."""

    def __init__(self, card, live, sq, cq):
        n = self.queue = sq["queue"]
        self.size = sq["entries"]
        self.sq_head, self.sq_tail, self.cq_head, self.cq_tail, status = live.read_names(card, f"SQ_HEAD[{n}]", f"SQ_TAIL[{n}]", f"CQ_HEAD[{n}]", f"CQ_TAIL[{n}]", f"Q_STATUS[{n}]")
        self.stopped = bool(card.by_name[f"Q_STATUS[{n}]"].fields[0].get(status))
        # Descriptors that the card has and whose completion it has not written, oldest first: (number, descriptor).
        count = (self.sq_tail - self.cq_tail) & 0xffffffff
        self.inside = list(enumerate(live.entries(card, sq, "Descriptor", self.cq_tail, count), self.cq_tail)) if count <= self.size else []
        # A completion that the card says it wrote, whose place in the host's ring still has the phase of the lap before. The host may
        # not have fetched it yet: only one that stays so is lost.
        written = enumerate(live.entries(card, cq, "Completion", self.cq_head, (self.cq_tail - self.cq_head) & 0xffffffff), self.cq_head)
        self.lost = next((number for number, entry in written if entry["Phase"] != phase_of(number, self.size)), None)

    def anomalies(self, again):
        """`again`: the same queue a moment later."""
        out = []
        name = f"queue {self.queue}"
        distance = lambda a, b: (a - b) & 0xffffffff
        if self.stopped:
            out.append(f"{name}: stopped by an error (see `espscope errors`)")
        if distance(self.sq_tail, self.sq_head) > self.size:
            out.append(f"{name}: SQ_TAIL {self.sq_tail} is further ahead of SQ_HEAD {self.sq_head} than the ring is long ({self.size})")
        elif self.sq_head != self.sq_tail and again.sq_head == self.sq_head and not self.stopped:
            out.append(f"{name}: stuck head: SQ_HEAD stays at {self.sq_head} with {distance(self.sq_tail, self.sq_head)} descriptors to fetch")
        if self.sq_head != self.cq_tail and again.cq_tail == self.cq_tail and again.sq_head == self.sq_head:
            out.append(f"{name}: {distance(self.sq_head, self.cq_tail)} packets inside and none done for {STUCK_SECONDS} s")
        if distance(self.sq_head, self.cq_tail) > self.size:
            out.append(f"{name}: CQ_TAIL {self.cq_tail} and SQ_HEAD {self.sq_head} do not fit together")
        return out


def phase_of(number, size):
    """The phase that the entry with this free-running number has once it is written: 1 on the first lap."""
    return 1 - number // size % 2


def queues(card, live):
    rings = live.rings()
    found = []
    for sq in (r for r in rings if r["kind"] == "submission"):
        cq = next((r for r in rings if r["kind"] == "completion" and r["queue"] == sq["queue"]), None)
        if cq is None:
            raise ScopeError(f"queue {sq['queue']} has a submission ring and no completion ring")
        found.append(QueueState(card, live, sq, cq))
    return found


class TwoLooks:
    """Every queue twice, a moment apart: what did not move in between is stuck."""

    def __init__(self, card, live):
        self.card = card
        self.first = queues(card, live)
        before = live.ask("hello")["transactions"]
        if self.first:
            time.sleep(STUCK_SECONDS)
        self.host_lives = live.ask("hello")["transactions"] != before
        self.again = queues(card, live)


def queue_report(looks):
    """Every queue and what is wrong with it: (list of dictionaries, anomalies)."""
    rows, wrong = [], []
    for q, again in zip(looks.first, looks.again):
        mine = q.anomalies(again)
        if q.lost is not None and again.lost == q.lost:
            why = "and the host looks for it in vain: it got lost" if looks.host_lives else "and the host does not look for it"
            mine.append(f"queue {q.queue}: phase mismatch: completion {q.lost} was written (CQ_TAIL {q.cq_tail}), is not in the host's ring, {why}")
        wrong += mine
        rows.append({"queue": q.queue, "entries": q.size, "sq_head": q.sq_head, "sq_tail": q.sq_tail, "cq_head": q.cq_head, "cq_tail": q.cq_tail,
                     "to_fetch": (q.sq_tail - q.sq_head) & 0xffffffff, "inside": (q.sq_head - q.cq_tail) & 0xffffffff, "stopped": q.stopped, "anomalies": mine})
    return rows, wrong


def slots(looks):
    """Packets that the card has and has not completed, and what is wrong: (rows, anomalies)."""
    still = {(q.queue, n) for q in looks.again for n, _ in q.inside}
    rows, wrong = [], []
    for q in looks.first:
        for number, d in q.inside:
            if d["Cookie"] != number:
                wrong.append(f"queue {q.queue}: the descriptor of packet {number} has the number {d['Cookie']}")
            rows.append({"queue": q.queue, "number": number, "op": looks.card.enum("Op", d["Op"]), "sa_index": d["SaIndex"], "bytes": d["SrcLen"], "stays": (q.queue, number) in still})
    if rows and all(r["stays"] for r in rows):
        wrong.append(f"{len(rows)} packets hold slots and none leaves (CQ_TAIL {', '.join(f'{q.queue}: {q.cq_tail}' for q in looks.again)})")
    return rows, wrong


def sas(card, live):
    """SAs as the host installed them; a card that counts others has an entry without owner."""
    installed = live.ask("sas")["sas"]
    valid, = live.read_names(card, "SA_VALID_COUNT")
    wrong = []
    if valid != len(installed):
        more = valid > len(installed)
        wrong.append(f"the card has {valid} valid entries, the host installed {len(installed)}: " + ("an entry without owner" if more else "an SA that the card lost"))
    return installed, wrong


def events(card, live):
    ring = next((r for r in live.rings() if r["kind"] == "event"), None)
    if ring is None:
        return [], []
    size = ring["entries"]
    head, tail = live.read_names(card, "EVENT_HEAD", "EVENT_TAIL")
    first = max(0, tail - size)
    out = []
    for n, e in enumerate(live.entries(card, ring, "Event", first, tail - first), first):
        if e["Phase"] != phase_of(n, size):
            continue  # the host has not fetched it
        out.append({"number": n, "type": card.enum("EventType", e["Type"]), "sa_index": None if e["SaIndex"] == 0xffffffff else e["SaIndex"], "spi": e["Spi"],
                    "arg": e["Arg"], "cycle": e["Cycle"]})
    wrong = [f"{tail - head} events wait for the host"] if (tail - head) & 0xffffffff > size // 2 else []
    return out, wrong


def counters(card, live):
    """Invariants of the card's counters, which hold when nothing is in flight: anomalies."""
    everything = live.read(card.matching(["PACKETS_BY_STATUS", "Q_PACKETS_BY_STATUS"]))
    queues_here, = live.read_names(card, "SIZES")
    queues_here = card.by_name["SIZES"].fields[1].get(queues_here)
    wrong = []
    for value, (name, _) in card.enums["Status"].items():
        whole = everything.get(f"PACKETS_BY_STATUS[{value}]", 0)
        parts = sum(everything.get(f"Q_PACKETS_BY_STATUS[{STATUSES_EACH * q + value}]", 0) for q in range(queues_here)) & 0xffffffff
        if whole != parts:
            wrong.append(f"{name}: the card counts {whole} packets, its queues {parts}")
    return wrong
