#!/usr/bin/env python3
"""A path whose middle takes 1,280 octets, and links of 1,500 at both ends: two espd, two routers between them, a host behind one of the two. TCP in both
directions, with the routers' ICMP errors and without, also where one espd alone is told of the path; what senders are told; what a forged error does; fragments of ESP; ICMP errors of the inside.
Needs root: exit 77 without."""
import os
import re
import socket
import struct
import sys

from two_hosts import MARKER, Gateway, check, connect_with_sas, pair, payload, run_cases, show_logs, transfer
from hosts import Host, HostError, join, wait_for  # two_hosts.py has set the path

MIDDLE = 1280
OUTER = {4: ("192.0.2.1", "198.51.100.2"), 6: ("2001:db8:a::1", "2001:db8:b::2")}
# Of the routers: towards A, between them (twice), towards B.
ROUTERS = {4: ("192.0.2.254", "203.0.113.1", "203.0.113.2", "198.51.100.254"),
           6: ("2001:db8:a::fe", "2001:db8:c::1", "2001:db8:c::2", "2001:db8:b::fe")}
LENGTH = {4: 24, 6: 64}
INNER = {4: ("10.1.0.1", "10.1.0.0/24", "10.2.0.1", "10.2.0.0/24"), 6: ("2001:db8:1::1", "2001:db8:1::/64", "2001:db8:2::1", "2001:db8:2::/64")}
BEHIND = {4: ("10.1.0.254", "10.1.0.9"), 6: ("2001:db8:1::fe", "2001:db8:1::9")}  # the gateway's address and the host's
FILE_BYTES = 300_000


def largest(version, udp, mtu=MIDDLE):
    """The largest inner packet with 3DES and HMAC-SHA1-96: what headers, IV and ICV leave, in blocks of 8, less the trailer's 2."""
    room = mtu - {4: 20, 6: 40}[version] - (8 if udp else 0) - 8 - 8 - 12
    return room // 8 * 8 - 2


def path(folder, tag, outer, swallow):
    """The routers, as hosts; `swallow`: they tell nobody what is too big."""
    first, second = (Host(f"{tag}{name}", folder / name) for name in "rs")
    for host in (first, second):
        host.sh("sysctl", "-q", "-w", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
    ends = ROUTERS[outer]
    length = LENGTH[outer]
    join(first, f"{ends[1]}/{length}", second, f"{ends[2]}/{length}", "middle", "middle")
    for host in (first, second):
        host.sh("ip", "link", "set", "middle", "mtu", MIDDLE)
        if swallow:
            host.sh("nft", "add table inet swallow; add chain inet swallow out { type filter hook output priority 0; }; "
                    "add rule inet swallow out icmp type destination-unreachable drop; add rule inet swallow out icmpv6 type packet-too-big drop")
    first.sh("ip", f"-{outer}", "route", "add", f"{OUTER[outer][1]}/{32 if outer == 4 else 128}", "via", ends[2])
    second.sh("ip", f"-{outer}", "route", "add", f"{OUTER[outer][0]}/{32 if outer == 4 else 128}", "via", ends[1])
    return first, second


def behind(gateway, folder, tag, inner):
    """A host behind the gateway."""
    host = Host(f"{tag}c", folder / "c")
    near, far = BEHIND[inner]
    gateway.host.sh("sysctl", "-q", "-w", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
    join(gateway.host, f"{near}/{LENGTH[inner]}", host, f"{far}/{LENGTH[inner]}", "lan", "eth0")
    host.sh("ip", f"-{inner}", "route", "add", "default", "via", near)
    return host


def pings(host, source, target, size, df, count=1, wait=5):
    """What ping prints, errors too."""
    argv = ("ping", "-c", count, "-i", "0.2", "-W", wait, "-M", df, "-s", size, "-I", source, target)
    return host.sh("sh", "-c", " ".join(map(str, argv)) + " 2>&1", check=False)


def counter(gateway, name):
    return gateway.stats()["traffic"][name]


def reassembled(gateway, version):
    """Packets of this IP version that the gateway's kernel put together from fragments."""
    if version == 6:
        return int(re.search(r"Ip6ReasmOKs\s+(\d+)", gateway.host.sh("cat", "/proc/net/snmp6"))[1])
    names, values = (line.split() for line in gateway.host.sh("cat", "/proc/net/snmp").splitlines() if line.startswith("Ip:"))
    return int(dict(zip(names, values))["ReasmOKs"])


def move(a, b):
    data = payload(1, MARKER)[:FILE_BYTES]
    for source, sink in ((a, b), (b, a)):
        seconds = transfer(source.host, source.inner, sink.host, sink.inner, data)
        check(f"{len(data):,} bytes {source.inner} -> {sink.inner}, {seconds:.1f} s", True)


def told(a, b, host, outer, udp, inner):
    """Senders learn what fits, those behind the gateway from its address, and that much passes."""
    most = largest(outer, udp)
    if inner == 6:
        most = max(most, 1280)  # no less may be asked of an IPv6 sender: the outer packet goes in fragments
    headers = 28 if inner == 4 else 48
    near, far = BEHIND[inner]
    pings(a.host, a.inner, b.inner, most - headers, "do", 1, 1)  # B's answer may be the first that is too large: TCP's segments fitted from the start
    for sender, source in ((a.host, a.inner), (host, far)):
        text = pings(sender, source, b.inner, 1300, "do", 2, 1)
        check(f"{source} is told of {most}", re.search(rf"mtu *[=:]? *{most}\b", text), text)
        if sender is host:
            check("from the gateway's address on its side", re.search(rf"From {near}\b", text), text)
        fits = pings(sender, source, b.inner, most - headers, "do")
        check("that much passes", " 0% packet loss" in fits, fits)
    check("counted", counter(a, "too_big_told") >= 1 and a.stats()["drops"]["too-big"] >= counter(a, "too_big_told"), a.stats())


def cut(a, b, inner):
    """What may be cut is cut before it is protected: by espd (IPv4), or by the host, once it was told (IPv6)."""
    fresh = {4: "10.2.0.2", 6: "2001:db8:2::2"}[inner]  # nobody has been told of the path to this one
    b.host.sh("ip", "addr", "add", f"{fresh}/{32 if inner == 4 else 128}", "dev", "lo")
    pings(a.host, a.inner, fresh, 1300, "dont", 2, 1)  # one may be lost on the way there, one on the way back: that tells
    before = counter(a, "fragmented")
    text = pings(a.host, a.inner, fresh, 1300, "dont", 2)
    check("a packet without DF passes", " 0% packet loss" in text, text)
    check("cut by " + ("espd" if inner == 4 else "its sender"), counter(a, "fragmented") - before == (2 if inner == 4 else 0), a.stats())
    text = pings(a.host, a.inner, fresh, 7000, "dont", 2)
    check("also one of 7,000 octets", " 0% packet loss" in text, text)


FORGE = """
import socket, sys
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
raw.sendto(bytes.fromhex(sys.argv[1]), (sys.argv[2], 0))
"""


def forged(a, b, spi, router):
    """Errors that quote no SPI in use count for nothing; one that does, below the least MTU, as the least."""
    def send(quoted_spi, mtu):
        header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 1400, 1, 0x4000, 60, 50, 0, socket.inet_aton(a.outer), socket.inet_aton(b.outer))
        body = struct.pack("!BBHHH", 3, 4, 0, 0, mtu) + header + struct.pack("!II", quoted_spi, 9)
        total = sum(struct.unpack(f"!{len(body) // 2}H", body))
        total = (total & 0xffff) + (total >> 16)
        total = ~((total & 0xffff) + (total >> 16)) & 0xffff
        body = body[:2] + struct.pack("!H", total) + body[4:]
        router.sh(sys.executable, "-c", FORGE, body.hex(), a.outer)

    ignored, lowered = counter(a, "icmp_ignored"), counter(a, "path_mtu_lowered")
    send(spi ^ 1, 600)
    wait_for("a forged error to be ignored", lambda: counter(a, "icmp_ignored") == ignored + 1, 5)
    check("the path MTU stays", counter(a, "path_mtu_lowered") == lowered)
    send(spi, 100)
    wait_for("an error about a live SA", lambda: counter(a, "path_mtu_lowered") == lowered + 1, 5)
    text = pings(a.host, a.inner, b.inner, 1000, "do", 1, 1)
    most = largest(4, False, 576)
    check(f"no path takes less than 576 octets: {most} inside", re.search(rf"mtu *[=:]? *{most}\b", text), text)


REFUSED = """
import socket, sys
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[1], 0))
s.connect((sys.argv[2], 9))
s.settimeout(5)
s.send(b"x")
try:
    s.recv(1)
except ConnectionRefusedError:
    print("refused")
"""


def narrow(build, folder, name, outer, udp, inner, swallow, policy):
    tag = f"epm{os.getpid() % 100000}"
    hosts, gateways = [], []
    a_inner, a_ts, b_inner, b_ts = INNER[inner]
    try:
        for side, ends, own, own_ts, other_ts in (("a", OUTER[outer], a_inner, a_ts, b_ts), ("b", OUTER[outer][::-1], b_inner, b_ts, a_ts)):
            gateways.append(Gateway(build, folder / side, tag + side, "soft", udp, *ends, own, own_ts, other_ts))
            hosts.append(gateways[-1].host)
            gateways[-1].config.write_text(gateways[-1].config.read_text() + (policy if side == "a" or name != "one end" else ""))
        a, b = gateways
        routers = path(folder, tag, outer, swallow)
        hosts += routers
        for gateway, router, end in ((a, routers[0], ROUTERS[outer][0]), (b, routers[1], ROUTERS[outer][3])):
            join(gateway.host, f"{gateway.outer}/{LENGTH[outer]}", router, f"{end}/{LENGTH[outer]}")
            gateway.host.sh("ip", f"-{outer}", "route", "add", "default", "via", end)
        host = behind(a, folder, tag, inner)
        hosts.append(host)
        for gateway in gateways:
            gateway.start()
        _, spi, _ = connect_with_sas(a, b)
        move(a, b)
        # B may not have had to learn: A's answers to its connections named a smaller segment already.
        lowered = [counter(g, "path_mtu_lowered") for g in gateways]
        check("nobody learned of the path" if swallow else "the path was learned", lowered == [0, 0] if swallow else lowered[0] == 1, lowered)
        if name == "one end":  # segments fit all the same: A lowers what both ends say that they take, those behind it too
            data = payload(1, MARKER)[:FILE_BYTES]
            transfer(host, BEHIND[inner][1], b.host, b.inner, data)
            transfer(b.host, b.inner, host, BEHIND[inner][1], data)
            stats = [g.stats() for g in gateways]
            check("nothing was too big, nor cut", all("too-big" not in s["drops"] and s["traffic"]["outer_fragmented"] == 0 for s in stats), stats)
            return
        if inner == 6 or 'df = "clear"' in policy:
            done = reassembled(b, outer)
            check("fragments of ESP were put together", done > 50, done)
        if 'df = "clear"' not in policy:
            told(a, b, host, outer, udp, inner)
            cut(a, b, inner)
        text = a.host.sh(sys.executable, "-c", REFUSED, a.inner, b.inner)
        check("an ICMP error of the inside passes", text == "refused\n", text)
        if name == "forged":
            forged(a, b, spi, routers[0])
        print(a.espctl("stats"))
    except Exception:
        show_logs([g.host for g in gateways], "espd.log")
        raise
    finally:
        for host in hosts:
            host.close()


def jumbo(build, folder, outer, udp, inner):
    """Links of 9,000 octets, TUN devices of 8,900, the card's functional model at one end."""
    a_inner, a_ts, b_inner, b_ts = INNER[inner]
    far = {4: "192.0.2.2", 6: "2001:db8:a::2"}[outer]
    with pair(build, folder, "epj", "sim", udp=udp, outer=(OUTER[outer][0], far), inner=(a_inner, b_inner), nets=(a_ts, b_ts), far_nets=(b_ts, a_ts)) as (a, b):
        for gateway in (a, b):
            gateway.config.write_text(gateway.config.read_text().replace("[tun]\n", "[tun]\nmtu = 8900\n"))
            gateway.host.sh("ip", "link", "set", "eth0", "mtu", 9000)
            gateway.start(env={"ESPLANADE_SIM_MODEL": "functional"})
        connect_with_sas(a, b)
        text = pings(a.host, a.inner, b.inner, 8900 - (28 if inner == 4 else 48), "do", 3)
        check("a packet of 8,900 octets passes, both ways", " 0% packet loss" in text, text)
        move(a, b)
        for gateway in (a, b):
            stats = gateway.stats()
            sizes = stats["encap_bytes"] / stats["encap_packets"]
            check("in large packets, of which none was cut", stats["traffic"]["outer_fragmented"] == stats["traffic"]["fragmented"] == 0 and sizes > 2000, stats)


def scenario(build, folder, name, *case):
    if name == "jumbo":
        jumbo(build, folder, *case)
    else:
        narrow(build, folder, name, *case)


if __name__ == "__main__":
    run_cases(__doc__, [("jumbo", 4, True, 4), ("jumbo", 6, False, 6),
                        ("forged", 4, False, 4, False, ""),
                        ("UDP", 4, True, 6, False, ""),
                        ("over IPv6", 6, True, 4, False, ""),
                        ("without ICMP", 4, True, 4, True, 'df = "clear"\n'),
                        ("without ICMP", 4, False, 6, True, 'df = "clear"\n'),
                        ("without ICMP", 6, False, 4, True, f"path_mtu = {MIDDLE}\n"),
                        ("one end", 4, True, 4, True, f"path_mtu = {MIDDLE}\n"),
                        ("one end", 4, False, 6, True, f"path_mtu = {MIDDLE}\n")], scenario)
