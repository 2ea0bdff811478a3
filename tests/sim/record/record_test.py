#!/usr/bin/env python3
"""Recordings: what passed through stock XRT is replayed without it, cycle by cycle and octet by octet, as often as one likes; another
platform shows where it differs; keys stay out; files that were cut or changed are refused or tell. Usage: record_test.py BIN_DIR FILL_XCLBIN"""
import base64
import json
import os
import pathlib
import random
import signal
import stat
import subprocess
import sys
import tempfile
import time

BIN, FILL_XCLBIN = pathlib.Path(sys.argv[1]), sys.argv[2]
KEYS = ["0123456789abcdef23456789abcdef01456789abcdef0123", "a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3"]  # of fault_host
SEED = int(os.environ.get("ESPLANADE_SEED") or random.randrange(1 << 32))


def fail(what, told=""):
    sys.exit(f"{what}\n{told}\nto repeat: ESPLANADE_SEED={SEED} {' '.join(sys.argv)}")


def record(path, packets=16, **more):
    done = subprocess.run([BIN / "fault_host", str(packets)], env=os.environ | {"ESPLANADE_SIM_RECORD": str(path)} | more, capture_output=True, text=True, timeout=60)
    out = json.loads(done.stdout.splitlines()[-1])
    if out["error"] or out["statuses"] != {"Ok": 2 * packets}:
        fail("the recorded run is not sound", done.stdout)


def replay(path, *args, sim="esp-card-sim", **more):
    done = subprocess.run([BIN / sim, "--replay", path, *args], env=os.environ | more, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


def spellings(key):
    raw = bytes.fromhex(key)
    words = [raw[i:i + 4] for i in range(0, len(raw), 4)]
    yield raw
    yield b"".join(w[::-1] for w in words)
    yield key.encode()
    yield key.upper().encode()
    yield base64.b64encode(raw).rstrip(b"=")
    yield from (w for w in words)  # as single register writes
    yield from (w[::-1] for w in words)


def main():
    with tempfile.TemporaryDirectory() as name:
        top = pathlib.Path(name)
        for model in ("rtl", "functional"):
            path = top / f"{model}.rec"
            record(path, ESPLANADE_SIM_MODEL=model)
            cycles = set()
            for turn in range(2):
                stats = top / f"{model}.{turn}.json"
                status, output = replay(path, ESPLANADE_SIM_STATS=str(stats))
                if status != 0 or "divergence" in output:
                    fail(f"{model}: the replay differs", output)
                cycles.add(json.loads(stats.read_text())["cycles"])
            if len(cycles) != 1:
                fail(f"{model}: two replays took different cycles", cycles)
            print(f"{model}: {output.split(chr(10))[0]}, twice, {cycles.pop()} cycles each")

        path = top / "rtl.rec"
        octets = path.read_bytes()
        key_file = top / "rtl.rec.key"
        if stat.S_IMODE(key_file.stat().st_mode) != 0o600:
            fail("others can read the key of the recording")
        for key in KEYS:
            for n, spelling in enumerate(spellings(key)):
                if spelling in octets:
                    fail(f"a key is in the recording, spelling {n}")
        if key_file.read_bytes().strip() in octets or bytes.fromhex(key_file.read_text().strip()) in octets:
            fail("the recording's own key is in it")

        config = top / "other.toml"
        config.write_text("[sim]\nddr_read_latency = 61\n")
        status, output = replay(path, ESPLANADE_SIM_CONFIG=str(config))
        if status != 1 or "divergence at cycle" not in output:
            fail("a memory that is one cycle slower is no divergence", output)
        print(output.strip().splitlines()[-1])
        plan = top / "plan.toml"
        plan.write_text('[[fault]]\npoint = "completion-lost"\nwhen = "packet=5"\n')
        status, output = replay(path, ESPLANADE_SIM_FAULTS=str(plan))
        if status != 1:
            fail("a lost completion is no divergence", output)

        waves = top / "w.fst"
        status, output = replay(path, "--wave", f"{waves}:packet=3:300")
        if status != 0 or waves.stat().st_size < 70_000:
            fail("a replay writes no waves, or its waves change it", output)

        key = key_file.read_text()
        key_file.unlink()
        status, output = replay(path)
        if status != 2 or "the file with their key is missing" not in output:
            fail("without its key a recording must be refused", output)
        key_file.write_text("00" * 32)
        status, output = replay(path)
        if status != 2 or "the seal is broken" not in output:
            fail("another key must be refused", output)
        key_file.write_text(key)

        # A host that is killed leaves a recording that ends, and replays to there.
        killed = top / "killed.rec"
        host = subprocess.Popen([BIN / "fault_host", "4000"], env=os.environ | {"ESPLANADE_SIM_RECORD": str(killed)}, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while not (killed.exists() and killed.stat().st_size > 500_000) and time.monotonic() < deadline:
            time.sleep(0.05)
        host.send_signal(signal.SIGKILL)
        host.wait()
        time.sleep(1)
        status, output = replay(killed)
        if status != 0:
            fail("a recording of a host that was killed does not replay", output)
        print(f"killed host: {output.strip().splitlines()[0]}")

        # Hostile files: an answer, never a crash.
        rng = random.Random(SEED)
        bad = top / "bad.rec"
        (top / "bad.rec.key").write_text(key)
        for n in range(40):
            changed = bytearray(octets[:200_000])
            if n % 2 == 0:
                del changed[rng.randrange(len(changed)):]
            for _ in range(rng.randrange(1, 6)):
                if changed:
                    changed[rng.randrange(min(len(changed), 6000 if n % 3 else len(changed)))] = rng.randrange(256)
            bad.write_bytes(changed)
            status, output = replay(bad)
            if status not in (0, 1, 2, 3):
                fail(f"a changed recording ended the replay with {status}", output)

        # Another kernel, which reads and writes the host's memory.
        fill = top / "fill.rec"
        done = subprocess.run([BIN / "esp-xrt-run", BIN / "fill_host", FILL_XCLBIN, "20"], env=os.environ | {"ESPLANADE_SIM_RECORD": str(fill)},
                              capture_output=True, text=True, timeout=60)
        status, output = replay(fill, sim="fill-sim")
        if "20 runs, 0 wrong" not in done.stdout or status != 0:
            fail("a recording with host memory does not replay", done.stdout + done.stderr + output)
        print(f"host memory: {output.strip().splitlines()[0]}")


main()
