#!/usr/bin/env python3
"""Set-ups (main mode and quick mode) that keyd and strongSwan's charon answer, with the same load, in the same run.

    bench_ike.py --keyd FILE --stub FILE --load FILE --out ike.json [--quick]

Two network namespaces: many initiators in one, the responder in the other, each on a core of its own. What counts is set-ups a
second of the responder's processor time, all its processes together, so that neither the load nor the other daemon's threads
matter; the ceiling is what the Diffie-Hellman and RSA operations of a responder alone would allow on one core. --quick makes a
few and checks that all of them succeed; its figures say nothing. Needs root: exit 77 without."""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "demo"), str(ROOT / "tests/interop/keyd")]
from hosts import Host, HostError, StrongSwan, join, wait_for  # noqa: E402
from strongswan_test import expect, make_pki  # noqa: E402

RESPONDER, LOAD = "10.9.0.1", "10.9.0.2"
PSK = "a secret for measuring"
WARM_UP = 20
ROWS = [("psk-modp1024", "3des-sha1-modp1024", "psk"), ("psk-modp2048", "3des-sha1-modp2048", "psk"),
        ("rsa2048-modp1024", "3des-sha1-modp1024", "rsa"), ("rsa2048-modp2048", "3des-sha1-modp2048", "rsa")]

KEYD_TOML = """
[process]
user = "nobody"
control = "{dir}/keyd.sock"
[espd]
pfkey = "{dir}/pfkey.sock"
natt = "{dir}/natt.sock"
[log]
level = "warn"
[ike]
half_open_max = 5000
cookie_threshold = 5000
[connections.load]
local_addrs = "{here}"
remote_addrs = "%any"
proposals = "{suite}"
dpd_delay = 0
[connections.load.local]
{local}
[connections.load.remote]
{remote}
[connections.load.children.net]
local_ts = "10.2.0.0/16"
remote_ts = "dynamic"
esp_proposals = "3des-sha1"
reqid = 1
start_action = "none"
"""

SWANCTL = """
connections {{ load {{
  version = 1
  local_addrs = {here}
  remote_addrs = %any
  proposals = {suite}
  dpd_delay = 0s
  local {{ {local} }}
  remote {{ {remote} }}
  children {{ net {{ local_ts = 10.2.0.0/16\n remote_ts = dynamic\n esp_proposals = 3des-sha1 }} }}
}} }}
secrets {{ ike-1 {{ secret = "{psk}" }} }}
"""


def make_certificates(pki, count):
    """load1.pem to loadN.pem: an identity for each initiator, all with one key."""
    for n in range(1, count + 1):
        done = subprocess.run(["pki", "--issue", "--cacert", pki / "ca.pem", "--cakey", pki / "ca.key", "--type", "priv", "--in", pki / "swan.key",
                               "--dn", f"C=CH, O=Test, CN=load{n}", "--san", f"load{n}.example", "--outform", "pem"], capture_output=True, check=True)
        (pki / f"load{n}.pem").write_bytes(done.stdout)


def family(pid):
    """A process and its descendants."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").iterdir():
            found += [int(child) for child in (task / "children").read_text().split()]
    return found


def cpu_seconds(pids):
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def resident_bytes(pids):
    return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids) * os.sysconf("SC_PAGE_SIZE")


def pin(pids, core):
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(task.name), {core})


class Responder:
    """keyd or charon in a namespace of its own, with the load's namespace beside it."""

    def __init__(self, kind, suite, auth, args, folder, pki):
        tag = f"bi{os.getpid() % 100000}"
        self.here, self.there = Host(f"{tag}r", folder / "responder"), Host(f"{tag}l", folder / "load")
        try:
            join(self.here, f"{RESPONDER}/16", self.there, f"{LOAD}/16")
            self.there.sh("ip", "route", "add", "local", "10.8.0.0/14", "dev", "lo")
            self.here.sh("ip", "route", "add", "10.8.0.0/14", "via", LOAD)
            self.here.sh("ip", "addr", "add", "10.2.0.1/32", "dev", "lo")
            rsa = auth == "rsa"
            if kind == "keyd":
                local = f'auth = "pubkey"\nid = "keyd.example"\ncerts = "{pki}/keyd.pem"' if rsa else 'auth = "psk"'
                remote = f'auth = "pubkey"\ncacerts = "{pki}/ca.pem"' if rsa else 'auth = "psk"'
                folder = self.here.folder
                for name, text in (("keyd.toml", KEYD_TOML.format(dir=folder, here=RESPONDER, suite=suite, local=local, remote=remote)),
                                   ("keyd-secrets.toml", f'[ike.any]\nsecret = "{PSK}"\n[private.keyd]\nfile = "{pki}/keyd.key"\n')):
                    (folder / name).write_text(text)
                    (folder / name).chmod(0o600)
                stub = self.here.start("espd-stub", args.stub, folder, RESPONDER)
                wait_for("the stand-in for espd", lambda: "READY" in stub.log.read_text(), 5, [stub])
                process = self.here.start("keyd", args.keyd, "--config", folder / "keyd.toml")
                wait_for("keyd", lambda: (folder / "keyd.sock").exists(), 10, [process, stub])
                time.sleep(0.5)
            else:
                local = f"auth = pubkey\n id = keyd.example\n certs = {pki}/keyd.pem" if rsa else "auth = psk"
                remote = f"auth = pubkey\n id = %any\n cacerts = {pki}/ca.pem" if rsa else "auth = psk"
                (self.here.folder / "private").mkdir()
                (self.here.folder / "private/keyd.key").write_bytes((pki / "keyd.key").read_bytes())
                process = StrongSwan(self.here, SWANCTL.format(here=RESPONDER, suite=suite, local=local, remote=remote, psk=PSK),
                                     settings="install_routes = no\n half_open_timeout = 60\n init_limit_half_open = 0\n block_threshold = 0",
                                     log_level=-1).process
            self.pids = family(process.pid)
            pin(self.pids, 0)
        except BaseException:
            self.close()
            raise
        self.load, self.suite, self.pki, self.rsa, self.next = args.load, suite, pki, rsa, 1

    def run(self, count, concurrent):
        """(what the load said, processor seconds of the responder)"""
        argv = ["taskset", "-c", "1", self.load, "--responder", RESPONDER, "--first", self.next, "--count", count, "--concurrent", concurrent,
                "--suite", self.suite, "--psk", PSK]
        if self.rsa:
            argv += ["--cert", self.pki / "load{}.pem", "--key", self.pki / "swan.key", "--ca", self.pki / "ca.pem", "--id", "load{}.example",
                     "--peer-id", "keyd.example"]
        self.next += count
        before = cpu_seconds(self.pids)
        done = subprocess.run(self.there.argv(*argv), capture_output=True, text=True, timeout=900)
        spent = cpu_seconds(self.pids) - before
        expect(done.returncode == 0, f"the load: {done.stdout[-500:]}{done.stderr[-500:]}")
        return json.loads(done.stdout), spent

    def close(self):
        for host in (self.here, self.there):
            host.close()


def measure(kind, suite, auth, args, folder, pki, count):
    folder.mkdir()
    folder.chmod(0o755)
    responder = Responder(kind, suite, auth, args, folder, pki)
    try:
        responder.run(WARM_UP, 4)  # caches, tables
        said, spent = responder.run(count, 16)
        return said | {"setups_per_s": count / spent if spent else 0}
    finally:
        responder.close()


def memory(args, folder, pki, pairs):
    """Octets of all of keyd's processes for one SA, with `pairs` pairs (two SAs) each under a main mode of its own."""
    folder.mkdir()
    folder.chmod(0o755)
    responder = Responder("keyd", "3des-sha1-modp768", "psk", args, folder, pki)
    try:
        responder.run(100, 16)
        before = resident_bytes(responder.pids)
        responder.run(pairs, 64)
        after = resident_bytes(responder.pids)
        return (after - before) / (2 * pairs), after
    finally:
        responder.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("keyd", "stub", "load"):
        parser.add_argument(f"--{name}", required=True, type=lambda p: Path(p).resolve())
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    if os.geteuid() != 0:
        print("skipped: network namespaces need root")
        return 77
    with tempfile.TemporaryDirectory(prefix="bench-ike-") as name:
        base = Path(name)
        base.chmod(0o755)
        pki = make_pki(base / "pki")
        try:
            limits = json.loads(subprocess.run(["taskset", "-c", "0", str(args.load), "--ceiling", "--key", str(pki / "keyd.key"),
                                                "--cert", str(pki / "keyd.pem")],
                                               capture_output=True, text=True, check=True).stdout)
            pairs = 200 if args.quick else 50_000
            per_sa, total = memory(args, base / "memory", pki, pairs)
            print(f"memory: {per_sa:.0f} octets an SA, {total / 2**20:.0f} MiB with {2 * pairs:,} SAs", flush=True)
            rows = []
            for name, suite, auth in ROWS[:1] if args.quick else ROWS:
                count = 60 if args.quick else 3000 if auth == "psk" else 500
                if auth == "rsa" and not (pki / "load1.pem").exists():
                    make_certificates(pki, count + WARM_UP)
                ours = measure("keyd", suite, auth, args, base / f"keyd-{name}", pki, count)
                theirs = measure("charon", suite, auth, args, base / f"charon-{name}", pki, 40 if args.quick else min(count, 1000))
                cost = 1 / limits[suite.rsplit("-", 1)[1]]
                if auth == "rsa":  # our signature; the peer's, and its certificate's
                    cost += 1 / limits["rsa2048_sign"] + 2 / limits["rsa2048_verify"]
                rows.append({"name": name, "setups_per_s": round(ours["setups_per_s"], 1), "charon_setups_per_s": round(theirs["setups_per_s"], 1),
                             "ratio": round(ours["setups_per_s"] / theirs["setups_per_s"], 2) if theirs["setups_per_s"] else 0,
                             "ceiling_fraction": round(ours["setups_per_s"] * cost, 3), "p50_ms": round(ours["p50_ms"], 2), "p99_ms": round(ours["p99_ms"], 2),
                             "charon_p50_ms": round(theirs["p50_ms"], 2), "charon_p99_ms": round(theirs["p99_ms"], 2), "bytes_per_sa": round(per_sa)})
                print(json.dumps(rows[-1]), flush=True)
        except HostError as error:
            print(f"FAILED: {error}")
            return 1
    args.out.write_text(json.dumps({"rows": rows, "ceiling": limits, "sas": 2 * pairs, "resident_bytes": total}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
