#!/usr/bin/env python3
"""The whole path, shown: strongSwan on one host; keyd, espd and the card (simulated) on the other.

Part 1 (needs root): negotiation, ping and a file of 1 MB through the tunnel in both directions, a capture of the
outside, and a table of what it cost. Part 2 (no root, no strongSwan): espcap on a capture file.
Exit status 0 only if all of it worked.
"""
import argparse
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from hosts import Host, HostError, StrongSwan, join, run, wait_for  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
FILE_BYTES = 1_000_000
PSK = "a pre-shared key for this demo only"

SWANCTL = f"""
connections {{
  card {{
    version = 1
    local_addrs = 192.0.2.1
    remote_addrs = 192.0.2.2
    proposals = 3des-sha1-modp2048
    encap = yes
    local {{
      auth = psk
      id = 192.0.2.1
    }}
    remote {{
      auth = psk
      id = 192.0.2.2
    }}
    children {{
      net {{
        local_ts = 10.1.0.0/24
        remote_ts = 10.2.0.0/24
        esp_proposals = 3des-sha1
      }}
    }}
  }}
}}
secrets {{
  ike-card {{
    id = 192.0.2.2
    secret = "{PSK}"
  }}
}}
"""

ESPD = """
card = "{card}"
run_dir = "{folder}"
[[policy]]
name = "peer"
reqid = 1
local_ts = "10.2.0.0/24"
remote_ts = "10.1.0.0/24"
local = "192.0.2.2"
peer = "192.0.2.1"
"""

KEYD = """
[process]
user = "nobody"
control = "{folder}/keyd.sock"
[espd]
pfkey = "{folder}/pfkey.sock"
natt = "{folder}/natt.sock"
[connections.peer]
local_addrs = "192.0.2.2"
remote_addrs = "192.0.2.1"
proposals = ["3des-sha1-modp2048"]
[connections.peer.local]
auth = "psk"
id = "192.0.2.2"
[connections.peer.remote]
auth = "psk"
id = "192.0.2.1"
[connections.peer.children.net]
local_ts = "10.2.0.0/24"
remote_ts = "10.1.0.0/24"
esp_proposals = ["3des-sha1"]
reqid = 1
start_action = "start"
"""

SECRETS = """
[ike.peer]
id = "192.0.2.1"
secret = "{psk}"
"""

RECEIVE = """
import hashlib, socket, sys
with socket.create_server((sys.argv[1], 5001), family=socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET) as server:
    print("ready", flush=True)
    connection, _ = server.accept()
    digest, count = hashlib.sha256(), 0
    while data := connection.recv(65536):
        digest.update(data)
        count += len(data)
    print(count, digest.hexdigest(), flush=True)
"""

SEND = """
import socket, sys
with socket.create_connection((sys.argv[2], 5001), timeout=30, source_address=(sys.argv[1], 0)) as connection:
    connection.settimeout(100)
    connection.sendall(sys.stdin.buffer.read())
"""


def say(text):
    print(f"==> {text}", flush=True)


def transfer(source, source_address, sink, sink_address, data, listen=None):
    """Moves `data` by TCP; returns seconds. Fails unless length and SHA-256 agree at the far end. `listen`: the sink's own address, where a NAT gives it another."""
    receiver = subprocess.Popen(sink.argv(sys.executable, "-c", RECEIVE, listen or sink_address), stdout=subprocess.PIPE, text=True)
    try:
        if receiver.stdout.readline().strip() != "ready":
            raise HostError("the receiver did not start")
        start = time.monotonic()
        subprocess.run(source.argv(sys.executable, "-c", SEND, source_address, sink_address), input=data, check=True, timeout=120)
        count, digest = receiver.stdout.readline().split()
        seconds = time.monotonic() - start
    finally:
        receiver.kill()
        receiver.wait()
    if int(count) != len(data) or digest != hashlib.sha256(data).hexdigest():
        raise HostError(f"file arrived damaged: {count} of {len(data)} bytes, SHA-256 {digest}")
    return seconds


def payload(seed, marker):
    """A file with a marker every 256 bytes, so that a search of the capture finds it if it ever left in clear."""
    generator = random.Random(seed)
    return b"".join(marker + generator.randbytes(256 - len(marker)) for _ in range(FILE_BYTES // 256 + 1))[:FILE_BYTES]


def show_log(path, words, most=14):
    lines = [line for line in path.read_text(errors="replace").splitlines() if any(w in line for w in words)]
    for line in lines[:most]:
        print("    " + line[:150])


def tunnel(build, card, out):
    """Part 1. Returns nothing; raises HostError with what went wrong."""
    folder = Path(tempfile.mkdtemp(prefix="esplanade-demo-"))
    tag = os.getpid()
    started = time.monotonic()
    peer = ours = None
    try:
        say("two hosts: strongSwan at 192.0.2.1 (net 10.1.0.0/24), ours at 192.0.2.2 (net 10.2.0.0/24)")
        peer = Host(f"espl{tag}p", folder / "peer")
        ours = Host(f"espl{tag}o", folder / "ours")
        join(peer, "192.0.2.1/24", ours, "192.0.2.2/24")
        peer.sh("ip", "addr", "add", "10.1.0.1/32", "dev", "lo")
        ours.sh("ip", "addr", "add", "10.2.0.1/32", "dev", "lo")
        capture = folder / "outside.pcapng"
        dump = ours.start("capture", "dumpcap", "-q", "-i", "eth0", "-w", capture)
        wait_for("the capture", lambda: capture.exists() and capture.stat().st_size > 0, 20, [dump])

        strongswan = StrongSwan(peer, SWANCTL)
        say(f"espd with card `{card}`, then keyd, which negotiates")
        (ours.folder / "espd.toml").write_text(ESPD.format(card=card, folder=ours.folder))
        (ours.folder / "keyd.toml").write_text(KEYD.format(folder=ours.folder))
        (ours.folder / "keyd-secrets.toml").write_text(SECRETS.format(psk=PSK))
        os.chmod(ours.folder / "keyd-secrets.toml", 0o600)
        stats_file = folder / "sim-stats.json"
        espd = ours.start("espd", build / "bin/espd", "--config", ours.folder / "espd.toml", env={"ESPLANADE_SIM_STATS": str(stats_file)})
        wait_for("espd's socket", lambda: (ours.folder / "espd.sock").exists(), 60, [espd])
        keyd = ours.start("keyd", build / "bin/keyd", "--config", ours.folder / "keyd.toml")
        wait_for("the security associations", strongswan.established, 30, [keyd, espd])
        show_log(keyd.log, ("main mode", "quick mode", "Main Mode", "Quick Mode", "established", "installed"))
        print("\n".join("    " + line for line in strongswan.swanctl("--list-sas").splitlines() if line))

        say("ping through the tunnel, both directions")
        for host, source, target in ((ours, "10.2.0.1", "10.1.0.1"), (peer, "10.1.0.1", "10.2.0.1")):
            text = host.sh("ping", "-c", "5", "-i", "0.2", "-W", "5", "-I", source, target)
            print("    " + "\n    ".join(text.strip().splitlines()[-2:]))
            if " 0% packet loss" not in text:
                raise HostError("ping lost packets:\n" + text)

        seed = random.SystemRandom().getrandbits(32)
        marker = b"ESPLANADE-CLEARTEXT-MARKER"
        say(f"a file of {FILE_BYTES:,} bytes (seed {seed}), both directions")
        data = payload(seed, marker)
        for source, source_address, sink, sink_address in ((ours, "10.2.0.1", peer, "10.1.0.1"), (peer, "10.1.0.1", ours, "10.2.0.1")):
            seconds = transfer(source, source_address, sink, sink_address, data)
            print(f"    {source_address} -> {sink_address}: SHA-256 agrees, {seconds:.1f} s")

        espctl = [build / "bin/espctl", "--socket", ours.folder / "espd.sock"]
        print(run(*espctl, "sa"))
        stats = json.loads(run(*espctl, "stats", "--json"))
        say("shut down: keyd deletes its SAs at the peer, espd removes them from the card")
        ours.stop(keyd)
        wait_for("the peer to forget the SAs", lambda: not strongswan.established(), 10)
        ours.stop(espd, 20)
        ours.stop(dump)
        if marker in capture.read_bytes():
            raise HostError(f"cleartext of the file left the host: {capture}")
        wait_for("the simulator's statistics", stats_file.exists, 10)
        table(stats, json.loads(stats_file.read_text()), time.monotonic() - started)
        kept = out / "demo-outside.pcapng"
        shutil.copy(capture, kept)
        say(f"the outside, as captured (no cleartext of the file in it): {kept}")
        print(f"    wireshark {kept}       or: tshark -r {kept} -d udp.port==4500,udpencap | head")
    except HostError as error:
        kept = out / "demo-failed"
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(folder, kept, ignore=lambda _, names: [n for n in names if n.endswith(".toml") or n == "swanctl.conf" or n == "vici" or n.endswith(".sock")])
        raise HostError(f"{error}\nlogs kept in {kept}") from error
    finally:
        for host in (ours, peer):
            if host:
                host.close()
        shutil.rmtree(folder, ignore_errors=True)


def table(stats, sim, wall):
    rows = [
        ("SAs", stats["sas"]),
        ("packets encapsulated / decapsulated", f"{stats['encap_packets']:,} / {stats['decap_packets']:,}"),
        ("bytes encapsulated / decapsulated", f"{stats['encap_bytes']:,} / {stats['decap_bytes']:,}"),
        ("cycles simulated", f"{sim['cycles']:,}"),
        ("cycles with packets in flight", f"{stats['busy_cycles']:,}"),
    ]
    total = stats["encap_bytes"] + stats["decap_bytes"]
    rate = total / max(1, stats["busy_cycles"])
    rows += [
        ("bytes per busy cycle", f"{rate:.3f}"),
        ("at 300 MHz, Gb/s", f"{rate * 8 * 0.3:.2f}"),
        ("simulated cycles per second", f"{sim['cycles_per_s']:,.0f}"),
        ("wall time, s", f"{wall:.1f}"),
    ]
    print()
    for name, value in rows:
        print(f"    {name:<38}{value:>22}")
    print(flush=True)


def offline(build, card):
    """Part 2: espcap encrypts and decrypts the shipped capture; the packets must come back."""
    examples = ROOT / "docs/examples"
    with tempfile.TemporaryDirectory(prefix="esplanade-demo-") as folder:
        folder = Path(folder)
        for action, sa, source, sink in (("encrypt", "sa-out.toml", examples / "sample.pcap", folder / "esp.pcap"),
                                         ("decrypt", "sa-in.toml", folder / "esp.pcap", folder / "clear.pcap")):
            say(f"espcap {action} --card {card}")
            print(run(build / "bin/espcap", action, "--sa", examples / sa, "--card", card, source, sink, timeout=170))
        if packets(examples / "sample.pcap") != packets(folder / "clear.pcap"):
            raise HostError("the capture did not survive encryption and decryption")
        say("the capture came back unchanged")


def packets(path):
    """The IP packets of a classic little-endian pcap file of raw IP."""
    data = path.read_bytes()
    at, found = 24, []
    while at < len(data):
        length = int.from_bytes(data[at + 8:at + 12], "little")
        found.append(data[at + 16:at + 16 + length])
        at += 16 + length
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, default=ROOT / "build/dev", help="build folder (default build/dev)")
    parser.add_argument("--card", default="sim", help="sim (default), soft, or an XRT device")
    parser.add_argument("--part", choices=["1", "2", "all"], default="all", help="1: the tunnel; 2: the capture file")
    options = parser.parse_args()
    build = options.build.resolve()
    try:
        if options.part in ("1", "all"):
            if os.geteuid() == 0:
                tunnel(build, options.card, build)
            elif options.part == "1":
                raise HostError("part 1 makes network namespaces and needs root: run it with sudo")
            else:
                say("part 1 makes network namespaces and needs root (sudo ./bootstrap.sh demo): left out")
        if options.part in ("2", "all"):
            offline(build, options.card)
    except (HostError, subprocess.SubprocessError, OSError) as error:
        sys.exit(f"demo: {error}")
    say("demo: all of it worked")


if __name__ == "__main__":
    main()
