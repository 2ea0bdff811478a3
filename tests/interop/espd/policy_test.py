#!/usr/bin/env python3
"""Policies with real packets: two hosts with espd and keyd each, in namespaces, whose own routes would carry everything in
clear. What the policies protect arrives, as ESP, AH or both, in tunnel and transport mode; what they bypass goes in clear;
what they discard does not go; nothing that is to be protected passes in clear in either direction, also while espd is
killed, started again, stopped; a new configuration is taken over whole or not at all. Needs root: exit 77 without."""
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "demo"), str(Path(__file__).resolve().parent)]
import pfkey  # noqa: E402
from demo import payload, transfer  # noqa: E402
from hosts import Host, join, run, wait_for  # noqa: E402
from two_hosts import MARKER, Capture, check, new_keys, pair, run_cases, show_logs  # noqa: E402

OUTER = {"a": "192.0.2.1", "b": "192.0.2.2"}
INNER = {"a": "10.1.0.1", "b": "10.2.0.1"}
NET = {"a": "10.1.0.0/16", "b": "10.2.0.0/16"}
TABLE = 4500  # espd's mark too

ESPD = """
card = "soft"
run_dir = "{dir}/run"
log_level = "{log_level}"
[tun]
name = "espltest0"
{policies}
"""
PROTECT = """
[[policy]]
name = "protected"
reqid = {reqid}
local_ts = "{local_ts}"
remote_ts = "{remote_ts}"
local = "{local}"
peer = "{peer}"
"""
KEYD = """
[process]
user = "nobody"
control = "{dir}/run/keyd.sock"
[espd]
pfkey = "{dir}/run/pfkey.sock"
natt = "{dir}/run/natt.sock"
[connections.peer]
local_addrs = "{local}"
remote_addrs = "{peer}"
proposals = "3des-sha1-modp1024"
{children}
"""
CHILD = """
[connections.peer.children.c{reqid}]
local_ts = "{local_ts}"
remote_ts = "{remote_ts}"
reqid = {reqid}
start_action = "trap"
{more}
"""

# Sends TEXT in SIZE octets by UDP, from a port that the policies do not name; `device` binds past all routing tables.
SEND = """
import socket, sys
to, port, source, size, device, mark = sys.argv[1], *sys.argv[2:]
s = socket.socket(socket.AF_INET6 if ":" in to else socket.AF_INET, socket.SOCK_DGRAM)
if device: s.setsockopt(socket.SOL_SOCKET, 25, device.encode() + b"\\0")
if mark: s.setsockopt(socket.SOL_SOCKET, 36, int(mark))
s.bind((source, 0))
s.sendto((b"ESPLANADE-CLEARTEXT-MARKER" * 200)[:int(size)], (to, int(port)))
"""
LISTEN = """
import socket, sys, time
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[1], int(sys.argv[2])))
print("ready", flush=True)
while True: print(len(s.recv(65536)), flush=True)
"""


def protect(side, reqid=1, more="", **ends):
    peer = "b" if side == "a" else "a"
    values = {"local_ts": NET[side], "remote_ts": NET[peer], "local": OUTER[side], "peer": OUTER[peer], **ends}
    return PROTECT.format(reqid=reqid, **values) + more


def exception(name, action, local_ts, remote_ts):
    return f'[[policy]]\nname = "{name}"\naction = "{action}"\nlocal_ts = "{local_ts}"\nremote_ts = "{remote_ts}"\n'


class Side:
    """A host with espd and keyd."""

    def __init__(self, build, folder, side, policies, children, remote_addrs=None):
        self.build, self.side, self.peer = build, side, "b" if side == "a" else "a"
        self.host = Host(f"esplp{os.getpid() % 100000}{side}", folder / side)
        self.folder = self.host.folder
        self.configure(policies)
        (self.folder / "keyd.toml").write_text(KEYD.format(dir=self.folder, local=OUTER[side], peer=remote_addrs or OUTER[self.peer], children=children))
        (self.folder / "keyd-secrets.toml").write_text('[ike.one]\nsecret = "the secret of the test"\n')
        for name in ("keyd.toml", "keyd-secrets.toml"):
            (self.folder / name).chmod(0o600)

    def configure(self, policies, log_level="info"):
        (self.folder / "espd.toml").write_text(ESPD.format(dir=self.folder, policies=policies, log_level=log_level))

    def start(self):
        self.host.sh("ip", "addr", "replace", f"{INNER[self.side]}/32", "dev", "lo")
        self.host.sh("ip", "route", "replace", NET[self.peer], "via", OUTER[self.peer])  # what clear traffic would take
        self.start_espd()
        self.start_keyd()

    def start_espd(self):
        self.espd = self.host.start("espd", self.build / "bin/espd", "--config", self.folder / "espd.toml")
        wait_for("espd", lambda: (self.folder / "run/espd.sock").exists(), 30, [self.espd])

    def start_keyd(self):
        self.keyd = self.host.start("keyd", self.build / "bin/keyd", "--config", self.folder / "keyd.toml")
        wait_for("keyd", lambda: " ready:" in self.keyd.log.read_text(), 10, [self.keyd, self.espd])

    def espctl(self, *argv, good=True):
        command = [self.build / "bin/espctl", "--socket", self.folder / "run/espd.sock", *argv]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
        check(f"{self.side}: espctl {argv[0]} {'works' if good else 'refuses'}", (done.returncode == 0) == good, done.stdout + done.stderr)
        return done.stdout if good else done.stderr

    def ask(self, what):
        return json.loads(run(self.build / "bin/espctl", "--socket", self.folder / "run/espd.sock", what, "--json"))

    def dropped(self, why):
        return self.ask("stats")["drops"].get(why, 0)

    def ping(self, count=3, source=None, target=None, passes=True):
        text = self.host.sh("ping", "-c", count, "-i", "0.2", "-W", "3" if passes else "1", "-I", source or INNER[self.side], target or INNER[self.peer], check=False)
        check(f"{self.side}: ping {'passes' if passes else 'does not pass'}", (" 0% packet loss" if passes else " 100% packet loss") in text, text)

    def send(self, port, size=600, device="", mark="", source=None, target=None):
        """Whether the host's kernel took it."""
        return subprocess.run(self.host.argv(sys.executable, "-c", SEND, target or INNER[self.peer], port, source or INNER[self.side], size, device, mark), capture_output=True).returncode == 0

    def listen(self, port, address=None):
        process = self.host.start(f"listen{port}", sys.executable, "-u", "-c", LISTEN, address or INNER[self.side], port)
        wait_for("a listener", lambda: "ready" in process.log.read_text(), 5, [process])
        return lambda: [int(line) for line in process.log.read_text().split()[1:]]


def two_sides(build, folder, policies, children):
    sides = [Side(build, folder, side, policies(side), children(side)) for side in "ab"]
    join(sides[0].host, f"{OUTER['a']}/24", sides[1].host, f"{OUTER['b']}/24")
    for side in sides:
        side.start()
    return sides


def whole_nets(side, more=""):
    peer = "b" if side == "a" else "a"
    return CHILD.format(reqid=1, local_ts=NET[side], remote_ts=NET[peer], more=more)


def ordered(build, folder):
    """Exceptions in front of the rule."""
    def policies(side):
        peer = "b" if side == "a" else "a"
        # Each side's exceptions say both directions: one port at this end, or at that.
        return "".join(exception(f"{name}-{way}", action, f"{NET[side]}{near}", f"{NET[peer]}{far}")
                       for name, action, port in (("open", "bypass", "udp/7001"), ("shut", "discard", "udp/7002-7003"))
                       for way, near, far in (("out", "", f"[{port}]"), ("in", f"[{port}]", ""))) + protect(side)
    a, b = sides = two_sides(build, folder, policies, whole_nets)
    try:
        heard = {port: b.listen(port) for port in (7001, 7002, 7003, 7004)}
        capture = Capture(a.host, folder)
        a.ping()
        b.ping()
        for port in heard:
            a.send(port)
            a.send(port, 4000)  # three fragments in the TUN device
        wait_for("what may pass, in fragments too", lambda: heard[7001]() == [600, 4000] and heard[7004]() == [600, 4000], 5)
        check("nothing of it was dropped where it arrived", b.dropped("clear-in") == 0, b.ask("stats"))
        check("what is discarded does not arrive", heard[7002]() == [] and heard[7003]() == [])
        check("it is counted, later fragments of it too", a.dropped("discard") == 8, a.ask("stats"))
        capture.end()
        clear = f"ip.src == {INNER['a']} && !esp"
        check("what bypasses goes in clear, fragments too", capture.count(f"{clear} && udp.port == 7001") == 2 and capture.count(clear) == 4, capture.path)
        check("what is protected goes as ESP", capture.count("esp") >= 16, capture.path)
        stats = a.ask("stats")
        check("clear packets are counted", stats["traffic"]["clear_out"] == 4 and "clear-out" not in stats["drops"], stats)
        print(a.espctl("policy"), flush=True)
        # A fragment whose first one never came depends on ports that nobody knows.
        a.host.sh(sys.executable, "-c", f"import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)\ns.setsockopt(socket.SOL_IP, 22, 1)  # IP_NODEFRAG\n"
                  f"h = bytes.fromhex('4500003c000100b940110000') + socket.inet_aton('{INNER['a']}') + socket.inet_aton('{INNER['b']}')\ns.sendto(h + bytes(40), ('{INNER['b']}', 0))")
        wait_for("a lone fragment to be dropped", lambda: a.dropped("fragment") == 1, 5)
    finally:
        finish(sides)


def enforced(build, folder):
    """Nothing that is to be protected passes in clear, however it is sent, and whether espd runs or not."""
    a, b = sides = two_sides(build, folder, protect, whole_nets)
    try:
        heard = b.listen(7004)
        capture = Capture(a.host, folder)
        a.ping()
        check("what goes past the routing tables is refused", not a.send(7004, device="eth0"))
        wait_for("the guard of a", lambda: a.dropped("clear-out") == 1, 5)
        a.send(7004, mark=TABLE)  # as if the guard of a were not there
        wait_for("the guard of b", lambda: b.dropped("clear-in") == 1, 5)
        check("neither arrived", heard() == [])
        capture.end()
        check("the second, which took espd's mark, was the only one outside", capture.count("udp.port == 7004") == 1)

        capture = Capture(a.host, folder, "outside2")
        a.espd.send_signal(signal.SIGKILL)
        a.espd.wait()
        check("a killed espd leaves its blackhole and its guard behind", not a.send(7004) and not a.send(7004, device="eth0"))
        b.send(7004, mark=TABLE)
        a.host.stop(a.keyd)
        a.start_espd()
        a.start_keyd()
        wait_for("traffic again", lambda: " 0% packet loss" in a.host.sh("ping", "-c", "1", "-W", "2", "-I", INNER["a"], INNER["b"], check=False), 20)
        a.ping()
        rules = a.host.sh("ip", "rule").count(f"{TABLE}:")
        check("rules and routes are there once", rules == 1 and a.host.sh("ip", "route", "show", "table", TABLE).count(NET["b"]) == 2, a.host.sh("ip", "rule"))
        a.host.stop(a.keyd)
        check("SIGTERM ends espd with 0", a.host.stop(a.espd, 20) == 0)
        a.send(7004, device="eth0")
        capture.end()
        check("nothing in clear left a meanwhile", capture.count(f"ip.src == {INNER['a']} && udp") == 0, capture.path)
        a.host.sh(a.build / "bin/espd", "--config", a.folder / "espd.toml", "--release")
        left = a.host.sh("ip", "rule") + a.host.sh("ip", "-6", "rule") + a.host.sh("ip", "route", "show", "table", TABLE, check=False) + a.host.sh("nft", "list", "tables")
        check("released, nothing is left of it", str(TABLE) not in left and "espd" not in left and NET["b"] not in left, left)
        before = b.dropped("clear-in")
        a.send(7004)
        wait_for("what a sends in clear now to be dropped by b", lambda: b.dropped("clear-in") == before + 1, 5)
        check("and nothing in clear was ever taken", heard() == [])
    finally:
        finish(sides)


def reloaded(build, folder):
    """A configuration is taken over while traffic flows, or refused whole."""
    extra = {"a": "10.1.9.1", "b": "10.2.9.1"}

    def second(side):
        peer = "b" if side == "a" else "a"
        return protect(side, 2, local_ts=f"{extra[side]}/32", remote_ts=f"{extra[peer]}/32").replace('"protected"', '"second"')

    def children(side):
        peer = "b" if side == "a" else "a"
        return whole_nets(side) + CHILD.format(reqid=2, local_ts=f"{extra[side]}/32", remote_ts=f"{extra[peer]}/32", more="")
    a, b = sides = two_sides(build, folder, protect, children)
    try:
        for side in sides:
            side.host.sh("ip", "addr", "add", f"{extra[side.side]}/32", "dev", "lo")
        a.ping()
        spis = {sa["spi"] for sa in a.ask("sa")["sas"]}
        flow = a.host.start("flow", "ping", "-i", "0.05", "-c", "100", "-I", INNER["a"], INNER["b"])
        a.configure(protect("a") + '[[policy]]\nname = "broken"\nreqid = 2\n')
        told = a.espctl("reload", good=False)
        check("a wrong one is refused with its line and reason", "espd.toml:" in told and "is missing" in told, told)
        a.configure(second("a") + protect("a"))
        text = (a.folder / "espd.toml").read_text()
        (a.folder / "espd.toml").write_text(text.replace("espltest0", "other0"))
        told = a.espctl("reload", good=False)
        check("so is what cannot change while espd runs", "tun.name cannot change while espd runs" in told, told)
        check("the policies are the former ones", len(a.ask("policy")["policies"]) == 1)
        for side in sides:
            side.configure(second(side.side) + protect(side.side))
            side.espctl("reload")
        a.ping(source=extra["a"], target=extra["b"])
        check("a new policy has SAs of its own", len(a.ask("sa")["sas"]) == 4)
        check("SAs of the policy that stayed are the same", spis <= {sa["spi"] for sa in a.ask("sa")["sas"]})
        # By signal, and back: the second policy's SAs go, at the peer too.
        a.configure(protect("a"))
        a.espd.send_signal(signal.SIGHUP)
        wait_for("the second policy to go", lambda: len(a.ask("policy")["policies"]) == 1 and len(a.ask("sa")["sas"]) == 2, 5)
        wait_for("its SAs to be deleted at the peer", lambda: len(b.ask("sa")["sas"]) == 2, 10)
        flow.wait(15)
        check("the flow of the policy that stayed lost nothing", " 0% packet loss" in flow.log.read_text(), flow.log.read_text()[-300:])
        a.configure("")
        a.espd.send_signal(signal.SIGHUP)
        wait_for("a refusal in the log", lambda: "the former one stays" in a.espd.log.read_text(), 5)
        a.ping()
    finally:
        finish(sides)


def form(build, folder, mode, ipsec, child):
    """Every form of protection, by its protocols outside."""
    def ends(side):
        peer = "b" if side == "a" else "a"
        return {"local_ts": f"{OUTER[side]}/32", "remote_ts": f"{OUTER[peer]}/32"} if mode == "transport" else {}

    def children(side):
        values = {"local_ts": NET[side], "remote_ts": NET["b" if side == "a" else "a"], **ends(side)}
        return CHILD.format(reqid=1, more=f'mode = "{mode}"\n{child}', **values)
    a, b = sides = two_sides(build, folder, lambda side: protect(side, more=f'mode = "{mode}"\nipsec = "{ipsec}"\n', **ends(side)), children)
    try:
        near, far = (OUTER["a"], OUTER["b"]) if mode == "transport" else (INNER["a"], INNER["b"])
        capture = Capture(a.host, folder)
        a.ping(source=near, target=far)
        b.ping(source=far, target=near)
        data = payload(1, MARKER)[:300_000]
        transfer(a.host, near, b.host, far, data)
        transfer(b.host, far, a.host, near, data)
        heard = b.listen(7009, far)
        a.send(7009, 5000, source=near, target=far)
        wait_for("a datagram of several fragments", lambda: heard() == [5000], 5)
        capture.end()
        clear = capture.count("(icmp || tcp) && !esp && !ah")
        check("nothing outside but IKE and IPsec", clear == 0, clear)
        check("as the policy says", (capture.count("ah") > 100) == ("ah" in ipsec) and (capture.count("esp") > 100) == ("esp" in ipsec))
        check("AH is around ESP", ipsec != "ah+esp" or capture.count("ah && !esp") == 0)
        check("secret where ESP is", (MARKER in capture.path.read_bytes()) == (ipsec == "ah"))
        sas = a.ask("sa")["sas"]
        check("the SAs are told as they are", {sa["protocol"] for sa in sas} == set(ipsec.split("+")) and {sa["mode"] for sa in sas if sa["protocol"] == ipsec.split("+")[-1]} == {mode}, sas)
        check("nothing was dropped", not a.ask("stats")["drops"], a.ask("stats"))
    finally:
        finish(sides)


def road_warrior(build, folder):
    """A peer without a fixed address: it begins, moves, and begins again from elsewhere."""
    a = Side(build, folder, "a", protect("a"), whole_nets("a"))
    b = Side(build, folder, "b", protect("b", peer="any"), whole_nets("b"), remote_addrs="%any")
    sides = [a, b]
    try:
        join(a.host, f"{OUTER['a']}/24", b.host, f"{OUTER['b']}/24")
        for side in sides:
            side.start()
        b.ping(count=1, passes=False)
        check("whom nobody knows is not asked for", b.ask("stats")["traffic"]["acquires"] == 0)
        a.ping()
        b.ping()
        a.host.stop(a.keyd)
        a.host.stop(a.espd)
        moved = "192.0.2.77"
        a.host.sh("ip", "addr", "del", f"{OUTER['a']}/24", "dev", "eth0")
        a.host.sh("ip", "addr", "add", f"{moved}/24", "dev", "eth0")
        a.configure(protect("a", local=moved))
        keyd = a.folder / "keyd.toml"
        keyd.write_text(keyd.read_text().replace(f'local_addrs = "{OUTER["a"]}"', f'local_addrs = "{moved}"'))
        a.start()
        a.ping()
        b.ping()
        check("b sends to where a is now", {sa["dst"] for sa in b.ask("sa")["sas"] if sa["direction"] == "out"} >= {moved}, b.ask("sa"))
    finally:
        finish(sides)


def half_a_bundle(build, folder):
    """ESP without the AH that the policy wants around it is good for the card, and dropped all the same."""
    with pair(build, folder, "esplp", "soft", udp=False) as (a, b):
        b.config.write_text(b.config.read_text() + 'ipsec = "ah+esp"\n')
        for gateway in (a, b):
            gateway.start()
        spi, keys = b.get_spi(), new_keys()
        check("one SA at both ends", b.install(pfkey.UPDATE, spi, keys).errno == 0 and a.install(pfkey.ADD, spi, keys).errno == 0)
        a.host.sh("ping", "-c", "3", "-i", "0.2", "-W", "1", "-I", a.inner, b.inner, check=False)
        stats = b.stats()
        check("the card opened the packets, espd dropped them", stats["decap_packets"] == 3 and stats["drops"] == {"selector": 3} and stats["traffic"]["tun_out"] == 0, stats)


def finish(sides):
    if sys.exc_info()[0] is not None:
        show_logs([side.host for side in sides], "espd.log", "keyd.log")
    for side in sides:
        side.host.close()


def scenario(build, folder, name, *more):
    {"ordered": ordered, "enforced": enforced, "reloaded": reloaded, "half a bundle": half_a_bundle, "road warrior": road_warrior}.get(name, lambda *argv: form(*argv[:2], name, *argv[2:]))(build, folder, *more)


if __name__ == "__main__":
    run_cases(__doc__, [("ordered",), ("enforced",), ("reloaded",), ("half a bundle",), ("road warrior",), ("transport", "esp", ""), ("tunnel", "ah", 'ah_proposals = "sha1"'), ("transport", "ah", 'ah_proposals = "md5"'),
                        ("transport", "ah+esp", 'esp_proposals = "3des-md5"\nah_proposals = "sha1"\nbundle = true'),
                        ("tunnel", "ah+esp", 'esp_proposals = "3des-sha1"\nah_proposals = "sha1"\nbundle = true')], scenario)
