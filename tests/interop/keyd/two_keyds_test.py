#!/usr/bin/env python3
"""Two keyds in network namespaces negotiate what strongSwan lacks: Kerberos with a real KDC, AH, AH around ESP, transport
mode, single DES in the smallest group, limits of the master key, a private key on a PKCS #11 token, both ends at once, and
a relay between them that gives the initiator another address and other ports, as a NAT does. A stand-in for espd at each end keeps the SAs and prints a digest of their keys; both ends must have the same. Needs root: exit
77 without."""
import argparse
import os
import re
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "demo"))
from hosts import Host, HostError, join, run, wait_for  # noqa: E402
from strongswan_test import check_processes, expect, stub_events  # noqa: E402

SKIPPED = 77
ADDRESS = {"left": "192.0.2.1", "right": "192.0.2.2"}
NETWORK = {"left": "10.1.0.0/16", "right": "10.2.0.0/16"}
MODULE = "/usr/lib/softhsm/libsofthsm2.so"
REALM = "IKE.TEST"

CONFIG = """
[process]
user = "nobody"
control = "{dir}/keyd.sock"
[espd]
pfkey = "{dir}/pfkey.sock"
natt = "{dir}/natt.sock"
[log]
level = "debug"
[connections.peer]
local_addrs = "{here}"
remote_addrs = "{there}"
proposals = {proposals}
{connection}
[connections.peer.local]
{local}
[connections.peer.remote]
{remote}
[connections.peer.children.net]
{traffic}
mode = "{mode}"
{child}
reqid = 1
start_action = "{start}"
"""


class Case:
    """What a case sets: texts of the configuration, and what both ends must hold afterwards."""

    def __init__(self, name, shows, auth="psk", proposals='"3des-sha1-modp1024"', connection="", child="", mode="tunnel",
                 right_child=None, starts=("left",), protocols=("ESP",), pairs=1, token=False, nat=False):
        self.name, self.shows, self.auth, self.proposals, self.connection = name, shows, auth, proposals, connection
        self.child, self.right_child, self.mode, self.starts = child, child if right_child is None else right_child, mode, starts
        self.protocols, self.pairs, self.token, self.nat = protocols, pairs, token, nat


CASES = [
    Case("kerberos", "[R66] Kerberos V5: both ends authenticate through a real KDC, and quick mode follows", auth="gss"),
    Case("kerberos-group14-pfs", "[R66][R36] Kerberos V5 with group 14 and PFS", auth="gss", proposals='"3des-sha1-modp2048"',
         child="pfs = true"),
    Case("token", "[R66] RSA with the private key on a PKCS #11 token, in the holder's sandbox", auth="pubkey", token=True),
    Case("ah", "[R88] AH alone", child='ah_proposals = "sha1"', protocols=("AH",)),
    Case("ah-md5-transport", "[R88] AH with MD5 in transport mode", child='ah_proposals = "md5"', mode="transport", protocols=("AH",)),
    Case("bundle", "[R88][R91] AH around ESP, from one quick mode", child='esp_proposals = "3des-md5"\nah_proposals = "sha1"\nbundle = true',
         protocols=("AH", "ESP")),
    Case("transport", "[R10] ESP in transport mode", mode="transport"),
    Case("weakest", "[R4][R33] DES, MD5 and group 1", proposals='"des-md5-modp768"', child='esp_proposals = "des-md5"'),
    Case("common-group", "[R33] three groups offered, one in common", proposals='["3des-sha1-high", "3des-sha1-medium", "3des-sha1-low"]'),
    Case("master-key-pfs", "[R44] a main mode for every quick mode", connection="master_key_pfs = true", pairs=2),
    Case("qm-limit", "[R24] the second quick mode finds the limit of one and a new main mode", connection="qm_limit = 1", pairs=2),
    Case("renewal", "[R25] the second quick mode under the same main mode", pairs=2),
    Case("nat", "[R66] across a relay that changes addresses and ports: main mode moves to port 4500, ESP into UDP", nat=True),
    Case("nat-kerberos", "[R66] Kerberos V5 across the relay", auth="gss", nat=True),
    Case("both-start", "[R3] both ends begin at once and agree", starts=("left", "right")),
]


class Relay:
    """What the left end takes for its peer: each port is passed on from a port of its own, and answers back."""

    ADDRESS = "192.0.2.9"

    def __init__(self, host):
        host.sh("ip", "addr", "add", f"{self.ADDRESS}/24", "dev", "eth0")
        self.process = host.start("relay", sys.executable, __file__, "--relay", self.ADDRESS, ADDRESS["right"])
        wait_for("the relay", lambda: "READY" in self.process.log.read_text(), 5, [self.process])

    @staticmethod
    def run(address, to):
        """In the namespace of the right end, until it is stopped."""
        pairs = []
        for port in (500, 4500):
            outer, inner = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            outer.bind((address, port))
            inner.bind((address, 20000 + port))
            pairs.append([outer, inner, port, None])
        print("READY", flush=True)
        while True:
            for ready in select.select([s for pair in pairs for s in pair[:2]], [], [])[0]:
                pair = next(p for p in pairs if ready in p[:2])
                octets, source = ready.recvfrom(65536)
                if ready is pair[0]:
                    pair[3] = source
                    pair[1].sendto(octets, (to, pair[2]))
                elif pair[3]:
                    pair[0].sendto(octets, pair[3])


class Realm:
    """A KDC of MIT Kerberos in a host's namespace, with a keytab for each end."""

    def __init__(self, host, folder):
        folder.mkdir()
        self.config = folder / "krb5.conf"
        self.config.write_text(f"[libdefaults]\n default_realm = {REALM}\n dns_lookup_kdc = false\n dns_lookup_realm = false\n rdns = false\n"
                               f" dns_canonicalize_hostname = false\n[realms]\n {REALM} = {{\n  kdc = {ADDRESS['left']}:8088\n }}\n")
        profile = folder / "kdc.conf"
        profile.write_text(f"[kdcdefaults]\n kdc_listen = {ADDRESS['left']}:8088\n kdc_tcp_listen = {ADDRESS['left']}:8088\n[realms]\n {REALM} = {{\n"
                           f"  database_name = {folder}/principal\n  key_stash_file = {folder}/stash\n  acl_file = {folder}/acl\n"
                           f"  supported_enctypes = aes128-cts-hmac-sha1-96:normal\n }}\n[logging]\n kdc = FILE:{folder}/kdc.log\n")
        self.env = {"KRB5_CONFIG": str(self.config), "KRB5_KDC_PROFILE": str(profile)}

        def admin(*argv):
            subprocess.run(argv, check=True, capture_output=True, env={**os.environ, **self.env})

        admin("/usr/sbin/kdb5_util", "create", "-s", "-r", REALM, "-P", "master of the test")
        for side in ADDRESS:
            admin("/usr/sbin/kadmin.local", "-q", f"addprinc -randkey host/{side}.ike.test")
            admin("/usr/sbin/kadmin.local", "-q", f"ktadd -k {folder}/{side}.keytab host/{side}.ike.test")
            (folder / f"{side}.keytab").chmod(0o600)
        self.folder = folder
        self.kdc = host.start("kdc", "/usr/sbin/krb5kdc", "-n", env=self.env)
        wait_for("the KDC", lambda: f"{ADDRESS['left']}:8088" in host.sh("ss", "-ltnH"), 10, [self.kdc])


def make_tokens(folder):
    """An authority, a certificate for each end, and the left end's key on a token alone."""
    folder.mkdir()

    def openssl(*argv):
        subprocess.run(["openssl", *map(str, argv)], check=True, capture_output=True)

    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/C=CH/O=Test/CN=Root", "-keyout", folder / "ca.key", "-out", folder / "ca.pem")
    for side in ADDRESS:
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/C=CH/O=Test/CN={side}", "-keyout", folder / f"{side}.key", "-out", folder / f"{side}.csr")
        openssl("x509", "-req", "-in", folder / f"{side}.csr", "-CA", folder / "ca.pem", "-CAkey", folder / "ca.key", "-CAcreateserial", "-out", folder / f"{side}.pem")
        (folder / f"{side}.key").chmod(0o600)
    env = {"SOFTHSM2_CONF": str(folder / "softhsm.conf")}
    (folder / "tokens").mkdir()
    (folder / "softhsm.conf").write_text(f"directories.tokendir = {folder}/tokens\nobjectstore.backend = file\n")
    openssl("pkcs8", "-topk8", "-nocrypt", "-in", folder / "left.key", "-out", folder / "left.p8")
    for argv in (["--init-token", "--free", "--label", "keyd", "--so-pin", "87654321", "--pin", "4711-pin"],
                 ["--import", folder / "left.p8", "--token", "keyd", "--label", "gw", "--id", "01", "--pin", "4711-pin"]):
        subprocess.run(["softhsm2-util", *map(str, argv)], check=True, capture_output=True, env={**os.environ, **env})
    for name in ("left.key", "left.p8"):
        (folder / name).unlink()
    return env


def credentials(case, side, folder):
    """(lines of local, of remote, of the file of secrets)"""
    other = "right" if side == "left" else "left"
    if case.auth == "gss":
        return (f'auth = "gss"\ngss_name = "host/{side}.ike.test@{REALM}"', f'auth = "gss"\ngss_name = "host/{other}.ike.test@{REALM}"',
                f'[kerberos]\nkeytab = "{folder}/realm/{side}.keytab"')
    if case.auth == "pubkey":
        key = (f'pkcs11 = "pkcs11:token=keyd;object=gw;type=private"\nmodule = "{MODULE}"\npin = "4711-pin"' if side == "left"
               else f'file = "{folder}/pki/right.key"')
        return (f'auth = "pubkey"\ncerts = "{folder}/pki/{side}.pem"', f'auth = "pubkey"\ncacerts = "{folder}/pki/ca.pem"', f"[private.key]\n{key}")
    return 'auth = "psk"', 'auth = "psk"', '[ike.any]\nsecret = "a secret of two keyds"'


def held(stub):
    """What the stand-in was given: {(direction, protocol, SPI): (mode, digest)}."""
    return {m[:3]: m[3:] for m in re.findall(r"^KEYS (in|out) (AH|ESP) ([0-9a-f]{8}) (\w+) ([0-9a-f]{8})", stub.log.read_text(), re.M)}


def run_case(case, args, folder):
    folder.mkdir(parents=True, exist_ok=True)
    tag = f"k2{os.getpid() % 100000}"
    hosts = {}
    try:
        for side in ADDRESS:
            hosts[side] = Host(tag + side[0], folder / side)
        join(hosts["left"], f"{ADDRESS['left']}/24", hosts["right"], f"{ADDRESS['right']}/24")
        env = {}
        if case.auth == "gss":
            env = Realm(hosts["left"], folder / "realm").env
        if case.token:
            env = make_tokens(folder / "pki")
        if case.nat:
            Relay(hosts["right"])
        keyds, stubs = {}, {}
        for side, host in hosts.items():
            other = "right" if side == "left" else "left"
            local, remote, secrets = credentials(case, side, folder)
            traffic = ("" if case.mode == "transport" else f'local_ts = "{NETWORK[side]}"\nremote_ts = "{NETWORK[other]}"')
            (host.folder / "keyd-secrets.toml").write_text(secrets)
            config = host.folder / "keyd.toml"
            config.write_text(CONFIG.format(
                dir=host.folder, here=ADDRESS[side],
                there=ADDRESS[other] if not case.nat else Relay.ADDRESS if side == "left" else "%any", connection=case.connection, local=local, remote=remote,
                proposals=case.proposals if side == "left" or case.name != "common-group" else '"3des-sha1-low"',
                traffic=traffic or f'local_ts = "{ADDRESS[side]}"\nremote_ts = "{ADDRESS[other]}"', mode=case.mode,
                child=case.child if side == "left" else case.right_child, start="start" if side in case.starts else "none"))
            for file in host.folder.glob("*.toml"):
                file.chmod(0o600)
            renew = ["--expire-soft", "1"] if case.pairs == 2 and side == "left" else []
            stubs[side] = host.start("espd-stub", args.stub, host.folder, ADDRESS[side], *renew)
            wait_for("the stand-in for espd", lambda: "READY" in stubs[side].log.read_text(), 5, [stubs[side]])
        for side in ("right", "left"):
            keyds[side] = hosts[side].start("keyd", args.keyd, "--config", hosts[side].folder / "keyd.toml", env=env)
            if len(case.starts) == 1:
                wait_for("keyd", lambda: " ready:" in keyds[side].log.read_text(), 10, [keyds[side], stubs[side]])
        alive = [*keyds.values(), *stubs.values()]
        least = 2 * len(case.protocols) * case.pairs

        def settled():
            left, right = held(stubs["left"]), held(stubs["right"])
            return len(left) >= least and len(right) >= least

        wait_for(f"{least} SAs at both ends", settled, 20, alive)
        time.sleep(0.2)  # what comes after, if anything does
        left, right = held(stubs["left"]), held(stubs["right"])
        swap = {"in": "out", "out": "in"}
        for (direction, protocol, spi), what in left.items():
            expect(right.get((swap[direction], protocol, spi)) == what, f"{protocol} {spi} of the left end is not that of the right end: {what}")
        expect(len(left) == len(right), "one end has more SAs than the other")
        expect({p for _, p, _ in left} == set(case.protocols), f"protocols {sorted({p for _, p, _ in left})}")
        for (_, protocol, _), (mode, _) in left.items():  # of a bundle the outer one is in transport mode: RFC 4301 s4.1
            expect(mode == ("transport" if protocol != case.protocols[-1] else case.mode), f"{protocol} in {mode} mode")
        expect(len({digest for _, digest in left.values()}) == len(left), "two SAs have the same keys")
        for side in ("left", "right"):
            found = "NAT found: UDP encapsulation" in keyds[side].log.read_text()
            expect(found == case.nat, f"the {side} end {'found a' if found else 'found no'} NAT")
        main_modes = len(re.findall(r"up: main mode with", keyds["left"].log.read_text()))
        wanted = 2 if case.name in ("master-key-pfs", "qm-limit") else 1
        expect(main_modes == wanted or len(case.starts) == 2, f"{main_modes} main modes, not {wanted}")
        if case.auth == "gss":
            log = (folder / "realm/kdc.log").read_text()
            expect(re.search(r"TGS_REQ.*ISSUE.*host/right", log), "the KDC issued no ticket for the right end")
        check_processes(keyds["left"])
        for side in ("left", "right"):
            expect(hosts[side].stop(keyds[side]) == 0, f"keyd at the {side} end did not end with 0")
        for side in ("left", "right"):
            for secret in (b"a secret of two keyds", b"4711-pin"):
                expect(secret not in keyds[side].log.read_bytes(), "a secret is in the log")
            gone = set(stub_events(stubs[side], "DELETE"))
            expect(gone >= {spi for _, _, spi in held(stubs[side])}, f"SAs stay in espd at the {side} end")
    finally:
        for host in hosts.values():
            host.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    if sys.argv[1:2] == ["--relay"]:
        return Relay.run(*sys.argv[2:])
    parser.add_argument("--keyd", required=True, type=lambda p: Path(p).resolve())
    parser.add_argument("--stub", required=True, type=lambda p: Path(p).resolve())
    parser.add_argument("--only")
    parser.add_argument("--keep", help="folder for configurations and logs, kept")
    args = parser.parse_args()
    if os.geteuid() != 0:
        print("skipped: network namespaces need root")
        return SKIPPED
    for tool in ("ip", "ss", "openssl", "softhsm2-util", "/usr/sbin/krb5kdc", "/usr/sbin/kadmin.local"):
        if shutil.which(tool) is None:
            print(f"skipped: {tool} is missing (packages iproute2, openssl, softhsm2, krb5-kdc, krb5-admin-server)")
            return SKIPPED
    base = Path(args.keep or tempfile.mkdtemp(prefix="two-keyds-"))
    base.mkdir(parents=True, exist_ok=True)
    base.chmod(0o755)  # the unprivileged process reads certificates
    failed = []
    cases = [c for c in CASES if args.only in (None, c.name)]
    for case in cases:
        try:
            run_case(case, args, base / case.name)
            print(f"{case.name:22} passed {case.shows}", flush=True)
        except HostError as error:
            failed.append(case.name)
            print(f"{case.name:22} FAILED: {error}", flush=True)
    print(f"{len(cases) - len(failed)} passed, {len(failed)} failed" + (f"; logs in {base}" if failed or args.keep else ""))
    if not failed and not args.keep:
        shutil.rmtree(base)
    return 1 if failed or not cases else 0


if __name__ == "__main__":
    sys.exit(main())
