#!/usr/bin/env python3
"""keyd against strongSwan: two network namespaces, charon with user-space ESP in one, keyd with a stand-in for espd
in the other. For each case: main mode and quick mode complete, both ends hold the same SPIs, pings pass through
the tunnel (so the keys are equal), and a shutdown of keyd removes the SAs at strongSwan.

    sudo strongswan_test.py --keyd build/dev/bin/keyd --stub build/dev/bin/espd-stub [--only NAME] [--keep DIR]
"""
import argparse
import os
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "demo"))
from hosts import Host, HostError, StrongSwan, join, wait_for  # noqa: E402

SKIPPED = 77
KEYD_ADDRESS = "192.0.2.1"
SWAN_ADDRESS = "192.0.2.2"

# name, IKE suite, ESP suite as keyd writes it, who initiates
CASES = [
    ("initiator-group2", "3des-sha1-modp1024", "3des-sha1", "start"),
    ("initiator-group14", "3des-sha1-modp2048", "3des-sha1", "start"),
    ("responder-group2", "3des-sha1-modp1024", "3des-sha1", "none"),
    ("responder-group14", "3des-sha1-modp2048", "3des-sha1", "none"),
    ("initiator-md5-pfs", "3des-md5-modp1024", "3des-md5-modp1024", "start"),
    ("responder-des-pfs", "des-md5-modp768", "des-sha1-modp768", "none"),
    ("initiator-null", "des-sha1-modp1024", "null-sha1", "start"),
    ("acquire", "3des-sha1-modp1024", "3des-sha1", "trap"),
    ("rekey", "3des-sha1-modp1024", "3des-sha1", "start"),
    ("fragments", "3des-sha1-modp1024", "3des-sha1-modp1024", "start"),
    ("dead-peer", "3des-sha1-modp1024", "3des-sha1", "start"),
    ("wrong-secret", "3des-sha1-modp1024", "3des-sha1", "start"),
]

KEYD_TOML = """
[espd]
pfkey = "{dir}/pfkey.sock"
natt = "{dir}/natt.sock"
[log]
level = "debug"
[ike]
fragment_size = {fragment_size}
[connections.swan]
dpd_delay = {dpd_delay}
dpd_timeout = 8
local_addrs = "{keyd}"
remote_addrs = "{swan}"
proposals = "{ike}"
[connections.swan.local]
id = "{keyd_id}"
[connections.swan.remote]
id = "{swan_id}"
[connections.swan.children.net]
local_ts = "10.1.0.0/16"
remote_ts = "10.2.0.0/16"
esp_proposals = "{esp}"
reqid = 1
start_action = "{start}"
[secrets.ike]
id = "{swan}"
secret = "{psk}"
"""

SWANCTL = """
connections {{
  keyd {{
    version = 1
    local_addrs = {swan}
    remote_addrs = {keyd}
    fragmentation = yes
    dpd_delay = {swan_dpd}s
    proposals = {ike}
    local {{ auth = psk\n id = {swan_id} }}
    remote {{ auth = psk\n id = {keyd_id} }}
    children {{
      net {{ local_ts = 10.2.0.0/16\n remote_ts = 10.1.0.0/16\n esp_proposals = {esp} }}
    }}
  }}
}}
secrets {{ ike-1 {{ id = {keyd_id}\n secret = "the secret of the test" }} }}
"""


def stub_events(stub, word):
    """The SPIs of the lines of the stub's log that start with `word`, oldest first."""
    return re.findall(rf"^{word} ([0-9a-f]{{8}})", stub.log.read_text(), re.M)


def swan_spis(swan):
    """(inbound, outbound) SPIs of the children that strongSwan lists."""
    text = swan.swanctl("--list-sas")
    return (sorted(re.findall(r"^\s+in\s+([0-9a-f]{8})", text, re.M)), sorted(re.findall(r"^\s+out\s+([0-9a-f]{8})", text, re.M)))


def ping(host, count):
    out = host.sh("ping", "-c", count, "-i", "0.2", "-W", "3", "-I", "10.2.0.1", "10.1.0.1", check=False)
    found = re.search(r"(\d+) received", out)
    return int(found.group(1)) if found else 0


def expect(condition, what):
    if not condition:
        raise HostError(what)


def run_case(name, ike, esp, start, args, folder):
    tag = f"kd{os.getpid() % 100000}"
    hosts = []
    try:
        here, peer = Host(f"{tag}a", folder / "keyd"), None
        hosts.append(here)
        peer = Host(f"{tag}b", folder / "swan")
        hosts.append(peer)
        join(here, f"{KEYD_ADDRESS}/24", peer, f"{SWAN_ADDRESS}/24")
        peer.sh("ip", "addr", "add", "10.2.0.1/32", "dev", "lo")
        peer.sh("ip", "route", "add", "10.1.0.0/16", "via", KEYD_ADDRESS)
        values = dict(dir=here.folder, keyd=KEYD_ADDRESS, swan=SWAN_ADDRESS, ike=ike, esp=esp, start=start,
                      psk="wrong" if name == "wrong-secret" else "the secret of the test")
        long = "a" * 180 if name == "fragments" else ""  # names that make messages 5 and 6 long
        values.update(keyd_id=f"keyd{long}.example", swan_id=f"swan{long}.example", fragment_size=256 if long else 1280,
                      dpd_delay=1 if name == "dead-peer" else 30, swan_dpd=2 if name == "dead-peer" else 0)
        swan = StrongSwan(peer, SWANCTL.format(**values), settings="fragment_size = 300" if long else "")
        config = here.folder / "keyd.toml"
        config.write_text(KEYD_TOML.format(**values))
        config.chmod(0o600)
        stub_args = ["--acquire", "1", SWAN_ADDRESS] if start == "trap" else ["--expire-soft", "3"] if name == "rekey" else \
            ["--one-way"] if name == "dead-peer" else []
        stub = here.start("espd-stub", args.stub, here.folder, KEYD_ADDRESS, *stub_args)
        wait_for("the stand-in for espd", lambda: "READY" in stub.log.read_text(), 5, [stub])
        keyd = here.start("keyd", args.keyd, "--config", config)
        wait_for("keyd", lambda: " ready:" in keyd.log.read_text(), 10, [keyd, stub])
        if name == "wrong-secret":
            wait_for("strongSwan to fail at message 5", lambda: "could not decrypt payloads" in
                     (peer.folder / "charon-detail.log").read_text(), 10, [keyd, stub])
            time.sleep(1.5)  # a retransmission
            expect(not stub_events(stub, "ADD"), "an SA came up with a wrong secret")
            expect(not swan.established(), "strongSwan installed an SA with a wrong secret")
            expect(here.stop(keyd) == 0, "keyd did not end with 0")
            return
        if start == "none":
            swan.swanctl("--initiate", "--child", "net", "--timeout", "15")
        wait_for("the SAs at keyd", lambda: stub_events(stub, "ADD"), 15, [keyd, stub])
        wait_for("the SAs at strongSwan", swan.established, 10, [keyd, stub])
        spis_in, spis_out = swan_spis(swan)
        expect(spis_in == sorted(stub_events(stub, "ADD")), f"strongSwan's inbound SPIs {spis_in} are not keyd's outbound ones")
        expect(spis_out == sorted(stub_events(stub, "UPDATE")), f"strongSwan's outbound SPIs {spis_out} are not keyd's inbound ones")
        expect(ping(peer, 3) == 3, "pings through the tunnel are lost")
        charon_log = peer.folder / "charon-detail.log"
        if name == "fragments":
            expect("reassembled fragmented IKE message" in charon_log.read_text(), "strongSwan saw no fragments of keyd")
            expect("was put together" in keyd.log.read_text(), "keyd saw no fragments of strongSwan")
        if name == "dead-peer":
            wait_for("an answer of keyd to R-U-THERE", lambda: "N(DPD_ACK)" in charon_log.read_text(), 10, [keyd, stub])
            wait_for("an answer of strongSwan to R-U-THERE", lambda: "is there" in keyd.log.read_text(), 10, [keyd, stub])
            swan.process.kill()
            wait_for("keyd to give the peer up", lambda: "is dead" in keyd.log.read_text(), 30, [keyd, stub])
            expect(set(stub_events(stub, "DELETE")) >= set(stub_events(stub, "ADD")), "keyd kept SAs of a dead peer")
            expect(here.stop(keyd) == 0, "keyd did not end with 0")
            return
        if name == "rekey":
            wait_for("the second pair", lambda: len(stub_events(stub, "ADD")) == 2, 15, [keyd, stub])
            expect(ping(peer, 3) == 3, "pings after the rekey are lost")
            expect(len(set(re.findall(r"ECHO in ([0-9a-f]+)", stub.log.read_text()))) == 2, "the new pair is not used")
        expect(here.stop(keyd) == 0, "keyd did not end with 0")
        wait_for("strongSwan to forget the SAs", lambda: swan.swanctl("--list-sas").strip() == "", 5)
        expect(set(stub_events(stub, "DELETE")) >= set(stub_events(stub, "ADD") + stub_events(stub, "UPDATE")), "keyd left SAs in espd")
    finally:
        for host in hosts:
            host.close()


def main():
    parser = argparse.ArgumentParser(description="keyd against strongSwan (needs root)")
    parser.add_argument("--keyd", required=True)
    parser.add_argument("--stub", required=True)
    parser.add_argument("--only")
    parser.add_argument("--keep", help="folder for configurations and logs, kept")
    args = parser.parse_args()
    args.keyd, args.stub = Path(args.keyd).resolve(), Path(args.stub).resolve()
    if os.geteuid() != 0:
        print("skipped: network namespaces need root")
        return SKIPPED
    for tool in ("ip", "swanctl", "ping", "/usr/lib/ipsec/charon"):
        if shutil.which(tool) is None:
            print(f"skipped: {tool} is missing (packages iproute2, strongswan-swanctl, iputils-ping, strongswan-charon)")
            return SKIPPED
    base = Path(args.keep or tempfile.mkdtemp(prefix="keyd-interop-"))
    failed = []
    cases = [c for c in CASES if args.only in (None, c[0])]
    for case in cases:
        try:
            run_case(*case, args, base / case[0])
            print(f"{case[0]:20} passed", flush=True)
        except HostError as error:
            failed.append(case[0])
            print(f"{case[0]:20} FAILED: {error}", flush=True)
    print(f"{len(cases) - len(failed)} passed, {len(failed)} failed" + (f"; logs in {base}" if failed or args.keep else ""))
    if not failed and not args.keep:
        shutil.rmtree(base)
    return 1 if failed or not cases else 0


if __name__ == "__main__":
    sys.exit(main())
