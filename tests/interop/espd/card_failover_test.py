#!/usr/bin/env python3
"""A card that fails under traffic, and espd goes on: first on the same card, opened anew, and when that fails again and again on the software engine.
The key daemon notices nothing; no payload leaves in clear; no sequence number goes out twice. Prints what was lost and how long it took.
Needs root: exit 77 without."""
import collections
import json
import os
import re
import subprocess

from two_hosts import MARKER, Gateway, check, connect_with_sas, join, ping, run_cases, show_logs, wait_for

FAULTS = [
    ("completion-lost", 'when = "packet=12"'),
    ("axi-read-error", 'when = "register=SQ_TAIL*12"'),
    ("lane-hung", 'when = "packet=12"'),
    ("removal", 'when = "packet=12"'),
    ("reset", 'when = "packet=12"'),
]
RECOVERED = re.compile(r"(\d+) SAs of (\d+) are on card (\w+) after ([\d.]+) ms; (\d+) packets were lost")


def scenario(build, folder, point, keys):
    tag = f"cf{os.getpid() % 100000}{point[:4]}"
    gateways = []
    try:
        for name, card, outer, peer, inner, local_ts, remote_ts in (
                ("a", ["sim", "soft"], "192.0.2.1", "192.0.2.2", "10.1.0.1", "10.1.0.0/16", "10.2.0.0/24"),
                ("b", "soft", "192.0.2.2", "192.0.2.1", "10.2.0.1", "10.2.0.0/24", "10.1.0.0/24")):
            gateways.append(Gateway(build, folder / f"{tag}{name}", f"{tag}{name}", card, True, outer, peer, inner, local_ts, remote_ts))
        a, b = gateways
        join(a.host, "192.0.2.1/24", b.host, "192.0.2.2/24")
        plan = folder / "plan.toml"
        plan.write_text(f'[[fault]]\npoint = "{point}"\n{keys}\n')  # for each card that is opened: it fails again
        a.start(env={"ESPLANADE_SIM_FAULTS": str(plan), "ESPLANADE_SIM_MODEL": "rtl"})
        b.start()
        capture = folder / f"{tag}.pcapng"
        dump = a.host.start("capture", "dumpcap", "-q", "-i", "eth0", "-w", capture)
        wait_for("the capture", lambda: capture.exists() and capture.stat().st_size > 0, 20, [dump])
        connect_with_sas(a, b)
        marked = ("-p", MARKER.hex()[:32], "-s", "400")
        flood = a.host.start("flood", "ping", "-i", "0.05", *marked, "-I", a.inner, b.inner)
        wait_for("the software engine to stand in", lambda: "reference engine" in json.loads(a.espctl("status", "--json"))["card"], 40, [a.espd, flood])
        status = json.loads(a.espctl("status", "--json"))
        check("espctl says which of the list, and after how many losses", status["card"] == "reference engine (2 of 2, after 3 losses)" and status["card_state"] == "up", status)
        # The new window's last number counts as seen, so that one packet is dropped when the peer comes to it: one, in more than two windows.
        text = b.host.sh("ping", "-c", 150, "-i", "0.01", "-W", "5", *marked, "-I", b.inner, a.inner, check=False)
        came = int(re.search(r"150 packets transmitted, (\d+) received", text)[1])
        check("150 packets behind the new window: at most its last number is lost", came >= 149, text)
        ping(a, b, 5, marked)
        ping(b, a, 5, marked)
        a.host.stop(flood)
        found = RECOVERED.findall(a.espd.log.read_text(errors="replace"))
        check("three recoveries, all SAs each time", [f[:3] for f in found] == [("2", "2", "sim"), ("2", "2", "sim"), ("2", "2", "soft")], found)
        sas = json.loads(a.espctl("sa", "--json"))["sas"]
        check("both SAs are alive", len(sas) == 2 and not any(s["expired"] for s in sas), sas)
        check("SIGTERM ends espd with 0", a.host.stop(a.espd, 10) == 0)
        a.host.stop(dump)
        octets = capture.read_bytes()
        check(f"{len(octets):,} octets outside, no payload in clear", len(octets) > 1000 and MARKER[:16] not in octets)
        fields = subprocess.run(["tshark", "-r", capture, "-Y", "esp", "-T", "fields", "-e", "esp.spi", "-e", "esp.sequence"], capture_output=True, text=True, check=True).stdout.split("\n")
        numbers = collections.Counter(fields[:-1])
        check(f"{len(numbers)} ESP packets, no sequence number twice", len(numbers) > 30 and max(numbers.values()) == 1, numbers.most_common(3))
        print(f"    {point}: recovered in {', '.join(f[3] for f in found)} ms, {sum(int(f[4]) for f in found)} packets lost inside", flush=True)
    except Exception:
        show_logs([gateway.host for gateway in gateways], "espd.log")
        raise
    finally:
        for gateway in gateways:
            gateway.host.close()


run_cases(__doc__, FAULTS, scenario)
