#!/usr/bin/env python3
"""Two simulated cards that share the SAs of eight tunnels, strongSwan on the other end, traffic in all of them: one card is lost again and again until it is left alone,
and only its tunnels notice; it is taken into use again, and one is drained, and nobody does. Nothing leaves in clear, no number goes out twice. Needs root: exit 77 without."""
import os
import re
import signal
import time

from tunnels import Tunnels, wait_for
from two_hosts import MARKED, Capture, check, run_cases, show_logs

POLICIES = range(1, 9)
INTERVAL = 0.02


class Pings:
    """One ping process for each of the policies."""

    def __init__(self, tunnels, policies, seconds):
        self.tunnels = tunnels
        self.running = {i: tunnels.ours.start(f"ping{i}", "ping", "-q", "-i", INTERVAL, "-c", int(seconds / INTERVAL), "-W", "3", *MARKED, "-I", f"10.2.{i}.1", f"10.1.{i}.1") for i in policies}

    def lost(self):
        """{policy: packets lost}, when all of them have ended."""
        out = {}
        for i, process in self.running.items():
            process.wait(60)
            self.tunnels.ours.stop(process)
            sent, came = map(int, re.search(r"(\d+) packets transmitted, (\d+) received", process.log.read_text()).groups())
            out[i] = sent - came
        return out


def carried(t):
    """{card: SAs}, {card: state}"""
    cards = t.ask("card")["cards"]
    return {c["number"]: c["sas"] for c in cards}, {c["number"]: c["state"] for c in cards}


def lose(t, card):
    """Kills the model: the card reads all ones from then on, as one that fell off the bus."""
    before = t.ask("card")["losses"]
    wait_for(f"the model of card {card}", lambda: t.model_of(card), 10, [t.espd])
    os.kill(t.model_of(card), signal.SIGKILL)
    wait_for("the loss", lambda: t.ask("card")["losses"] > before, 10, [t.espd])


def scenario(build, folder, cards, model):
    t = Tunnels(build, folder, f"sc{os.getpid() % 100000}", POLICIES, f"card = {cards}\ncards_in_use = 2\n", env={"ESPLANADE_SIM_MODEL": model})
    try:
        t.start_peer()
        capture = Capture(t.ours, folder)
        t.start_espd()
        t.start_keyd()
        wait_for("the security associations", t.ready, 60, [t.keyd, t.espd])
        first, states = carried(t)
        check("both cards carry SAs, pairs whole", sum(first.values()) == 2 * len(POLICIES) and min(first.values()) > 0 and not any(n % 2 for n in first.values()), first)
        print(t.espctl("card"))

        before = {c["number"]: c["encap_packets"] for c in t.ask("card")["cards"]}
        pings = Pings(t, POLICIES, 8)
        for _ in range(3):
            lose(t, 2)
            time.sleep(0.5)
        check("after three losses within a minute the card is left alone", carried(t) == ({1: 2 * len(POLICIES), 2: 0}, {1: "up", 2: "lost"}), carried(t))
        health = t.espctl("health", check=False)
        check("health says what to do", "espctl reset 2" in health, health)
        lost = pings.lost()
        # Of the two halves the one that lost nothing is that of the card that was not touched.
        hit = {i for i, n in lost.items() if n > 0}
        check(f"packets of at most its own {first[2] // 2} tunnels are lost", len(hit) <= first[2] // 2, f"{lost}, {t.ask('stats')}")
        check("and of each at most what was inside, and the one number behind a new window", max(lost.values()) < 3 * 10, lost)
        check("both had traffic", all(c["encap_packets"] > before[c["number"]] for c in t.ask("card")["cards"]))
        recovered = re.findall(r"(\d+) SAs of (\d+) are on (card 2 \(sim\)|the other cards) after ([\d.]+) ms; (\d+) packets were lost", t.espd.log.read_text(errors="replace"))
        check("two times on the same card, then on the other", [r[2] for r in recovered] == ["card 2 (sim)", "card 2 (sim)", "the other cards"] and all(r[0] == r[1] == str(first[2]) for r in recovered), recovered)
        print(f"    {first[2]} SAs recovered in {', '.join(r[3] for r in recovered)} ms, {sum(int(r[4]) for r in recovered)} packets lost inside, {sum(lost.values())} by the pings")

        pings = Pings(t, POLICIES, 5)
        time.sleep(1)
        t.espctl("reset", "2")
        check("reset takes the card into use again, with its share", carried(t) == (first, {1: "up", 2: "up"}), carried(t))
        time.sleep(1)
        t.espctl("drain", "1")
        check("a drained card carries nothing", carried(t) == ({1: 0, 2: 2 * len(POLICIES)}, {1: "drained", 2: "up"}), carried(t))
        refused = t.espctl("drain", "2", check=False)
        check("the last one cannot be drained", carried(t)[1][2] == "up", refused)
        time.sleep(1)
        t.espctl("resume", "1")
        check("and takes its share again", carried(t) == (first, {1: "up", 2: "up"}), carried(t))
        lost = pings.lost()
        check("of each tunnel at most the numbers behind two new windows are lost", max(lost.values()) <= 4, lost)
        drops = t.ask("stats")["drops"]
        check("nothing was dropped for another reason", set(drops) <= {"card"}, drops)
        check("SIGTERM ends keyd and espd with 0", t.ours.stop(t.keyd) == 0 and t.ours.stop(t.espd, 20) == 0)
        capture.stop()
        capture.numbers_once(2000)
    except BaseException:
        show_logs([t.ours, t.peer], "espd.log", "keyd.log", "charon-detail.log")
        raise
    finally:
        t.close()


run_cases(__doc__, [('["sim", "sim"]', "functional")], scenario)
