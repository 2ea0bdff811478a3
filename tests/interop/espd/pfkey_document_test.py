#!/usr/bin/env python3
"""docs/pfkey.md against a running espd on the simulated card: its annotated exchange is made anew and must be the same to the octet (but for SPI and time, which
are the card's and the clock's), and what it says of refusals and limits must hold. `--print` prints the exchange for the document. Needs root: exit 77 without."""
import argparse
import errno
import os
import re
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "demo"), str(Path(__file__).resolve().parent)]
import pfkey  # noqa: E402
from hosts import Host, HostError, wait_for  # noqa: E402

DOCUMENT = ROOT / "docs/pfkey.md"
CONFIG = """
card = "sim"
run_dir = "{run_dir}"
[tun]
name = "espltest0"
[[policy]]
name = "branch"
reqid = 1
local_ts = "10.2.0.0/24"
remote_ts = "10.1.0.0/24"
local = "192.0.2.2"
peer = "192.0.2.1"
udp_encap = "{encap}"
"""
LOCAL, PEER, PEER_SPI = "192.0.2.2", "192.0.2.1", 0xc0ffee01
AUTH_IN, ENC_IN = bytes(range(0x10, 0x24)), bytes.fromhex("0123456789abcdef23456789abcdef01456789abcdef0123")
AUTH_OUT, ENC_OUT = bytes(range(0x40, 0x54)), bytes.fromhex("fedcba9876543210dcba9876543210feba9876543210fedc")
NAMES = ["", "GETSPI", "UPDATE", "ADD", "DELETE", "GET", "ACQUIRE", "REGISTER", "EXPIRE", "FLUSH", "DUMP"]


def check(what, good, told=""):
    if not good:
        raise HostError(f"{what}: {told}")
    print(f"    ok: {what}", flush=True)


# ------------------------------------------------------------------------------------------------------ what octets mean

def lifetime_words(body):
    packets, octets, added, used = struct.unpack("=IQQQ", body)
    return f"packets {packets}, octets {octets}, addtime {added}, usetime {used}"


def algorithm_words(body):
    algorithms = [struct.unpack_from("=BBHH", body, at) for at in range(4, len(body), 8)]
    return ", ".join(f"{number} (IV {iv}, {least} bits)" for number, iv, least, _ in algorithms)


def address_words(body):
    proto, prefix = struct.unpack_from("=BB", body)
    family, = struct.unpack_from("=H", body, 4)
    return f"prefix {prefix}, protocol {proto}; family {family}, port {struct.unpack_from('!H', body, 6)[0]}, {socket.inet_ntoa(body[8:12])}"


def sa_words(body):
    spi, = struct.unpack_from("!I", body)
    window, state, auth, cipher, flags = struct.unpack_from("=BBBBI", body, 4)
    return f"SPI {spi:08x}, window {window}, state {state}, auth {auth}, encrypt {cipher}, flags {flags}"


EXTENSIONS = {
    pfkey.EXT_SA: ("SA", sa_words),
    pfkey.EXT_CURRENT: ("LIFETIME_CURRENT", lifetime_words),
    pfkey.EXT_HARD: ("LIFETIME_HARD", lifetime_words),
    pfkey.EXT_SOFT: ("LIFETIME_SOFT", lifetime_words),
    pfkey.EXT_SRC: ("ADDRESS_SRC", address_words),
    pfkey.EXT_DST: ("ADDRESS_DST", address_words),
    pfkey.EXT_KEY_AUTH: ("KEY_AUTH", lambda b: f"{struct.unpack_from('=H', b)[0]} bits"),
    pfkey.EXT_KEY_ENCRYPT: ("KEY_ENCRYPT", lambda b: f"{struct.unpack_from('=H', b)[0]} bits"),
    14: ("SUPPORTED_AUTH", algorithm_words),
    15: ("SUPPORTED_ENCRYPT", algorithm_words),
    pfkey.EXT_SPIRANGE: ("SPIRANGE", lambda b: "{:08x} to {:08x}".format(*struct.unpack_from("=II", b))),
    pfkey.EXT_SA2: ("X_SA2", lambda b: "mode {}, sequence {}, reqid {}".format(b[0], *struct.unpack_from("=II", b, 4))),
    pfkey.EXT_NATT_TYPE: ("X_NAT_T_TYPE", lambda b: f"{b[0]}: ESP in UDP"),
    pfkey.EXT_NATT_SPORT: ("X_NAT_T_SPORT", lambda b: str(struct.unpack_from("!H", b)[0])),
    pfkey.EXT_NATT_DPORT: ("X_NAT_T_DPORT", lambda b: str(struct.unpack_from("!H", b)[0])),
}


def lines_of(octets, words):
    """Sixteen octets a line, what they mean behind the first."""
    for at in range(0, len(octets), 16):
        row = octets[at:at + 16].hex(" ", 1)
        yield f"{row:<47} | {words if at == 0 else ''}".rstrip(" |") if at else f"{row:<47} | {words}"


def annotate(arrow, octets):
    kind, error, satype, units, seq, pid = struct.unpack_from("=xBBBHxxII", octets)
    yield f"{arrow} SADB_{NAMES[kind]}"
    yield from lines_of(octets[:16], f"version 2, type {kind}, errno {error}, satype {satype}, {units} units, seq {seq}, pid {pid}")
    at = 16
    while at < len(octets):
        units, ext = struct.unpack_from("=HH", octets, at)
        name, words = EXTENSIONS[ext]
        yield from lines_of(octets[at:at + units * 8], f"{name}: {words(octets[at + 4:at + units * 8])}")
        at += units * 8


# ------------------------------------------------------------------------------------------------------ espd and a client

class Recorder(pfkey.Client):
    """Keeps what went over the socket."""

    def __init__(self, path):
        super().__init__(path, pid=4711)
        self.record = []

    def send(self, kind, *extensions, **kw):
        seq = super().send(kind, *extensions, **kw)
        body = b"".join(extensions)
        satype = kw.get("satype", pfkey.SATYPE_ESP)
        self.record.append((">", struct.pack("=BBBBHHII", 2, kind, kw.get("errno", 0), satype, (16 + len(body)) // 8, 0, seq, self.pid) + body))
        return seq

    def receive(self):
        reply = super().receive()
        self.record.append(("<", reply.octets))
        return reply


class Gateway:
    def __init__(self, build, folder, encap):
        self.host = Host(f"espk{os.getpid() % 100000}", folder)
        self.run_dir = folder / "run"
        (folder / "espd.toml").write_text(CONFIG.format(run_dir=self.run_dir, encap=encap))
        self.host.sh("ip", "link", "add", "outside", "type", "veth", "peer", "name", "nobody")
        self.host.sh("ip", "addr", "add", f"{LOCAL}/24", "dev", "outside")
        self.host.sh("ip", "addr", "add", "10.2.0.1/32", "dev", "lo")
        for end in ("outside", "nobody"):
            self.host.sh("ip", "link", "set", end, "up")
        self.espd = self.host.start("espd", build / "bin/espd", "--config", folder / "espd.toml", env={"ESPLANADE_SIM_MODEL": "functional"})
        wait_for("espd's status socket", lambda: (self.run_dir / "espd.sock").exists(), 60, [self.espd])
        self.socket = self.run_dir / "pfkey.sock"

    def packet(self):
        """One IP packet of 84 octets for the policy."""
        return subprocess.Popen(self.host.argv("ping", "-c", "1", "-W", "10", "-I", "10.2.0.1", "10.1.0.7"), stdout=subprocess.DEVNULL)


def addresses(source, target):
    return pfkey.address(pfkey.EXT_SRC, source), pfkey.address(pfkey.EXT_DST, target)


def spi_range(least=0x100, most=0xffffffff):
    return pfkey.extension(pfkey.EXT_SPIRANGE, struct.pack("=III", least, most, 0))


def sa_requests(spi, inbound, port=4500):
    """Extensions of the SA in one direction, without lifetimes."""
    source, target = (PEER, LOCAL) if inbound else (LOCAL, PEER)
    auth, enc = (AUTH_IN, ENC_IN) if inbound else (AUTH_OUT, ENC_OUT)
    ports = (port, 4500) if inbound else (4500, port)
    return [pfkey.sa(spi), *addresses(source, target), pfkey.key(pfkey.EXT_KEY_AUTH, auth), pfkey.key(pfkey.EXT_KEY_ENCRYPT, enc), pfkey.sa2(1), pfkey.natt(*ports)]


def exchange(gateway):
    """The exchange of the document: its record and the SPI of the card."""
    key = Recorder(gateway.socket)
    check("REGISTER", key.ask(pfkey.REGISTER).errno == 0)
    ping = gateway.packet()
    try:
        asked = key.wait_unasked(pfkey.ACQUIRE)
        got = key.ask(pfkey.GETSPI, *addresses(PEER, LOCAL), spi_range(), pfkey.sa2(1))
        check("GETSPI", got.errno == 0, got.errno)
        spi = got.spi()
        limits = [pfkey.lifetime(pfkey.EXT_HARD, octets=1 << 30, seconds=3600), pfkey.lifetime(pfkey.EXT_SOFT, octets=7 << 27, seconds=3000)]
        check("UPDATE", key.ask(pfkey.UPDATE, *sa_requests(spi, True), *limits).errno == 0)
        limits = [pfkey.lifetime(pfkey.EXT_HARD, seconds=3600), pfkey.lifetime(pfkey.EXT_SOFT, seconds=2)]
        check("ADD", key.ask(pfkey.ADD, *sa_requests(PEER_SPI, False), *limits).errno == 0)
        check("ACQUIRE was that of the policy", asked.reqid() == 1)
        expired = key.wait_unasked(pfkey.EXPIRE)
        check("EXPIRE is of the outbound SA", expired.spi() == PEER_SPI)
        check("the move", key.ask(pfkey.UPDATE, pfkey.extension(pfkey.EXT_SA, struct.pack("!IBBBBI", PEER_SPI, 0, 1, 0, 0, 0)), *addresses(LOCAL, PEER),
                                  pfkey.sa2(1, mode=0), pfkey.natt(4500, 20000)).errno == 0)
        dumped = key.dump()
        check("DUMP shows both, and the new port", [r.spi() for r in dumped] == [spi, PEER_SPI] and dumped[1].ext[pfkey.EXT_NATT_DPORT][4:6] == (20000).to_bytes(2, "big"))
        check("DELETE", key.ask(pfkey.DELETE, pfkey.sa(PEER_SPI), *addresses(LOCAL, PEER)).errno == 0)
        check("FLUSH", key.ask(pfkey.FLUSH).errno == 0)
        check("DUMP of nothing", key.dump() == [])
        check("what does not fit", key.ask(pfkey.GETSPI, *addresses("203.0.113.9", LOCAL), pfkey.sa2(1)).errno == errno.EINVAL)
    finally:
        ping.kill()
        ping.wait()
        key.close()
    return key.record, spi


def shown(record, spi, spi_shown, time_shown):
    """The exchange as text, with the given SPI and times in place of the card's and the clock's."""
    out = []
    for arrow, octets in record:
        octets = bytearray(octets.replace(struct.pack("!I", spi), struct.pack("!I", spi_shown)))
        at = 16
        while at < len(octets):
            units, ext = struct.unpack_from("=HH", octets, at)
            if ext == pfkey.EXT_CURRENT and time_shown is not None:
                struct.pack_into("=Q", octets, at + 16, time_shown)
            at += units * 8
        out += [*annotate(arrow, bytes(octets)), ""]
    return "\n".join(out).rstrip() + "\n"


def compare(record, spi):
    block = re.search(r"^```text\n(> SADB_REGISTER\n.*?)^```", DOCUMENT.read_text(), re.M | re.S)
    check("the document has an exchange", block is not None)
    spi_shown = int(re.search(r"< SADB_GETSPI\n.*\n.*SA: SPI ([0-9a-f]{8})", block[1])[1], 16)
    time_shown = int(re.search(r"LIFETIME_CURRENT: .* addtime (\d+)", block[1])[1])
    text = shown(record, spi, spi_shown, time_shown)
    for number, (documented, seen) in enumerate(zip(block[1].splitlines(), text.splitlines()), 1):
        if documented != seen:
            raise HostError(f"line {number} of the exchange in docs/pfkey.md:\n    document: {documented}\n    espd:     {seen}")
    check("the exchange of the document is what espd says, to the octet", block[1] == text)


# ------------------------------------------------------------------------------------------------------ refusals and limits

def refusals(gateway):
    key = pfkey.Client(gateway.socket)

    def refused(what, number, kind, *extensions, **kw):
        reply = key.ask(kind, *extensions, **kw)
        check(f"{what}: {errno.errorcode[number]}", reply.errno == number and pfkey.EXT_KEY_AUTH not in reply.ext, reply.errno)

    pair = addresses(PEER, LOCAL)
    refused("EXPIRE is no request", errno.EOPNOTSUPP, pfkey.EXPIRE)
    refused("GETSPI without X_SA2", errno.EINVAL, pfkey.GETSPI, *pair)
    refused("GETSPI for AH, which the policy does not use", errno.EINVAL, pfkey.GETSPI, *pair, pfkey.sa2(1), satype=2)
    refused("GETSPI for another protocol", errno.EOPNOTSUPP, pfkey.GETSPI, *pair, pfkey.sa2(1), satype=9)
    refused("GETSPI for no policy", errno.EINVAL, pfkey.GETSPI, *pair, pfkey.sa2(99))
    refused("GETSPI in a range without a free one", errno.ENOSPC, pfkey.GETSPI, *pair, spi_range(1, 2), pfkey.sa2(1))
    refused("a range that ends before it begins", errno.EINVAL, pfkey.GETSPI, *pair, spi_range(9, 8), pfkey.sa2(1))
    refused("an extension twice", errno.EINVAL, pfkey.GETSPI, *pair, pfkey.sa2(1), pfkey.sa2(1))
    refused("an unknown extension", errno.EOPNOTSUPP, pfkey.GETSPI, *pair, pfkey.sa2(1), pfkey.extension(99, bytes(4)))
    outbound = sa_requests(0x1000, False)

    def changed(at, new):
        return [*outbound[:at], new, *outbound[at + 1:]]

    refused("UPDATE without GETSPI", errno.ESRCH, pfkey.UPDATE, *sa_requests(0x1000, True))
    refused("ADD with an inbound SA's addresses", errno.EINVAL, pfkey.ADD, *sa_requests(0x1000, True))
    plain = pfkey.extension(pfkey.EXT_SA, struct.pack("!I", 0x1000) + struct.pack("=BBBBI", 64, 1, 3, 0, 0))
    refused("ADD of AH", errno.EINVAL, pfkey.ADD, plain, *outbound[1:4], pfkey.sa2(1), satype=2)
    refused("a reserved SPI", errno.EINVAL, pfkey.ADD, *changed(0, pfkey.sa(255)))
    refused("a window that is no multiple of 32", errno.EINVAL, pfkey.ADD, *changed(0, pfkey.sa(0x1000, replay=33)))
    unknown = pfkey.extension(pfkey.EXT_SA, struct.pack("!I", 0x1000) + struct.pack("=BBBBI", 64, 1, 3, 12, 0))
    refused("an unknown cipher", errno.EOPNOTSUPP, pfkey.ADD, *changed(0, unknown))
    refused("a key too short", errno.EINVAL, pfkey.ADD, *changed(4, pfkey.key(pfkey.EXT_KEY_ENCRYPT, ENC_OUT[:16])))
    refused("a weak key", errno.EINVAL, pfkey.ADD, *changed(4, pfkey.key(pfkey.EXT_KEY_ENCRYPT, bytes([1]) * 24)))
    refused("transport mode", errno.EINVAL, pfkey.ADD, *changed(5, pfkey.sa2(1, mode=1)))
    refused("no mode", errno.EINVAL, pfkey.ADD, *changed(5, pfkey.sa2(1, mode=0)))
    refused("BEET mode", errno.EOPNOTSUPP, pfkey.ADD, *changed(5, pfkey.sa2(1, mode=4)))
    refused("another port on this side", errno.EINVAL, pfkey.ADD, *changed(6, pfkey.natt(4501, 4500)))
    refused("a port without X_NAT_T_TYPE", errno.EINVAL, pfkey.ADD, *changed(6, pfkey.extension(pfkey.EXT_NATT_SPORT, struct.pack("!HH", 4500, 0))))
    refused("RFC 3948's forerunner", errno.EOPNOTSUPP, pfkey.ADD, *changed(6, pfkey.extension(pfkey.EXT_NATT_TYPE, bytes([1, 0, 0, 0]))))
    check("ADD", key.ask(pfkey.ADD, *outbound).errno == 0)
    got = key.ask(pfkey.GET, pfkey.sa(0x1000), *addresses(LOCAL, PEER))
    check("GET has no keys", got.errno == 0 and got.reqid() == 1 and pfkey.EXT_KEY_AUTH not in got.ext and pfkey.EXT_KEY_ENCRYPT not in got.ext)
    refused("ADD again", errno.EEXIST, pfkey.ADD, *outbound)
    refused("GET of none", errno.ESRCH, pfkey.GET, pfkey.sa(0x1001), *addresses(LOCAL, PEER))
    refused("DELETE of none", errno.ESRCH, pfkey.DELETE, pfkey.sa(0x1001), *addresses(LOCAL, PEER))
    refused("DELETE without an SA type", errno.EINVAL, pfkey.DELETE, pfkey.sa(0x1000), *addresses(LOCAL, PEER), satype=0)
    check("nothing is installed but the one", len(key.dump()) == 1)
    # Form: without a header there is no answer, with one there is; the connection stays.
    key.socket.send(b"\2\1\0\3")
    key.socket.send(struct.pack("=BBBBHHII", 1, pfkey.DUMP, 0, 0, 2, 0, 77, 88))
    reply = key.receive()
    check("another version: EOPNOTSUPP, with seq and pid", (reply.errno, reply.seq, reply.pid) == (errno.EOPNOTSUPP, 77, 88))
    key.socket.send(struct.pack("=BBBBHHII", 2, pfkey.DUMP, 0, 0, 3, 0, 78, 88))
    check("a length that does not fit: EINVAL", key.receive().errno == errno.EINVAL)
    key.socket.send(struct.pack("=BBBBHHII", 2, 11, 0, 0, 2, 0, 79, 88))
    check("no answer to a type above DUMP", key.ask(pfkey.FLUSH).errno == 0)
    key.socket.send(bytes(4097))
    try:
        key.receive()
        gone = False
    except (ConnectionError, OSError):
        gone = True
    check("a message of more than 4,096 octets ends the connection", gone)
    key.close()


def larval(gateway):
    key = pfkey.Client(gateway.socket)
    spi = key.ask(pfkey.GETSPI, *addresses(PEER, LOCAL), pfkey.sa2(1)).spi()
    check("a larval SPI is not in DUMP", key.dump() == [])
    check("UPDATE makes it an SA", key.ask(pfkey.UPDATE, *sa_requests(spi, True)).errno == 0)
    check("a second UPDATE with keys: ESRCH", key.ask(pfkey.UPDATE, *sa_requests(spi, True)).errno == errno.ESRCH)
    unused = key.ask(pfkey.GETSPI, *addresses(PEER, LOCAL), pfkey.sa2(1)).spi()
    check("DELETE gives a larval SPI back", key.ask(pfkey.DELETE, pfkey.sa(unused), *addresses(PEER, LOCAL)).errno == 0)
    check("once", key.ask(pfkey.DELETE, pfkey.sa(unused), *addresses(PEER, LOCAL)).errno == errno.ESRCH)
    key.close()
    key = pfkey.Client(gateway.socket)
    check("an SA outlives the socket that made it", [r.spi() for r in key.dump()] == [spi])
    check("FLUSH leaves it, DELETE does not", key.ask(pfkey.FLUSH).errno == 0 and key.ask(pfkey.DELETE, pfkey.sa(spi), *addresses(PEER, LOCAL)).errno == 0)
    check("nothing is left", key.dump() == [])
    key.close()


def expiry(gateway):
    """Who is told of limits, and what a hard one does. Answers go to who asked."""
    key, other, silent = (pfkey.Client(gateway.socket, pid) for pid in (1, 2, 3))
    for client in (key, other):
        client.ask(pfkey.REGISTER)
    check("ADD", key.ask(pfkey.ADD, *sa_requests(0x2000, False), pfkey.lifetime(pfkey.EXT_HARD, seconds=1)).errno == 0)
    for client in (key, other):
        told = client.wait_unasked(pfkey.EXPIRE)
        state = told.ext[pfkey.EXT_SA][9]
        check("hard EXPIRE goes to each registered socket: state dead", told.spi() == 0x2000 and state == 3 and pfkey.EXT_HARD in told.ext and
              pfkey.EXT_SOFT not in told.ext and (told.seq, told.pid) == (0, 0))
    check("the SA is gone", key.dump() == [])
    silent.socket.settimeout(0.2)
    try:
        silent.receive()
        check("no message to a socket that did not register", False)
    except TimeoutError:
        print("    ok: no message to a socket that did not register", flush=True)
    # A negotiation that failed drops the packets that wait.
    ping = gateway.packet()
    asked = key.wait_unasked(pfkey.ACQUIRE)
    check("each registered socket has the ACQUIRE", other.wait_unasked(pfkey.ACQUIRE).seq == asked.seq)
    key.send(pfkey.ACQUIRE, pfkey.sa2(1), errno=errno.EACCES, seq=asked.seq)
    check("an ACQUIRE with an errno has no answer", key.ask(pfkey.FLUSH).errno == 0 and not key.unasked)
    ping.kill()
    ping.wait()
    for client in (key, other, silent):
        client.close()


def access(gateway):
    mode = os.lstat(gateway.socket).st_mode
    check("a socket of mode 0600", stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o600, oct(mode))
    script = "import os, socket, sys\nos.setgid(65534); os.setuid(65534)\ns = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\ns.connect(sys.argv[1])"
    for path in (gateway.socket, *gateway.socket.parents):
        if path.name:
            path.chmod(0o755 if path.is_dir() else 0o666)  # the mode alone is not what keeps others out
        if path == Path(tempfile.gettempdir()) or path.parent == Path(tempfile.gettempdir()):
            break
    end = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    end.settimeout(5)
    script += "\ns.settimeout(5)\nsys.exit(0 if s.recv(10) == b'' else 1)"
    done = subprocess.run([sys.executable, "-c", script, str(gateway.socket)], capture_output=True, text=True)
    check("another user is cut off", done.returncode == 0, done.stderr)
    gateway.socket.chmod(0o600)
    many = []
    for n in range(16):
        many.append(pfkey.Client(gateway.socket, n))
        many[-1].ask(pfkey.FLUSH)  # served, before the next one comes
    check("sixteen clients are served", all(client.ask(pfkey.FLUSH).errno == 0 for client in many))
    end.connect(str(gateway.socket))
    check("a seventeenth is not", end.recv(10) == b"")
    for client in (*many, end):
        client.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--print", action="store_true", help="print the exchange for the document; test nothing else")
    options = parser.parse_args()
    if os.geteuid() != 0:
        print("skipped: network namespaces need root")
        sys.exit(77)
    with tempfile.TemporaryDirectory(prefix="espd-test-") as folder:
        gateway = None
        try:
            gateway = Gateway(options.build.resolve(), Path(folder) / "a", "auto")
            record, spi = exchange(gateway)
            if options.print:
                print(shown(record, spi, spi, None), end="")
                return
            compare(record, spi)
            refusals(gateway)
            time.sleep(0.1)  # espd sees that the former client has gone
            larval(gateway)
            expiry(gateway)
            access(gateway)
        except (HostError, OSError, subprocess.SubprocessError, AssertionError) as error:
            if gateway is not None:
                print((Path(folder) / "a/espd.log").read_text(errors="replace")[-4000:])
            sys.exit(f"FAILED: {error}")
        finally:
            if gateway is not None:
                gateway.host.close()
    print("all passed")


if __name__ == "__main__":
    main()
