#!/usr/bin/env python3
"""What an operator touches: every command of espctl, drain and reset under traffic, the status page in a browser, metrics, alerts and dashboard against
what espd really says, systemd's notifications, and clients that mean harm. Needs root: exit 77 without."""
import argparse
import html.parser
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from two_hosts import ROOT, HostError, check, connect_with_sas, pair, ping, wait_for

SEED = int(os.environ.get("ESPLANADE_SEED") or random.randrange(1 << 32))
PACKAGING = ROOT / "packaging"
PORT = 9464


class Text(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.text, self.tags = "", []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.text += data + " "


def commands(a, b):
    status = json.loads(a.espctl("status", "--json"))
    check("status: card, policies, SAs", (status["card"], status["card_state"], status["sas"], status["policies"][0]["ready"]) == ("reference engine", "up", 2, True), status)
    policy, = json.loads(a.espctl("policy", "--json"))["policies"]
    check("policy: selectors and peers", (policy["local_ts"], policy["remote_ts"], policy["peer"]) == ("10.1.0.0/16", "10.2.0.0/24", b.outer), policy)
    card = json.loads(a.espctl("card", "--json"))
    check("card: configuration and results", card["configured"] == ["soft"] and card["on_card_loss"] == "recover" and card["losses"] == 0 and card["by_status"]["Ok"] >= 6, card)
    check("health: nothing to see to", "healthy" in a.espctl("health"))
    check("events: the log", "ready: card" in a.espctl("events"))
    check("stats and sa as tables", "encap_packets" in a.espctl("stats") and "3des-cbc/hmac-sha1-96" in a.espctl("sa"))
    top = a.espctl("top", "--count", "2", "--interval", "0.2")
    check("top: rates", top.count("card busy") == 2 and "encap" in top, top)
    check("top as JSON", len(re.findall(r'"encap_packets"', a.espctl("top", "--count", "2", "--interval", "0.1", "--json"))) == 2)
    helped = a.espctl("--help")
    names = set(re.findall(r"^  (\w+) {2,}", helped.split("Subcommands:")[1], re.M))
    bash = (PACKAGING / "completion/espctl.bash").read_text()
    offered = set(re.search(r'-W "(status [\w ]+)"', bash)[1].split())
    zsh = (PACKAGING / "completion/_espctl").read_text()
    check("completion offers every command and no other", offered == names and all(f"{n}\\:" in zsh for n in names), (offered ^ names))
    scope_help = subprocess.run([a.build / "bin/espscope", "--help"], capture_output=True, text=True, check=True).stdout
    scopes = set(re.findall(r"^    (\w+) {2,}", scope_help, re.M))
    offered = set(re.search(r'-W "(regs [\w ]+)"', bash)[1].split())
    check("completion of espscope, too", offered == scopes and all(f"{n}\\:" in (PACKAGING / "completion/_espscope").read_text() for n in scopes), offered ^ scopes)


def drain_and_reset(a, b):
    check("drain", "0 packets inside" in a.espctl("drain"))
    text = a.host.sh("ping", "-c", "3", "-i", "0.2", "-W", "1", "-I", a.inner, b.inner, check=False)
    check("drained: nothing passes, and it is counted", "100% packet loss" in text and a.stats()["drops"]["drained"] >= 3, text)
    health = subprocess.run([a.build / "bin/espctl", "--socket", a.run_dir / "espd.sock", "health"], capture_output=True, text=True, check=False)
    check("health says so and exits with 1", health.returncode == 1 and "drained by an operator" in health.stdout, health)
    a.espctl("resume")
    ping(a, b)
    before = {s["spi"]: s["seq"] for s in json.loads(a.espctl("sa", "--json"))["sas"] if s["direction"] == "out"}
    flood = a.host.start("flood", "ping", "-i", "0.02", "-I", a.inner, b.inner)
    for _ in range(3):
        check("reset keeps the SAs", "2 SAs are on" in a.espctl("reset"))
        time.sleep(0.2)
    a.host.stop(flood)
    ping(a, b)
    ping(b, a)
    after = {s["spi"]: s["seq"] for s in json.loads(a.espctl("sa", "--json"))["sas"] if s["direction"] == "out"}
    check("sequence numbers go on", after.keys() == before.keys() and all(after[k] > before[k] for k in after), (before, after))
    check("B saw no replay", b.stats()["by_status"].get("Replay", 0) == 0, b.stats())


def crash(b, folder):
    """A crash leaves no core file, for keys would be in it."""
    pid = b.espd.pid
    check("it is espd", Path(f"/proc/{pid}/comm").read_text() == "espd\n")
    status, where = Path(f"/proc/{pid}/limits").read_text(), Path(os.readlink(f"/proc/{pid}/cwd"))
    check("espd may leave no core file", re.search(r"Max core file size +0 +0 ", status) is not None, status)
    os.kill(pid, signal.SIGSEGV)
    check("it crashed", b.espd.wait(10) in (-signal.SIGSEGV, 128 + signal.SIGSEGV), b.espd.returncode)
    check("no core file", not [*folder.rglob("core*"), *where.glob("core*")])


def request(a, octets):
    """The answer to raw octets, from inside A's namespace."""
    script = "import socket,sys; s=socket.create_connection(('127.0.0.1',%d)); s.settimeout(8); s.sendall(sys.stdin.buffer.read())\n" \
             "while part := s.recv(65536): sys.stdout.buffer.write(part)" % PORT
    return subprocess.run(a.host.argv(sys.executable, "-c", script), input=octets, capture_output=True, timeout=20, check=False).stdout


def get(a, path, host="127.0.0.1"):
    head, _, body = request(a, f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()).partition(b"\r\n\r\n")
    return head.split(b"\r\n")[0].decode(), body.decode()


def read_metrics(text):
    """{name: {labels: value}}, every line checked against the text format."""
    families, out = {}, {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            families[name] = kind
        elif not line.startswith("# HELP "):
            match = re.fullmatch(r'([a-z_]+)(\{[a-z_]+="(?:[^"\\\n]|\\.)*"\})? (\d+)', line)
            check(f"a metric's line, {line[:60]!r}", match is not None and match[1] in families) if match is None else None
            out.setdefault(match[1], {})[match[2] or ""] = int(match[3])
    check("counters end in _total or _seconds, gauges do not", all(n.endswith(("_total", "_seconds")) == (k == "counter") for n, k in families.items()), families)
    return families, out


def web(a, b, folder, keys):
    page = a.host.start("espweb", a.build / "bin/espweb", "--socket", a.run_dir / "espd.sock", "--port", str(PORT))
    wait_for("espweb", lambda: "200" in get(a, "/")[0], 10, [page])
    families, metrics = read_metrics(get(a, "/metrics")[1])
    stats = a.stats()
    check("metrics are what espctl says", metrics["esplanade_packets_total"]['{direction="encap"}'] == stats["encap_packets"] and
          metrics["esplanade_completions_total"]['{status="Ok"}'] == stats["by_status"]["Ok"] and metrics["esplanade_sas"][""] == 2 and
          metrics["esplanade_policy_ready"]['{policy="test"}'] == 1 and metrics["esplanade_card_losses_total"][""] == 3, metrics)
    asked = set(re.findall(r"esplanade_\w+", (PACKAGING / "grafana/esplanade.json").read_text() + (PACKAGING / "prometheus/esplanade.rules.yml").read_text()))
    check(f"the {len(asked)} metrics of dashboard and alerts exist", len(asked) > 10 and asked <= set(families), asked - set(families))
    json.loads((PACKAGING / "grafana/esplanade.json").read_text())
    dom = subprocess.run(a.host.argv("chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'chromium'}", "--virtual-time-budget=6000", "--dump-dom",
                                     f"http://127.0.0.1:{PORT}/"), capture_output=True, text=True, timeout=60, check=False).stdout
    seen = Text()
    seen.feed(dom)
    spis = [s["spi"] for s in json.loads(a.espctl("sa", "--json"))["sas"]]
    check("the page shows SAs, policy, drops, events in a browser", all(w in seen.text for w in (*spis, "10.2.0.0/24", "drained", "reset by an operator", "reference engine (1 of 1, after 3 losses)")) and
          seen.tags.count("path") == 2, seen.text)
    everything = get(a, "/api/all")[1] + get(a, "/metrics")[1] + dom
    check("no key on the page", not any(k.hex() in everything for k in keys))
    check("another site's name is refused", "403" in get(a, "/api/all", "evil.example")[0])
    rng = random.Random(SEED)
    for octets in (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello", b"GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET /" + b"a" * 100_000,
                   b"\r\n" * 1000, b"PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", bytes(rng.randrange(256) for _ in range(2000))):
        answer = request(a, octets)
        check(f"{octets[:30]!r} gets nothing", b"200 OK" not in answer and b"root:" not in answer, answer[:100])
    lazy = subprocess.Popen(a.host.argv(sys.executable, "-c", f"import socket,time; s=[socket.create_connection(('127.0.0.1',{PORT})) for _ in range(30)]; time.sleep(12)"))
    wait_for("an answer beside thirty who say nothing", lambda: "200" in get(a, "/metrics")[0], 60, [page])
    lazy.kill()
    lazy.wait()
    refused = subprocess.run([a.build / "bin/espweb", "--address", "0.0.0.0"], capture_output=True, text=True, check=False)
    check("no address but loopback", refused.returncode != 0 and "loopback" in refused.stdout + refused.stderr, refused)
    return page


def hostile_clients(a, b):
    path = str(a.run_dir / "espd.sock")
    rng = random.Random(SEED)
    memory = lambda: int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{a.espd.pid}/status").read_text())[1])
    before = memory()
    for turn in range(3000):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            s.connect(path)
            octets = rng.choice((bytes(rng.randrange(256) for _ in range(rng.randrange(1, 300))), b"{", b"[" * 900, b'{"command": 5}', b'{"command": "sa", "offset": -1}',
                                 b'{"command": "sa", "offset": 18446744073709551615}', b'{"command": "' + b"x" * 900 + b'"}', b"x" * 2000))
            try:
                s.send(octets)
            except OSError:
                pass
    idle = []
    for _ in range(40):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        s.connect(path)
        idle.append(s)
    ping(a, b)
    for s in idle:
        s.close()
    wait_for("espctl again", lambda: json.loads(a.espctl("status", "--json"))["sas"] == 2, 10, [a.espd])
    check("memory is steady", memory() < before + 4096, (before, memory()))
    stranger = subprocess.run(["setpriv", "--reuid", "65534", "--clear-groups", a.build / "bin/espctl", "--socket", path, "status"], capture_output=True, text=True, check=False)
    check("another user reaches nothing", stranger.returncode != 0 and "SAs" not in stranger.stdout, stranger)


def receive(notify):
    try:
        return notify.recv(4096)
    except BlockingIOError:
        return None


def notifications(notify):
    notify.settimeout(5)
    heard = []
    while not any("WATCHDOG=1" in h for h in heard):
        heard.append(notify.recv(4096).decode())
    check("systemd hears READY, STATUS and the watchdog", "READY=1" in heard[0] and "STATUS=card reference engine" in heard[0], heard)


def scenario(a, b, folder):
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify.bind(str(folder / "notify"))
    a.start(env={"NOTIFY_SOCKET": str(folder / "notify")})
    b.start()
    notifications(notify)
    *_, keys = connect_with_sas(a, b)
    ping(a, b)
    commands(a, b)
    drain_and_reset(a, b)
    web_process = web(a, b, folder, keys)
    hostile_clients(a, b)
    wait_for("the page again", lambda: "200" in get(a, "/metrics")[0], 10, [web_process])  # and nobody reads systemd's socket meanwhile
    check("SIGTERM ends espweb with 0", a.host.stop(web_process, 10) == 0)
    notify.setblocking(False)
    hear_all = lambda: [h for h in iter(lambda: receive(notify), None)]
    hear_all()
    check("SIGTERM ends espd with 0", a.host.stop(a.espd, 10) == 0)
    heard = hear_all()
    check("systemd hears STOPPING last", heard[-1] == b"STOPPING=1", heard[-3:])
    crash(b, folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, required=True)
    options = parser.parse_args()
    print(f"ESPLANADE_SEED={SEED}")
    if os.geteuid() != 0:
        print("skipped: network namespaces need root")
        sys.exit(77)
    with tempfile.TemporaryDirectory(prefix="espd-test-") as name:
        folder = Path(name)
        try:
            with pair(options.build.resolve(), folder, "op", "soft") as (a, b):
                scenario(a, b, folder)
        except (HostError, OSError, subprocess.SubprocessError, KeyError, TypeError) as error:
            sys.exit(f"FAILED: {error!r}\nto repeat: ESPLANADE_SEED={SEED} {' '.join(sys.argv)}")
    print("all passed")


main()
