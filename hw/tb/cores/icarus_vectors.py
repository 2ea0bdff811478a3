#!/usr/bin/env python3
"""Writes vectors for the Icarus benches of the cores: icarus_vectors.py KIND FOLDER

sha1, md5: messages of two blocks, by hashlib: first.hex, second.hex (padded), digest.hex (as words).
tdes: keys with slot and direction, blocks and results, by the openssl command: key.hex, in.hex, out.hex.
The seed is ESPLANADE_SEED or a fresh one; it is printed."""
import hashlib
import os
import pathlib
import random
import subprocess
import sys

HASH_MESSAGES = 64
TDES_KEYS = 20
TDES_BLOCKS = 3  # a key


def write(folder, name, lines):
    (folder / name).write_text("".join(line + "\n" for line in lines))


def hashes(kind, rng, folder):
    first, second, digests = [], [], []
    order = "big" if kind == "sha1" else "little"
    for n in range(HASH_MESSAGES):
        message = rng.randbytes(64 + n % 56)  # 0 to 55 octets in the second block: its padding fits
        padded = message + b"\x80" + bytes(55 - n % 56) + (8 * len(message)).to_bytes(8, order)
        digest = hashlib.new(kind, message).digest()
        if order == "little":  # as numbers
            digest = b"".join(digest[i:i + 4][::-1] for i in range(0, len(digest), 4))
        first.append(padded[:64].hex())
        second.append(padded[64:].hex())
        digests.append(digest.hex())
    write(folder, "first.hex", first)
    write(folder, "second.hex", second)
    write(folder, "digest.hex", digests)


def tdes(rng, folder):
    keys, inputs, outputs = [], [], []
    slots = rng.sample(range(256), TDES_KEYS)
    for n in range(TDES_KEYS):
        key, blocks = rng.randbytes(24), rng.randbytes(8 * TDES_BLOCKS)
        decrypt = n % 2
        result = subprocess.run(
            ["openssl", "enc", "-des-ede3-ecb", "-d" if decrypt else "-e", "-nopad", "-K", key.hex()],
            input=blocks, capture_output=True, check=True).stdout
        assert len(result) == len(blocks)
        keys.append(f"{decrypt:01x}{slots[n]:02x}{key.hex()}")
        for at in range(0, len(blocks), 8):
            inputs.append(blocks[at:at + 8].hex())
            outputs.append(result[at:at + 8].hex())
    write(folder, "key.hex", keys)
    write(folder, "in.hex", inputs)
    write(folder, "out.hex", outputs)


def main():
    kind, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    given = os.environ.get("ESPLANADE_SEED")
    seed = int(given, 0) if given else random.SystemRandom().getrandbits(32)
    print(f"seed: ESPLANADE_SEED={seed}")
    rng = random.Random(seed)
    if kind == "tdes":
        tdes(rng, folder)
    else:
        hashes(kind, rng, folder)


if __name__ == "__main__":
    main()
