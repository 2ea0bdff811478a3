#!/usr/bin/env python3
"""Two hosts (network namespaces), an espd on each, SAs set by hand over PF_KEY: traffic both ways, over UDP 4500 or as
plain ESP; what is refused; what stays when the key daemon dies; what is left when espd stops. Needs root: exit 77 without."""
import argparse
import collections
import contextlib
import errno
import ipaddress
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "demo"), str(Path(__file__).resolve().parent)]
import pfkey  # noqa: E402
from demo import payload, transfer  # noqa: E402
from hosts import Host, HostError, join, run, wait_for  # noqa: E402

MARKER = b"ESPLANADE-CLEARTEXT-MARKER"
MARKED = ("-p", MARKER.hex()[:32], "-s", "400")  # a ping with the marker in it, as much as ping takes
CONFIG = """
card = {card}
run_dir = "{run_dir}"
log_level = "debug"
[tun]
name = "espltest0"
threads = {threads}
[[policy]]
name = "test"
reqid = 7
local_ts = "{local_ts}"
remote_ts = "{remote_ts}"
local = "{local}"
peer = "{peer}"
udp_encap = "{udp_encap}"
"""


def check(what, good, told=""):
    if not good:
        raise HostError(f"{what}: {told}" if told != "" else what)
    print(f"    ok: {what}", flush=True)


class Gateway:
    """A host with espd and a key-socket to it."""

    def __init__(self, build, folder, name, card, udp, outer, peer, inner, local_ts, remote_ts, top="", threads=0):
        self.build, self.outer, self.peer, self.inner, self.udp = build, outer, peer, inner, udp
        self.host = Host(name, folder)
        self.config = folder / "espd.toml"
        self.run_dir = folder / "run"
        self.config.write_text(top + CONFIG.format(card=json.dumps(card), run_dir=self.run_dir, local_ts=local_ts, remote_ts=remote_ts, local=outer,
                                             peer=peer, udp_encap="always" if udp else "never", threads=threads))

    def start(self, env=None, espd=None):
        self.host.sh("ip", "addr", "add", f"{self.inner}/{128 if ':' in self.inner else 32}", "dev", "lo")
        self.espd = self.host.start("espd", espd or self.build / "bin/espd", "--config", self.config, env=env)
        wait_for("espd's status socket", lambda: (self.run_dir / "espd.sock").exists(), 60, [self.espd])
        self.key = pfkey.Client(self.run_dir / "pfkey.sock")
        check(f"{self.host.name}: REGISTER", self.key.ask(pfkey.REGISTER).errno == 0)

    def espctl(self, *argv):
        return run(self.build / "bin/espctl", "--socket", self.run_dir / "espd.sock", *argv)

    def stats(self):
        return json.loads(self.espctl("stats", "--json"))

    def status(self):
        return json.loads(self.espctl("status", "--json"))

    def get_spi(self):
        reply = self.key.ask(pfkey.GETSPI, pfkey.address(pfkey.EXT_SRC, self.peer), pfkey.address(pfkey.EXT_DST, self.outer),
                             pfkey.extension(pfkey.EXT_SPIRANGE, struct.pack("=III", 256, 0xffffffff, 0)), pfkey.sa2(7))
        check(f"{self.host.name}: GETSPI", reply.errno == 0, reply.errno)
        return reply.spi()

    def install(self, kind, spi, keys, *more):
        source, target = (self.peer, self.outer) if kind == pfkey.UPDATE else (self.outer, self.peer)
        encap = pfkey.natt(4500, 4500) if self.udp else b""
        return self.key.ask(kind, pfkey.sa(spi), pfkey.address(pfkey.EXT_SRC, source), pfkey.address(pfkey.EXT_DST, target),
                            pfkey.key(pfkey.EXT_KEY_AUTH, keys[0]), pfkey.key(pfkey.EXT_KEY_ENCRYPT, keys[1]), pfkey.sa2(7), encap, *more)


def new_keys():
    return os.urandom(20), os.urandom(24)


def connect_with_sas(a, b, *more):
    """A pair of SAs on both hosts, outbound last: with them the waiting packets go. Returns SPIs and all keys."""
    spi_a, spi_b = a.get_spi(), b.get_spi()
    a_to_b, b_to_a = new_keys(), new_keys()
    check("UPDATE, both", a.install(pfkey.UPDATE, spi_a, b_to_a).errno == 0 and b.install(pfkey.UPDATE, spi_b, a_to_b).errno == 0)
    check("ADD, both", b.install(pfkey.ADD, spi_a, b_to_a).errno == 0 and a.install(pfkey.ADD, spi_b, a_to_b, *more).errno == 0)
    return spi_a, spi_b, (*a_to_b, *b_to_a)


def ping(source, target, count=3, extra=()):
    text = source.host.sh("ping", "-c", count, "-i", "0.2", "-W", "5", *extra, "-I", source.inner, target.inner, check=False)
    check(f"ping {source.inner} -> {target.inner}", " 0% packet loss" in text, text)


def iperf3(client, source, server, target, seconds, *load):
    """What iperf3 tells at its end of a run from the host `client` to `server`, between these addresses."""
    listening = server.start("iperf3", "iperf3", "-s", "-1", "-B", target)
    wait_for("iperf3", lambda: server.sh("ss", "-Hltn", "sport", "=", ":5201"), 10, [listening])
    text = client.sh("iperf3", "-c", target, "-B", source, "-t", seconds, "-J", *load, timeout=seconds + 60)
    listening.wait(20)
    return json.loads(text)["end"]


def first_packet_waits(a, b):
    """Without an SA the first packet waits, an ACQUIRE goes out, and with the SA the packet goes."""
    waiting = subprocess.Popen(a.host.argv("ping", "-c", "1", "-W", "15", "-I", a.inner, b.inner), stdout=subprocess.PIPE, text=True)
    try:
        asked = a.key.wait_unasked(pfkey.ACQUIRE)
        check("ACQUIRE names the policy", asked.reqid() == 7)
        made = connect_with_sas(a, b)
        text = waiting.communicate(timeout=20)[0]
    finally:
        waiting.kill()
        waiting.wait()
    check("the packet that waited arrived", "1 received" in text, text)
    return made


def refusals(a, spis, keys):
    """Requests that must fail, each with its errno, and none of which stops espd."""
    check("ADD of a known SPI: EEXIST", a.install(pfkey.ADD, spis[1], new_keys()).errno == errno.EEXIST)
    check("UPDATE without GETSPI: ESRCH", a.install(pfkey.UPDATE, 0x12345678, new_keys()).errno == errno.ESRCH)
    check("a key too short: EINVAL", a.install(pfkey.ADD, 0x12345678, (bytes(20), b"12345678")).errno == errno.EINVAL)
    weak = (os.urandom(20), bytes([1]) * 24)
    check("a weak key: EINVAL", a.install(pfkey.ADD, 0x12345678, weak).errno == errno.EINVAL)
    check("an extension twice: EINVAL", a.key.ask(pfkey.GETSPI, pfkey.sa2(7), pfkey.sa2(7)).errno == errno.EINVAL)
    wrong = a.key.ask(pfkey.GETSPI, pfkey.address(pfkey.EXT_SRC, "203.0.113.9"), pfkey.address(pfkey.EXT_DST, a.outer), pfkey.sa2(7))
    check("addresses of no policy: EINVAL", wrong.errno == errno.EINVAL)
    a.udp = not a.udp
    check("the encapsulation that the policy forbids: EINVAL", a.install(pfkey.ADD, 0x12345678, new_keys()).errno == errno.EINVAL)
    a.udp = not a.udp
    again = run("ip", "netns", "exec", a.host.name, a.build / "bin/espd", "--config", a.config, check=False)
    check("a second espd does not start, the first stays", a.espd.poll() is None, again)
    shown = b"".join(reply.octets for reply in a.key.dump())
    logs = a.espd.log.read_bytes()
    check("no key in answers, logs, tables", not any(k in shown or k.hex().encode() in logs + a.espctl("sa", "--json").encode() for k in keys))


def key_daemon_dies(a, b):
    before = {reply.spi() for reply in a.key.dump()}
    a.key.close()
    a.key = pfkey.Client(a.run_dir / "pfkey.sock")
    check("SAs outlive the key daemon", {reply.spi() for reply in a.key.dump()} == before and len(before) == 2, before)
    a.key.ask(pfkey.REGISTER)
    check("FLUSH leaves the SAs of others", a.key.ask(pfkey.FLUSH).errno == 0 and len(a.key.dump()) == 2)
    ping(a, b)


def garbage(a, b):
    """Hostile octets on UDP 4500 and as raw ESP: counted, nothing else."""
    script = """
import os, socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for octets in (b'\\xff', b'', b'abc', bytes(4), bytes(31), bytes(32), b'\\1' * 9, os.urandom(1400), b'\\0\\0\\1' + os.urandom(40)):
    s.sendto(octets, (sys.argv[1], 4500))
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, 50)
for octets in (b'', b'1234567', os.urandom(100)):
    raw.sendto(octets, (sys.argv[1], 0))
"""
    a.host.sh(sys.executable, "-c", script, b.outer)
    wait_for("the garbage to be counted", lambda: b.stats()["by_status"].get("Ok", 0) < sum(b.stats()["by_status"].values()), 5)
    stats = b.stats()
    check("keepalive, short datagrams and IKE are told apart",
          stats["traffic"]["keepalives_in"] == 1 and stats["drops"].get("udp-short") == 4 and stats["drops"].get("ike-no-daemon") == 1, stats)
    ping(a, b)


def ike_passes(a, b):
    """An IKE message from one natt.sock to the other's, by UDP 4500."""
    ends = []
    for gateway in (a, b):
        end = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        end.settimeout(10)
        end.connect(str(gateway.run_dir / "natt.sock"))
        ends.append(end)
    version = ipaddress.ip_address(a.outer).version
    near, far = (ipaddress.ip_address(g.outer).packed.ljust(16, b"\0") for g in (a, b))
    frame = struct.pack("!BBHHH", version, 0, 0, 4500, 4500) + near + far + os.urandom(300)
    ends[0].send(b"\x09 not a frame")
    ends[0].send(frame)
    got = ends[1].recv(70000)
    check("IKE on 4500 passes with its addresses", got == frame, got.hex())
    before = b.stats()["traffic"]["keepalives_in"]
    ends[0].send(struct.pack("!BBHHH", version, 1, 0, 0, 4500) + bytes(16) + far)
    wait_for("a keepalive to pass", lambda: b.stats()["traffic"]["keepalives_in"] == before + 1, 5)
    for end in ends:
        end.close()


def wrong_selector(a, b):
    """A decapsulated packet from outside B's view of the policy is dropped (RFC 4301 s5.2)."""
    a.host.sh("ip", "addr", "add", "10.1.5.1/32", "dev", "lo")
    before = b.stats()["drops"].get("selector", 0)
    a.host.sh("ping", "-c", "1", "-W", "1", "-I", "10.1.5.1", b.inner, check=False)
    check("a packet outside the policy is dropped", b.stats()["drops"].get("selector", 0) == before + 1, b.stats()["drops"])
    a.host.sh("ping", "-c", "1", "-W", "1", "-I", a.outer, b.inner, check=False)
    check("a packet of no policy does not leave", a.stats()["drops"].get("no-policy", 0) == 1, a.stats()["drops"])


def lifetimes(a, b):
    """A new pair takes over after a second, while which the peer may still be busy with it; its packet limits are told, soft then hard, and hard removes the SA."""
    spi_a, spi_b, _ = connect_with_sas(a, b, pfkey.lifetime(pfkey.EXT_SOFT, packets=3), pfkey.lifetime(pfkey.EXT_HARD, packets=6))
    time.sleep(1.1)
    ping(a, b, count=4)
    soft = a.key.wait_unasked(pfkey.EXPIRE)
    check("EXPIRE tells the soft limit", soft.spi() == spi_b and pfkey.EXT_SOFT in soft.ext and pfkey.EXT_HARD not in soft.ext)
    a.host.sh("ping", "-c", "4", "-i", "0.2", "-W", "1", "-I", a.inner, b.inner, check=False)
    hard = a.key.wait_unasked(pfkey.EXPIRE)
    check("EXPIRE tells the hard limit", hard.spi() == spi_b and pfkey.EXT_HARD in hard.ext)
    check("its SA is gone", spi_b not in {reply.spi() for reply in a.key.dump()})


def deleted(a, b):
    for reply in a.key.dump():
        gone = a.key.ask(pfkey.DELETE, reply.ext[pfkey.EXT_SA], reply.ext[pfkey.EXT_SRC], reply.ext[pfkey.EXT_DST])
        check(f"DELETE {reply.spi():08x}", gone.errno == 0, gone.errno)
    check("DUMP is empty", a.key.dump() == [])
    text = a.host.sh("ping", "-c", "2", "-i", "0.2", "-W", "1", "-I", a.inner, b.inner, check=False)
    check("nothing passes without an SA", " 100% packet loss" in text, text)
    asked = a.key.wait_unasked(pfkey.ACQUIRE)
    a.key.send(pfkey.ACQUIRE, errno=errno.EACCES, seq=asked.seq)  # with ETIMEDOUT they would wait on: the peer may still answer
    wait_for("the waiting packets to be dropped", lambda: a.stats()["drops"].get("negotiation-failed", 0) > 0, 5)


def stopped(gateway):
    check(f"{gateway.host.name}: SIGTERM ends espd with 0", gateway.host.stop(gateway.espd, 20) == 0)
    left = [entry.name for entry in gateway.run_dir.iterdir()]
    check("sockets and TUN are gone", left == [] and "espltest0" not in gateway.host.sh("ip", "link"), left)
    gone = subprocess.run([gateway.build / "bin/espctl", "--socket", gateway.run_dir / "espd.sock", "status"], capture_output=True, text=True)
    check("espctl says that espd is not running", gone.returncode == 1 and "is espd running?" in gone.stderr, gone.stderr)


@contextlib.contextmanager
def together(*makers):
    """The gateways that `makers` make. When what is done with them fails, the ends of their logs are shown; in the end all that runs on them is stopped."""
    gateways = []
    try:
        for make in makers:
            gateways.append(make())
        yield gateways
    except BaseException:
        show_logs([gateway.host for gateway in gateways], "espd.log")
        raise
    finally:
        for gateway in gateways:
            gateway.host.close()


@contextlib.contextmanager
def pair(build, folder, tag, card, card_b="soft", udp=True, top="", outer=("192.0.2.1", "192.0.2.2"), inner=("10.1.0.1", "10.2.0.1"),
         nets=("10.1.0.0/16", "10.2.0.0/24"), far_nets=("10.2.0.0/24", "10.1.0.0/24"), threads=0):
    """The gateways A and B, joined and not started: their cards, addresses outside and inside, and networks, each end's own and the far one as it sees that."""
    tag = f"{tag}{os.getpid() % 100000}"
    makers = [lambda i=i, name=name, engine=engine: Gateway(build, folder / f"{tag}{name}", f"{tag}{name}", engine, udp, outer[i], outer[1 - i], inner[i], nets[i], far_nets[i], top, threads)
              for i, (name, engine) in enumerate((("a", card), ("b", card_b)))]
    with together(*makers) as (a, b):
        bits = 64 if ":" in outer[0] else 24
        join(a.host, f"{outer[0]}/{bits}", b.host, f"{outer[1]}/{bits}")
        yield a, b


class Capture:
    """What passes outside, eth0 of `host`, in the file `path`."""

    def __init__(self, host, folder, name="outside"):
        self.host, self.path = host, folder / f"{name}.pcapng"
        self.dump = host.start("capture", "dumpcap", "-q", "-i", "eth0", "-w", self.path)
        wait_for("the capture", lambda: self.path.exists() and self.path.stat().st_size > 0, 20, [self.dump])

    def end(self):
        time.sleep(0.3)  # what the kernel still holds
        self.host.stop(self.dump)
        return self

    def count(self, wanted):
        """Packets that fit a display filter of tshark's."""
        return run("tshark", "-r", self.path, "-Y", wanted, timeout=600).count("\n")

    def stop(self, least=1000, marker=MARKER):
        """Ends it, with at least `least` octets in it and the marker of the payload nowhere."""
        octets = self.end().path.read_bytes()
        check(f"{len(octets):,} octets outside, no payload in clear", len(octets) > least and marker[:16] not in octets)

    def esp(self):
        """(source, SPI, number) of each ESP packet, each three of text."""
        text = run("tshark", "-r", self.path, "-d", "udp.port==4500,udpencap", "-Y", "esp", "-T", "fields", "-e", "ip.src", "-e", "esp.spi", "-e", "esp.sequence", timeout=600)
        return [tuple(line.split("\t")) for line in text.splitlines()]

    def numbers_once(self, least):
        """Of at least `least` ESP packets none has the source, SPI and number of another."""
        numbers = collections.Counter(self.esp())
        check(f"{len(numbers)} ESP packets, no sequence number twice", len(numbers) > least and max(numbers.values()) == 1, numbers.most_common(3))


def show_logs(hosts, *names):
    """The ends of these logs of each host."""
    for log in (host.folder / name for host in hosts for name in names):
        print(f"--- {log}\n{log.read_text(errors='replace')[-4000:] if log.exists() else ''}", flush=True)


def run_cases(doc, cases, scenario):
    """The main program of a test: scenario(build, folder, *case) for each case, in a folder of its own. Needs root: exit 77 without."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--build", type=Path, required=True)
    options = parser.parse_args()
    if os.geteuid() != 0:
        print("skipped: network namespaces need root")
        sys.exit(77)
    for case in cases:
        print(case, flush=True)
        with tempfile.TemporaryDirectory(prefix="espd-test-") as folder:
            try:
                scenario(options.build.resolve(), Path(folder), *case)
            except (HostError, OSError, subprocess.SubprocessError) as error:
                sys.exit(f"FAILED: {case}: {error}")
    print("all passed")


def scenario(build, card, udp, size, threads, folder):
    with pair(build, folder, "u" if udp else "r", card, card, udp, threads=threads) as (a, b):
        gateways = (a, b)
        for gateway in gateways:
            gateway.start()
        capture = Capture(a.host, folder)
        spi_a, spi_b, keys = first_packet_waits(a, b)
        ping(a, b)
        ping(b, a)
        ping(a, b, extra=("-s", "1372"))
        data = payload(1, MARKER)[:size]
        for source, sink in ((a, b), (b, a)):
            seconds = transfer(source.host, source.inner, sink.host, sink.inner, data)
            check(f"{len(data):,} bytes {source.inner} -> {sink.inner}, {seconds:.1f} s", True)
        refusals(a, (spi_a, spi_b), keys)
        key_daemon_dies(a, b)
        garbage(a, b)
        ike_passes(a, b)
        wrong_selector(a, b)
        lifetimes(a, b)
        print(a.espctl("status"), a.espctl("sa"), a.espctl("stats"), sep="\n")
        deleted(a, b)
        stats = a.stats()
        used, unused = ("udp", "raw") if udp else ("raw", "udp")
        check(f"packets went as {used}", stats["traffic"][f"{used}_esp_out"] > 20 and stats["traffic"][f"{unused}_esp_out"] == 0, stats)
        for gateway in gateways:
            stopped(gateway)
        capture.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--card", default="soft")
    parser.add_argument("--udp", action="store_true", help="ESP in UDP; without, plain ESP")
    parser.add_argument("--size", type=int, default=1_000_000, help="bytes of the file")
    parser.add_argument("--threads", type=int, default=0, help="of espd, for I/O")
    options = parser.parse_args()
    if os.geteuid() != 0:
        print("skipped: network namespaces need root")
        sys.exit(77)
    with tempfile.TemporaryDirectory(prefix="espd-test-") as folder:
        try:
            scenario(options.build.resolve(), options.card, options.udp, options.size, options.threads, Path(folder))
        except (HostError, OSError, subprocess.SubprocessError) as error:
            sys.exit(f"FAILED: {error}")
    print("all passed")


if __name__ == "__main__":
    main()
