#!/usr/bin/env python3
"""Writes sample.pcap: 50 IPv4 packets (ICMP, UDP, TCP) of 28 to 1,400 bytes from 10.2.0.1 to 10.1.0.1, always the same."""
import random
import struct
import sys
from pathlib import Path

rng = random.Random(2409)


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data[: len(data) // 2 * 2])) + (data[-1] << 8 if len(data) % 2 else 0)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ip(number, protocol, payload):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), number, 0x4000, 64, protocol, 0, bytes([10, 2, 0, 1]), bytes([10, 1, 0, 1]))
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def pseudo(protocol, payload):
    return bytes([10, 2, 0, 1, 10, 1, 0, 1, 0, protocol]) + struct.pack("!H", len(payload))


def icmp(number, size):
    body = struct.pack("!BBHHH", 8, 0, 0, 2409, number) + rng.randbytes(size)
    return ip(number, 1, body[:2] + struct.pack("!H", checksum(body)) + body[4:])


def udp(number, size):
    body = struct.pack("!HHHH", 40000 + number, 53, 8 + size, 0) + rng.randbytes(size)
    return ip(number, 17, body[:6] + struct.pack("!H", checksum(pseudo(17, body) + body)) + body[8:])


def tcp(number, size):
    body = struct.pack("!HHIIBBHHH", 50000, 80, 1000 + number, 1, 5 << 4, 0x18, 65535, 0, 0) + rng.randbytes(size)
    return ip(number, 6, body[:16] + struct.pack("!H", checksum(pseudo(6, body) + body)) + body[18:])


out = bytearray(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 101))  # 101: LINKTYPE_RAW
sizes = [28, 29, 30, 31, 32, 40, 64, 128, 256, 512, 576, 1000, 1300, 1400] + [rng.randrange(60, 1401) for _ in range(36)]
for i, size in enumerate(sizes):
    packet = icmp(i, size - 28) if i % 3 == 0 or size < 40 else udp(i, size - 28) if i % 3 == 1 else tcp(i, size - 40)
    assert len(packet) == size
    out += struct.pack("<IIII", 1_700_000_000 + i // 10, i % 10 * 100_000, size, size) + packet
Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).with_name("sample.pcap")).write_bytes(out)
