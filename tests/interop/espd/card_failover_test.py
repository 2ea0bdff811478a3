#!/usr/bin/env python3
"""A card that fails under traffic, and espd goes on: first on the same card, opened anew, and when that fails again and again on the software engine.
The key daemon notices nothing; no payload leaves in clear; no sequence number goes out twice. Prints what was lost and how long it took.
Needs root: exit 77 without."""
import json
import re

from two_hosts import MARKED, Capture, check, connect_with_sas, pair, ping, run_cases, wait_for

FAULTS = [
    ("completion-lost", 'when = "packet=12"'),
    ("axi-read-error", 'when = "register=SQ_TAIL*12"'),
    ("lane-hung", 'when = "packet=12"'),
    ("removal", 'when = "packet=12"'),
    ("reset", 'when = "packet=12"'),
]
RECOVERED = re.compile(r"(\d+) SAs of (\d+) are on card (\w+) after ([\d.]+) ms; (\d+) packets were lost")


def scenario(build, folder, point, keys):
    with pair(build, folder, f"cf{point[:4]}", ["sim", "soft"]) as (a, b):
        plan = folder / "plan.toml"
        plan.write_text(f'[[fault]]\npoint = "{point}"\n{keys}\n')  # for each card that is opened: it fails again
        a.start(env={"ESPLANADE_SIM_FAULTS": str(plan), "ESPLANADE_SIM_MODEL": "rtl"})
        b.start()
        capture = Capture(a.host, folder)
        connect_with_sas(a, b)
        flood = a.host.start("flood", "ping", "-i", "0.05", *MARKED, "-I", a.inner, b.inner)
        wait_for("the software engine to stand in", lambda: "reference engine" in a.status()["card"], 40, [a.espd, flood])
        status = a.status()
        check("espctl says which of the list, and after how many losses", status["card"] == "reference engine (2 of 2, after 3 losses)" and status["card_state"] == "up", status)
        # The new window's last number counts as seen, so that one packet is dropped when the peer comes to it: one, in more than two windows.
        text = b.host.sh("ping", "-c", 150, "-i", "0.01", "-W", "5", *MARKED, "-I", b.inner, a.inner, check=False)
        came = int(re.search(r"150 packets transmitted, (\d+) received", text)[1])
        check("150 packets behind the new window: at most its last number is lost", came >= 149, text)
        ping(a, b, 5, MARKED)
        ping(b, a, 5, MARKED)
        a.host.stop(flood)
        found = RECOVERED.findall(a.espd.log.read_text(errors="replace"))
        check("three recoveries, all SAs each time", [f[:3] for f in found] == [("2", "2", "sim"), ("2", "2", "sim"), ("2", "2", "soft")], found)
        sas = json.loads(a.espctl("sa", "--json"))["sas"]
        check("both SAs are alive", len(sas) == 2 and not any(s["expired"] for s in sas), sas)
        check("SIGTERM ends espd with 0", a.host.stop(a.espd, 10) == 0)
        capture.stop()
        capture.numbers_once(30)
        print(f"    {point}: recovered in {', '.join(f[3] for f in found)} ms, {sum(int(f[4]) for f in found)} packets lost inside", flush=True)


run_cases(__doc__, FAULTS, scenario)
