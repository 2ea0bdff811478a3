#!/usr/bin/env python3
"""A gateway in bad weather: four tunnels to strongSwan, traffic in all of them all the time, and by seed one misfortune after the other: links down, cards that die, are reset or drained, keyd, espd and
the peer ended or killed and started again, while the SAs are renewed by small limits of octets. After each the tunnels must come back. All that passes outside is looked at: no protected octet in
clear, no sequence number twice in an SA. Memory and descriptors of espd and keyd stay where they were; nothing leaves a core file. Prints the seed and a summary in JSON.

--seconds N or --hours N: how long misfortunes go on. --cards: espd's list; --model: of simulated cards. Needs root: exit 77 without."""
import argparse
import collections
import json
import os
import random
import re
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from tunnels import OURS, Tunnels, wait_for
from two_hosts import HostError, check, show_logs

POLICIES = (1, 2, 3, 4)
MARKER = bytes.fromhex("4553504c414e414445534f414b303137")  # what ping repeats
BACK_SECONDS = 60          # within which every tunnel is back after a misfortune: keyd, and DPD at the peer, may have to notice first
WARM_SECONDS = 10          # of a process, before its memory and descriptors count
GROWTH_KB, GROWTH_FDS = 16 * 1024, 8
if {"ASAN_OPTIONS", "TSAN_OPTIONS"} & os.environ.keys():
    GROWTH_KB = 512 * 1024  # what a sanitizer keeps aside of what was freed

RECEIVE = """
import hashlib, socket, sys
with socket.create_server((sys.argv[1], 5001)) as server:
    while True:
        connection, _ = server.accept()
        connection.settimeout(20)
        try:
            while data := connection.recv(65536):
                pass
        except OSError:
            pass
"""
SEND = """
import socket, sys, time
marker = bytes.fromhex(sys.argv[3]) * 4
sent = 0
while True:
    try:
        with socket.create_connection((sys.argv[2], 5001), timeout=5, source_address=(sys.argv[1], 0)) as connection:
            for _ in range(200):
                connection.sendall(marker * 64)
                sent += len(marker) * 64
                time.sleep(0.02)
    except OSError:
        time.sleep(0.2)
    print(sent, flush=True)
"""


class Outside:
    """Looks at what passes outside, file by file, while it is written: so hours fit on a disk."""

    def __init__(self, host, folder):
        self.host, self.folder = host, folder / "outside"
        self.folder.mkdir()
        self.dump = host.start("capture", "dumpcap", "-q", "-P", "-i", "eth0", "-s", "200", "-B", "16", "-b", "filesize:20000", "-w", self.folder / "o.pcap")
        wait_for("the capture", lambda: any(self.folder.iterdir()), 20, [self.dump])
        self.highest, self.seen = {}, collections.defaultdict(set)
        self.packets = self.octets = self.esp = self.clear = 0
        self.twice = []

    def look(self, last=False):
        files = sorted(self.folder.iterdir(), key=lambda f: f.name)
        for file in files if last else files[:-1]:
            self.read(file.read_bytes())
            file.unlink()

    def stop(self):
        self.host.stop(self.dump)
        self.look(last=True)

    def read(self, data):
        self.octets += len(data)
        if MARKER in data:
            self.clear += 1
        at = 24
        while at + 16 <= len(data):
            length, = struct.unpack_from("<I", data, at + 8)
            self.packets += 1
            ip = at + 16 + 14
            at += 16 + length
            if length < 14 + 20 + 8 + 8 or data[ip - 2:ip] != b"\x08\x00":
                continue
            header = (data[ip] & 15) * 4
            esp = ip + header + (8 if data[ip + 9] == 17 else 0)
            if data[ip + 9] not in (17, 50) or (data[ip + 9] == 17 and (data[ip + header + 2:ip + header + 4] != b"\x11\x94" and data[ip + header:ip + header + 2] != b"\x11\x94")):
                continue
            spi, seq = struct.unpack_from("!II", data, esp)
            if spi == 0 or esp + 8 > at:  # the non-ESP marker: IKE
                continue
            self.esp += 1
            self.note((data[ip + 12:ip + 16], spi), seq)

    def note(self, sa, seq):
        """Numbers come almost in order: those seen below the highest one are kept for a while."""
        seen = self.seen[sa]
        if seq in seen or seq <= self.highest.get(sa, 0) - 100_000:
            self.twice.append((sa[0].hex(), f"{sa[1]:08x}", seq))
        seen.add(seq)
        self.highest[sa] = max(self.highest.get(sa, 0), seq)
        if len(seen) > 200_000:
            self.seen[sa] = {n for n in seen if n > self.highest[sa] - 100_000}


class Health(threading.Thread):
    """Memory and descriptors of the daemons, once a second."""

    def __init__(self, tunnels):
        super().__init__(daemon=True)
        self.tunnels, self.lives, self.stopping = tunnels, {}, threading.Event()

    @staticmethod
    def look_at(pid):
        status = Path(f"/proc/{pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]), len(os.listdir(f"/proc/{pid}/fd"))

    @staticmethod
    def family(pid):
        """A daemon and its children of the same program: keyd has two, espd's simulators do not count."""
        name = Path(f"/proc/{pid}/comm").read_text()
        out = [pid]
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            if Path(f"/proc/{child}/comm").read_text() == name:
                out.append(int(child))
        return out

    def run(self):
        while not self.stopping.wait(1):
            for name in ("espd", "keyd"):
                process = getattr(self.tunnels, name)
                if process is None or process.poll() is not None:
                    continue
                try:
                    for pid in self.family(process.pid):
                        rss, fds = self.look_at(pid)
                        life = self.lives.setdefault((name, pid), {"since": time.monotonic(), "rss": [], "fds": []})
                        if time.monotonic() - life["since"] >= WARM_SECONDS:
                            life["rss"].append(rss)
                            life["fds"].append(fds)
                except (OSError, TypeError):  # it ended meanwhile
                    pass

    def stop(self):
        self.stopping.set()
        self.join()

    def summary(self):
        """Of each daemon: growth of the process that grew most, and the longest life of one."""
        out = {}
        for name in ("espd", "keyd"):
            lives = [life for (which, _), life in self.lives.items() if which == name and len(life["rss"]) > 1]
            out[name] = {"processes": sum(1 for which, _ in self.lives if which == name), "longest_s": max((len(life["rss"]) for life in lives), default=0),
                         "rss_kb": max((max(life["rss"]) for life in lives), default=0), "rss_growth_kb": max((life["rss"][-1] - life["rss"][0] for life in lives), default=0),
                         "fds": max((max(life["fds"]) for life in lives), default=0), "fd_growth": max((life["fds"][-1] - life["fds"][0] for life in lives), default=0)}
        return out


class Soak:
    def __init__(self, tunnels, rng, simulated, shared):
        self.t, self.rng, self.shared = tunnels, rng, shared
        self.back, self.counts = [], collections.Counter()
        self.deaths = []
        weights = {"link": 3, "reset": 3, "keyd_stop": 2, "keyd_kill": 1, "espd_stop": 1, "espd_kill": 1, "peer_stop": 1, "peer_kill": 1, "quiet": 2}
        if simulated:
            weights["card_dies"] = 3
        if shared:
            weights |= {"drain": 2, "reset_one": 2}
        self.weights = weights

    # Each misfortune leaves everything running again.

    def link(self):
        self.t.ours.sh("ip", "link", "set", "eth0", "down")
        time.sleep(self.rng.uniform(0.5, 3))
        self.t.ours.sh("ip", "link", "set", "eth0", "up")

    def reset(self):
        self.t.espctl("reset")

    def reset_one(self):
        self.t.espctl("reset", self.rng.choice("12"))

    def drain(self):
        card = self.rng.choice("12")
        self.t.espctl("drain", card, check=False)  # refused while the other one is lost
        time.sleep(self.rng.uniform(0.2, 2))
        self.t.espctl("resume", card, check=False)

    def card_dies(self):
        card = self.rng.choice((1, 2)) if self.shared else 1
        told = self.t.ask("card")
        before = told["losses"]
        # Three in a minute, and it is left alone for an hour: only where another one carries on.
        self.deaths = [(when, which) for when, which in self.deaths if time.monotonic() - when < 70]
        others_up = any(c["state"] == "up" and c["number"] != card for c in told["cards"])
        if not others_up and sum(which == card for _, which in self.deaths) >= 2:
            return
        self.deaths.append((time.monotonic(), card))
        model = self.t.model_of(card)
        if model is not None:  # none: it was left alone after three losses, until the next reset
            os.kill(model, signal.SIGKILL)
            wait_for("the loss", lambda: self.t.ask("card")["losses"] > before, 10, [self.t.espd])

    def quiet(self):
        time.sleep(self.rng.uniform(1, 4))

    def end(self, host, process, how):
        pid = process.pid
        if how == signal.SIGKILL:
            process.send_signal(how)
            process.wait(10)
        code = host.stop(process, 20)
        check(f"{process.label} ended as asked", code in ((0,) if how == signal.SIGTERM else (-9, 137)), f"process {pid}: {code}\n{process.log.read_text(errors='replace')[-2000:]}")

    def keyd_stop(self, how=signal.SIGTERM):
        self.end(self.t.ours, self.t.keyd, how)
        time.sleep(self.rng.uniform(0, 2))
        self.t.start_keyd()

    def keyd_kill(self):
        self.keyd_stop(signal.SIGKILL)

    def espd_stop(self, how=signal.SIGTERM):
        self.end(self.t.ours, self.t.espd, how)
        self.t.keyd.wait(20)  # without espd keyd ends; systemd starts both again
        self.t.ours.stop(self.t.keyd)
        time.sleep(self.rng.uniform(0, 2))
        self.t.start_espd()
        self.t.start_keyd()

    def espd_kill(self):
        self.espd_stop(signal.SIGKILL)

    def peer_stop(self, how=signal.SIGTERM):
        if how == signal.SIGKILL:
            self.t.strongswan.process.send_signal(how)
            self.t.strongswan.process.wait(10)
        self.t.peer.stop(self.t.strongswan.process, 20)
        time.sleep(self.rng.uniform(0, 2))
        self.t.start_peer()

    def peer_kill(self):
        self.peer_stop(signal.SIGKILL)

    def one(self):
        what = self.rng.choices(*zip(*self.weights.items()))[0]
        self.counts[what] += 1
        print(f"    {time.strftime('%H:%M:%S')} {what}", flush=True)
        getattr(self, what)()
        began = time.monotonic()
        for i in POLICIES:
            wait_for(f"tunnel {i} after {what}", lambda: self.t.passes(i), BACK_SECONDS, [self.t.espd, self.t.keyd])
        self.back.append((round(time.monotonic() - began, 2), what))
        print(f"             back after {self.back[-1][0]} s", flush=True)
        time.sleep(self.rng.uniform(0, 1))


def traffic(t):
    """Pings in every tunnel both ways, and TCP through the first two."""
    for i in POLICIES:
        for host, a, b in ((t.ours, f"10.2.{i}.1", f"10.1.{i}.1"), (t.peer, f"10.1.{i}.1", f"10.2.{i}.1")):
            # A ping that finds no route says so and goes on; one whose address is gone ends: then there is a next.
            host.start(f"ping{i}", "sh", "-c", f"trap 'kill $!; exit' TERM; while :; do ping -q -i 0.02 -s 600 -p {MARKER.hex()} -I {a} {b} & wait $!; sleep 0.2; done")
    for i in POLICIES[:2]:
        t.peer.start(f"receive{i}", sys.executable, "-c", RECEIVE, f"10.1.{i}.1")
        t.ours.start(f"send{i}", sys.executable, "-c", SEND, f"10.2.{i}.1", f"10.1.{i}.1", MARKER.hex())


def core_files(folder, since):
    pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
    places = [folder, Path.cwd()] + ([Path(pattern).parent] if pattern.startswith("/") else [])
    return [f for place in places if place.is_dir() for f in (place.rglob("core*") if place == folder else place.glob("core*")) if f.is_file() and f.stat().st_mtime >= since]


def scenario(options, folder, seed):
    rng = random.Random(seed)
    cards = json.loads(options.cards)
    shared = len(cards) > 1
    threads = rng.choice((0, 2))
    t = Tunnels(options.build.resolve(), folder, f"so{os.getpid() % 100000}", POLICIES, f"card = {options.cards}\ncards_in_use = {len(cards)}\n[tun]\nthreads = {threads}\n", life_kbytes=options.life_kbytes,
                env={"ESPLANADE_SIM_MODEL": options.model})
    started = time.time()
    try:
        t.start_peer()
        outside = Outside(t.ours, folder)
        t.start_espd()
        t.start_keyd()
        wait_for("the security associations", t.ready, 60, [t.keyd, t.espd])
        health = Health(t)
        health.start()
        traffic(t)
        soak = Soak(t, rng, "sim" in cards, shared)
        if options.only:
            soak.weights = {what: soak.weights[what] for what in options.only.split(",")}
        end = time.monotonic() + options.seconds
        while time.monotonic() < end:
            soak.one()
            outside.look()
        health.stop()
        t.ours.stop(t.keyd)
        check("SIGTERM ends espd with 0", t.ours.stop(t.espd, 20) == 0)
        time.sleep(1)  # the applications go on sending, and nothing may come out
        for host in (t.ours, t.peer):
            for process in [p for p in host.processes if p.label.startswith(("ping", "send", "receive"))]:
                host.stop(process)
        outside.stop()
        grown = health.summary()
        slowest = max(soak.back)
        summary = {"seed": seed, "io_threads": threads, "seconds": round(time.time() - started), "misfortunes": dict(sorted(soak.counts.items())), "packets_outside": outside.packets, "esp_packets": outside.esp,
                   "octets_captured": outside.octets, "sas": len(outside.highest), "back_s_mean": round(sum(b for b, _ in soak.back) / len(soak.back), 2), "back_s_max": slowest[0],
                   "slowest": slowest[1], **grown}
        print(json.dumps(summary), flush=True)
        check("no protected octet in clear", outside.clear == 0, outside.clear)
        check(f"{outside.esp} ESP packets, no number twice", outside.esp > 100 and not outside.twice, outside.twice[:10])
        ours = {spi for (source, spi) in outside.highest if source == bytes(map(int, OURS.split(".")))}
        check(f"{len(ours)} outbound SAs: they were renewed", len(ours) > len(POLICIES), ours)
        for name, g in grown.items():
            check(f"{name}: memory and descriptors are steady", g["rss_growth_kb"] < GROWTH_KB and g["fd_growth"] < GROWTH_FDS, g)
        check("no core file", not core_files(folder, started), core_files(folder, started))
    except BaseException:
        show_logs([t.ours, t.peer], "espd.log", "keyd.log", "charon-detail.log")
        raise
    finally:
        t.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, required=True)
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--seconds", type=float, default=25)
    length.add_argument("--hours", type=float)
    parser.add_argument("--cards", default='["sim", "sim"]', help='list of espd.toml, all in use (["sim", "sim"])')
    parser.add_argument("--model", choices=("functional", "rtl"), default="functional")
    parser.add_argument("--only", help="misfortunes, by comma (all)")
    parser.add_argument("--life-kbytes", type=int, default=2000, help="of a session key (2000)")
    options = parser.parse_args()
    if options.hours:
        options.seconds = options.hours * 3600
    if os.geteuid() != 0:
        print("skipped: network namespaces need root")
        sys.exit(77)
    seed = int(os.environ.get("ESPLANADE_SEED") or random.SystemRandom().getrandbits(32))
    print(f"ESPLANADE_SEED={seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="espd-soak-") as folder:
        try:
            scenario(options, Path(folder), seed)
        except (HostError, OSError, subprocess.SubprocessError) as error:
            sys.exit(f"FAILED: {error}\nto repeat: ESPLANADE_SEED={seed} {' '.join(sys.argv)}")
    print("all passed")


main()
