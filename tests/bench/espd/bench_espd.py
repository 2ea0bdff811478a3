#!/usr/bin/env python3
"""What espd itself costs: two of them in network namespaces with the reference engine, NULL encryption and HMAC-SHA1 (or what --cipher says), iperf3 through the
tunnel. As JSON {"rows": [...]}: for each way over the outside and load packets and bits a second inside, and of each espd processor time and system calls a
packet. Needs root.

    bench_espd.py --build BUILD_DIR --out FILE [--quick] [--espd FILE]

Rates depend on what else the machine does, and both gateways and iperf3 share its processors; time and calls a packet hardly do. System calls are counted
by strace in a run of their own."""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "tests/interop/espd")]
import pfkey  # noqa: E402
from two_hosts import Gateway, check  # noqa: E402
from hosts import HostError, join, wait_for  # noqa: E402

OUTER = {4: ("192.0.2.1", "192.0.2.2"), 6: ("2001:db8:ffff::1", "2001:db8:ffff::2")}
INNER = ("10.1.0.1", "10.1.0.0/24"), ("10.2.0.1", "10.2.0.0/24")
# Name, outer IP version, ESP in UDP, I/O threads, policies before the one that fits.
PATHS = [("ESP", 4, False, 0, 0), ("ESP in UDP", 4, True, 0, 0), ("ESP over IPv6", 6, False, 0, 0), ("ESP, 1 I/O thread", 4, False, 1, 0),
         ("ESP, 2 I/O threads", 4, False, 2, 0), ("ESP, 1,000 policies", 4, False, 0, 999)]
LOADS = {"TCP": (), "UDP of 1,372": ("-u", "-b", "0", "-l", "1372"), "UDP of 64": ("-u", "-b", "0", "-l", "64")}


def install(gateway, kind, spi, key, cipher):
    source, target = (gateway.peer, gateway.outer) if kind == pfkey.UPDATE else (gateway.outer, gateway.peer)
    encrypt = b"" if cipher == "null" else pfkey.key(pfkey.EXT_KEY_ENCRYPT, key[20:])
    reply = gateway.key.ask(kind, pfkey.sa(spi, cipher=pfkey.NULL if cipher == "null" else pfkey.TRIPLE_DES), pfkey.address(pfkey.EXT_SRC, source),
                            pfkey.address(pfkey.EXT_DST, target), pfkey.key(pfkey.EXT_KEY_AUTH, key[:20]), encrypt, pfkey.sa2(7),
                            pfkey.natt(4500, 4500) if gateway.udp else b"")
    check(f"{gateway.host.name}: an SA", reply.errno == 0, reply.errno)


def connect(a, b, cipher):
    spi_a, spi_b = a.get_spi(), b.get_spi()
    to_b, to_a = os.urandom(44), os.urandom(44)
    install(a, pfkey.UPDATE, spi_a, to_a, cipher)
    install(b, pfkey.UPDATE, spi_b, to_b, cipher)
    install(b, pfkey.ADD, spi_a, to_a, cipher)
    install(a, pfkey.ADD, spi_b, to_b, cipher)


def processor_ns(gateway):
    fields = Path(f"/proc/{gateway.espd.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def packets(gateway):
    stats = gateway.stats()
    return stats["encap_packets"] + stats["decap_packets"]


def iperf(a, b, load, seconds):
    a.host.sh("iperf3", "-c", b.inner, "-B", a.inner, "-t", seconds, "-J", *load, timeout=seconds + 30)


def calls(gateway, folder, run):
    """System calls by name while run() runs."""
    out = folder / f"strace-{gateway.host.name}"
    tracer = subprocess.Popen(["strace", "-f", "-c", "-o", str(out), "-p", str(gateway.espd.pid)], stderr=subprocess.DEVNULL)
    try:
        time.sleep(0.5)
        before = packets(gateway)
        run()
        count = packets(gateway) - before
    finally:
        tracer.send_signal(2)
        tracer.wait(10)
    table = {}
    for line in out.read_text().splitlines():
        row = re.match(r"\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", line)
        if row and row[2] != "total":
            table[row[2]] = int(row[1])
    return table, count


def measure(options, name, version, udp, threads, others, rows):
    tag = f"bes{os.getpid() % 100000}"
    gateways = []
    with tempfile.TemporaryDirectory(prefix="bench-espd-") as folder:
        folder = Path(folder)
        try:
            for side, outer, inner in (("a", OUTER[version], INNER), ("b", OUTER[version][::-1], INNER[::-1])):
                gateways.append(Gateway(options.build, folder / side, tag + side, "soft", udp, *outer, inner[0][0], inner[0][1], inner[1][1], threads=threads))
                config = gateways[-1].config
                before = "".join(f'[[policy]]\nname = "other {i}"\naction = "discard"\nlocal_ts = "0.0.0.0/0"\nremote_ts = "10.3.{i // 256}.{i % 256}[tcp/80]"\n' for i in range(others))
                config.write_text(config.read_text().replace('"debug"', '"warn"').replace("[tun]", f"[tun]\nmtu = {options.mtu}").replace("[[policy]]", f"{before}[[policy]]"))
            a, b = gateways
            length = 24 if version == 4 else 64
            join(a.host, f"{a.outer}/{length}", b.host, f"{b.outer}/{length}")
            for gateway in gateways:
                gateway.host.sh("ip", "link", "set", "eth0", "mtu", 1500 if options.mtu <= 1400 else 9000)
                gateway.start(espd=options.espd)
            connect(a, b, options.cipher)
            server = b.host.start("iperf3", "iperf3", "-s", "-B", b.inner)
            wait_for("iperf3", lambda: "listening" in server.log.read_text() or b.host.sh("ss", "-Hltn", "sport", "=", ":5201"), 10, [server])
            for load, flags in LOADS.items():
                came = b.stats()["decap_bytes"]
                before = [(processor_ns(g), packets(g)) for g in gateways]
                iperf(a, b, flags, options.seconds)
                after = [(processor_ns(g), packets(g)) for g in gateways]
                came = b.stats()["decap_bytes"] - came
                row = {"name": f"{load} over {name}", "mbit_per_s": round(came * 8 / 1e6 / options.seconds, 1),
                       "packets_per_s": round((after[1][1] - before[1][1]) / options.seconds)}
                for gateway, side, then, now in zip(gateways, ("sender", "receiver"), before, after):
                    row[f"{side}_ns"] = round((now[0] - then[0]) / (now[1] - then[1]))
                    table, count = calls(gateway, folder, lambda flags=flags: iperf(a, b, flags, 2))
                    row[f"{side}_calls"] = round(sum(table.values()) / count, 3)
                    row[f"{side}_calls_by_name"] = {call: round(n / count, 3) for call, n in sorted(table.items(), key=lambda e: -e[1])[:6]}
                rows.append(row)
                print(row, flush=True)
        finally:
            for gateway in gateways:
                gateway.host.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--espd", type=Path, help="another espd than that of the build")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cipher", choices=["null", "3des"], default="null")
    parser.add_argument("--mtu", type=int, default=1400, help="of the TUN devices")
    parser.add_argument("--quick", action="store_true", help="one path, short runs")
    options = parser.parse_args()
    if os.geteuid() != 0:
        print("skipped: network namespaces need root")
        sys.exit(77)
    options.build = options.build.resolve()
    options.espd = (options.espd or options.build / "bin/espd").resolve()
    options.seconds = 2 if options.quick else 5
    rows = []
    try:
        for path in PATHS[:1] if options.quick else PATHS:
            measure(options, *path, rows)
    except (HostError, OSError, subprocess.SubprocessError) as error:
        sys.exit(f"bench: {error}")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({"cipher": options.cipher, "mtu": options.mtu, "rows": rows}, indent=1) + "\n")


main()
