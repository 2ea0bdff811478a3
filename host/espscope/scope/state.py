"""What a card and its rings look like at this moment, decoded, and what about it is wrong. A look returns (what is there, anomalies)."""
import functools
import time

from scope.cardmap import ScopeError

STUCK_SECONDS = 0.3
STATUSES_EACH = 32  # Q_PACKETS_BY_STATUS: queue n starts at 32 n


def distance(a, b):
    """From free-running b to a."""
    return (a - b) & 0xffffffff


def wide(card, live, name):
    """A counter of two registers; HI, LO, HI until stable."""
    while True:
        high, low, again = live.read_names(card, f"{name}_HI", f"{name}_LO", f"{name}_HI")
        if high == again:
            return high << 32 | low


def errors(card, live):
    """Sticky causes, the first bus error, statuses other than Ok."""
    causes, low, high = live.read_names(card, "ERROR_CAUSE", "ERROR_ADDR_LO", "ERROR_ADDR_HI")
    set_now = [{"name": f.name, "doc": f.doc} for f in card.by_name["ERROR_CAUSE"].fields if f.get(causes)]
    counts = live.read(card.matching(["PACKETS_BY_STATUS"]))
    statuses = {name: {"packets": counts[f"PACKETS_BY_STATUS[{value}]"], "doc": doc} for value, (name, doc) in card.enums["Status"].items()
                if value and counts.get(f"PACKETS_BY_STATUS[{value}]")}
    return {"causes": set_now, "bus_error_address": high << 32 | low, "statuses": statuses}, [f"ERROR_CAUSE.{c['name']}: {c['doc']}" for c in set_now]


class QueueState:
    """One queue at one moment: what the card says of it and what the host has in its rings."""

    def __init__(self, card, live, sq, cq):
        self.queue, self.entries, self.sq = sq["queue"], sq["entries"], sq
        # What is behind first: of a queue at work each distance is then too long rather than negative.
        (self.cq_head, self.cq_tail, self.sq_head, self.sq_tail, status) = live.read_names(
            card, *(f"{name}[{self.queue}]" for name in ("CQ_HEAD", "CQ_TAIL", "SQ_HEAD", "SQ_TAIL", "Q_STATUS")))
        self.stopped = bool(card.by_name[f"Q_STATUS[{self.queue}]"].fields[0].get(status))
        self.to_fetch, self.inside = distance(self.sq_tail, self.sq_head), distance(self.sq_head, self.cq_tail)
        # A completion that the card says it wrote, whose place in the host's ring still has the phase of the lap before. The host may not have
        # fetched it yet: only one that stays so is lost.
        pending = live.entries(card, cq, self.cq_head, min(distance(self.cq_tail, self.cq_head), self.entries))
        self.lost = next((number for number, entry in pending if entry["Phase"] == number // self.entries & 1), None)

    def held(self):
        """Numbers of the packets that the card has and whose completion it has not written, oldest first."""
        count = distance(self.sq_tail, self.cq_tail)
        return range(self.cq_tail, self.cq_tail + (count if count <= self.entries else 0))

    def anomalies(self, again, host_lives):
        """`again`: the same queue a moment later."""
        out = []
        if self.stopped:
            out.append("stopped by an error (see `espscope errors`)")
        if self.to_fetch > self.entries and again.to_fetch > self.entries:
            out.append(f"SQ_TAIL {self.sq_tail} is further ahead of SQ_HEAD {self.sq_head} than the ring is long ({self.entries})")
        elif self.to_fetch and again.sq_head == self.sq_head and not self.stopped:
            out.append(f"stuck head: SQ_HEAD stays at {self.sq_head} with {self.to_fetch} descriptors to fetch")
        if self.inside and (again.cq_tail, again.sq_head) == (self.cq_tail, self.sq_head):
            out.append(f"{self.inside} packets inside and none done for {STUCK_SECONDS} s")
        if self.inside > self.entries and again.inside > self.entries:
            out.append(f"CQ_TAIL {self.cq_tail} and SQ_HEAD {self.sq_head} do not fit together")
        if self.lost is not None and again.lost == self.lost:
            why = "and the host looks for it in vain: it got lost" if host_lives else "and the host does not look for it"
            out.append(f"phase mismatch: completion {self.lost} was written (CQ_TAIL {self.cq_tail}), is not in the host's ring, {why}")
        return [f"queue {self.queue}: {text}" for text in out]


def rings_of(live):
    return [ring | {"number": number} for number, ring in enumerate(live.ask("rings")["rings"])]


def queues(card, live):
    """{number: QueueState}"""
    rings = rings_of(live)
    completion = {r["queue"]: r for r in rings if r["kind"] == "completion"}
    submission = [r for r in rings if r["kind"] == "submission"]
    if missing := [r["queue"] for r in submission if r["queue"] not in completion]:
        raise ScopeError(f"queue {missing[0]} has a submission ring and no completion ring")
    return {sq["queue"]: QueueState(card, live, sq, completion[sq["queue"]]) for sq in submission}


class Pair:
    """Two looks at the queues, STUCK_SECONDS apart: pairs of those that are there in both."""

    def __init__(self, card, live):
        before = queues(card, live)
        self.descriptors = {n: list(live.entries(card, q.sq, q.cq_tail, len(q.held()))) for n, q in before.items()}
        transactions = live.ask("hello")["transactions"]
        time.sleep(STUCK_SECONDS if before else 0)
        self.host_lives = live.ask("hello")["transactions"] != transactions
        after = queues(card, live)
        self.queues = [(q, after[n]) for n, q in before.items() if n in after]


def rings(pair):
    """Every queue."""
    rows = [{k: getattr(q, k) for k in ("queue", "entries", "sq_head", "sq_tail", "cq_head", "cq_tail", "to_fetch", "inside", "stopped")}
            | {"anomalies": q.anomalies(again, pair.host_lives)} for q, again in pair.queues]
    return rows, [a for row in rows for a in row["anomalies"]]


def slots(card, pair):
    """Packets that the card has and has not completed."""
    rows, wrong = [], []
    for q, again in pair.queues:
        still = again.held()
        for number, d in pair.descriptors[q.queue]:
            rows.append({"queue": q.queue, "number": number, "op": card.enum("Op", d["Op"]), "sa_index": d["SaIndex"], "bytes": d["SrcLen"], "stays": number in still})
            if distance(d["Cookie"], number):
                wrong.append(f"queue {q.queue}: the descriptor of packet {number} has the number {d['Cookie']}")
    if rows and all(r["stays"] for r in rows):
        wrong.append(f"{len(rows)} packets hold slots and none leaves (CQ_TAIL {', '.join(f'{q.queue}: {again.cq_tail}' for q, again in pair.queues)})")
    return rows, wrong


def sas(card, live):
    """SAs as the host installed them; a card that counts others has an entry without owner."""
    for _ in range(2):  # one may come or go between the two questions
        installed, (valid,) = live.ask("sas")["sas"], live.read_names(card, "SA_VALID_COUNT")
        if valid == len(installed):
            return installed, []
    why = "an entry without owner" if valid > len(installed) else "an SA that the card lost"
    return installed, [f"the card has {valid} valid entries, the host installed {len(installed)}: {why}"]


def events(card, live):
    """The newest events, those that the host has not fetched left out."""
    ring = next((r for r in rings_of(live) if r["kind"] == "event"), None)
    if ring is None:
        return [], []
    size = ring["entries"]
    head, tail = live.read_names(card, "EVENT_HEAD", "EVENT_TAIL")
    count = min(tail, size)
    out = [{"number": n, "type": card.enum("EventType", e["Type"]), "sa_index": None if e["SaIndex"] == 0xffffffff else e["SaIndex"], "spi": e["Spi"], "arg": e["Arg"],
            "cycle": e["Cycle"]} for n, e in live.entries(card, ring, tail - count, count) if e["Phase"] != n // size & 1]
    waiting = distance(tail, head)
    return out, [f"{waiting} events wait for the host"] if waiting > size // 2 else []


def counters(card, live):
    """What the card counts of each status, against the sum of its queues; both grow while they are read."""
    whole, parts = card.matching(["PACKETS_BY_STATUS"]), card.matching(["Q_PACKETS_BY_STATUS"])
    values = live.values(whole + parts + whole)
    before, each, after = values[:len(whole)], values[len(whole):-len(whole)], values[-len(whole):]
    wrong = []
    for value, (name, _) in card.enums["Status"].items():
        of_queues = sum(each[value::STATUSES_EACH])
        if distance(of_queues, before[value]) > distance(after[value], before[value]):
            wrong.append(f"{name}: the card counts {after[value]} packets, its queues {of_queues & 0xffffffff}")
    return {}, wrong


def looks(card, live):
    """{what is looked at: the look}. Rings and slots share a pair of looks."""
    pair = functools.cache(lambda: Pair(card, live))
    return {"errors": lambda: errors(card, live), "rings": lambda: rings(pair()), "slots": lambda: slots(card, pair()), "sas": lambda: sas(card, live),
            "events": lambda: events(card, live), "counters": lambda: counters(card, live)}
