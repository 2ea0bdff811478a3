#!/usr/bin/env python3
"""espd with a thread for each queue of its TUN device: flows spread over the queues, the packets of an SA and of a TCP connection keep their order, UDP in large
packets comes apart as it was, nothing in clear; it stops under load, and ends when its TUN device is taken away. Needs root: exit 77 without."""
import collections
import re
from pathlib import Path

from two_hosts import MARKED, Capture, check, connect_with_sas, iperf3, pair, ping, run_cases, stopped, wait_for

THREADS = 3
CONNECTIONS = 32  # by chance all of them would miss a queue once in 100,000 times


def awoken(gateway):
    """How often each thread of espd has slept and was woken, by its name."""
    out = collections.Counter()
    for task in Path(f"/proc/{gateway.espd.pid}/task").iterdir():
        out[(task / "comm").read_text().strip()] += int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", (task / "status").read_text(), re.M)[1])
    return out


def in_order(capture):
    """Every ESP packet has a higher number than the one before it of its SA."""
    last, packets = {}, 0
    for source, spi, number in capture.esp():
        number = int(number, 0)
        check_order = last.get((source, spi), 0)
        if number <= check_order:
            check(f"SA {spi} of {source}: number {number} after {check_order}", False)
        last[source, spi] = number
        packets += 1
    check(f"{packets} ESP packets of {len(last)} SAs, each SA's in order", packets > 1000 and len(last) >= 2)


def scenario(build, folder, way, udp, outer):
    with pair(build, folder, "th", "soft", "soft", udp, outer=outer, threads=THREADS) as (a, b):
        for gateway in (a, b):
            gateway.start()
        queues = a.host.sh("ls", "/sys/class/net/espltest0/queues").split()
        check("queues of the TUN device", sorted(q for q in queues if q.startswith("rx")) == [f"rx-{i}" for i in range(THREADS)], queues)
        connect_with_sas(a, b)
        connect_with_sas(a, b)
        capture = Capture(a.host, folder)
        ping(a, b, extra=MARKED)
        ping(b, a, extra=MARKED)
        before = awoken(a)
        for source, sink in ((a, b), (b, a)):
            tcp = iperf3(source.host, source.inner, sink.host, sink.inner, 1, "-P", CONNECTIONS)
            check(f"TCP, {CONNECTIONS} connections", tcp["sum_received"]["bytes"] > 50_000, tcp["sum_received"])
            datagrams = iperf3(source.host, source.inner, sink.host, sink.inner, 1, "-u", "-b", "20M", "-l", "1000")["streams"][0]["udp"]
            check(f"UDP, {datagrams['packets']} datagrams in order", datagrams["out_of_order"] == 0 and datagrams["packets"] > 1000, datagrams)
        busy = awoken(a) - before
        check(f"all threads work: {dict(busy)}", all(busy[f"espd-io{i + 1}"] > 10 for i in range(THREADS)), busy)
        statistics = b.stats()
        check("nothing lost in espd", not statistics["drops"].get("tun-write") and not statistics["drops"].get("outside-send"), statistics["drops"])
        capture.end()
        in_order(capture)
        capture.stop()
        load = a.host.start("load", "iperf3", "-c", b.inner, "-B", a.inner, "-t", "60", "-u", "-b", "50M")
        stopped(a)  # under load, if anything listens or not
        load.terminate()
        b.host.sh("ip", "link", "del", "espltest0")
        wait_for("espd to end without its TUN device", lambda: b.espd.poll() is not None, 10)
        log = b.espd.log.read_text()
        check("it says why", b.espd.returncode == 1 and re.search(r"TUN device", log.splitlines()[-1]), (b.espd.returncode, log[-300:]))


run_cases(__doc__, [("raw", False, ("192.0.2.1", "192.0.2.2")), ("UDP over IPv6", True, ("2001:db8:ffff::1", "2001:db8:ffff::2"))], scenario)
