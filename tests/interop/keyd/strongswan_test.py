#!/usr/bin/env python3
"""keyd against strongSwan: two network namespaces, charon with user-space ESP in one, keyd with a stand-in for espd
in the other. keyd runs as its three processes, started as root. For each case: main mode and quick mode complete, both ends hold the same SPIs, pings pass through
the tunnel (so the keys are equal), and a shutdown of keyd removes the SAs at strongSwan. Besides: what the processes
gave up, the operator's commands, reloading, the death of a process, and that no log or answer shows a secret.

    sudo strongswan_test.py --keyd build/dev/bin/keyd --stub build/dev/bin/espd-stub --espctl build/dev/bin/espctl
                            [--only NAME] [--keep DIR]
"""
import argparse
import base64
import json
import os
import re
import shutil
import signal
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
# authenticate, else a pre-shared key; in those with "token" keyd's private key is on a PKCS #11 token.
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
    ("rsa-initiator", "3des-sha1-modp1024", "3des-sha1", "start"),
    ("rsa-responder", "3des-md5-modp2048", "3des-sha1", "none"),
    ("rsa-foreign-authority", "3des-sha1-modp1024", "3des-sha1", "start"),
    ("rsa-foreign-authority-responder", "3des-sha1-modp1024", "3des-sha1", "none"),
    ("rsa-token-initiator", "3des-sha1-modp1024", "3des-sha1", "start"),
    ("rsa-token-responder", "3des-md5-modp1024", "3des-sha1", "none"),
    ("processes", "3des-sha1-modp1024", "3des-sha1", "start"),
    ("operator", "3des-sha1-modp1024", "3des-sha1", "trap"),
    ("reload", "3des-sha1-modp1024", "3des-sha1", "start"),
    ("keylog", "3des-sha1-modp1024", "3des-sha1", "start"),
    ("holder-dies", "3des-sha1-modp1024", "3des-sha1", "start"),
    ("network-process-dies", "3des-sha1-modp1024", "3des-sha1", "start"),
]

# What of keyd's requirements a case shows, for docs/requirements.md
SHOWS = {
    "initiator-group2": "[R66][R2] by pre-shared key keyd proves itself to strongSwan and brings up both modes",
    "responder-group2": "[R66] by pre-shared key strongSwan proves itself to keyd",
    "rsa-initiator": "[R66] by certificate keyd proves itself to strongSwan",
    "rsa-responder": "[R66] by certificate strongSwan proves itself to keyd",
    "rsa-token-initiator": "[R66] by certificate, with a key that its token never gives away",
    "responder-des-pfs": "[R33][R78] strongSwan's offer of DES, MD5 and group 1 is answered with that one transform",
    "rekey": "[R113][R53] a soft limit told by the data plane brings a new pair, and traffic moves to it",
}

SECRET = "the secret of the test"
TOKEN_PIN = "4711-pin-of-the-test"
TOKEN_MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")

KEYD_TOML = """
[process]
user = "nobody"
control = "{dir}/keyd.sock"
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
{local}
[connections.swan.remote]
id = "{swan_id}"
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
    fragmentation = yes
    dpd_delay = {swan_dpd}s
    proposals = {ike}
    local {{ id = {swan_id}\n {swan_local} }}
    remote {{ id = {keyd_id}\n {swan_remote} }}
    children {{
      net {{ local_ts = 10.2.0.0/16\n remote_ts = 10.1.0.0/16\n esp_proposals = {esp} }}
    }}
  }}
}}
secrets {{ ike-1 {{ id = {keyd_id}\n secret = "the secret of the test" }} }}
"""


def make_pki(folder):
    """An authority, a certificate and key for each end, and a foreign authority of the same name, by strongSwan's pki."""
    folder.mkdir(parents=True, exist_ok=True)

    def pki(*args, out):
        (folder / out).write_bytes(subprocess.run(["pki", *map(str, args), "--outform", "pem"], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout)

    for name in ("ca", "foreign", "keyd", "swan"):
        pki("--gen", "--type", "rsa", "--size", "2048", out=f"{name}.key")
        (folder / f"{name}.key").chmod(0o600)
    for name in ("ca", "foreign"):
        pki("--self", "--ca", "--in", folder / f"{name}.key", "--type", "rsa", "--dn", "C=CH, O=Test, CN=Root", out=f"{name}.pem")
    for name in ("keyd", "swan"):
        pki("--issue", "--cacert", folder / "ca.pem", "--cakey", folder / "ca.key", "--type", "priv", "--in", folder / f"{name}.key",
            "--dn", f"C=CH, O=Test, CN={name}", "--san", f"{name}.example", out=f"{name}.pem")
    return folder


def make_token(pki, folder):
    """A SoftHSM token with keyd's key; returns the environment that finds it."""
    (folder / "tokens").mkdir(mode=0o700)
    (folder / "softhsm.conf").write_text(f"directories.tokendir = {folder}/tokens\nobjectstore.backend = file\n")
    env = {"SOFTHSM2_CONF": str(folder / "softhsm.conf")}

    def tool(*argv):
        done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, env={**os.environ, **env})
        expect(done.returncode == 0, f"{argv[0]}: {done.stdout}{done.stderr}")

    tool("openssl", "pkcs8", "-topk8", "-nocrypt", "-in", pki / "keyd.key", "-out", folder / "keyd.p8")
    tool("softhsm2-util", "--init-token", "--free", "--label", "keyd", "--so-pin", "87654321", "--pin", TOKEN_PIN)
    tool("softhsm2-util", "--import", folder / "keyd.p8", "--token", "keyd", "--label", "gw", "--id", "01", "--pin", TOKEN_PIN)
    (folder / "keyd.p8").unlink()
    return env


def credentials(name, pki):
    """What the templates need for the method of a case."""
    if not name.startswith("rsa"):
        return dict(local='auth = "psk"', remote='auth = "psk"', private="", swan_local="auth = psk", swan_remote="auth = psk")
    trusted = "foreign" if "foreign" in name else "ca"
    return dict(local=f'auth = "pubkey"\ncerts = "{pki}/keyd.pem"', remote=f'auth = "pubkey"\ncacerts = "{pki}/{trusted}.pem"',
                private=(f'[private.keyd]\npkcs11 = "pkcs11:token=keyd;object=gw;type=private"\nmodule = "{TOKEN_MODULE}"\npin = "{TOKEN_PIN}"'
                         if "token" in name else f'[private.keyd]\nfile = "{pki}/keyd.key"'),
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


def processes(keyd):
    """Role -> process id of keyd's children. `ip netns exec` becomes keyd, so that the process is keyd's parent."""
    found = {}
    for pid in Path(f"/proc/{keyd.pid}/task/{keyd.pid}/children").read_text().split():
        role = re.search(rb"--role=(\w+)", Path(f"/proc/{pid}/cmdline").read_bytes())
        if role:
            found[role[1].decode()] = int(pid)
    return found


def status_of(pid):
    return dict(re.findall(r"^(\w+):[ \t]*(.*)$", Path(f"/proc/{pid}/status").read_text(), re.M))


def check_processes(keyd):
    """What each process gave up, from /proc."""
    children = processes(keyd)
    expect(set(children) == {"holder", "ike"}, f"processes: {children}")
    for role, pid in children.items():
        now = status_of(pid)
        for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            expect(int(now[name], 16) == 0, f"{role} has {name} {now[name]}")
        expect(now["NoNewPrivs"] == "1", f"{role} may gain privileges")
        expect(now["Seccomp"] == "2", f"{role} has no system call filter")
        expect(Path(f"/proc/{pid}/limits").read_text().find("Max core file size        0                    0") >= 0,
               f"{role} may leave a core file")
        expect(os.stat(f"/proc/{pid}/mem").st_uid == 0, f"{role} can be read by its user: dumpable")
    now = status_of(children["ike"])
    expect(now["Uid"].split() == ["65534"] * 4, f"the network process runs as {now['Uid']}")
    expect(now["Groups"].strip() == "", f"the network process is in the groups {now['Groups']}")
    names = [os.readlink(f"/proc/{children['ike']}/fd/{fd}") for fd in os.listdir(f"/proc/{children['ike']}/fd")]
    expect(not [n for n in names if "secrets" in n], f"the network process has the file of secrets open: {names}")
    holder = [os.readlink(f"/proc/{children['holder']}/fd/{fd}") for fd in os.listdir(f"/proc/{children['holder']}/fd")]
    inet = subprocess.run(["ss", "-H", "-n", "-u", "-t", "-a", "-p"], capture_output=True, text=True).stdout
    expect(f"pid={children['holder']}," not in inet, f"the holder of secrets has a network socket: {holder}")
    return children


def check_core_refused(keyd, folder):
    """A crash of the network process leaves no core file and ends the daemon with a clear word and code 1."""
    pid = processes(keyd)["ike"]
    os.kill(pid, signal.SIGSEGV)
    keyd.wait(10)
    expect(keyd.returncode == 1, f"keyd ended with {keyd.returncode}")
    expect("the process that faces the network was ended by signal 11" in keyd.log.read_text(), "no clear word in the log")
    expect(not list(folder.rglob("core*")) and not list(Path.cwd().glob(f"core*{pid}*")), "a core file")


class Operator:
    """espctl ike, and what it printed."""

    def __init__(self, host, espctl):
        self.host, self.espctl, self.seen = host, espctl, ""

    def __call__(self, *argv, fails=False, as_json=False):
        done = subprocess.run(self.host.argv(self.espctl, "ike", "--socket", self.host.folder / "keyd.sock", *argv,
                                             *(["--json"] if as_json else [])), capture_output=True, text=True, timeout=70)
        self.seen += done.stdout + done.stderr
        expect((done.returncode != 0) == fails, f"espctl ike {argv}: exit {done.returncode}: {done.stdout}{done.stderr}")
        return json.loads(done.stdout) if as_json else done.stdout + done.stderr


def entries(ike, kind):
    return [e for e in ike("list", as_json=True)["sas"] if e["kind"] == kind]


def check_operator(here, peer, swan, ike):
    """Commands by name, and what they do on both ends."""
    expect("no main mode SAs" in ike("list"), "there are SAs before anything was asked for")
    expect("no such connection" in ike("initiate", "nonsense", fails=True), "an unknown connection is initiated")
    follower = here.start("espctl-log", ike.espctl, "ike", "--socket", here.folder / "keyd.sock", "log")
    ike("initiate", "swan/net")
    wait_for("the child", lambda: entries(ike, "child"), 10)
    wait_for("the SAs at strongSwan", swan.established, 10)
    child = entries(ike, "child")[0]
    expect((sorted([child["spi_out"]]), sorted([child["spi_in"]])) == swan_spis(swan), f"list says {child}")
    main = entries(ike, "main-mode")[0]
    expect(main["state"] == "established" and main["peer_id"] == "swan.example" and main["suite"] == "3des-sha1-modp1024", f"list says {main}")
    expect("swan/net" in ike("list"), "the table lacks the child")
    wait_for("the log to follow", lambda: "swan/net: up" in follower.log.read_text(), 5)
    ike("rekey", "swan/net")
    wait_for("the renewed pair", lambda: len(entries(ike, "child")) == 2, 10)
    expect(ike("stats", as_json=True)["counters"]["quick_modes"] == 2, "stats do not count two quick modes")
    expect("warning" not in ike("stats", as_json=True), "stats warn of a key log that is not there")
    ike("terminate", "swan/net")
    wait_for("the deletion at strongSwan", lambda: "net" not in swan.swanctl("--list-sas").replace("net:", "net"), 5)
    expect(entries(ike, "main-mode"), "main mode went with its child")
    ike("terminate", "swan")
    wait_for("strongSwan to forget the SAs", lambda: swan.swanctl("--list-sas").strip() == "", 5)
    expect(not entries(ike, "child") and not entries(ike, "main-mode"), "SAs stay after terminate")
    expect(here.stop(follower) is not None, "the follower")
    ike("initiate", "swan")
    wait_for("the SAs again", swan.established, 10)


def check_reload(here, keyd, ike, text):
    """Wrong files are refused with their line; equal ones change nothing; changed ones show at the next need."""
    config = here.folder / "keyd.toml"
    wait_for("the child", lambda: entries(ike, "child"), 10)
    before = ike("list", as_json=True)["sas"]
    cookies = [(e["cky_i"], e["cky_r"]) for e in entries(ike, "main-mode")]
    config.write_text(text.replace("remote_addrs", "remote_adrs"))
    refused = ike("reload", fails=True)
    expect("keyd.toml:" in refused and "remote_ad" in refused, f"a wrong file: {refused}")
    keyd.send_signal(signal.SIGHUP)
    wait_for("the log of SIGHUP", lambda: "not reloaded" in keyd.log.read_text(), 5)
    (here.folder / "keyd-secrets.toml").chmod(0o644)
    config.write_text(text)
    expect("chmod 600" in ike("reload", fails=True), "open secrets are taken")
    (here.folder / "keyd-secrets.toml").chmod(0o600)
    config.write_text("# a comment\n" + text)
    ike("reload")
    expect([(e["cky_i"], e["cky_r"]) for e in entries(ike, "main-mode")] == cookies and
           len(ike("list", as_json=True)["sas"]) == len(before), "a reload without changes changed SAs")
    config.write_text(text.replace("[connections.swan.local]", 'life_time = "2h"\n[connections.swan.local]', 1))
    ike("reload")
    expect(not entries(ike, "main-mode"), "main mode of a changed connection stays")
    expect([e["spi_in"] for e in entries(ike, "child")] == [e["spi_in"] for e in before if e["kind"] == "child"], "the pair went")
    ike("rekey", "swan/net")
    wait_for("main mode anew", lambda: [e for e in entries(ike, "main-mode") if e["state"] == "established"], 10)
    wait_for("the renewed pair", lambda: len(entries(ike, "child")) == 2, 10)
    expect((entries(ike, "main-mode")[0]["expires_s"] or 0) <= 7200, "the new life is not used")
    other = text.replace("connections.swan", "connections.other")
    config.write_text(other)
    ike("reload")
    wait_for("the renamed connection", lambda: {e["connection"] for e in ike("list", as_json=True)["sas"]} == {"other"}, 10)


def check_keylog(here, keyd, ike, peer, folder):
    """tshark decrypts IKE and ESP of a capture with the files."""
    expect("INSECURE" in keyd.log.read_text().splitlines()[-1], "the log does not warn in each line")
    expect("INSECURE" in ike("stats"), "stats do not warn")
    home = here.folder / "home"
    profile = home / ".config" / "wireshark"
    profile.mkdir(parents=True)
    for name in ("ikev1_decryption_table", "esp_sa"):
        expect((here.folder / "keys" / name).stat().st_mode & 0o777 == 0o600, f"{name} is open to others")
        shutil.copy(here.folder / "keys" / name, profile / name)
    read = subprocess.run(["tshark", "-r", str(here.folder / "wire.pcap"), "-o", "esp.enable_encryption_decode:TRUE",
                           "-Y", "icmp or isakmp", "-V"], capture_output=True, text=True, env={**os.environ, "HOME": str(home),
                           "XDG_CONFIG_HOME": str(home / ".config")}).stdout
    expect("Identification Data:swan.example" in read or "swan.example" in read, "main mode is not decrypted")
    expect("Echo (ping) request" in read, "ESP is not decrypted")
    plain = subprocess.run(["tshark", "-r", str(here.folder / "wire.pcap"), "-V"], capture_output=True, text=True,
                           env={**os.environ, "HOME": str(folder / "nohome")}).stdout
    expect("swan.example" not in plain, "identities are readable without keys")


def check_no_secrets(here, secrets, said):
    """No output shows a secret: raw, in hex, in base64."""
    for secret in secrets:
        raw = secret.encode() if isinstance(secret, str) else secret
        for form in (raw, raw.hex().encode(), raw.hex().upper().encode(), base64.b64encode(raw)):
            for file in here.folder.glob("*.log"):
                expect(form not in file.read_bytes(), f"a secret of {len(raw)} octets is in {file.name}")
            expect(form not in said.encode(), f"a secret of {len(raw)} octets is in an answer")


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
                      psk="wrong" if name == "wrong-secret" else SECRET)
        values.update(credentials(name, args.pki))
        if name.startswith("rsa"):  # swanctl looks for keys beside its file
            (peer.folder / "private").mkdir(parents=True)
            shutil.copy(args.pki / "swan.key", peer.folder / "private")
        long = "a" * 180 if name == "fragments" else ""  # names that make messages 5 and 6 long
        values.update(keyd_id=f"keyd{long}.example", swan_id=f"swan{long}.example", fragment_size=256 if long else 1280,
                      dpd_delay=1 if name == "dead-peer" else 30, swan_dpd=2 if name == "dead-peer" else 0)
        swan = StrongSwan(peer, SWANCTL.format(**values), settings="fragment_size = 300" if long else "")
        config = here.folder / "keyd.toml"
        config.write_text(KEYD_TOML.format(**values))
        config.chmod(0o600)
        secrets = here.folder / "keyd-secrets.toml"
        secrets.write_text(SECRETS_TOML.format(**values))
        secrets.chmod(0o600)
        extra = []
        if name == "keylog":
            (here.folder / "keys").mkdir(mode=0o700)
            extra = ["--insecure-keylog", here.folder / "keys"]
            capture = here.start("tshark", "tshark", "-q", "-i", "eth0", "-w", here.folder / "wire.pcap")
            wait_for("tshark", lambda: "Capturing" in capture.log.read_text(), 10, [capture])
        stub_args = {"acquire": ["--acquire", "1", SWAN_ADDRESS], "rekey": ["--expire-soft", "3"], "dead-peer": ["--one-way"]}.get(name, [])
        stub = here.start("espd-stub", args.stub, here.folder, KEYD_ADDRESS, *stub_args)
        wait_for("the stand-in for espd", lambda: "READY" in stub.log.read_text(), 5, [stub])
        env = make_token(args.pki, here.folder) if "token" in name else None
        keyd = here.start("keyd", args.keyd, "--config", config, *extra, env=env)
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
        ike = Operator(here, args.espctl)
        if name == "operator":
            check_operator(here, peer, swan, ike)
        if start == "none":
            swan.swanctl("--initiate", "--child", "net", "--timeout", "15")
        wait_for("the SAs at keyd", lambda: stub_events(stub, "ADD"), 15, [keyd, stub])
        wait_for("the SAs at strongSwan", swan.established, 10, [keyd, stub])
        if name == "reload":
            check_reload(here, keyd, ike, config.read_text())
            wait_for("the SAs at strongSwan", swan.established, 10, [keyd, stub])
        if name == "holder-dies":
            os.kill(processes(keyd)["holder"], signal.SIGKILL)
            expect(keyd.wait(10) == 1, f"keyd ended with {keyd.returncode}")
            expect("the process that holds the secrets was ended by signal 9" in keyd.log.read_text(), "no clear word in the log")
            wait_for("strongSwan to forget the SAs", lambda: swan.swanctl("--list-sas").strip() == "", 5)
            return
        if name == "network-process-dies":
            check_core_refused(keyd, folder)
            return
        if "token" in name:  # the signature came from the token, and the filter stood
            holder = check_processes(keyd)["holder"]
            expect(str(TOKEN_MODULE.resolve()) in Path(f"/proc/{holder}/maps").read_text(), "the holder uses no token")
            config.write_text(config.read_text().replace("[connections.swan]", "[connections.swan]\nlife_time = \"2h\"", 1))
            ike("reload")  # reads the token again, behind the filter
            expect(not entries(ike, "main-mode"), "main mode of a changed connection stays")
            ike("rekey", "swan/net")
            wait_for("main mode under the key read again", lambda: [e for e in entries(ike, "main-mode") if e["state"] == "established"], 10, [keyd, stub])
            wait_for("the renewed pair", lambda: len(entries(ike, "child")) == 2, 10, [keyd, stub])
        if name == "processes":
            for role, pid in check_processes(keyd).items():
                now = status_of(pid)
                print(f"  {role:8} uid {now['Uid'].split()[0]:>5}  CapEff {now['CapEff']}  NoNewPrivs {now['NoNewPrivs']}  Seccomp {now['Seccomp']}")
        spis_in, spis_out = swan_spis(swan)
        if name not in ("operator", "reload") and "token" not in name:  # these have had several pairs
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
        if name == "keylog":
            time.sleep(0.5)  # tshark writes with a delay
            here.stop(capture)
            check_keylog(here, keyd, ike, peer, folder)
        ike("list"), ike("stats"), ike("list", as_json=True)
        expect(here.stop(keyd) == 0, "keyd did not end with 0")
        keys = [bytes.fromhex(k) for f in here.folder.glob("keys/*") for k in re.findall(r"(?:,|0x)([0-9a-f]{16,})", f.read_text())]
        expect(name != "keylog" or len(keys) >= 5, f"the key files have {len(keys)} keys")
        check_no_secrets(here, [SECRET, TOKEN_PIN, *keys], ike.seen)
        wait_for("strongSwan to forget the SAs", lambda: swan.swanctl("--list-sas").strip() == "", 5)
        expect(set(stub_events(stub, "DELETE")) >= set(stub_events(stub, "ADD") + stub_events(stub, "UPDATE")), "keyd left SAs in espd")
    finally:
        for host in hosts:
            host.close()


def main():
    parser = argparse.ArgumentParser(description="keyd against strongSwan (needs root)")
    parser.add_argument("--keyd", required=True)
    parser.add_argument("--stub", required=True)
    parser.add_argument("--espctl", required=True)
    parser.add_argument("--only")
    parser.add_argument("--keep", help="folder for configurations and logs, kept")
    args = parser.parse_args()
    args.keyd, args.stub, args.espctl = (Path(p).resolve() for p in (args.keyd, args.stub, args.espctl))
    if os.geteuid() != 0:
        print("skipped: network namespaces need root")
        return SKIPPED
    for tool in ("ip", "swanctl", "ping", "pki", "ss", "tshark", "/usr/lib/ipsec/charon", "softhsm2-util"):
        if shutil.which(tool) is None:
            print(f"skipped: {tool} is missing (packages iproute2, strongswan-swanctl, iputils-ping, tshark, strongswan-pki, strongswan-charon, softhsm2)")
            return SKIPPED
    args.pki = None
    base = Path(args.keep or tempfile.mkdtemp(prefix="keyd-interop-"))
    base.mkdir(parents=True, exist_ok=True)
    base.chmod(0o755)  # the unprivileged process reads certificates
    failed = []
    cases = [c for c in CASES if args.only is None or c[0].startswith(args.only)]
    if any(c[0].startswith("rsa") for c in cases):
        args.pki = make_pki(base / "pki")
    for case in cases:
        try:
            run_case(*case, args, base / case[0])
            print(f"{case[0]:20} passed {SHOWS.get(case[0], '')}", flush=True)
        except HostError as error:
            failed.append(case[0])
            print(f"{case[0]:20} FAILED: {error}", flush=True)
    print(f"{len(cases) - len(failed)} passed, {len(failed)} failed" + (f"; logs in {base}" if failed or args.keep else ""))
    if not failed and not args.keep:
        shutil.rmtree(base)
    return 1 if failed or not cases else 0


if __name__ == "__main__":
    sys.exit(main())
