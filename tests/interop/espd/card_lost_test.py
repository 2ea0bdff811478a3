#!/usr/bin/env python3
"""A card that fails under traffic, and an espd that shall not replace it (on_card_loss = "drop"): on the simulated card with faults (docs/faults.md), the reference engine on the other host.
Whatever the card does, no payload leaves in clear, espd stays up, says within seconds that the card is lost and why, counts
what it drops, and ends when asked. Needs root: exit 77 without."""
import re
import subprocess

from two_hosts import MARKED, Capture, check, connect_with_sas, pair, ping, run_cases, wait_for

# point and keys; what espctl must say of the card
FAULTS = [
    ("completion-lost", 'when = "packet=12"', "got lost"),
    ("completion-duplicated", 'when = "packet=12"', "makes no sense"),
    ("axi-read-error", 'when = "register=SQ_TAIL*12"', "RING_READ"),
    ("lane-hung", 'when = "packet=12"', "hangs"),
    ("link-down", 'when = "packet=12"\ncount = 0', ""),
    ("removal", 'when = "packet=12"', ""),
    ("reset", 'when = "packet=12"', "reset"),
]
STEPS = ("read by the program", "handed to the driver", "doorbell", "descriptor fetched", "SA, slot", "cipher", "hash and ICV", "result to memory", "completion fetched", "sent by the program")


def recorded(build, folder, recording, keys):
    """What the card's driver recorded has each packet's whole way and no key, and on a card without that fault it first goes otherwise where the fault was."""
    scope = lambda *a: subprocess.run([build / "bin/espscope", *a], cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    for packet in ("q0:0", "q0:1"):
        way = scope("journey", recording, packet).stdout
        at = [way.find(step) for step in STEPS]
        check(f"the way of {packet}, in order", -1 not in at and at == sorted(at), way)
    octets = recording.read_bytes()
    check("no key in the recording", not any(k in octets or k[:8] in octets for k in keys))
    done = scope("replay", recording, "--model", "functional")
    first = re.search(r"^(?:first divergence: q0:|the recording alone shows: .* packet )(\d+) ", done.stdout, re.M)
    check("the replay shows where", done.returncode == 1 and first and 6 <= int(first[1]) <= 14, done.stdout + done.stderr)


def scenario(build, folder, point, keys, why):
    with pair(build, folder, f"cl{point[:4]}", "sim", top='on_card_loss = "drop"\n') as (a, b):
        plan = folder / "plan.toml"
        plan.write_text(f'[[fault]]\npoint = "{point}"\n{keys}\n')
        recording = folder / "field.drec"
        a.start(env={"ESPLANADE_SIM_FAULTS": str(plan), "ESPLANADE_SIM_MODEL": "rtl", "ESPLANADE_RECORD": str(recording)})
        b.start()
        capture = Capture(a.host, folder)
        *_, keys_used = connect_with_sas(a, b)
        ping(a, b)
        flood = a.host.start("flood", "ping", "-i", "0.05", *MARKED, "-I", a.inner, b.inner)
        wait_for("espd to say that the card is lost", lambda: a.status()["card_state"] == "lost", 15, [a.espd, flood])
        log = a.espd.log.read_text(errors="replace")
        check("the log says why", "the card is lost" in log and why in log, log[-600:])
        before = a.stats()["drops"].get("card-lost", 0)
        wait_for("packets to be dropped and counted", lambda: a.stats()["drops"].get("card-lost", 0) > before + 5, 10, [a.espd])
        b.host.sh("ping", "-c", "3", "-i", "0.2", "-W", "1", *MARKED, "-I", b.inner, a.inner, check=False)
        a.host.stop(flood)
        check("SIGTERM ends espd with 0", a.host.stop(a.espd, 10) == 0)
        capture.stop()
        recorded(build, folder, recording, keys_used)


run_cases(__doc__, FAULTS, scenario)
