#!/usr/bin/env python3
"""keyd against strongSwan, every combination of role, authentication, algorithms, group and PFS, each followed by something that
happens to an SA in its life. One keyd and one charon serve all of them, a connection each with addresses of its own. Both ends
must list the same SPIs, and have the same keys: charon's log of keys against what keyd installed. strongSwan's user-space ESP
asks for UDP encapsulation, so all of this goes over port 4500; it has no transport mode and no AH: see two_keyds_test.py.

    matrix_test.py ... [--page docs/interop.md] [--out FILE.json]

Needs root: exit 77 without."""
import argparse
import hashlib
import itertools
import json
import os
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "demo"))
from hosts import Host, HostError, StrongSwan, join, wait_for  # noqa: E402
from strongswan_test import SECRET, SKIPPED, Operator, expect, make_pki, stub_events  # noqa: E402

DIMENSIONS = {
    "starts": ("keyd", "strongSwan"),
    "auth": ("psk", "rsa"),
    "cipher": ("des", "3des"),
    "hash": ("md5", "sha1"),
    "group": ("modp768", "modp1024", "modp2048"),
    "pfs": ("no", "yes"),
    "then": ("nothing", "keyd renews the pair", "strongSwan renews the pair", "strongSwan renews main mode", "keyd deletes the pair",
             "strongSwan deletes the pair", "keyd deletes main mode", "strongSwan deletes main mode"),
}
SHOWS = ["[R66][R64] authentication by pre-shared key and by certificate, in both roles, with strongSwan",
         "[R33] every group, with and without PFS, in both roles, with strongSwan",
         "[R109][R110] deletes of pairs and main modes by either side, with strongSwan"]


def every():
    """The full product; what happens then goes round, so that each meets every value of the others."""
    names = [n for n in DIMENSIONS if n != "then"]
    for i, values in enumerate(itertools.product(*(DIMENSIONS[n] for n in names))):
        yield dict(zip(names, values), then=DIMENSIONS["then"][(i + i // 8) % 8])


KEYD_TOML = """
[process]
user = "nobody"
control = "{dir}/keyd.sock"
[espd]
pfkey = "{dir}/pfkey.sock"
natt = "{dir}/natt.sock"
[log]
level = "debug"
"""
KEYD_CONNECTION = """
[connections.c{n}]
local_addrs = "10.9.{n}.1"
remote_addrs = "10.9.{n}.2"
proposals = "{ike}"
[connections.c{n}.local]
{local}
[connections.c{n}.remote]
{remote}
[connections.c{n}.children.net]
local_ts = "172.16.{n}.0/24"
remote_ts = "172.17.{n}.0/24"
esp_proposals = "{esp}"
pfs = {pfs}
reqid = {reqid}
start_action = "none"
"""
SWAN_CONNECTION = """
  c{n} {{
    version = 1
    local_addrs = 10.9.{n}.2
    remote_addrs = 10.9.{n}.1
    proposals = {ike}
    local {{ {swan_local} }}
    remote {{ {swan_remote} }}
    children {{ n{n} {{ local_ts = 172.17.{n}.0/24\n remote_ts = 172.16.{n}.0/24\n esp_proposals = {swan_esp} }} }}
  }}
"""


def values_of(case, n, pki):
    algorithms = f"{case['cipher']}-{case['hash']}"
    values = dict(n=n, reqid=n, ike=f"{algorithms}-{case['group']}", esp=algorithms, pfs="true" if case["pfs"] == "yes" else "false",
                  swan_esp=algorithms + (f"-{case['group']}" if case["pfs"] == "yes" else ""))
    if case["auth"] == "psk":
        return values | dict(local='auth = "psk"', remote='auth = "psk"', swan_local="auth = psk", swan_remote="auth = psk")
    return values | dict(local=f'auth = "pubkey"\nid = "keyd.example"\ncerts = "{pki}/keyd.pem"',
                         remote=f'auth = "pubkey"\nid = "swan.example"\ncacerts = "{pki}/ca.pem"',
                         swan_local=f"auth = pubkey\n id = swan.example\n certs = {pki}/swan.pem",
                         swan_remote=f"auth = pubkey\n id = keyd.example\n cacerts = {pki}/ca.pem")


class Ends:
    """Both daemons, and what each holds of connection n."""

    def __init__(self, cases, args, folder):
        tag = f"mx{os.getpid() % 100000}"
        self.here, self.peer = Host(f"{tag}a", folder / "keyd"), Host(f"{tag}b", folder / "swan")
        try:
            join(self.here, "10.9.0.1/30", self.peer, "10.9.0.2/30")
            pki = make_pki(folder / "pki")
            here, swan, locals_ = KEYD_TOML.format(dir=self.here.folder), "", []
            for n, case in enumerate(cases, 1):
                self.here.sh("ip", "addr", "add", f"10.9.{n}.1/30", "dev", "eth0")
                self.peer.sh("ip", "addr", "add", f"10.9.{n}.2/30", "dev", "eth0")
                self.peer.sh("ip", "addr", "add", f"172.17.{n}.1/32", "dev", "lo")
                values = values_of(case, n, pki)
                here += KEYD_CONNECTION.format(**values)
                swan += SWAN_CONNECTION.format(**values)
                locals_.append(f"10.9.{n}.1")
            (self.peer.folder / "private").mkdir(parents=True)
            shutil.copy(pki / "swan.key", self.peer.folder / "private")
            files = {"keyd.toml": here, "keyd-secrets.toml": f'[ike.any]\nsecret = "{SECRET}"\n[private.keyd]\nfile = "{pki}/keyd.key"\n'}
            for name, text in files.items():
                (self.here.folder / name).write_text(text)
                (self.here.folder / name).chmod(0o600)
            self.swan = StrongSwan(self.peer, f'connections {{\n{swan}}}\nsecrets {{ ike-1 {{ secret = "{SECRET}" }} }}\n', key_log=True)
            self.stub = self.here.start("espd-stub", args.stub, self.here.folder, ",".join(locals_))
            wait_for("the stand-in for espd", lambda: "READY" in self.stub.log.read_text(), 5, [self.stub])
            self.keyd = self.here.start("keyd", args.keyd, "--config", self.here.folder / "keyd.toml")
            wait_for("keyd", lambda: " ready:" in self.keyd.log.read_text(), 10, [self.keyd, self.stub])
            self.ike = Operator(self.here, args.espctl)
        except BaseException:
            self.close()
            raise

    def close(self):
        for host in (self.here, self.peer):
            host.close()

    def at_keyd(self, n):
        """(main mode SAs, {(inbound SPI, outbound SPI)})"""
        mine = [e for e in self.ike("list", as_json=True)["sas"] if e["connection"] == f"c{n}"]
        return (sum(e["kind"] == "main-mode" and e["state"] == "established" for e in mine),
                {(e["spi_in"], e["spi_out"]) for e in mine if e["kind"] == "child"})

    def at_swan(self, n):
        text = self.swan.swanctl("--list-sas", "--ike", f"c{n}", check=False)
        # Its pair, seen from keyd: what comes in there goes out here.
        pairs = re.findall(r"INSTALLED.*?\n(?:.*\n)*?\s+in\s+([0-9a-f]{8}).*\n\s+out\s+([0-9a-f]{8})", text)
        return len(re.findall(rf"^c{n}: #\d+, ESTABLISHED", text, re.M)), {(out, into) for into, out in pairs}

    def agree(self, what, n, condition):
        """Waits until what both ends list fits; (main mode SAs at keyd, the pairs that both have as {(in, out)})."""
        def look():
            (mine, pairs), (theirs, their_pairs) = self.at_keyd(n), self.at_swan(n)
            both = pairs & their_pairs
            return ((mine, both),) if condition(mine, both) and condition(theirs, both) and (both or pairs == their_pairs) else None

        return wait_for(f"{what} at both ends", look, 10, [self.keyd, self.stub])[0]

    def digests(self, spi):
        """Of the SA with this SPI, by keyd."""
        return re.findall(rf"^KEYS (?:in|out) \w+ {spi} \w+ ([0-9a-f]{{8}})", self.stub.log.read_text(), re.M)


def keys_of_charon(log):
    """Digests, as the stand-in makes them, of every pair of keys in charon's log since it was last read."""
    found = {}
    digests = set()
    for kind, side, size, dump in re.findall(r"(encryption|integrity) (initiator|responder) key => (\d+) bytes @ \S+\n((?:.*?:\s+(?:[0-9A-F]{2} ?)+.*\n)+)", log):
        octets = bytes.fromhex("".join(re.findall(r":\s((?:[0-9A-F]{2}\s)+)", re.sub(r"^.*?(\d+: )", r"\1", line) + " ")[0] for line in dump.splitlines()))
        found[kind, side] = octets[:int(size)]
        if kind == "integrity":
            digests.add(hashlib.sha1(found["encryption", side] + octets[:int(size)]).hexdigest()[:8])
    return digests


def run_case(ends, n, case):
    """Brings connection n up and lets happen what the case says; the seconds till it was up."""
    began = time.monotonic()
    if case["starts"] == "keyd":
        ends.ike("initiate", f"c{n}/net")
    else:
        ends.swan.swanctl("--initiate", "--child", f"n{n}", "--timeout", "15")
    main_modes, pairs = ends.agree("a pair", n, lambda mm, pairs: mm == 1 and len(pairs) == 1)
    took = time.monotonic() - began
    spi_in, spi_out = next(iter(pairs))
    here = set(ends.digests(spi_in) + ends.digests(spi_out))
    expect(len(here) == 2, f"keyd installed {here}")
    log = (ends.peer.folder / "charon-detail.log").read_text(errors="replace")
    expect(here <= keys_of_charon(log), "the keys of the ends differ")
    then = case["then"]
    if then == "keyd renews the pair":
        ends.ike("rekey", f"c{n}/net")
    elif then == "strongSwan renews the pair":
        ends.swan.swanctl("--rekey", "--child", f"n{n}")
    elif then == "strongSwan renews main mode":
        ends.swan.swanctl("--rekey", "--ike", f"c{n}")
    elif then == "keyd deletes the pair":
        ends.ike("terminate", f"c{n}/net")
    elif then == "strongSwan deletes the pair":
        ends.swan.swanctl("--terminate", "--child", f"n{n}")
    elif then == "keyd deletes main mode":
        ends.ike("terminate", f"c{n}")
    elif then == "strongSwan deletes main mode":
        ends.swan.swanctl("--terminate", "--ike", f"c{n}")
    if then.endswith("renews the pair"):
        ends.agree("another pair", n, lambda mm, now: mm == 1 and now - pairs)
    elif then == "strongSwan renews main mode":
        wait_for("a second main mode", lambda: ends.keyd.log.read_text().count(f"c{n}: up: main mode") >= 2, 10, [ends.keyd])
        ends.agree("a pair under it", n, lambda mm, now: mm >= 1 and now)
    elif then.endswith("deletes the pair"):
        ends.agree("no pair", n, lambda mm, now: mm == 1 and not now)
    elif then.endswith("deletes main mode"):
        ends.agree("nothing", n, lambda mm, now: mm == 0 and not now)
        expect(set(stub_events(ends.stub, "DELETE")) >= {spi_in, spi_out}, "SAs stay in espd")
    return took


def write_page(path, rows):
    def table(lines):
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)

    head = [list(DIMENSIONS) + ["result"], ["---"] * (len(DIMENSIONS) + 1)]
    body = [[row[d] for d in DIMENSIONS] + [row["result"]] for row in rows]
    passed = sum(row["result"] == "passed" for row in rows)
    path.write_text("# keyd and strongSwan\n\nMade by `tests/interop/keyd/matrix_test.py --page docs/interop.md` with "
                    f"{rows[0]['peer']}: {passed} of {len(rows)} combinations pass. In each the ends list the same SPIs and have the same keys; "
                    "then one of them does what the last column but one says, and both follow. All of it is encapsulated in UDP. What strongSwan lacks, "
                    "two keyds do between them: `tests/interop/keyd/two_keyds_test.py`.\n\n" + table(head + body) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("keyd", "stub", "espctl"):
        parser.add_argument(f"--{name}", required=True, type=lambda p: Path(p).resolve())
    parser.add_argument("--page", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--keep", help="folder for configurations and logs, kept")
    args = parser.parse_args()
    if os.geteuid() != 0:
        print("skipped: network namespaces need root")
        return SKIPPED
    for tool in ("ip", "swanctl", "pki", "/usr/lib/ipsec/charon"):
        if shutil.which(tool) is None:
            print(f"skipped: {tool} is missing (packages iproute2, strongswan-swanctl, strongswan-pki, strongswan-charon)")
            return SKIPPED
    cases = list(every())
    base = Path(args.keep or tempfile.mkdtemp(prefix="keyd-matrix-"))
    base.mkdir(parents=True, exist_ok=True)
    base.chmod(0o755)  # the unprivileged process reads certificates
    ends = Ends(cases, args, base)
    rows = []
    try:
        peer = re.search(r"strongSwan \S+ (\S+)", ends.swan.swanctl("--version"))
        for n, case in enumerate(cases, 1):
            try:
                took = run_case(ends, n, case)
                result = "passed"
            except HostError as error:
                took, result = 0, "FAILED: " + str(error).splitlines()[0]
            rows.append(case | {"seconds": round(took, 3), "result": result, "peer": f"strongSwan {peer[1] if peer else ''}".strip()})
            print(f"c{n:<3} {', '.join(case.values())}: {result}", flush=True)
        expect(ends.here.stop(ends.keyd) == 0, "keyd did not end with 0")
        expect(SECRET.encode() not in ends.keyd.log.read_bytes(), "the secret is in the log")
    finally:
        ends.close()
    failed = sum(row["result"] != "passed" for row in rows)
    for line in SHOWS if not failed else ():
        print(line)
    if args.out:
        args.out.write_text(json.dumps({"rows": rows}, indent=1))
    if args.page:
        write_page(args.page, rows)
    print(f"{len(rows) - failed} passed, {failed} failed" + (f"; logs in {base}" if failed or args.keep else ""))
    if not failed and not args.keep:
        shutil.rmtree(base)
    return 1 if failed or not rows else 0


if __name__ == "__main__":
    sys.exit(main())
