#!/usr/bin/env python3
"""espscope against a program that drives the simulated card. Usage: espscope_test.py BIN_DIR DOCS_DIR CARD_TOML [unittest arguments]"""
import argparse
import base64
import contextlib
import html.parser
import io
import json
import os
import random
import re
import resource
import shlex
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
import unittest
from pathlib import Path

BIN, DOCS, CARD = (Path(a).resolve() for a in sys.argv[1:4])
SEED = int(os.environ.get("ESPLANADE_SEED") or random.randrange(1 << 32))
KEYS = ["0123456789abcdef23456789abcdef01456789abcdef0123", "a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3"]  # of scope_host
PATIENCE = 60


class Host:
    """scope_host in a folder of its own, with everything switched on."""

    def __init__(self, folder, seed=1, **more):
        self.folder = Path(folder)
        self.environment = os.environ | {"ESPLANADE_SCOPE": "scope.sock", "ESPLANADE_RECORD": "field.drec", "ESPLANADE_SIM_CONTROL": str(self.folder / "control.sock"),
                                         "ESPLANADE_SIM_LOG": str(self.folder / "sim.log"), "PATH": f"{BIN}:{os.environ['PATH']}"} | more
        self.process = subprocess.Popen([BIN / "scope_host", str(seed)], cwd=folder, env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            raise AssertionError("scope_host did not open its card")

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def end(self):
        self.process.stdin.close()
        status = self.process.wait(PATIENCE)
        self.process.stdout.close()
        return status

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def scope(self, *arguments, status=0):
        done = subprocess.run([BIN / "espscope", *map(str, arguments)], cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=PATIENCE)
        if done.returncode != status or "Traceback" in done.stderr:
            raise AssertionError(f"espscope {arguments}: status {done.returncode}, not {status}\n{done.stdout}{done.stderr}")
        return done.stdout + done.stderr


def spellings(key):
    raw = bytes.fromhex(key)
    words = [raw[i:i + 4] for i in range(0, len(raw), 4)]
    yield raw
    yield b"".join(w[::-1] for w in words)
    for text in (key, b"".join(w[::-1] for w in words).hex()):
        yield text.encode()
        yield text.upper().encode()
    yield base64.b64encode(raw).rstrip(b"=")
    for w in words:  # as single register writes: hexadecimal and decimal
        yield w
        yield w[::-1]
        for number in (int.from_bytes(w, "little"), int.from_bytes(w, "big")):
            yield f"{number:08x}".encode()
            yield str(number).encode()


class WithFolder(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory(prefix="espscope-")
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)
        self.hosts = []
        self.addCleanup(lambda: [h.kill() for h in self.hosts])

    def host(self, **more):
        self.hosts.append(Host(self.folder, **more))
        return self.hosts[-1]

    def recorded(self, *lines, **more):
        """A finished run with these lines."""
        host = self.host(**more)
        for line in lines:
            host.tell(line)
        self.assertEqual(host.end(), 0)
        return host


class Live(WithFolder):
    def test_registers_have_names_fields_and_no_side_effects(self):
        host = self.host()
        host.tell("send 3")
        card = tomllib.loads(CARD.read_text())
        everything = json.loads(host.scope("regs", "--json"))
        named = {r["name"] + (f"[{n}]" if r.get("count", 1) > 1 else "") for r in card["reg"] for n in range(r.get("count", 1))}
        self.assertEqual(set(everything["registers"]) | set(everything["skipped"]), named)
        self.assertEqual({n.split("[")[0] for n in everything["skipped"]}, {r["name"] for r in card["reg"] if r["access"] == "wo" or r.get("on_read")})
        self.assertEqual(everything["registers"]["ID"]["value"], 0x43505345)
        self.assertEqual(everything["registers"]["PACKETS_BY_STATUS[0]"]["value"], 6)
        self.assertEqual(everything["registers"]["SIZES"]["fields"]["LANES"], 1)
        text = host.scope("regs", "CONTROL", "SA_ENTRY")
        self.assertIn("Fetch descriptors", text)
        self.assertIn("SA_ENTRY                 not read: write-only", text)
        self.assertIn("no register nonsense", host.scope("regs", "nonsense", status=1))
        before, after = host.scope("regs", "PACKETS_BY_STATUS", "SQ_TAIL", "STATUS", "ERROR_CAUSE", "EVENT_TAIL"), None
        for command in ("regs", "rings", "slots", "sa", "events", "errors", "health", "assert"):
            host.scope(command)
        after = host.scope("regs", "PACKETS_BY_STATUS", "SQ_TAIL", "STATUS", "ERROR_CAUSE", "EVENT_TAIL")
        self.assertEqual(before, after)
        self.assertEqual(host.tell("send 20"), "send 40 good, 1 events")

    def test_watch_shows_what_changes(self):
        host = self.host()
        watcher = subprocess.Popen([BIN / "espscope", "regs", "ENCAP_PACKETS", "--watch", "--interval", "0.1"], cwd=self.folder, env=host.environment, stdout=subprocess.PIPE, text=True)
        self.assertIn("0x00000000", watcher.stdout.readline())
        host.tell("send 2")
        for line in watcher.stdout:
            if "0x00000002" in line:
                break
        watcher.kill()
        watcher.wait()
        watcher.stdout.close()

    def test_state_is_decoded(self):
        host = self.host()
        host.tell("send 30")
        ring, = json.loads(host.scope("rings", "--json"))["queues"]
        self.assertEqual((ring["sq_head"], ring["sq_tail"], ring["cq_tail"], ring["inside"]), (60, 60, 60, 0))
        out, into = json.loads(host.scope("sa", "--json"))["sas"]
        self.assertEqual((out["spi"], out["outbound"], out["src"], out["dst"], out["cipher"], out["soft_packets"]), (0x5000, True, "192.0.2.1", "192.0.2.2", "TripleDesCbc", 20))
        self.assertEqual((into["spi"], into["outbound"]), (0x6001, False))
        event, = json.loads(host.scope("events", "--json"))["events"]
        self.assertEqual((event["type"], event["sa_index"], event["spi"], event["arg"]), ("SoftPackets", 0, 0x5000, 20))
        self.assertEqual(json.loads(host.scope("health", "--json"))["anomalies"], [])
        top = json.loads(host.scope("top", "--count", "1", "--interval", "0.1", "--json"))
        self.assertEqual((top["sas"], len(top["queues"])), (2, 1))
        self.assertIn("every invariant holds", host.scope("assert"))

    def test_who_is_not_there_is_named(self):
        host = self.host()
        host.environment["ESPLANADE_SCOPE"] = "/nonexistent/scope.sock"
        self.assertIn("/nonexistent/scope.sock: No such file", host.scope("regs", status=1))
        self.assertIn("ESPLANADE_SIM_CONTROL", Host.scope(type("H", (), {"folder": self.folder, "environment": {"PATH": host.environment["PATH"]}})(), "inject", "reset", status=1))

    def test_hostile_clients_harm_nobody(self):
        host = self.host()
        path = self.folder / "scope.sock"
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        self.assertEqual(stat.S_IMODE((self.folder / "control.sock").stat().st_mode), 0o600)
        self.assertEqual(stat.S_IMODE((self.folder / "field.drec").stat().st_mode), 0o600)

        def connect(to=path):
            s = socket.socket(socket.AF_UNIX)
            s.connect(str(to))  # waits while others are served
            s.settimeout(5)
            return s

        def answer(question):
            with connect() as s:
                s.sendall(question + b"\n")
                return json.loads(s.makefile().readline())

        for question in (b"", b"{", b"[]", b"1", b'{"ask": 5}', b'{"ask": "nothing"}', b'{"ask": "registers"}', b'{"ask": "registers", "offsets": {}}', b'{"ask": "registers", "offsets": [-4]}',
                         b'{"ask": "registers", "offsets": [2]}', b'{"ask": "registers", "offsets": [4294967296]}', b'{"ask": "registers", "offsets": [1e9]}',
                         b'{"ask": "ring"}', b'{"ask": "ring", "ring": 99}', b'{"ask": "ring", "ring": 0, "first": 64}', b'{"ask": "ring", "ring": 0, "count": 65}',
                         b'{"ask": "ring", "ring": 0, "first": 18446744073709551615, "count": 2}', b'{"ask": "ring", "ring": 0, "first": -1}', b"\xff\xfe", b"[" * 4000):
            with self.subTest(question=question[:60]):
                self.assertIn("error", answer(question))
        rng = random.Random(SEED)
        for _ in range(200):
            with connect() as s:
                s.sendall(bytes(rng.randrange(256) for _ in range(rng.randrange(200))))
        with connect() as s:  # a question without end
            with self.assertRaises((ConnectionError, AssertionError)):
                for _ in range(100):
                    s.sendall(b"x" * 4096)
                self.assertNotEqual(s.recv(1), b"")
        idle = [connect() for _ in range(4)]  # all places taken: the next one waits
        for s in idle:
            s.close()
        # Secrets cannot be asked for.
        skipped = answer(json.dumps({"ask": "registers", "offsets": list(range(0x500, 0x600, 4)) + [0x60]}).encode())
        self.assertEqual(set(skipped["values"]), {None})
        # One who asks much and reads nothing.
        with connect() as s:
            s.settimeout(3)
            with self.assertRaises(OSError):
                for _ in range(1000):
                    s.sendall(b'{"ask": "registers", "offsets": [' + b",".join([b"64"] * 300) + b"]}\n")
        for plan in (b"", b"\0", b"x" * 20000 + b"\0", b"[[fault]]\0", b"\xff\0", bytes(rng.randrange(1, 256) for _ in range(500)) + b"\0"):
            with connect(self.folder / "control.sock") as s:
                s.sendall(plan)
                s.shutdown(socket.SHUT_WR)
                try:
                    self.assertNotIn(b"armed 1", s.recv(4096))
                except ConnectionError:
                    pass
        self.assertEqual(host.tell("send 4"), "send 8 good, 0 events")
        self.assertEqual(answer(b'{"ask": "hello"}')["program"], "scope_host")
        self.assertEqual(host.end(), 0)
        self.assertFalse(path.exists())

    def test_a_refused_fault_says_why(self):
        functional = dict(ESPLANADE_SIM_MODEL="functional", ESPLANADE_SIM_CONTROL=str(self.folder / "second.sock"), ESPLANADE_SCOPE="second.scope")
        for host in (self.host(), self.host(**functional)):
            for arguments, says in ((["nonsense"], "needs a point"), (["completion-lost", "--when", "register=NOPE"], "no register NOPE"), (["reset", "bit=1"], "reset takes"),
                                    (["reset", "--when", "soon"], "no trigger")):
                self.assertIn(says, host.scope("inject", *arguments, status=1))
            self.assertEqual(host.tell("send 2"), "send 4 good, 0 events")


class Questions(unittest.TestCase):
    """What is asked of the driver, by one that answers for it."""

    def live(self, answers):
        from scope.live import Live as Real

        class Scripted(Real):
            def __init__(self):
                self.asked = []

            def ask(self, ask, **more):
                self.asked.append((ask, more))
                return answers(ask, more)
        return Scripted()

    def test_a_counter_of_two_registers_is_read_in_one_question(self):
        from scope import cardmap, state
        card = cardmap.CardMap(CARD)
        high, low = card.by_name["CYCLES_HI"].offset, card.by_name["CYCLES_LO"].offset
        turns = iter([[1, 0xffffffff, 2], [2, 5, 2]])
        live = self.live(lambda ask, more: {"values": next(turns)})
        self.assertEqual(state.wide(card, live, "CYCLES"), 2 << 32 | 5)
        self.assertEqual([more["offsets"] for _, more in live.asked], [[high, low, high]] * 2)

    def a_queue(self, card, entries, tail, cq_tail):
        """A driver whose queue 0 stands still."""
        base = {"SQ_HEAD[0]": tail, "SQ_TAIL[0]": tail, "CQ_HEAD[0]": cq_tail, "CQ_TAIL[0]": cq_tail}

        def answers(ask, more):
            if ask == "hello":
                return {"transactions": 1}
            if ask == "rings":
                return {"rings": [{"kind": kind, "queue": 0, "entries": entries, "entry_bytes": 64} for kind in ("submission", "completion")]}
            if ask == "sas":
                return {"sas": []}
            if ask == "registers":
                return {"values": [base.get(card.name_at(o), 0) for o in more["offsets"]]}
            self.assertLessEqual(more["first"] + more["count"], entries)
            self.assertLessEqual(64 * more["count"], 64 << 10)
            newest = lambda place: place + (tail - 1 - place) // entries * entries
            return {"octets": b"".join(struct.pack("<QQ48x", 1, newest(more["first"] + i)) for i in range(more["count"])).hex()}
        return self.live(answers)

    def test_a_run_of_entries_is_one_question(self):
        from scope import cardmap, state
        card = cardmap.CardMap(CARD)
        slept = []
        self.addCleanup(setattr, state.time, "sleep", state.time.sleep)
        state.time.sleep = slept.append
        for entries, tail, cq_tail, questions in ((64, 70, 60, 2), (64, 60, 20, 1), (64, 20, 20, 0), (4096, 4100, 1500, 4)):
            live = self.a_queue(card, entries, tail, cq_tail)
            looks = state.looks(card, live)
            (rows, wrong), (ring,) = looks["slots"](), looks["rings"]()[0]
            self.assertEqual([r["number"] for r in rows], list(range(cq_tail, tail)))
            self.assertFalse(any("has the number" in w for w in wrong), wrong)
            self.assertEqual(ring["inside"], tail - cq_tail)
            self.assertEqual(sum(ask == "ring" for ask, _ in live.asked), questions)
        self.assertEqual(slept, [state.STUCK_SECONDS] * 4)  # one pair of looks each

    def test_a_card_at_work_is_no_anomaly(self):
        from scope import cardmap, state
        card = cardmap.CardMap(CARD)
        count = iter(range(10_000))  # every read of a register finds one more packet done

        def answers(ask, more):
            if ask == "hello":
                return {"transactions": next(count)}
            if ask == "rings":
                return {"rings": [{"kind": kind, "queue": 0, "entries": 64, "entry_bytes": 64} for kind in ("submission", "completion")]}
            names = [card.name_at(o) for o in more.get("offsets", [])]
            works = ("SQ_HEAD[0]", "SQ_TAIL[0]", "CQ_HEAD[0]", "CQ_TAIL[0]", "PACKETS_BY_STATUS[0]", "Q_PACKETS_BY_STATUS[0]")
            values = [next(count) if n in works else 0 for n in names]
            if ask == "ring":
                return {"octets": ((1).to_bytes(64, "little") * more["count"]).hex()}
            return {"values": values}
        looks = state.looks(card, self.live(answers))
        self.assertEqual(looks["counters"]()[1] + looks["rings"]()[1], [])


class Recordings(WithFolder):
    def test_a_packets_way(self):
        host = self.recorded("send 10")
        text = host.scope("journey", "field.drec", "spi=0x5000,seq=3")
        for what in ("q0:4: Encap of", "doorbell (SQ_TAIL)", "descriptor fetched", "packet read (DMA), SA, slot", "cipher", "hash and ICV", "result to memory", "completion fetched by the host: Ok",
                     "handed to the driver by the program", "result taken by the program"):
            self.assertIn(what, text)
        one, = json.loads(host.scope("journey", "field.drec", "q0:4", "--json"))
        cycles = one["cycles"]
        self.assertLessEqual(cycles["fetched"], cycles["started"])
        self.assertLess(cycles["started"], cycles["ciphered"])
        self.assertLess(cycles["ciphered"], cycles["hashed"])
        self.assertLess(cycles["hashed"], cycles["done"])
        times = [s["host_us"] for s in one["steps"] if s["host_us"] is not None]
        self.assertEqual(times, sorted(times))
        self.assertIn("no such packet", host.scope("journey", "field.drec", "99", status=1))
        self.assertIn("a packet is named", host.scope("journey", "field.drec", "x=1", status=1))

    def test_other_formats(self):
        host = self.recorded("send 10")
        host.scope("journey", "field.drec", "--perfetto", "t.json", "--pcapng", "t.pcapng", "--html", "t.html")
        trace = json.loads((self.folder / "t.json").read_text())["traceEvents"]
        self.assertEqual(sum(e["ph"] == "X" and e["pid"] == 1 for e in trace), 20)
        self.assertEqual(sum(e["ph"] == "X" and e["pid"] == 2 for e in trace), 80)
        self.assertTrue(all(e["dur"] >= 0 for e in trace if e["ph"] == "X"))
        said = subprocess.run(["tshark", "-r", self.folder / "t.pcapng", "-T", "fields", "-e", "frame.comment"], capture_output=True, text=True, timeout=PATIENCE).stdout
        self.assertEqual(said.count("completion fetched by the host: Ok"), 20)
        self.assertIn("SPI 0x5000 seq 3", said)
        page = (self.folder / "t.html").read_text()
        self.assertNotRegex(page, r"(src|href)\s*=|<script|@import|url\(")
        browser = subprocess.run(["chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={self.folder / 'chromium'}", "--dump-dom", f"file://{self.folder / 't.html'}"],
                                 capture_output=True, text=True, timeout=PATIENCE)
        seen = Seen()
        seen.feed(browser.stdout)
        self.assertEqual(seen.tags.count("svg"), 4)
        self.assertGreaterEqual(seen.tags.count("rect"), 100)
        for what in ("What passed between scope_host and the card", "20 packets", "Queue depth", "Lane occupancy", "Ok"):
            self.assertIn(what, seen.text)

    def test_show_filters(self):
        host = self.recorded("send 5")
        lines = lambda *a: [json.loads(x) for x in host.scope("show", "field.drec", "--json", *a).splitlines()]
        everything = lines()
        self.assertEqual([r["number"] for r in everything], list(range(len(everything))))
        self.assertEqual({r["kind"] for r in lines("--kind", "ring")}, {"ring"})
        self.assertTrue(all("SQ_TAIL" in r["name"] for r in lines("--register", "sq_tail")))
        self.assertEqual(len(lines("--register", "sq_tail")), 5)
        self.assertEqual(lines("--queue", "3"), [])
        self.assertEqual({r["kind"] for r in lines("--queue", "0")}, {"read", "write", "ring", "shape", "submitted", "delivered"})
        self.assertTrue(lines("--sa", "1"))
        self.assertEqual(lines("--sa", "77"), [])
        middle = everything[len(everything) // 2]["ms"]
        self.assertEqual(len(lines("--since", middle)) + len(lines("--until", middle)), len(everything) + sum(r["ms"] == middle for r in everything))
        self.assertEqual({r["thread"] for r in everything}, {r["thread"] for r in lines("--thread", everything[0]["thread"])})
        entries = [r for r in everything if (r["name"] or "").startswith("SA_ENTRY")]
        self.assertTrue(entries and all(r["value"] is None and "redacted" in r["text"] for r in entries))

    def test_statistics_add_up(self):
        host = self.recorded("send 10")
        stats = json.loads(host.scope("stats", "field.drec", "--json"))
        self.assertEqual((stats["packets"], stats["statuses"]), (20, {"Ok": 20}))
        self.assertEqual(sum(stats["submit_to_complete_ns"]["histogram"].values()), 20)
        self.assertLessEqual(stats["card_cycles"]["p50"], stats["card_cycles"]["max"])
        self.assertEqual(stats["records"], len(host.scope("show", "field.drec").splitlines()))
        self.assertIn("20 packets: Ok 20", host.scope("stats", "field.drec"))

    def test_two_runs_of_one_program_are_alike_and_a_fault_is_the_first_difference(self):
        first = self.recorded("send 10", ESPLANADE_RECORD="one.drec")
        self.recorded("send 10", ESPLANADE_RECORD="two.drec")
        self.assertIn("no difference", first.scope("diff", "one.drec", "two.drec"))
        broken = self.host(ESPLANADE_RECORD="three.drec")
        broken.tell("send 4")
        broken.scope("inject", "sa-bit-flip", "address=0", "bit=100")
        broken.tell("send 6")
        broken.end()
        found = json.loads(first.scope("diff", "one.drec", "three.drec", "--json", status=1))
        self.assertEqual(found["lane"], "completion queue 0")
        self.assertIn("#8 Encap Ok", found["one"]["text"])
        self.assertIn("#8 Encap Poisoned", found["other"]["text"])

    def test_lanes_are_compared_each_in_its_own_order(self):
        def found(one, other):
            one.to(self.folder / "one.drec")
            other.to(self.folder / "other.drec")
            done = subprocess.run([BIN / "espscope", "diff", "--json", self.folder / "one.drec", self.folder / "other.drec"], capture_output=True, text=True, timeout=PATIENCE)
            answer = json.loads(done.stdout)
            return answer["same"] or (answer["lane"], answer["index"], *(x and x["text"].split()[3] for x in (answer["one"], answer["other"])), len(answer["before"]))
        whole = Script().submit(0, *range(8)).submit(1, 0).complete(0, *((n, n + 1) for n in range(8)))
        self.assertTrue(found(whole, Script().submit(1, 0).submit(0, 0, 1, 2).complete(0, (0, 1), (1, 2)).submit(0, 3, 4, 5, 6, 7).complete(0, *((n, n + 1) for n in range(2, 8)))) is True)
        cut = Script().submit(0, *range(8)).submit(1, 0).complete(0, (0, 1), (1, 2))
        self.assertEqual(found(whole, cut), ("completion queue 0", 2, "#2", None, 2))
        self.assertEqual(found(cut, whole), ("completion queue 0", 2, None, "#2", 2))
        self.assertEqual(found(whole, Script().submit(0, *range(6), 7).submit(1, 0).complete(0, *((n, n + 1) for n in range(8)))), ("submission queue 0", 6, "#6", "#7", 3))

    def test_invariants_hold_and_a_broken_one_is_found(self):
        host = self.recorded("send 10")
        self.assertIn("every invariant holds", host.scope("assert", "--recording", "field.drec"))
        broken = self.host(ESPLANADE_RECORD="broken.drec")
        broken.scope("inject", "completion-lost", "--when", "packet=3")
        broken.tell("send 4")
        broken.end()
        found = json.loads(host.scope("assert", "--recording", "broken.drec", "--json", status=1))
        self.assertIn("packet q0:2 of SA 0 was never completed, and a later one was", found["anomalies"])

    def test_an_sa_installed_again_begins_anew(self):
        host = self.recorded("send 3", "again 0", "send 3")
        self.assertIn("every invariant holds", host.scope("assert", "--recording", "field.drec"))
        self.assertIn("12 packets", host.scope("assert", "--recording", "field.drec"))

    def test_recordings_before_are_kept(self):
        host = self.recorded("send 1")
        first = (self.folder / "field.drec").read_bytes()
        for _ in range(5):
            self.recorded("send 2")
        self.assertEqual(sorted(f.name for f in self.folder.glob("field.drec*")), ["field.drec"] + [f"field.drec-{n}" for n in range(1, 5)])
        self.assertNotIn(first, [f.read_bytes() for f in self.folder.glob("field.drec*")])
        self.assertIn("4 packets: Ok 4", host.scope("stats", "field.drec-4"))
        self.assertTrue(host.scope("stats", "field.drec").startswith("note: recording 6 under its name, which keeps 5: what was recorded before those is gone\n"))
        self.assertNotIn("note", host.scope("stats", "field.drec-1"))
        one, two = self.host(), self.host(ESPLANADE_SCOPE="other.sock")
        one.tell("send 3")
        two.tell("send 5")
        self.assertEqual((one.end(), two.end()), (0, 0))
        self.assertIn("6 packets: Ok 6", host.scope("stats", "field.drec"))
        self.assertIn("10 packets: Ok 10", host.scope("stats", "field.drec@2"))

    def test_record_runs_a_program(self):
        host = self.recorded("send 1")
        done = subprocess.run([BIN / "espscope", "record", "-o", "own.drec", "--", BIN / "scope_host"], cwd=self.folder, input="send 2\nquit\n", capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual((done.returncode, done.stdout), (0, "ready\nsend 4 good, 0 events\n"))
        self.assertIn("4 packets: Ok 4", host.scope("stats", "own.drec"))
        self.assertIn("opened no card", host.scope("record", "-o", "none.drec", "--", "true", status=1))
        self.assertIn("opened no card", host.scope("record", "-o", "own.drec", "--", "true", status=1))  # nor did it write what is there already
        self.assertIn("nonexistent", host.scope("record", "-o", "none.drec", "--", "/nonexistent", status=1))

    def test_a_replay_is_exact_and_waves_come_out(self):
        host = self.recorded("send 4", ESPLANADE_SIM_RECORD=str(self.folder / "field.rec"))
        said = host.scope("replay", "field.rec", "--wave", "w.fst:packet=3:500")
        self.assertRegex(said, r"(\d+) of \1 frames")
        self.assertGreater((self.folder / "w.fst").stat().st_size, 1000)
        (self.folder / "slower.toml").write_text("[sim]\nddr_read_latency = 70\n")
        host.environment["ESPLANADE_SIM_CONFIG"] = str(self.folder / "slower.toml")
        said = host.scope("replay", "field.rec", "--wave-at-divergence", "d.fst", status=1)
        self.assertIn("divergence", said)
        self.assertGreater((self.folder / "d.fst").stat().st_size, 1000)
        self.assertIn("--seed is for those", host.scope("replay", "field.rec", "--seed", "1", status=1))


class Replays(WithFolder):
    """A driver's recording on the simulated card."""

    def test_a_recording_of_either_model_replays_on_both(self):
        for model in ("functional", "rtl"):
            host = self.recorded("send 3", "mix 14", "hold 3", "again 0", "send 3", seed=SEED % 1000, ESPLANADE_SIM_MODEL=model, ESPLANADE_RECORD=f"{model}.drec")
            self.assertIn("every invariant holds", host.scope("assert", "--recording", f"{model}.drec"))
            for on in ("functional", "rtl"):
                with self.subTest(recorded=model, replayed=on, scope_host=SEED % 1000):
                    said = host.scope("replay", f"{model}.drec", "--model", on, "--seed", SEED)
                    self.assertRegex(said, r"(\d+) packets replayed, \1 compared")
                    self.assertIn("every packet ended as recorded", said)
                    self.assertNotIn("left out", said)

    def doctored(self, packet, **fields):
        """other.drec: field.drec with the completion of this packet changed; without a field, without that record."""
        from scope import cardmap, recording as rec
        card = cardmap.CardMap(CARD)
        recording, done = rec.Recording(self.folder / "field.drec"), 0

        def changed():
            nonlocal done
            for r in recording.records:
                if r.kind == "ring" and r.flags == 1:
                    kept = b""
                    for i, c in enumerate(rec.entries(card, r)):
                        entry = r.payload[64 * i:64 * i + 64]
                        if c["Cookie"] == packet:
                            done += 1
                            places = {f.name: f for f in card.formats["Completion"][1]}
                            number = int.from_bytes(entry, "little")
                            for name, value in fields.items():
                                number = number & ~((1 << places[name].width) - 1 << places[name].lsb) | value << places[name].lsb
                            entry = number.to_bytes(64, "little") if fields else b""
                        kept += entry
                    r = r._replace(payload=kept)
                if r.payload or r.kind != "ring":
                    yield r
        (self.folder / "other.drec").write_bytes(octets_of(recording.header, changed()))
        self.assertEqual(done, 1)

    def test_what_the_recording_has_otherwise_is_found(self):
        host = self.recorded("send 6", ESPLANADE_SIM_MODEL="functional")
        status = lambda name: next(v for v, (n, _) in tomllib_enum("Status").items() if n == name)
        for packet, fields, options, field in (
            (4, {"OutLen": 8000}, [], "length"), (5, {"OutLen": 8000}, [], "length"), (6, {"Seq": 77}, [], "sequence number"), (7, {"Seq": 3}, [], "sequence number"),
            (8, {"Status": status("Poisoned"), "OutLen": 0}, [], "status"), (9, {"Status": status("Replay"), "OutLen": 0}, [], "status"),
            (3, {"Status": status("BadIcv"), "OutLen": 0}, ["--sound"], "status"), (3, {"SaIndex": 0}, [], "SA"), (5, {"NextHeader": 17}, [], None), (8, {}, [], "status")):
            with self.subTest(packet=packet, **fields):
                self.doctored(packet, **fields)
                said = host.scope("replay", "other.drec", "--model", "functional", *options, status=1)
                if field:
                    self.assertRegex(said, rf"first divergence: q0:{packet} \(record \d+\): {field}\n  recorded  .+\n  replayed  .+\n")
                else:  # no packet has that outcome
                    self.assertIn(f"first divergence: q0:{packet} ", said)
        self.doctored(3, Status=status("BadIcv"), OutLen=0)
        said = host.scope("replay", "other.drec", "--model", "functional")
        self.assertIn("1 were made so that they end with BadIcv", said)
        self.assertIn("every packet ended as recorded", said)

    def test_a_fault_becomes_a_waveform(self):
        for point, says, broken in (("sa-bit-flip address=0 bit=100", r"first divergence: q0:4 .*: status\n  recorded  Poisoned\n  replayed  Ok", "send 4"),
                                    ("completion-lost", r"first divergence: q0:3 .*: status\n  recorded  no completion, though it was due\n  replayed  Ok", "send 4")):
            host = self.host()
            host.scope("inject", *point.split(), "--when", "packet=4")
            host.tell(broken)
            host.end()
            said = host.scope("replay", "field.drec", "--wave-at-divergence", "d.fst", status=1)
            self.assertRegex(said, says)
            self.assertRegex(said, r"waves of cycles \d+ to \d+: d.fst")
            self.assertGreater((self.folder / "d.fst").stat().st_size, 1000)
            (self.folder / "d.fst").unlink()
        # The same fault again: the replay agrees.
        (self.folder / "plan.toml").write_text('[[fault]]\npoint = "completion-lost"\nwhen = "packet=4"\n')
        host.environment["ESPLANADE_SIM_FAULTS"] = str(self.folder / "plan.toml")
        self.assertIn("the recorded card stopped there, and so did this one: q0:3: completion 3 of queue 0 is not in memory", host.scope("replay", "field.drec"))
        del host.environment["ESPLANADE_SIM_FAULTS"]
        host.scope("replay", "field.drec", "--wave", "w.fst:q0:1", "--record", "again.drec", status=1)
        self.assertGreater((self.folder / "w.fst").stat().st_size, 1000)
        self.assertIn("q0:1: Decap", host.scope("journey", "again.drec", "q0:1"))
        self.assertIn("no waves: --model rtl", host.scope("replay", "field.drec", "--model", "functional", "--wave", "w.fst:q0:1", status=1))
        self.assertIn("packet q0:99 did not come out", host.scope("replay", "field.drec", "--wave", "w.fst:q0:99", status=1))

    def test_a_card_that_stands_still(self):
        host = self.host()
        host.scope("inject", "axi-read-error", "--when", "packet=4")
        host.tell("send 4")
        host.end()
        self.assertIn("the card stopped it, with packet q0:4 inside", host.scope("assert", "--recording", "field.drec", status=1))
        self.assertRegex(host.scope("replay", "field.drec", "--model", "functional", status=1), r"first divergence: q0:4 .*: status\n  recorded  no completion, though it was due")

    def test_what_the_limit_took_is_told_and_the_rest_replays(self):
        host = self.recorded("mix 8", *["send 64"] * 60, ESPLANADE_SIM_MODEL="functional", ESPLANADE_RECORD_MIB="0.125")
        files = [self.folder / "field.drec", self.folder / "field.drec.1"]
        self.assertTrue(all(f.stat().st_size < (1 << 16) + 4_000 for f in files))
        note = r"note: the first (\d+) records of this recording are lost: it grew beyond ESPLANADE_RECORD_MIB\n"
        lost = {re.match(note, host.scope(*c))[1] for c in (["show", "field.drec"], ["stats", "field.drec"], ["assert", "--recording", "field.drec"], ["journey", "field.drec"])}
        self.assertEqual(len(lost), 1)
        self.assertEqual(json.loads(host.scope("show", "field.drec", "--json").split("\n")[0])["number"], int(*lost))
        self.assertEqual(json.loads(re.sub("note.*", "", host.scope("stats", "field.drec", "--json")))["lost_records"], int(*lost))
        self.assertIn("every invariant holds", host.scope("assert", "--recording", "field.drec"))
        said = host.scope("replay", "field.drec", "--model", "functional")
        self.assertRegex(said, r"(\d+) packets replayed, \1 compared")
        self.assertIn("every packet ended as recorded", said)
        # FILE alone: what is in FILE.1 is lost, too; a FILE.1 of another recording is not taken for its beginning.
        files[1].unlink()
        self.assertGreater(int(re.match(note, host.scope("stats", "field.drec"))[1]), int(*lost))
        self.assertIn("every packet ended as recorded", host.scope("replay", "field.drec", "--model", "functional"))
        whole = (self.folder / "field.drec").read_bytes()
        self.recorded("send 1", ESPLANADE_SIM_MODEL="functional", ESPLANADE_RECORD="field.drec.1")
        self.assertEqual((self.folder / "field.drec").read_bytes(), whole)
        self.assertGreater(int(re.match(note, host.scope("stats", "field.drec"))[1]), int(*lost))

    def test_what_cannot_be_replayed_says_why(self):
        host = self.recorded("send 2", ESPLANADE_SIM_MODEL="functional")
        from scope import recording as rec
        recording, other = rec.Recording(self.folder / "field.drec"), self.folder / "other.drec"
        for kind, says in (("shape", "has no shape"), ("queue", "")):
            other.write_bytes(octets_of(recording.header, (r for r in recording.records if r.kind != kind)))
            self.assertIn(says, host.scope("replay", "other.drec", "--model", "functional", status=1 if says else 0))
        Script(1, records_before=5).write("Q_CONTROL[0]", 0x601).decap(0, (0, 1)).taken(0, (0, 1)).to(other)
        self.assertIn("the SA of packet q0:0@2 is in no record that is left", host.scope("replay", "other.drec", "--model", "functional", status=1))
        script = Script(12).write("Q_CONTROL[11]", 0x601).install(1, 0x1001).decap(11, (0, 1)).complete(11, (0, 1), sa=1, op=2)
        script.to(other)
        self.assertIn("the card has 4 queues", host.scope("replay", "other.drec", "--model", "functional", status=1))


def tomllib_enum(name):
    from scope import cardmap
    return cardmap.CardMap(CARD).enums[name]


def varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes(out + bytes([number]))


def difference(to, before, bits=64):
    """As the driver writes it: modulo 2^bits, the sign last."""
    off = (to - before) % (1 << bits)
    return varint(off << 1 if off < 1 << bits - 1 else ((1 << bits) - off << 1) - 1)


def octets_of(header, records):
    """The file that a driver would make of these records (docs/espscope.md)."""
    from scope import recording as rec
    numbers = {name: number for number, name in rec.KINDS.items()}
    parts, former, series, ns, thread = [rec.MAGIC + json.dumps(header).encode() + b"\n"], {}, {}, 0, 0
    for r in records:
        value = r.value >> 32 | (r.value & 0xffffffff) << 32 if r.kind in rec.MOMENTS else r.value
        old = former.get(r.kind, (0, 0))
        parts.append(bytes([numbers[r.kind] | r.flags << 4 | (r.thread != thread) << 7]) + (varint(r.thread) if r.thread != thread else b"")
                     + difference(r.ns, ns) + difference(r.address, old[0]) + difference(value, old[1]) + (varint(r.duration) if r.kind in rec.TAKE_TIME else b""))
        former[r.kind], ns, thread = (r.address, value), r.ns, r.thread
        if r.kind not in ("ring", "shape"):
            parts.append((varint(len(r.payload)) if r.kind == "error" else b"") + r.payload)
            continue
        size = 16 if r.kind == "shape" else 32 if r.flags == 2 else 64
        parts.append(varint(len(r.payload) // size))
        last, step = series.get((r.kind, r.flags, r.value), ([0] * (size // 4),) * 2)
        for words in struct.iter_unpack(f"<{size // 4}I", r.payload):
            offs = [w - a - d & 0xffffffff for w, a, d in zip(words, last, step)]
            parts.append(varint(sum((off != 0) << i for i, off in enumerate(offs))) + b"".join(difference(off, 0, 32) for off in offs if off))
            last, step = words, [w - a for w, a in zip(words, last)]
        series[r.kind, r.flags, r.value] = last, step
    return b"".join(parts)


class Script:
    """A recording written by hand."""

    def __init__(self, queues=2, in_order=False, **more):
        from scope import cardmap
        self.card = cardmap.CardMap(CARD)
        self.header = {"program": "script", "lanes": 2, "queues": 16, "clock_hz": 300_000_000, "max_packet": 9000, "sa_entries": 1024, "slots": 256, "unix_ns": 0,
                       "records_before": 0, "recording": 1} | more
        self.records, self.ns = [], 0
        for queue in range(queues):
            self.write(f"Q_CONTROL[{queue}]", 3 if in_order else 1)

    def put(self, kind, address=0, value=0, flags=0, payload=b""):
        from scope import recording as rec
        self.ns += 1000
        self.records.append(rec.Record(len(self.records), self.ns, address, value, 100, 1, kind, flags, payload))
        return self

    def read(self, name, value):
        return self.put("read", self.card.by_name[name].offset, value)

    def write(self, name, value):
        return self.put("write", self.card.by_name[name].offset, value)

    def sa(self, command, index):
        value = next(v for v, (name, _) in self.card.enums["SaCommand"].items() if name == command)
        return self.write("SA_INDEX", index).write("SA_COMMAND", value).read("SA_STATUS", 1).read("SA_STATUS", 0)

    def entry(self, form, **fields):
        return sum(fields.get(f.name, 0) << f.lsb for f in self.card.formats[form][1]).to_bytes(self.card.formats[form][0], "little")

    def install(self, index, spi, **fields):
        """An inbound SA."""
        entry = self.entry("SaEntry", **({"Spi": spi, "ReplayWindow": 64, "Cipher": 2, "Auth": 2, "InnerV4": 1} | fields))
        self.write("SA_INDEX", index).write("SA_COMMAND", 1).put("sa", index, flags=1, payload=entry[:128])
        return self.read("SA_STATUS", 0)

    def decap(self, queue, *pairs, spi=0x1001):
        """(number in the queue, sequence number)"""
        self.put("shape", value=queue, payload=b"".join(struct.pack("<BBBxHHII", 4, 1, 50, 20, 100, spi, seq & 0xffffffff) for _, seq in pairs))
        return self.submit(queue, *(n for n, _ in pairs), op=2)

    def submit(self, queue, *numbers, sa=0, op=1):
        self.put("ring", value=queue, payload=b"".join(self.entry("Descriptor", Op=op, SaIndex=sa, Cookie=n, SrcLen=100) for n in numbers))
        return self.write(f"SQ_TAIL[{queue}]", numbers[-1] + 1)

    def complete(self, queue, *pairs, sa=0, op=1, status=0):
        return self.put("ring", value=queue, flags=1, payload=b"".join(self.entry("Completion", Op=op, SaIndex=sa, Cookie=n, Seq=seq, Spi=0x1000 if op == 1 else 0x1001, Status=status)
                                                              for n, seq in pairs))

    def taken(self, queue, *pairs, status=0):
        """Completions of packets to be decapsulated by the SA of install(1, 0x1001)."""
        return self.complete(queue, *pairs, sa=1, op=2, status=status)

    def to(self, path, times=1):
        Path(path).write_bytes(octets_of(self.header, self.records * times))


class Numbers(WithFolder):
    """Sequence numbers: one higher than the last at each look-up, on any number of queues (docs/adr/0006, 0007)."""

    def broken(self, script):
        from scope import commands
        script.to(self.folder / "s.drec")
        with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.redirect_stderr(io.StringIO()):
            commands.check(argparse.Namespace(recording=str(self.folder / "s.drec"), json=True))
        return json.loads(said.getvalue())["anomalies"]

    def test_what_may_happen_is_no_alarm(self):
        for name, script in {
            "queues interleave": Script().submit(0, 0, 1, 2).submit(1, 0, 1).complete(1, (0, 2)).complete(0, (0, 1), (1, 3)).complete(1, (1, 5)).complete(0, (2, 4)),
            "completions are fetched late": Script().submit(0, 0, 1).submit(1, 0).complete(0, (0, 1), (1, 3)).submit(0, 2).complete(0, (2, 4)).complete(1, (0, 2)),
            "a packet is still inside": Script().submit(0, 0, 1).submit(1, 0).complete(0, (0, 1), (1, 3)),
            "a packet failed after its look-up": Script(1).submit(0, 0, 1, 2).complete(0, (0, 1)).complete(0, (1, 2), status=6).complete(0, (2, 3)),
            "a packet failed before it": Script(1).submit(0, 0, 1, 2).complete(0, (0, 1)).complete(0, (1, 0), status=9).complete(0, (2, 2)),
            "an SA comes in the place of another": Script(1).sa("Install", 0).submit(0, 0, 1).complete(0, (0, 1), (1, 2)).sa("Remove", 0).sa("Install", 0)
                                                            .submit(0, 2, 3).complete(0, (2, 1), (3, 2)),
            "it comes while packets are inside": Script().sa("Install", 0).submit(0, 0, 1, 2).submit(1, 0).complete(0, (0, 1)).sa("Remove", 0).sa("Install", 0).complete(0, (1, 3))
                                                          .submit(0, 3, 4).complete(0, (2, 1), (3, 2), (4, 4)).complete(1, (0, 3)),
            "the table is cleared": Script(1).submit(0, 0).complete(0, (0, 7)).sa("Clear", 0).sa("Install", 0).submit(0, 1).complete(0, (1, 1)),
            "a queue is switched off": Script().submit(0, 0, 1, 2).submit(1, 0).complete(0, (0, 1)).write("Q_CONTROL[0]", 1).complete(1, (0, 4)),
            "packets to be decapsulated have an SA of their own": Script(1).submit(0, 0, op=2).submit(0, 1, op=2).complete(0, (1, 9), sa=0, op=2),
        }.items():
            with self.subTest(name):
                self.assertEqual(self.broken(script), [])

    def test_what_may_not_is_one(self):
        for says, script in (
            ("SA 0: no packet has sequence number 3", Script().submit(0, 0, 1).submit(1, 0).complete(0, (0, 1)).complete(1, (0, 2)).complete(0, (1, 4))),
            ("SA 0: no packet has sequence number 2 to 8", Script(1).submit(0, 0, 1, 2).complete(0, (0, 1), (1, 9))),
            ("SA 0: packet q1:0 has sequence number 2, and so has another", Script().submit(0, 0, 1).submit(1, 0).complete(0, (0, 1), (1, 2)).complete(1, (0, 2))),
            ("SA 0: packet q0:1 has sequence number 1, and one before it 2", Script().submit(0, 0, 1).submit(1, 0).complete(0, (0, 2), (1, 1)).complete(1, (0, 3))),
            # Submitted when the other was complete: looked up after it.
            ("SA 0: packet q1:0 has sequence number 2, and one before it 3", Script().submit(0, 0, 1).complete(0, (0, 1), (1, 3)).submit(1, 0).complete(1, (0, 2))),
            ("packet 1 of SA 0 is complete before 0 of the same SA", Script().submit(0, 0, 1).complete(0, (1, 2), (0, 1))),
            ("packet 1 is complete before 0, in a queue that keeps the order", Script(1, in_order=True).submit(0, 0, op=2).submit(0, 1, op=2).complete(0, (1, 9), op=2).complete(0, (0, 8), op=2)),
            ("SA 0: packet q0:1 has sequence number 1, and so has another", Script(1).sa("Install", 0).submit(0, 0).complete(0, (0, 1)).submit(0, 1).complete(0, (1, 1)).sa("Remove", 0)),
            ("SA 0: no packet has sequence number 2", Script(1).submit(0, 0, 1).complete(0, (0, 1), (1, 3)).sa("Remove", 0).sa("Install", 0).submit(0, 2).complete(0, (2, 1))),
        ):
            with self.subTest(says):
                found = self.broken(script)
                self.assertEqual(len(found), 1, found)
                self.assertTrue(found[0].endswith(says), found)


    REPLAY = 14

    def test_what_an_inbound_sa_may_do_is_no_alarm(self):
        first = lambda **more: Script(2, **more).install(1, 0x1001)
        for name, script in {
            "packets come out of order": first().decap(0, (0, 5), (1, 3), (2, 4)).taken(0, (0, 5), (1, 3), (2, 4)),
            "a packet comes again": first().decap(0, (0, 5), (1, 5)).taken(0, (0, 5)).taken(0, (1, 5), status=self.REPLAY),
            "it comes again in another queue, and that is looked at first": first().decap(0, (0, 5)).decap(1, (0, 5)).taken(0, (0, 5), status=self.REPLAY).taken(1, (0, 5)),
            "left of the window": first().decap(0, (0, 500), (1, 400)).taken(0, (0, 500)).taken(0, (1, 400), status=self.REPLAY),
            "submitted before the window moved": first().decap(1, (0, 400)).decap(0, (0, 500)).taken(0, (0, 500)).taken(1, (0, 400)),
            "number 0": first().decap(0, (0, 0)).taken(0, (0, 0), status=self.REPLAY),
            "an SA that begins with a number": Script(2).install(1, 0x1001, Seq=300).decap(0, (0, 290), (1, 100)).taken(0, (0, 290)).taken(0, (1, 100), status=self.REPLAY),
            "extended numbers": Script(2).install(1, 0x1001, Esn=1).decap(0, (0, 5), (1, 7)).taken(0, (0, 5)).taken(0, (1, 7), status=self.REPLAY),
            "no window": Script(2).install(1, 0x1001, ReplayWindow=0).decap(0, (0, 5), (1, 5)).taken(0, (0, 5), (1, 5)),
            "another SA in its place": first().decap(0, (0, 5)).taken(0, (0, 5)).sa("Remove", 1).install(1, 0x1001).decap(0, (1, 5)).taken(0, (1, 5)),
            "records before are lost": first(records_before=10).decap(0, (0, 5)).taken(0, (0, 5), status=self.REPLAY),
        }.items():
            with self.subTest(name):
                self.assertEqual(self.broken(script), [])

    def test_what_it_may_not_is_one(self):
        first = lambda: Script(2).install(1, 0x1001)
        for says, script in (
            ("SA 1: packet q0:1 has sequence number 5, which was let in before", first().decap(0, (0, 5), (1, 5)).taken(0, (0, 5), (1, 5))),
            ("SA 1: packet q1:0 has sequence number 5, which was let in before", first().decap(0, (0, 5)).decap(1, (0, 5)).taken(0, (0, 5)).taken(1, (0, 5))),
            ("SA 1: packet q0:1 with sequence number 436 was let in, left of the window: 500 was before it", first().decap(0, (0, 500)).taken(0, (0, 500)).decap(0, (1, 436)).taken(0, (1, 436))),
            ("SA 1: packet q0:1 with sequence number 450 was refused as replayed, and none had it before", first().decap(0, (0, 500), (1, 450)).taken(0, (0, 500)).taken(0, (1, 450), status=self.REPLAY)),
            ("packet q0:0 had SPI 0x1001 and number 5, its completion says 0x1001 and 6", first().decap(0, (0, 5)).taken(0, (0, 6))),
            ("SA 1: packet q0:1 has sequence number 4294967301, which was let in before",
             Script(2).install(1, 0x1001, Esn=1).decap(0, (0, 5), (1, 5)).taken(0, (0, 1 << 32 | 5), (1, 1 << 32 | 5))),
        ):
            with self.subTest(says):
                found = self.broken(script)
                self.assertEqual(len(found), 1, found)
                self.assertTrue(found[0].endswith(says), found)


class Clocks(WithFolder):
    def test_each_step_has_time_and_cycle_where_the_cards_clock_goes_evenly(self):
        def script(**more):
            s = Script(1, **more).put("arrived", 0, 1 << 32).submit(0, 0)  # 300 cycles are 1 us; the doorbell rings at 3 us
            s.put("ring", value=0, flags=1, payload=s.entry("Completion", Op=1, Cookie=0, Seq=1, CycleFetched=30_000, CycleStarted=30_030, CycleCiphered=30_060, CycleHashed=30_090, CycleDone=30_120))
            return s.put("delivered", 0, 1 << 32).put("sent", 0, 1 << 32)
        for simulated in (False, True):
            script(simulated=simulated).to(self.folder / "s.drec")
            done = subprocess.run([BIN / "espscope", "journey", self.folder / "s.drec", "--json"], capture_output=True, text=True, timeout=PATIENCE)
            steps = json.loads(done.stdout)[0]["steps"]
            self.assertEqual([steps[0]["what"], steps[-1]["what"]], ["read by the program", "sent by the program"])
            self.assertEqual(all(s["host_us"] is not None and s["cycle"] is not None for s in steps), not simulated)
            if not simulated:
                times, cycles = [s["host_us"] for s in steps], [s["cycle"] for s in steps]
                fetched = next(s for s in steps if s["what"].startswith("descriptor fetched"))
                figures = json.loads(subprocess.run([BIN / "espscope", "stats", self.folder / "s.drec", "--json"], capture_output=True, text=True, timeout=PATIENCE).stdout)
                self.assertEqual((figures["arrived_to_sent_ns"]["count"], figures["arrived_to_sent_ns"]["max"]), (1, 5000))
                # Between doorbell and completion the host waited 1 us, of which the card worked 0.4: the card's clock is known to 0.3 us.
                self.assertIn("times of the card to 0.3 us", fetched["took"])
                self.assertEqual((times, cycles), (sorted(times), sorted(cycles)))


class Large(WithFolder):
    def test_many_open_packets_cost_no_more_each(self):
        def seconds(count):
            script = Script(1)
            for n in range(count):
                script.submit(0, n)
            for n in range(count):
                script.complete(0, (n, n + 1))
            script.to(self.folder / "s.drec")
            began = time.process_time()
            _, journeys = statistics(script.card, rec.Recording(self.folder / "s.drec"))
            self.assertEqual((journeys.count, journeys.wrong), (count, []))
            return time.process_time() - began
        from scope import recording as rec
        from scope.journeys import statistics
        self.assertLess(seconds(16_000), 12 * min(seconds(4_000) for _ in range(3)))  # 4 where it is linear, 16 where it is not

    def test_what_cannot_be_kept_is_refused(self):
        from scope import journeys, recording as rec
        from scope.cardmap import ScopeError
        self.addCleanup(setattr, journeys, "PACKETS_MAX", journeys.PACKETS_MAX)
        journeys.PACKETS_MAX = 5
        script = Script(1).submit(0, *range(10))
        script.to(self.folder / "s.drec")
        with self.assertRaisesRegex(ScopeError, "more than 5 packets, which cannot be kept at once: name one"):
            journeys.statistics(script.card, rec.Recording(self.folder / "s.drec"), keep=True)
        self.assertEqual(journeys.statistics(script.card, rec.Recording(self.folder / "s.drec"))[0]["packets"], 10)

    def test_memory_does_not_grow_with_the_recording(self):
        script = Script(1)
        for turn in range(8):
            numbers = range(turn * 64, turn * 64 + 64)
            script.submit(0, *numbers).complete(0, *((n, n + 1) for n in numbers))
        script.sa("Clear", 0)
        for name, times in (("small.drec", 1), ("large.drec", 100)):
            script.to(self.folder / name, times)  # each time another life of the queue and of the SA
        measure = "import resource, subprocess, sys; print(subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"

        def kilobytes(*command):
            done = subprocess.run([sys.executable, "-c", measure, BIN / "espscope", *command], cwd=self.folder, capture_output=True, text=True, timeout=PATIENCE)
            status, most = map(int, done.stdout.split())
            self.assertEqual((status, done.stderr), (0, ""))
            return most
        for command in ("show {}", "stats {}", "assert --recording {}", "journey {} q0:100", "diff {} {}"):
            small, large = (kilobytes(*command.replace("{}", name).split()) for name in ("small.drec", "large.drec"))
            self.assertLess(large, small + (8 << 10), command)


class Seen(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.text = [], ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.text += data


class Hostile(WithFolder):
    def test_recordings_that_are_none(self):
        host = self.recorded("send 3")
        good = (self.folder / "field.drec").read_bytes()
        rng = random.Random(SEED)
        from scope import journeys as jour, recording as rec, replays, report
        from scope.cardmap import CardMap, ScopeError
        card = CardMap(CARD)
        refused = taken = 0
        bad = self.folder / "bad.drec"
        for turn in range(600):
            octets = bytearray(good)
            for _ in range(rng.randrange(1, rng.choice((2, 6)))):
                what = rng.randrange(5)
                at = rng.randrange(len(octets))
                if what == 4:
                    del octets[at:]
                elif what == 0:
                    octets[at] = rng.randrange(256)
                elif what == 1:
                    del octets[at:at + rng.randrange(100)]
                elif what == 2:
                    octets[at:at] = bytes(rng.randrange(256) for _ in range(rng.randrange(64)))
                else:
                    octets[at:at + 8] = rng.choice((b"\xff" * 8, b"\0" * 8))
                if not octets:
                    octets = bytearray(b"\0")
            bad.write_bytes(octets)
            try:
                recording = rec.Recording(bad)
                statistics, journeys = jour.statistics(card, recording, keep=True)
                for record in recording.records:
                    rec.text_of(card, record)
                for packet in journeys.packets:
                    report.as_text(packet, recording.header["clock_hz"])
                report.page(journeys, statistics, recording.header)
                report.perfetto(journeys.packets, recording.header["clock_hz"], "x")
                rec.difference(card, recording, recording)
                plan = list(replays.Plan(card, recording).lines())
                taken += 1
            except ScopeError as error:
                self.assertRegex(str(error), r"bad\.drec: ")
                refused += 1
        self.assertGreater(refused, 50)
        self.assertGreater(taken, 50)
        for octets in (b"", rec.MAGIC, rec.MAGIC + b"{}\n", rec.MAGIC + b"[" * 60000 + b"\n", rec.MAGIC + b"null\n", b"ESPREC1\n" + b"\0" * 100):
            bad.write_bytes(octets)
            for command in ("show", "stats", "journey"):
                self.assertIn("bad.drec: octet", host.scope(command, "bad.drec", status=1))
        for version in ("1", "3"):
            bad.write_bytes(b"ESPDRV" + version.encode() + good[7:])
            self.assertIn(f"bad.drec: octet 0: a recording in format {version}; this release reads format 2", host.scope("show", "bad.drec", status=1))
        self.assertIn("no such file", host.scope("show", "nothing.drec", status=1))
        recording = rec.Recording(self.folder / "field.drec")
        statistics, journeys = jour.statistics(card, recording, keep=True)
        page = report.page(journeys, statistics, recording.header | {"program": "<script>alert(1)</script>"})
        self.assertNotIn("<script>", page)

    def test_any_string_comes_out(self):
        host = self.recorded("send 3")
        host.environment |= {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
        magic, header, records = (self.folder / "field.drec").read_bytes().split(b"\n", 2)
        evil = "\ud800 \u00e9 \x00 <b> \x1b[31m\n"
        header = json.dumps(json.loads(header) | {"program": evil, "build": evil, evil: evil}).encode()
        (self.folder / "evil.drec").write_bytes(b"\n".join((magic, header, records)))
        for command in (["show"], ["stats"], ["journey"], ["journey", "--html", "t.html", "--perfetto", "t.json", "--pcapng", "t.pcapng"]):
            for options in ([], ["--json"]):
                self.assertNotIn("\x1b", host.scope(*command, "evil.drec", *options))
        self.assertIn("\\ud800 \u00e9", (self.folder / "t.html").read_text("utf-8"))
        with tarfile.open(self.folder / "evil.tgz", "w:gz") as tar:
            for name, value in (("hello", {"program": evil, "build": evil, "lanes": evil}), ("rings", [[], [evil]]), ("missing", {evil: evil}), ("doctor", [{"what": evil}])):
                info = tarfile.TarInfo(f"espscope/{name}.json")
                info.size = len(json.dumps(value))
                tar.addfile(info, io.BytesIO(json.dumps(value).encode()))
        self.assertNotIn("\x1b", host.scope("open", "evil.tgz"))

    def test_bundles_that_are_none(self):
        from scope import commands
        from scope.cardmap import ScopeError
        host = self.recorded("send 3")
        host.environment["ESPLANADE_SCOPE"] = "gone.sock"
        self.assertIn("without card", host.scope("bundle", "-o", "b.tgz", "--recording", "field.drec"))
        self.assertRegex(host.scope("open", "b.tgz", "--extract", "out"), r"recording: \d+ records")
        self.assertEqual((self.folder / "out/recording").read_bytes(), (self.folder / "field.drec").read_bytes())
        with open(self.folder / "field.drec.1", "wb") as large:
            large.truncate((256 << 20) + 1)
        self.assertIn("without recording.1: field.drec.1: larger than 256 MiB", host.scope("bundle", "-o", "b.tgz", "--recording", "field.drec"))
        evil = self.folder / "evil.tgz"

        def make(*members):
            with tarfile.open(evil, "w:gz") as tar:
                for info, octets in members:
                    tar.addfile(info, io.BytesIO(octets))

        def member(name, octets=b"{}", kind=tarfile.REGTYPE):
            info = tarfile.TarInfo(name)
            info.size, info.type = len(octets), kind
            if kind != tarfile.REGTYPE:
                info.size, info.linkname = 0, "/etc/passwd"
            return info, octets

        for members in ([member("../../etc/passwd")], [member("/etc/passwd")], [member("espscope/sas.json", kind=tarfile.SYMTYPE)], [member("espscope/other.json")],
                        [member("espscope/sas.json"), member("espscope/sas.json")], [member("espscope/sas.json", b"{")], [member("espscope/sas.json", b"[" * 100_000)],
                        [member("espscope/sas.json", b" " * (5 << 20))]):
            make(*members)
            self.assertIn("evil.tgz", host.scope("open", "evil.tgz", "--extract", "never", status=1))
        self.assertFalse((self.folder / "never").exists())
        make(member("espscope/rings.json", b'[1, [2, "\x1b[31m"]]'.replace(b"\x1b", b"\\u001b")), member("espscope/errors.json", b"[]"), member("espscope/hello.json", b"[]"))
        self.assertNotIn("\x1b", host.scope("open", "evil.tgz"))
        rng = random.Random(SEED)
        good = (self.folder / "b.tgz").read_bytes()
        for _ in range(100):
            octets = bytearray(good)
            octets[rng.randrange(len(octets))] ^= 1 << rng.randrange(8)
            evil.write_bytes(octets[:rng.randrange(len(octets))] if rng.randrange(2) else octets)
            with contextlib.suppress(ScopeError), contextlib.redirect_stdout(io.StringIO()):
                commands.open_bundle(argparse.Namespace(bundle=str(evil), extract=None))


class Secrets(WithFolder):
    def test_no_key_in_anything_that_comes_out(self):
        at = lambda name: str(self.folder / name)
        host = self.host(ESPLANADE_SIM_RECORD=at("field.rec"), ESPLANADE_SIM_STATS=at("stats.json"), ESPLANADE_SIM_WAVE=at("w.fst") + ":0:60000")
        host.tell("send 12")
        host.scope("inject", "axi-read-error", "--when", "packet=30")
        said = [host.scope(*c) for c in (["regs"], ["regs", "--json"], ["regs", "SA_ENTRY", "RNG_SEED"], ["rings"], ["slots"], ["sa", "--json"], ["events"], ["errors"], ["health", "--json"])]
        host.scope("bundle", "-o", "b.tgz")
        host.tell("send 6")
        host.end()
        said += [host.scope(*c, status=s) for c, s in ((["show", "field.drec"], 0), (["show", "field.drec", "--json"], 0), (["stats", "field.drec"], 0), (["diff", "field.drec", "field.drec"], 0))]
        said.append(host.scope("journey", "field.drec", "--html", "t.html", "--perfetto", "t.json", "--pcapng", "t.pcapng", "--json"))
        said.append(host.scope("replay", "field.drec", "--model", "functional", "--record", "again.drec", status=1))
        said.append(host.scope("replay", "field.drec", "--wave", "again.fst:q0:3", "--sim-record", "again.rec", status=1))
        host.scope("open", "b.tgz", "--extract", "opened")
        (self.folder / "said").write_text("\n".join(said))
        files = [f for f in self.folder.rglob("*") if f.is_file()]
        self.assertTrue({"field.drec", "again.drec", "again.rec", "again.fst", "field.rec", "t.html", "said", "w.fst", "registers.json", "sim.log"} <= {f.name for f in files})
        # Where a single word of four octets would be no proof (compressed or large files), the whole key in every spelling.
        for file in files:
            octets = file.read_bytes()
            for key in KEYS:
                for n, spelling in enumerate(spellings(key)):
                    if len(spelling) < 8 and file.suffix in (".fst", ".rec", ".tgz"):
                        continue
                    self.assertNotIn(spelling, octets, f"{file.name} has a key, spelling {n}")
        waves = subprocess.run(["fst2vcd", self.folder / "w.fst"], capture_output=True, timeout=PATIENCE).stdout if shutil.which("fst2vcd") else b""
        for key in KEYS:
            for spelling in spellings(key):
                self.assertNotIn(bin(int.from_bytes(bytes.fromhex(key), "big"))[2:].encode(), waves)
                break


    def test_a_crash_of_the_simulated_card_leaves_no_core_file(self):
        resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
        host = self.host()
        host.tell("send 1")
        parents = {int(f.parent.name): int(re.sub(r"^\d+ \(.*\) \S ", "", f.read_text(), flags=re.S).split()[0]) for f in Path("/proc").glob("[0-9]*/stat") if f.exists()}
        family = {host.process.pid}
        for _ in range(8):
            family |= {pid for pid, parent in parents.items() if parent in family}
        cards = [pid for pid in family if "esp-card-sim" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode()]
        self.assertEqual(len(cards), 2)  # front and model
        folders = [Path(os.readlink(f"/proc/{pid}/cwd")) for pid in cards]
        for pid in cards:
            self.assertRegex(Path(f"/proc/{pid}/limits").read_text(), r"Max core file size +0 +0 ")
            os.kill(pid, signal.SIGSEGV)
        self.assertRegex(host.tell("send 1"), "error|^$")
        self.assertEqual([f for folder in [self.folder, *folders] for f in folder.rglob("core*")], [])


class Doctor(WithFolder):
    """Each finding on a machine that has just that."""

    def machine(self):
        from scope import doctor
        root = self.folder / "root"
        lib = root / "usr/lib/x86_64-linux-gnu"
        lib.mkdir(parents=True)
        (lib / "libxrt_coreutil.so.2.13.0").touch()
        (lib / "libxrt_coreutil.so.2").symlink_to("libxrt_coreutil.so.2.13.0")
        (lib / "libxrt_hwemu.so").touch()
        for folder in ("bin", "tmp", "dev/shm", "dev/net", "dev/dri", "xclbin"):
            (root / folder).mkdir(parents=True)
        (root / "dev/net/tun").touch()
        (root / "dev/dri/renderD128").touch()
        for program in ("unzip", "esp-card-sim"):
            (root / "bin" / program).write_text("#!/bin/sh\n")
            (root / "bin" / program).chmod(0o755)
        built = BIN.parent / "share/esplanade"
        shutil.copy(built / "esp_card.hw_emu.xclbin", root / "xclbin")
        shutil.copy(built / "emconfig.json", root / "xclbin")
        board = root / "sys/bus/pci/devices/0000:3b:00.1"
        (board / "drm/renderD128").mkdir(parents=True)
        (root / "sys/bus/pci/drivers/xocl").mkdir(parents=True)
        (board / "driver").symlink_to(root / "sys/bus/pci/drivers/xocl")
        for name, text in (("vendor", "0x10ee"), ("current_link_width", "16"), ("max_link_width", "16"), ("current_link_speed", "8.0 GT/s PCIe"), ("max_link_speed", "8.0 GT/s PCIe")):
            (board / name).write_text(text + "\n")
        self.root, self.board = root, board
        self.environment = {"PATH": str(root / "bin"), "ESPLANADE_SIM": str(root / "bin/esp-card-sim")}
        return lambda: [f for f in doctor.examine(doctor.Machine(root, self.environment, root / "xclbin/esp_card.hw_emu.xclbin")) if not f["ok"]]

    def test_each_finding(self):
        wrong = self.machine()
        self.assertEqual(wrong(), [])
        root, board = self.root, self.board
        xclbin = root / "xclbin/esp_card.hw_emu.xclbin"
        whole = xclbin.read_bytes()
        # (what breaks, what mends, the finding, the mend)
        cases = [
            (lambda: (root / "usr/lib/x86_64-linux-gnu/libxrt_coreutil.so.2").rename(root / "away"), lambda: (root / "away").rename(root / "usr/lib/x86_64-linux-gnu/libxrt_coreutil.so.2"),
             "libxrt_coreutil.so.2 is not there", "libxrt1"),
            (lambda: (root / "usr/lib/x86_64-linux-gnu/libxrt_hwemu.so").unlink(), lambda: (root / "usr/lib/x86_64-linux-gnu/libxrt_hwemu.so").touch(), "libxrt_hwemu.so is not there", "libxrt1"),
            (lambda: (root / "bin/unzip").chmod(0o644), lambda: (root / "bin/unzip").chmod(0o755), "unzip: not there", "package unzip"),
            (lambda: xclbin.rename(root / "away"), lambda: (root / "away").rename(xclbin), "No such file", "esp_card_xclbin"),
            (lambda: xclbin.write_bytes(whole[:-7]), lambda: xclbin.write_bytes(whole), "header says", "was cut"),
            (lambda: xclbin.write_bytes(b"xclbin0" + whole[7:]), lambda: xclbin.write_bytes(whole), "no .xclbin", "build it anew"),
            (lambda: xclbin.write_bytes(whole.replace(b"esp_card", b"esp_c0rd")), lambda: xclbin.write_bytes(whole), "of another kernel", "name the .xclbin of esp_card"),
            (lambda: (root / "xclbin/emconfig.json").write_text("{}"), lambda: shutil.copy(BIN.parent / "share/esplanade/emconfig.json", root / "xclbin"), "emconfig.json: 'Platform'", "must lie beside"),
            (lambda: self.environment.update(ESPLANADE_SIM="bin/esp-card-sim"), lambda: self.environment.update(ESPLANADE_SIM=str(root / "bin/esp-card-sim")), "ESPLANADE_SIM=bin", "absolute path"),
            (lambda: self.environment.update(XCL_EMULATION_MODE="sw_emu"), lambda: self.environment.pop("XCL_EMULATION_MODE"), "XCL_EMULATION_MODE=sw_emu", "unset it"),
            (lambda: self.environment.update(ESPLANADE_SIM_MODEL="fast"), lambda: self.environment.pop("ESPLANADE_SIM_MODEL"), "ESPLANADE_SIM_MODEL=fast", "rtl or functional"),
            (lambda: self.environment.update(XRT_INI_PATH="/nonexistent"), lambda: self.environment.pop("XRT_INI_PATH"), "XRT_INI_PATH=/nonexistent", "cannot be read"),
            (lambda: (board / "current_link_width").write_text("8\n"), lambda: (board / "current_link_width").write_text("16\n"), "link width 8 of 16", "reseat"),
            (lambda: (board / "current_link_speed").write_text("2.5 GT/s PCIe\n"), lambda: (board / "current_link_speed").write_text("8.0 GT/s PCIe\n"), "link speed 2.5", "reseat"),
            (lambda: (board / "driver").unlink(), lambda: (board / "driver").symlink_to(root / "sys/bus/pci/drivers/xocl"), "kernel driver none", "load xocl"),
            (lambda: (root / "dev/dri/renderD128").unlink(), lambda: (root / "dev/dri/renderD128").touch(), "renderD128", "group render"),
            (lambda: (root / "dev/net/tun").unlink(), lambda: (root / "dev/net/tun").touch(), "tun: not there", "modprobe tun"),
        ]
        for breaks, mends, what, mend in cases:
            with self.subTest(what=what):
                breaks()
                found = wrong()
                self.assertTrue(any(what in f["what"] and mend in f["mend"] for f in found), found)
                mends()
                self.assertEqual(wrong(), [])

    def test_this_machine(self):
        host = self.recorded("send 1")
        checks = json.loads(host.scope("doctor", "--xclbin", BIN.parent / "share/esplanade/esp_card.hw_emu.xclbin", "--json"))["checks"]
        self.assertGreater(len(checks), 10)
        self.assertIn(f"simulator: {BIN / 'esp-card-sim'}", [c["what"] for c in checks if c["ok"]])


def fits(expected, lines):
    """Whether the lines are those expected, where "..." in a line stands for any text and a line of "..." for any lines."""
    if not expected:
        return not lines
    if expected[0] == "...":
        return any(fits(expected[1:], lines[i:]) for i in range(len(lines) + 1))
    pattern = ".*".join(re.escape(part) for part in expected[0].split("..."))
    return bool(lines) and re.fullmatch(pattern, lines[0]) is not None and fits(expected[1:], lines[1:])


class Debugging(WithFolder):
    """docs/debugging.md: every command of every case."""

    def test_the_cases(self):
        page = (DOCS / "debugging.md").read_text()
        cases = re.split(r"^## ", page, flags=re.M)[1:]
        self.assertEqual(len(cases), 5)
        for number, case in enumerate(cases):
            with self.subTest(case=case.splitlines()[0]):
                self.folder = self.folder.parent / f"{self.folder.name.split('.')[0]}.{number}"
                self.folder.mkdir()
                self.addCleanup(shutil.rmtree, self.folder, True)
                host, commands = None, 0
                for directive, block in re.findall(r"<!-- (.*?) -->\n|```console\n(.*?)```", case, flags=re.S):
                    if directive.startswith("case: "):
                        host = self.host(ESPLANADE_SIM_RECORD=str(self.folder / "field.rec"))
                        host.tell(directive.removeprefix("case: "))
                    elif directive.startswith("then: "):
                        host.tell(directive.removeprefix("then: "))
                    elif directive == "end":
                        host.end()
                    for text in re.split(r"^\$ ", block, flags=re.M)[1:]:
                        command, *expected = text.splitlines()
                        done = subprocess.run(shlex.split(command), cwd=self.folder, env=host.environment, capture_output=True, text=True, timeout=PATIENCE)
                        said = (done.stdout + done.stderr).splitlines()
                        self.assertTrue(fits(expected, said), f"{command}\nprinted\n" + "\n".join(said))
                        commands += not command.startswith("espscope inject")
                self.assertLess(commands, 5)
                if host.process.poll() is None:
                    host.end()


if __name__ == "__main__":
    print(f"ESPLANADE_SEED={SEED}")
    sys.path.insert(0, str((BIN / "espscope").resolve().parent))
    result = unittest.main(argv=[sys.argv[0], *sys.argv[4:]], exit=False).result
    if not result.wasSuccessful():
        print(f"to repeat: ESPLANADE_SEED={SEED} {' '.join(sys.argv)}", file=sys.stderr)
    sys.exit(0 if result.wasSuccessful() else 1)
