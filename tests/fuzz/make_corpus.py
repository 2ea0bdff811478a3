#!/usr/bin/env python3
"""Makes the seed corpora from tests/vectors/ike_psk.json and docs/examples. Run it when the vectors change; the result is committed."""
import json
import re
import struct
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent


def put(target, name, octets):
    folder = HERE / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(octets)


def hex_strings(value):
    """Every hex string of at least 28 octets in a JSON value, in order."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for v in value:
            yield from hex_strings(v)
    elif isinstance(value, str) and len(value) >= 56 and len(value) % 2 == 0 and re.fullmatch(r"[0-9a-f]+", value):
        yield bytes.fromhex(value)


def is_message(octets):
    return octets[17] == 0x10 and struct.unpack(">I", octets[24:28])[0] == len(octets)


def main():
    cases = json.loads((ROOT / "tests/vectors/ike_psk.json").read_text())["cases"]
    for i, case in enumerate(cases[:: max(1, len(cases) // 4)][:4]):
        messages = [m for m in hex_strings(case) if is_message(m)]
        for j, m in enumerate(messages):
            put("fuzz_wire", f"message{i}-{j}", bytes([0, 0]) + m)
            if m[19] & 1 == 0:
                put("fuzz_wire", f"payloads{i}-{j}", bytes([1, m[16]]) + m[28:])
                if m[16] == 1:
                    length = struct.unpack(">H", m[30:32])[0]
                    put("fuzz_wire", f"sa{i}-{j}", bytes([2, 0]) + m[32:28 + length])
                    put("fuzz_wire", f"attributes{i}-{j}", bytes([3, 0]) + m[56:28 + length])
        whole = b"".join(bytes([0]) + struct.pack(">H", len(m)) + m for m in messages if m[19] & 1 == 0)
        for state in range(0, 16, 3):
            put("fuzz_engine", f"clear{i}-{state}", bytes([state]) + whole)
    put("fuzz_wire", "id-address", bytes([4, 0, 1, 0, 0, 0, 192, 0, 2, 1]))
    put("fuzz_wire", "id-subnet", bytes([4, 0, 4, 0, 0, 0, 10, 1, 0, 0, 255, 255, 0, 0]))
    put("fuzz_wire", "id-name", bytes([4, 0, 2, 17, 1, 244]) + b"gw.example")
    put("fuzz_wire", "notify", bytes([5, 0, 0, 0, 0, 1, 1, 0, 0, 14]))
    put("fuzz_wire", "delete", bytes([6, 0, 0, 0, 0, 1, 3, 4, 0, 1, 0, 0, 16, 0]))
    put("fuzz_wire", "fragment", bytes([7, 0, 0, 0, 0, 12, 0, 1, 1, 1, 1, 2, 3, 4]))
    # Established, then each kind of dressed message: R-U-THERE, a delete, a quick mode, fragments, time, espd.
    probe = bytes([11, 30]) + bytes([0, 0, 0, 1, 1, 16, 0x8d, 0x28]) + bytes(16) + bytes([0, 0, 0, 1])
    delete = bytes([12, 12, 0, 0, 0, 1, 3, 4, 0, 1, 0, 0, 16, 0])
    sa = bytes([0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 40, 1, 3, 4, 1, 0, 0, 32, 0]) + \
        bytes([0, 0, 0, 28, 1, 3, 0, 0, 0x80, 4, 0, 1, 0x80, 1, 0, 1, 0, 2, 0, 4, 0, 0, 14, 16, 0x80, 5, 0, 2])
    nonce = bytes(range(16))
    ids = bytes([5, 12, 4, 0, 0, 0, 10, 2, 0, 0, 255, 255, 0, 0]) + bytes([5, 12, 4, 0, 0, 0, 10, 1, 0, 0, 255, 255, 0, 0])
    quick = bytes([4, 1, len(sa)]) + sa + bytes([10, len(nonce)]) + nonce + ids
    for state in (7, 15):
        put("fuzz_engine", f"probe-{state}", bytes([state, 5, 1, 1]) + probe)
        put("fuzz_engine", f"delete-{state}", bytes([state, 5, 2, 1]) + delete)
        put("fuzz_engine", f"quick-{state}", bytes([state, 3, 9]) + quick + bytes([0x43, 0, 0, 7, 0x80, 0]))
        put("fuzz_engine", f"time-{state}", bytes([state] + [7, 0xff, 0xff] * 8 + [9, 0x49, 0xc9]))
    pieces = b"".join(bytes([6, 0, n, 1 if n == 2 else 0, 8]) + bytes(8) + bytes([2, 0]) for n in (1, 2))
    for state in range(1, 8):
        put("fuzz_engine", f"fragments-{state}", bytes([state]) + pieces)
        put("fuzz_engine", f"dressed-{state}", bytes([state, 1, 2, 0, 2, 4, 96]) + bytes([7] * 96) + bytes([10, 16]) + nonce +
            bytes([2, 2, 5, 8, 1, 0, 0, 0, 192, 0, 2, 2, 8, 16]) + nonce)
    example = (ROOT / "docs/examples/keyd.toml").read_bytes()
    put("fuzz_config", "example", example)
    put("fuzz_config", "small", re.sub(rb"#.*", b"", example))
    # PF_KEY: an SADB_GETSPI, an SADB_DELETE and an SADB_EXPIRE in host order (little-endian), and frames.
    def ext(kind, body):
        assert len(body) % 8 == 4
        return struct.pack("<HH", (len(body) + 4) // 8, kind) + body
    def address(kind, last):
        return ext(kind, bytes([0, 32, 0, 0]) + struct.pack("<H", 2) + bytes([0, 0, 192, 0, 2, last]) + bytes(8))
    def message(kind, body):
        return struct.pack("<BBBBHHII", 2, kind, 0, 3, (16 + len(body)) // 8, 0, 5, 6) + body
    sa_ext = ext(1, bytes([0, 0, 16, 0, 64, 1, 3, 3, 0, 0, 0, 0]))
    life = ext(3, struct.pack("<IQQQ", 0, 1000, 3600, 0))
    sa2 = ext(19, bytes([2]) + bytes(7) + struct.pack("<I", 7))
    put("fuzz_pfkey", "getspi", bytes([0]) + message(1, address(5, 1) + address(6, 2) + sa2))
    put("fuzz_pfkey", "delete", bytes([0]) + message(4, sa_ext + address(5, 1) + address(6, 2)))
    put("fuzz_pfkey", "expire", bytes([0]) + message(8, sa_ext + address(5, 1) + address(6, 2) + life + sa2))
    key = lambda kind, n: ext(kind, struct.pack("<HH", n * 8, 0) + bytes(range(1, n + 1)) + bytes(-(n + 8) % 8))
    put("fuzz_pfkey", "add", bytes([0]) + message(3, sa_ext + address(5, 1) + address(6, 2) + key(8, 20) + key(9, 24) + life + sa2))
    frame = bytes([4, 0, 0, 0]) + struct.pack(">HH", 4500, 4500) + bytes([192, 0, 2, 1]) + bytes(12) + bytes([192, 0, 2, 2]) + bytes(12)
    # Plans of a replay: SAs of all kinds (flags, cipher, authentication in the first word of an entry), and packets of them.
    def entry(first, spi=0x1001):
        return struct.pack("<IIIIQ", first, spi, 64 | 64 << 16, 0, 0).ljust(80, b"\0") + bytes([192, 0, 2, 1]).ljust(16, b"\0") + bytes([192, 0, 2, 2]).ljust(16, b"\0") + bytes(16)
    packets = [f"packet 0 {n} {90 + n} 2 0 {size} 9216 {version} {flags} {protocol} {head} {size} 4097 {5 + n} {status} 1 62 {5 + n} 4 0 300"
               for n, (size, version, flags, protocol, head, status) in enumerate(
                   ((120, 4, 1, 50, 20, 0), (120, 4, 1, 50, 20, 15), (128, 4, 1, 17, 24, 16), (180, 6, 1, 51, 40, 0), (180, 6, 1, 50, 72, 18), (60, 4, 3, 50, 20, 10), (40, 4, 0, 0, 24, 9), (1, 0, 0, 0, 0, -1)))]
    for name, first in (("esp", 1 << 7 | 2 << 12 | 2 << 16), ("transport", 1 << 1 | 1 << 12 | 1 << 16), ("ah", 1 << 2 | 1 << 3 | 1 << 8 | 2 << 16), ("natt", 1 << 4 | 1 << 5 | 1 << 7 | 2 << 16)):
        put("fuzz_replay", name, "\n".join(["queue 0 6 1 0", f"sa 1 1 {entry(first).hex()}", *packets, "ring 0", "await 0 0", "event 200 2 0 20", f"sa 1 5 {entry(first).hex()}", "remove 1"]).encode() + b"\n")
    put("fuzz_pfkey", "frame", bytes([1]) + frame + bytes(28))
    put("fuzz_pfkey", "keepalive", bytes([1, 4, 1]) + frame[2:])


main()
