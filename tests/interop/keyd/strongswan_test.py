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
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "demo"))
from hosts import Host, HostError, StrongSwan, join, wait_for  # noqa: E402

SKIPPED = 77
KEYD_ADDRESS = "192.0.2.1"
SWAN_ADDRESS = "192.0.2.2"

# name, IKE suite, ESP suite as strongSwan writes it (with a group: PFS), who initiates. In those with "rsa" RSA signatures
# authenticate, else a pre-shared key.
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
    ("wrong-secret", "3des-sha1-modp1024", "3des-sha1", "start"),
    ("rsa-initiator", "3des-sha1-modp1024", "3des-sha1", "start"),
    ("rsa-responder", "3des-md5-modp2048", "3des-sha1", "none"),
    ("rsa-foreign-authority", "3des-sha1-modp1024", "3des-sha1", "start"),
    ("rsa-foreign-authority-responder", "3des-sha1-modp1024", "3des-sha1", "none"),
]

KEYD_TOML = """
[espd]
pfkey = "{dir}/pfkey.sock"
natt = "{dir}/natt.sock"
[log]
level = "debug"
[connections.swan]
local_addrs = "{keyd}"
remote_addrs = "{swan}"
proposals = "{ike}"
[connections.swan.local]
id = "keyd.example"
{local}
[connections.swan.remote]
id = "swan.example"
{remote}
[connections.swan.children.net]
local_ts = "10.1.0.0/16"
remote_ts = "10.2.0.0/16"
esp_proposals = "{keyd_esp}"
pfs = {pfs}
reqid = 1
start_action = "{start}"
"""

SECRETS_TOML = """
[ike.swan]
id = "{swan}"
secret = "{psk}"
{private}
"""

SWANCTL = """
connections {{
  keyd {{
    version = 1
    local_addrs = {swan}
    remote_addrs = {keyd}
    proposals = {ike}
    local {{ id = swan.example\n {swan_local} }}
    remote {{ id = keyd.example\n {swan_remote} }}
    children {{
      net {{ local_ts = 10.2.0.0/16\n remote_ts = 10.1.0.0/16\n esp_proposals = {esp} }}
    }}
  }}
}}
secrets {{ ike-1 {{ id = keyd.example\n secret = "the secret of the test" }} }}
"""


def make_pki(folder):
    """An authority, a certificate and key for each end, and a foreign authority of the same name, by strongSwan's pki."""
    folder.mkdir(parents=True, exist_ok=True)

    def pki(*args, out):
        (folder / out).write_bytes(subprocess.run(["pki", *map(str, args), "--outform", "pem"], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout)

    for name in ("ca", "foreign", "keyd", "swan"):
        pki("--gen", "--type", "rsa", "--size", "2048", out=f"{name}.key")
    for name in ("ca", "foreign"):
        pki("--self", "--ca", "--in", folder / f"{name}.key", "--type", "rsa", "--dn", "C=CH, O=Test, CN=Root", out=f"{name}.pem")
    for name in ("keyd", "swan"):
        pki("--issue", "--cacert", folder / "ca.pem", "--cakey", folder / "ca.key", "--type", "priv", "--in", folder / f"{name}.key",
            "--dn", f"C=CH, O=Test, CN={name}", "--san", f"{name}.example", out=f"{name}.pem")
    return folder


def credentials(name, pki):
    """What the templates need for the method of a case."""
    if not name.startswith("rsa"):
        return dict(local='auth = "psk"', remote='auth = "psk"', private="", swan_local="auth = psk", swan_remote="auth = psk")
    trusted = "foreign" if "foreign" in name else "ca"
    return dict(local=f'auth = "pubkey"\ncerts = "{pki}/keyd.pem"', remote=f'auth = "pubkey"\ncacerts = "{pki}/{trusted}.pem"',
                private=f'[private.keyd]\nfile = "{pki}/keyd.key"',
                swan_local=f"auth = pubkey\n certs = {pki}/swan.pem", swan_remote=f"auth = pubkey\n cacerts = {pki}/ca.pem")


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
                      keyd_esp=esp.partition("-modp")[0],
                      pfs="true" if "-modp" in esp else "false",
                      psk="wrong" if name == "wrong-secret" else "the secret of the test")
        values.update(credentials(name, args.pki))
        if name.startswith("rsa"):  # swanctl looks for keys beside its file
            (peer.folder / "private").mkdir(parents=True)
            shutil.copy(args.pki / "swan.key", peer.folder / "private")
        swan = StrongSwan(peer, SWANCTL.format(**values))
        config = here.folder / "keyd.toml"
        secrets = here.folder / "keyd-secrets.toml"
        secrets.write_text(SECRETS_TOML.format(**values))
        secrets.chmod(0o600)
        config.write_text(KEYD_TOML.format(**values))
        config.chmod(0o600)
        stub_args = ["--acquire", "1", SWAN_ADDRESS] if start == "trap" else ["--expire-soft", "3"] if name == "rekey" else []
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
        if "foreign" in name:
            if start == "none":
                swan.swanctl("--initiate", "--child", "net", "--timeout", "5", check=False)
            wait_for("keyd to refuse", lambda: re.search(r"failed to authenticate 3 times: .*(self.signed|unable to get)", keyd.log.read_text()), 15, [keyd, stub])
            expect(not stub_events(stub, "ADD"), "an SA came up under a foreign authority")
            expect(not swan.established(), "strongSwan installed an SA")
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
    for tool in ("ip", "swanctl", "ping", "pki", "/usr/lib/ipsec/charon"):
        if shutil.which(tool) is None:
            print(f"skipped: {tool} is missing (packages iproute2, strongswan-swanctl, iputils-ping, strongswan-pki, strongswan-charon)")
            return SKIPPED
    args.pki = None
    base = Path(args.keep or tempfile.mkdtemp(prefix="keyd-interop-"))
    failed = []
    cases = [c for c in CASES if args.only is None or c[0].startswith(args.only)]
    if any(c[0].startswith("rsa") for c in cases):
        args.pki = make_pki(base / "pki")
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
