#!/usr/bin/env python3
"""What people run: ping, curl and iperf3 through a tunnel between strongSwan and keyd with espd, whose card is simulated: with the functional model, and clock by clock with the RTL.
Nothing in clear, no number twice. Needs root: exit 77 without."""
import hashlib
import os
import sys

from tunnels import Tunnels, wait_for
from two_hosts import MARKED, MARKER, Capture, check, iperf3, run_cases, show_logs

OURS, PEER = "10.2.1.1", "10.1.1.1"  # inside


def curl(tunnels, folder, size):
    """A file by HTTP, from the peer's side to ours."""
    octets = (MARKER + os.urandom(1000)) * (size // 1000)
    (folder / "file").write_bytes(octets)
    server = tunnels.peer.start("http", sys.executable, "-m", "http.server", "--bind", PEER, "--directory", folder, "8080")
    wait_for("the HTTP server", lambda: tunnels.peer.sh("ss", "-Hltn", "sport", "=", ":8080"), 10, [server])
    tunnels.ours.sh("curl", "-sS", "--fail", "--interface", OURS, "--max-time", "100", "-o", folder / "got", f"http://{PEER}:8080/file", timeout=110)
    got = (folder / "got").read_bytes()
    check(f"curl: {len(got):,} octets", hashlib.sha256(got).digest() == hashlib.sha256(octets).digest())


def scenario(build, folder, model, size, udp_rate):
    tunnels = Tunnels(build, folder, f"pr{os.getpid() % 100000}", (1,), 'card = "sim"\n', env={"ESPLANADE_SIM_MODEL": model})
    try:
        tunnels.start()
        capture = Capture(tunnels.ours, folder)
        for host, source, target in ((tunnels.ours, OURS, PEER), (tunnels.peer, PEER, OURS)):
            text = host.sh("ping", "-c", "3", "-i", "0.2", "-W", "5", *MARKED, "-I", source, target, check=False)
            check(f"ping {source} -> {target}", " 0% packet loss" in text, text)
        curl(tunnels, folder, size)
        for way in ((), ("-R",)):
            tcp = iperf3(tunnels.ours, OURS, tunnels.peer, PEER, 2, *way)["sum_received"]
            check(f"iperf3 {' '.join(way)}: TCP, {tcp['bytes']:,} octets", tcp["bytes"] > 50_000, tcp)
            udp = iperf3(tunnels.ours, OURS, tunnels.peer, PEER, 2, "-u", "-b", udp_rate, "-l", "1200", *way)["sum"]
            check(f"iperf3 {' '.join(way)}: UDP, {udp['packets']} datagrams, {udp['lost_packets']} lost", udp["packets"] > 50 and udp["lost_packets"] * 50 <= udp["packets"], udp)
        card = tunnels.ask("status")["card"]
        check(f"the card: {card}", "simulated" in card)
        capture.stop(least=size)
        capture.numbers_once(500)
    except BaseException:
        show_logs([tunnels.ours, tunnels.peer], "espd.log", "keyd.log", "charon.log")
        raise
    finally:
        for host in (tunnels.ours, tunnels.peer):
            host.close()


run_cases(__doc__, [("functional", 3_000_000, "2M"), ("rtl", 500_000, "500K")], scenario)
