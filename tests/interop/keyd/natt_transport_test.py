#!/usr/bin/env python3
"""keyd and strongSwan negotiate transport mode through a router that masquerades: keyd behind it begins, then strongSwan behind it. The identities of quick mode
are addresses that the other end does not see, and strongSwan answers with those that it sees. No strongSwan without a kernel's ESP installs such SAs, so here it says
that it cannot, which it does once it has agreed to all; packets in transport mode through a NAT: tests/interop/espd/natt_transport_test.py. Needs root: exit 77
without."""
import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "demo"))
from hosts import Host, HostError, StrongSwan, join, wait_for  # noqa: E402
from strongswan_test import expect, stub_events  # noqa: E402

SKIPPED = 77
OUTSIDE, NAT, BEHIND = "192.0.2.1", "192.0.2.254", "10.9.0.2"
SECRET = "the secret of the test"
KEYD = """
[process]
user = "nobody"
control = "{dir}/keyd.sock"
[espd]
pfkey = "{dir}/pfkey.sock"
natt = "{dir}/natt.sock"
[connections.swan]
local_addrs = "{near}"
remote_addrs = "{far}"
proposals = "3des-sha1-modp1024"
[connections.swan.children.net]
local_ts = "dynamic"
remote_ts = "dynamic"
mode = "transport"
esp_proposals = "3des-sha1"
reqid = 1
start_action = "{start}"
"""
SWANCTL = """
connections {{ keyd {{
  version = 1
  local_addrs = {near}
  remote_addrs = {far}
  proposals = 3des-sha1-modp1024
  local {{ auth = psk\n id = swan.example }}
  remote {{ auth = psk\n id = %any }}
  children {{ net {{ mode = transport\n esp_proposals = 3des-sha1 }} }}
}} }}
secrets {{ ike-1 {{ secret = "{secret}" }} }}
"""


def run_case(name, args, folder):
    """`name`: who is behind the router, and begins."""
    tag = f"kn{os.getpid() % 100000}"
    hosts = []
    try:
        for end in ("outside", "router", "behind"):
            hosts.append(Host(f"{tag}{end[0]}", folder / end))
        outside, router, behind = hosts
        join(outside, f"{OUTSIDE}/24", router, f"{NAT}/24")
        join(behind, f"{BEHIND}/24", router, "10.9.0.254/24", "eth0", "lan0")
        behind.sh("ip", "route", "add", "default", "via", "10.9.0.254")
        router.sh("sysctl", "-q", "-w", "net.ipv4.ip_forward=1")
        router.sh("nft", "add table ip nat; add chain ip nat out { type nat hook postrouting priority srcnat; }; add rule ip nat out oifname eth0 masquerade")
        ours, theirs = (behind, outside) if name == "keyd" else (outside, behind)
        ends = {behind: (BEHIND, OUTSIDE), outside: (OUTSIDE, NAT)}
        near, far = ends[theirs]
        swan = StrongSwan(theirs, SWANCTL.format(near=near, far=far, secret=SECRET))
        near, far = ends[ours]
        (ours.folder / "keyd.toml").write_text(KEYD.format(dir=ours.folder, near=near, far=far, start="start" if name == "keyd" else "none"))
        (ours.folder / "keyd-secrets.toml").write_text(f'[ike.swan]\nsecret = "{SECRET}"\n')
        for file in ("keyd.toml", "keyd-secrets.toml"):
            (ours.folder / file).chmod(0o600)
        stub = ours.start("espd-stub", args.stub, ours.folder, near)
        wait_for("the stand-in for espd", lambda: "READY" in stub.log.read_text(), 5, [stub])
        keyd = ours.start("keyd", args.keyd, "--config", ours.folder / "keyd.toml")
        wait_for("keyd", lambda: " ready:" in keyd.log.read_text(), 10, [keyd, stub])
        if name == "strongSwan":
            swan.swanctl("--initiate", "--child", "net", "--timeout", "5", check=False)
        charon = theirs.folder / "charon-detail.log"
        # What it says when it comes to install what was agreed on.
        wait_for("strongSwan to agree", lambda: "IPsec SA: unsupported mode" in charon.read_text(), 15, [keyd, stub])
        said = charon.read_text()
        expect(said.count("NAT-OA NAT-OA") == 2, "not both messages told the addresses")
        expect("NAT found: UDP encapsulation" in keyd.log.read_text(), "keyd found no NAT")
        expect(" transport " in stub.log.read_text() and len(stub_events(stub, "UPDATE")) == 1, "keyd installed no SA in transport mode")
        if name == "keyd":  # message 2 named our address as strongSwan sees it, and was taken: message 3 has gone
            expect(f"received traffic selectors {BEHIND}/32" in said, "strongSwan did not change the identities")
            wait_for("the SAs at keyd", lambda: stub_events(stub, "ADD"), 10, [keyd, stub])
    finally:
        for host in reversed(hosts):
            host.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keyd", type=Path, required=True)
    parser.add_argument("--stub", type=Path, required=True)
    parser.add_argument("--keep", help="folder for configurations and logs, kept")
    args = parser.parse_args()
    args.keyd, args.stub = args.keyd.resolve(), args.stub.resolve()
    if os.geteuid() != 0:
        print("skipped: network namespaces need root")
        return SKIPPED
    base = Path(args.keep or tempfile.mkdtemp(prefix="keyd-natt-"))
    failed = False
    for name in ("keyd", "strongSwan"):
        try:
            run_case(name, args, base / name)
            print(f"{name} behind NAT: passed", flush=True)
        except HostError as error:
            failed = True
            print(f"{name} behind NAT: FAILED: {error}; logs in {base}", flush=True)
    if not failed and not args.keep:
        shutil.rmtree(base)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
