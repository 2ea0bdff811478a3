#!/usr/bin/env python3
"""Fall back to clear with real packets: espd and keyd on one host, another host that does not speak IKE at all. With
fallback = "clear" the pings arrive unprotected after a few seconds; with "none" never a packet leaves; with a peer that
answers IKE and refuses, never either. Needs root: exit 77 without."""
import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "demo")]
from hosts import Host, HostError, join, run, wait_for  # noqa: E402

NEAR, FAR = "192.0.2.1", "192.0.2.2"
ESPD = """
card = "soft"
run_dir = "{dir}/run"
[tun]
name = "espltest0"
[[policy]]
name = "test"
reqid = 7
local_ts = "10.1.0.0/24"
remote_ts = "10.2.0.0/24"
local = "{near}"
peer = "{far}"
fallback = "{fallback}"
"""
KEYD = """
[process]
user = "nobody"
control = "{espd}/keyd.sock"
[espd]
pfkey = "{espd}/pfkey.sock"
natt = "{espd}/natt.sock"
[connections.test]
local_addrs = "{local}"
remote_addrs = "{remote}"
proposals = "{suite}"
[connections.test.children.net]
local_ts = "10.{l}.0.0/24"
remote_ts = "10.{r}.0.0/24"
reqid = 7
start_action = "{start}"
"""
SECRETS = """
[ike.one]
secret = "the secret of the test"
"""


def check(what, good, told=""):
    if not good:
        raise HostError(f"{what}: {told}")
    print(f"    ok: {what}", flush=True)


def start_gateway(host, build, fallback, local, remote, l, r, suite, start):
    host.sh("ip", "route", "del", f"10.{r}.0.0/24", check=False)  # from here on it is espd's
    swap = (lambda t: t) if l == 1 else (lambda t: t.replace("10.1.", "10.X.").replace("10.2.", "10.1.").replace("10.X.", "10.2."))
    (host.folder / "espd.toml").write_text(swap(ESPD.format(dir=host.folder, near=local, far=remote, fallback=fallback)))
    config = host.folder / "keyd.toml"
    config.write_text(KEYD.format(espd=host.folder / "run", local=local, remote=remote, l=l, r=r, suite=suite, start=start))
    config.chmod(0o600)
    secrets = host.folder / "keyd-secrets.toml"
    secrets.write_text(SECRETS)
    secrets.chmod(0o600)
    espd = host.start("espd", build / "bin/espd", "--config", host.folder / "espd.toml")
    wait_for("espd", lambda: (host.folder / "run/espd.sock").exists(), 60, [espd])
    keyd = host.start("keyd", build / "bin/keyd", "--config", config)
    wait_for("keyd", lambda: " ready:" in keyd.log.read_text(), 10, [keyd, espd])


def stats(host, build):
    return json.loads(run(build / "bin/espctl", "--socket", host.folder / "run/espd.sock", "stats", "--json"))


def received(host):
    """Pings that came to the far host in clear, by its own answers: an ICMP counter of its kernel."""
    lines = [line.split() for line in host.sh("cat", "/proc/net/snmp").splitlines() if line.startswith("Icmp:")]
    return int(dict(zip(*lines))["InEchos"])


# What of keyd's requirements a case shows, for docs/requirements.md
SHOWS = {
    "none": "[R1] no SA and no fall back to clear: not one packet leaves",
    "refused": "[R1] a peer that refuses every proposal: not one packet leaves",
}


def case(name, build, folder, fallback, peer):
    print(f"  {name} {SHOWS.get(name, '')}", flush=True)
    tag = f"k2f{os.getpid() % 100000}"
    hosts = []
    try:
        for side in "ab":
            hosts.append(Host(tag + side, folder / f"{name}-{side}"))
        near, far = hosts
        join(near, f"{NEAR}/24", far, f"{FAR}/24")
        near.sh("ip", "addr", "add", "10.1.0.1/32", "dev", "lo")
        far.sh("ip", "addr", "add", "10.2.0.1/32", "dev", "lo")
        far.sh("ip", "route", "add", "10.1.0.0/24", "via", NEAR)
        near.sh("ip", "route", "add", "default", "via", FAR)
        start_gateway(near, build, fallback, NEAR, FAR, 1, 2, "3des-sha1-modp1024", "trap")
        if peer == "refuses":
            start_gateway(far, build, "none", FAR, NEAR, 2, 1, "des-md5-modp768", "none")
        begin = time.monotonic()
        ping = near.start("ping", "ping", "-i", "0.5", "-W", "1", "-c", "16", "-I", "10.1.0.1", "10.2.0.1")
        if fallback == "clear" and peer == "silent":
            wait_for("pings in clear", lambda: received(far) > 0, 10, [])
            waited = time.monotonic() - begin
            check("the first came after about three seconds", 2.5 < waited < 6, waited)
        ping.wait(30)
        clear = stats(near, build)["traffic"]["clear_out"]
        if fallback == "clear" and peer == "silent":
            check("all pings, held ones too, went out in clear", clear == 16 and received(far) == 16, (clear, received(far)))
            check("and were answered", " 0% packet loss" in ping.log.read_text() or int(
                ping.log.read_text().split(" received")[0].split()[-1]) >= 9, ping.log.read_text())
            # The peer begins to speak IKE: traffic moves to an SA.
            start_gateway(far, build, "none", FAR, NEAR, 2, 1, "3des-sha1-modp1024", "start")
            wait_for("an SA", lambda: "up: SPI" in (near.folder / "keyd.log").read_text(), 15, [])
            before = stats(near, build)["traffic"]
            near.sh("ping", "-i", "0.2", "-c", "3", "-I", "10.1.0.1", "10.2.0.1")
            after = stats(near, build)["traffic"]
            check("with an SA nothing more goes in clear", after["clear_out"] == before["clear_out"], after)
            check("but as ESP", after["raw_esp_out"] >= before["raw_esp_out"] + 3, after)
        else:
            check("not one packet left in clear", clear == 0 and received(far) == 0, (clear, received(far)))
    finally:
        for host in hosts:
            host.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", required=True, type=Path)
    parser.add_argument("--only")
    args = parser.parse_args()
    if os.geteuid() != 0:
        print("skipped: network namespaces need root")
        return 77
    with tempfile.TemporaryDirectory(prefix="fallback-") as folder:
        for name, fallback, peer in [("clear", "clear", "silent"), ("none", "none", "silent"), ("refused", "clear", "refuses")]:
            if args.only in (None, name):
                try:
                    case(name, args.build.resolve(), Path(folder), fallback, peer)
                except HostError as error:
                    print(f"FAILED: {error}")
                    for log in sorted(Path(folder).glob(f"{name}*/*.log")):
                        print(f"--- {log}\n{log.read_text()[-3000:]}")
                    return 1
    print("all passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
