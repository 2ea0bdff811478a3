#!/usr/bin/env python3
"""Twelve policies of one peer whose traffic begins at once: strongSwan, which forgets the first of more than three quick modes at a time, as it does of its own
accord. keyd holds the others back, and all come up without one retransmission; once more after all have been renewed at once. Needs root: exit 77 without."""
import json
import os

from two_hosts import check, run_cases, show_logs
from hosts import run, wait_for  # two_hosts.py has set the path
from tunnels import Tunnels

POLICIES = range(1, 13)


def scenario(build, folder):
    t = Tunnels(build, folder, f"espm{os.getpid() % 100000}", POLICIES, 'card = "soft"\n', start_action="trap")
    # Late enough that only a message that got lost is sent again, and none on a busy machine.
    config = t.ours.folder / "keyd.toml"
    config.write_text(config.read_text().replace("retransmit_base_ms = 500", "retransmit_base_ms = 4000"))
    keyd = build / "bin/espctl", "ike", "--socket", t.ours.folder / "keyd.sock"

    def counters():
        return json.loads(run(*keyd, "stats", "--json"))["counters"]
    try:
        t.start_peer()
        t.start_espd()
        t.start_keyd()
        wait_for("keyd", lambda: " ready:" in t.keyd.log.read_text(), 10, [t.keyd, t.espd])
        pings = {i: t.ours.start(f"ping{i}", "ping", "-c", "1", "-W", "10", "-I", f"10.2.{i}.1", f"10.1.{i}.1") for i in POLICIES}
        wait_for("the security associations", t.ready, 20, [t.keyd, t.espd])
        for ping in pings.values():
            ping.wait(15)
        # A peer that is still busy with an SA may lose the packet that asked for it.
        check("each policy's traffic passes", all(t.passes(i) for i in POLICIES))
        told = counters()
        check("12 quick modes under one main mode SA", (told["quick_modes"], told["main_modes"]) == (12, 1), told)
        check("without a retransmission", told["retransmits"] == 0, told)
        run(*keyd, "rekey", "peer")
        wait_for("all renewed", lambda: counters()["quick_modes"] == 24, 20, [t.keyd, t.espd])
        check("renewed at once, without a retransmission", counters()["retransmits"] == 0, counters())
        check("each policy's traffic passes again", all(t.passes(i) for i in POLICIES))
    except BaseException:
        show_logs([t.ours], "espd.log", "keyd.log")
        show_logs([t.peer], "charon-detail.log")
        raise
    finally:
        t.close()


if __name__ == "__main__":
    run_cases(__doc__, [()], scenario)
