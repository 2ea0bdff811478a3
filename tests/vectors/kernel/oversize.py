#!/usr/bin/env python3
"""Makes oversize.json from what the kernel of this machine does as a router: what it cuts, and what ICMP errors it sends, captured by dumpcap. Needs root.

    oversize.py FILE
"""
import json
import os
import random
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "demo"))
from hosts import Host, join, wait_for  # noqa: E402

SEND = """
import socket, sys
packet = bytes.fromhex(sys.stdin.read())
if packet[0] >> 4 == 4:
    s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    s.sendto(packet, (socket.inet_ntoa(packet[16:20]), 0))
else:
    s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
    s.sendto(packet, (socket.inet_ntop(socket.AF_INET6, packet[24:40]), 0))
"""
SEED = 4711


def checksum(octets):
    total = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    total = (total & 0xffff) + (total >> 16)
    return ~((total & 0xffff) + (total >> 16)) & 0xffff


def with_ttl(packet, less):
    header = bytearray(packet[:(packet[0] & 15) * 4])
    header[8] -= less
    header[10:12] = b"\0\0"
    header[10:12] = struct.pack("!H", checksum(bytes(header)))
    return bytes(header) + packet[len(header):]


def ipv4(length, flags, options=b""):
    header = 20 + len(options)
    payload = random.randbytes(length - header)
    head = struct.pack("!BBHHHBBH", 0x40 | header // 4, 0x2e, length, 0x1234, flags, 61, 17, 0) + bytes([10, 0, 1, 1, 10, 0, 2, 1]) + options
    return with_ttl(head + payload, 0)


def ipv6(length):
    head = struct.pack("!IHBB", 0x62e00000, length - 40, 17, 61) + bytes.fromhex("20010db800010000000000000000000120010db8000200000000000000000001")
    return head + random.randbytes(length - 40)


def packets(capture):
    """IP packets of a pcap file of Ethernet frames."""
    data, at, found = capture.read_bytes(), 24, []
    while at < len(data):
        length = int.from_bytes(data[at + 8:at + 12], "little")
        frame = data[at + 16:at + 16 + length]
        if frame[12:14] in (b"\x08\x00", b"\x86\xdd"):
            found.append(frame[14:])
        at += 16 + length
    return found


def main():
    random.seed(SEED)
    tag = f"vec{os.getpid() % 100000}"
    cases = []
    with tempfile.TemporaryDirectory() as folder:
        hosts = [Host(tag + name, Path(folder) / name) for name in "arb"]
        a, router, b = hosts
        try:
            router.sh("sysctl", "-q", "-w", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1", "net.ipv6.icmp.ratelimit=0")
            join(a, "10.0.1.1/24", router, "10.0.1.254/24", "eth0", "near")
            join(router, "10.0.2.254/24", b, "10.0.2.1/24", "far", "eth0")
            for host, address, device in ((a, "2001:db8:1::1/64", "eth0"), (router, "2001:db8:1::fe/64", "near"), (router, "2001:db8:2::fe/64", "far"), (b, "2001:db8:2::1/64", "eth0")):
                host.sh("ip", "addr", "add", address, "dev", device, "nodad")
            a.sh("ip", "route", "add", "default", "via", "10.0.1.254")
            a.sh("ip", "route", "add", "default", "via", "2001:db8:1::fe")
            # IPv6 first: a device of less than 1,280 octets loses it.
            for name, packet, mtu in (("ipv6", ipv6(1500), 1300), ("shorter ipv6", ipv6(1281), 1280), ("plain", ipv4(1500, 0), 700), ("two octets too many", ipv4(702, 0), 700), ("a fragment itself", ipv4(1500, 0x2000 | 37), 700),
                                      ("a last fragment", ipv4(1111, 1000), 700), ("options", ipv4(1500, 0, bytes.fromhex("94040000" "1e04abcd" "01010100")), 700),
                                      ("df", ipv4(1400, 0x4000), 1300), ("short df", ipv4(600, 0x4000), 590), ("df with options", ipv4(1400, 0x4000, bytes.fromhex("94040000")), 1300)):
                version = packet[0] >> 4
                router.sh("ip", "link", "set", "far", "mtu", mtu)
                captures = {}
                for host, device in ((a, "eth0"), (router, "far")):
                    captures[device] = Path(folder) / f"{device}-{len(cases)}.pcap"
                    process = host.start(device, "dumpcap", "-q", "-P", "-i", device, "-w", captures[device])
                    wait_for("the capture", lambda path=captures[device]: path.exists() and path.stat().st_size > 0, 10, [process])
                subprocess.run(a.argv(sys.executable, "-c", SEND), input=packet.hex(), text=True, check=True)
                told = 1 if version == 4 else 58

                def messages():
                    return [p for p in packets(captures["eth0"]) if p[9 if version == 4 else 6] == told and p[20 if version == 4 else 40] in ((3,) if version == 4 else (2,))]

                def fragments():
                    return [p for p in packets(captures["far"]) if p[0] >> 4 == version and p[9] == 17] if version == 4 else []

                found = wait_for("the kernel's answer", lambda: messages() or (len(fragments()) > 1 and fragments()), 5)
                for host in (a, router):
                    for process in list(host.processes):
                        host.stop(process)
                if messages():
                    message = bytearray(found[0][20 if version == 4 else 40:])
                    if version == 6:
                        message[2:4] = b"\0\0"  # it covers the addresses
                    cases.append({"name": name, "packet": packet.hex(), "mtu": mtu, "icmp": message.hex()})
                else:
                    cases.append({"name": name, "packet": with_ttl(packet, 1).hex(), "mtu": mtu, "fragments": [p.hex() for p in fragments()]})
        finally:
            for host in hosts:
                host.close()
    text = "Packets that are larger than an MTU and what Linux as a router made of them: fragments (of the packet with the TTL less one), or an ICMP message"
    Path(sys.argv[1]).write_text(json.dumps({"description": text, "count": len(cases), "cases": cases}, indent=1) + "\n")


main()
