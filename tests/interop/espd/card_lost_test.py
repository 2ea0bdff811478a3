#!/usr/bin/env python3
"""A card that fails under traffic, and an espd that shall not replace it (on_card_loss = "drop"): on the simulated card with faults (docs/faults.md), the reference engine on the other host.
Whatever the card does, no payload leaves in clear, espd stays up, says within seconds that the card is lost and why, counts
what it drops, and ends when asked. Needs root: exit 77 without."""
import json
import os
import re
import subprocess

from two_hosts import MARKER, Gateway, check, connect_with_sas, join, ping, run_cases, show_logs, wait_for

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
    tag = f"cl{os.getpid() % 100000}{point[:4]}"
    gateways = []
    try:
        for name, card, outer, peer, inner, local_ts, remote_ts in (
                ("a", "sim", "192.0.2.1", "192.0.2.2", "10.1.0.1", "10.1.0.0/16", "10.2.0.0/24"),
                ("b", "soft", "192.0.2.2", "192.0.2.1", "10.2.0.1", "10.2.0.0/24", "10.1.0.0/24")):
            gateways.append(Gateway(build, folder / f"{tag}{name}", f"{tag}{name}", card, True, outer, peer, inner, local_ts, remote_ts,
                                    top='on_card_loss = "drop"\n'))
        a, b = gateways
        join(a.host, "192.0.2.1/24", b.host, "192.0.2.2/24")
        plan = folder / "plan.toml"
        plan.write_text(f'[[fault]]\npoint = "{point}"\n{keys}\n')
        recording = folder / f"{tag}.drec"
        a.start(env={"ESPLANADE_SIM_FAULTS": str(plan), "ESPLANADE_SIM_MODEL": "rtl", "ESPLANADE_RECORD": str(recording)})
        b.start()
        capture = folder / f"{tag}.pcapng"
        dump = a.host.start("capture", "dumpcap", "-q", "-i", "eth0", "-w", capture)
        wait_for("the capture", lambda: capture.exists() and capture.stat().st_size > 0, 20, [dump])
        *_, keys_used = connect_with_sas(a, b)
        ping(a, b)
        marked = ("-p", MARKER.hex()[:32], "-s", "400")
        flood = a.host.start("flood", "ping", "-i", "0.05", *marked, "-I", a.inner, b.inner)
        wait_for("espd to say that the card is lost", lambda: json.loads(a.espctl("status", "--json"))["card_state"] == "lost", 15, [a.espd, flood])
        log = a.espd.log.read_text(errors="replace")
        check("the log says why", "the card is lost" in log and why in log, log[-600:])
        before = a.stats()["drops"].get("card-lost", 0)
        wait_for("packets to be dropped and counted", lambda: a.stats()["drops"].get("card-lost", 0) > before + 5, 10, [a.espd])
        b.host.sh("ping", "-c", "3", "-i", "0.2", "-W", "1", *marked, "-I", b.inner, a.inner, check=False)
        a.host.stop(flood)
        check("SIGTERM ends espd with 0", a.host.stop(a.espd, 10) == 0)
        a.host.stop(dump)
        octets = capture.read_bytes()
        check(f"{len(octets):,} octets outside, no payload in clear", len(octets) > 1000 and MARKER[:16] not in octets)
        recorded(build, folder, recording, keys_used)
    except Exception:
        show_logs([gateway.host for gateway in gateways], "espd.log")
        raise
    finally:
        for gateway in gateways:
            gateway.host.close()


run_cases(__doc__, FAULTS, scenario)
