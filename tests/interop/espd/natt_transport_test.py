#!/usr/bin/env python3
"""Transport mode through a NAT: a host outside (espd, keyd), a router that masquerades, and two hosts behind it, each with espd and keyd. ping, TCP and UDP pass
between the outside and the first one in both directions, with checksums that hold, though each end made them with addresses that the other does not see; outside
there is nothing but UDP 4500. The second one, which in transport mode cannot be told from the first, is refused, and takes nothing from it. Needs root: exit 77
without."""
import os
import re
import sys

from policy_test import CHILD, KEYD, Side, protect
from two_hosts import MARKED, MARKER, Capture, check, payload, run_cases, show_logs, transfer
from hosts import Host, join, wait_for  # two_hosts.py has set the path

OUTSIDE, NAT = "192.0.2.1", "192.0.2.254"
ROUTER, FIRST, SECOND = "10.9.0.254", "10.9.0.2", "10.9.1.2"


class End(Side):
    """A host with espd and keyd whose traffic with `far`, as it sees that, is protected in transport mode."""

    def __init__(self, build, folder, name, near, far):
        self.build, self.side, self.near, self.far = build, name, near, far
        self.host = Host(f"espln{os.getpid() % 100000}{name}", folder / name)
        self.folder = self.host.folder
        bits = 128 if ":" in near else 32
        ends = {"local_ts": f"{near}/{bits}", "remote_ts": f"{far}/{bits}"}
        self.configure(protect("a", more='mode = "transport"\n', local=near, peer=far, **ends))
        child = CHILD.format(reqid=1, more='mode = "transport"', **ends)
        (self.folder / "keyd.toml").write_text(KEYD.format(dir=self.folder, local=near, peer=far, children=child))
        (self.folder / "keyd-secrets.toml").write_text('[ike.one]\nsecret = "the secret of the test"\n')
        for file in ("keyd.toml", "keyd-secrets.toml"):
            (self.folder / file).chmod(0o600)

    def start(self):
        self.start_espd()
        self.start_keyd()

    def ping(self, count=3):
        text = self.host.sh("ping", "-c", count, "-i", "0.2", "-W", "5", *MARKED, self.far, check=False)
        check(f"{self.side}: ping {self.far}", " 0% packet loss" in text, text)

    def bad_checksums(self):
        """That the host's kernel saw, of TCP and UDP."""
        text = self.host.sh("cat", "/proc/net/snmp")
        lines = [line.split() for line in text.splitlines()]
        return sum(int(dict(zip(names, values))["InCsumErrors"]) for names, values in zip(lines, lines[1:]) if names[0] == values[0] in ("Tcp:", "Udp:"))

    def renew(self):
        """A new pair, asked for here, after the second in which the one before may go on."""
        before = {sa["spi"] for sa in self.ask("sa")["sas"]}
        self.espctl("ike", "--socket", self.folder / "run/keyd.sock", "rekey", "peer")
        wait_for("the renewed pair", lambda: len({sa["spi"] for sa in self.ask("sa")["sas"]} - before) == 2, 10)


def both_ways(outside, behind):
    """All that applications send; each end at the address that it has, asked for at the one that it is seen at."""
    data = payload(1, MARKER)[:300_000]
    for source, sink in ((behind, outside), (outside, behind)):
        source.ping()
        transfer(source.host, source.near, sink.host, source.far, data, listen=sink.near)
        port = 7000 + len(sink.host.processes)
        heard = sink.listen(port, sink.near)
        for size in (600, 5000):  # the second one in fragments, which become one datagram before they are protected
            check("the kernel takes a datagram", source.send(port, size, source=source.near, target=source.far))
        wait_for(f"datagrams at {sink.near}", lambda: len(heard()) == 2, 5)
        check("each arrived as it was sent", heard() == [600, 5000], heard())
        check(f"TCP and UDP {source.near} -> {source.far}", True)


def scenario(build, folder):
    router = Host(f"espln{os.getpid() % 100000}r", folder / "router")
    outside, first, second = ends = [End(build, folder, "a", OUTSIDE, NAT), End(build, folder, "b", FIRST, OUTSIDE), End(build, folder, "c", SECOND, OUTSIDE)]
    try:
        join(outside.host, f"{OUTSIDE}/24", router, f"{NAT}/24")
        for end, address, name in ((first, ROUTER, "lan0"), (second, "10.9.1.254", "lan1")):
            join(end.host, f"{end.near}/24", router, f"{address}/24", "eth0", name)
            end.host.sh("ip", "route", "add", "default", "via", address)
        router.sh("sysctl", "-q", "-w", "net.ipv4.ip_forward=1")
        router.sh("nft", f"add table ip nat; add chain ip nat out {{ type nat hook postrouting priority srcnat; }}; add rule ip nat out ip saddr 10.9.0.0/16 oifname eth0 masquerade")
        for end in ends:
            end.start()
        capture = Capture(outside.host, folder)
        first.ping()
        both_ways(outside, first)
        sas = outside.ask("sa")["sas"]
        check("transport mode in UDP", {sa["mode"] for sa in sas} == {"transport"} and {sa["src"] for sa in sas} == {OUTSIDE, NAT}, sas)

        refused = second.host.sh("ping", "-c", "1", "-W", "3", OUTSIDE, check=False)
        check("a second host behind the NAT is not served", " 100% packet loss" in refused, refused)
        log = outside.keyd.log.read_text()
        check("and is told why in the log", re.search(rf"quick mode .*{FIRST}, behind the same NAT, has this traffic", log), log[-2000:])
        check("it took nothing from the first", {sa["spi"] for sa in outside.ask("sa")["sas"]} == {sa["spi"] for sa in sas})
        outside.renew()  # with the first, though the second's main mode is the newer one
        first.renew()
        both_ways(outside, first)

        clear = capture.end().count("ip && !(udp.port == 4500) && !(udp.port == 500) && !(ip.proto == 17 && ip.flags.mf == 1)")
        check("nothing outside but UDP 4500 and the first messages of IKE", clear == 0 and capture.count("udp.port == 4500") > 300, clear)
        octets = capture.path.read_bytes()
        check("and nothing of it in clear", MARKER[:16] not in octets)
        for end in (outside, first):
            drops = end.ask("stats")["drops"]
            check(f"{end.side}: no checksum was wrong, nothing was dropped", end.bad_checksums() == 0 and not drops, drops)
    except BaseException:
        show_logs([end.host for end in ends], "espd.log", "keyd.log")
        raise
    finally:
        for host in (*(end.host for end in ends), router):
            host.close()


if __name__ == "__main__":
    run_cases(__doc__, [()], scenario)
