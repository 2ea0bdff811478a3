"""Several tunnels between strongSwan on one host (192.0.2.1) and keyd and espd on the other (192.0.2.2), for tests: policy I has reqid I, 10.1.I.0/24 behind
strongSwan and 10.2.I.0/24 behind us, each with a host .1 in it. Every part can be stopped and started again."""
import json
import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "demo"))
from hosts import Host, StrongSwan, join, run, wait_for  # noqa: E402

PEER, OURS = "192.0.2.1", "192.0.2.2"
PSK = "a pre-shared key for tests only"


class Tunnels:
    """Nothing runs until start_peer(), start_espd(), start_keyd(). `top`: further lines of espd.toml; `life_kbytes`: of a session key; `env`: of espd;
    `start_action`: of keyd's children."""

    def __init__(self, build, folder, tag, policies, top, life_kbytes=100000, env=None, start_action="start"):
        self.build, self.folder, self.policies, self.env = build, folder, policies, env or {}
        self.peer, self.ours = Host(f"{tag}p", folder / "peer"), Host(f"{tag}o", folder / "ours")
        self.strongswan = self.espd = self.keyd = None
        join(self.peer, f"{PEER}/24", self.ours, f"{OURS}/24")
        for i in policies:
            self.peer.sh("ip", "addr", "add", f"10.1.{i}.1/32", "dev", "lo")
            self.ours.sh("ip", "addr", "add", f"10.2.{i}.1/32", "dev", "lo")
        # While a side has no tunnel its traffic has no way out: on ours this is what docs/examples/espd.toml advises.
        self.ours.sh("ip", "route", "add", "blackhole", "10.1.0.0/16", "metric", "4096")
        self.peer.sh("ip", "route", "add", "blackhole", "10.2.0.0/16", "metric", "4096")
        self.write_configuration(top, life_kbytes, start_action)

    def write_configuration(self, top, life_kbytes, start_action):
        folder = self.ours.folder
        self.swanctl = (f"connections {{ card {{\n version = 1\n local_addrs = {PEER}\n remote_addrs = {OURS}\n proposals = 3des-sha1-modp1024\n encap = yes\n"
                        f" dpd_delay = 5s\n local {{ auth = psk\n id = {PEER} }}\n remote {{ auth = psk\n id = {OURS} }}\n children {{\n" +
                        "".join(f"  net{i} {{ local_ts = 10.1.{i}.0/24\n remote_ts = 10.2.{i}.0/24\n esp_proposals = 3des-sha1\n dpd_action = clear }}\n" for i in self.policies) +
                        f" }} }} }}\nsecrets {{ ike-card {{ id = {OURS}\n secret = \"{PSK}\" }} }}\n")
        (folder / "espd.toml").write_text(f'run_dir = "{folder}"\n{top}' + "".join(
            f'[[policy]]\nname = "net{i}"\nreqid = {i}\nlocal_ts = "10.2.{i}.0/24"\nremote_ts = "10.1.{i}.0/24"\nlocal = "{OURS}"\npeer = "{PEER}"\n' for i in self.policies))
        (folder / "keyd.toml").write_text(
            f'[process]\nuser = "nobody"\ncontrol = "{folder}/keyd.sock"\n[espd]\npfkey = "{folder}/pfkey.sock"\nnatt = "{folder}/natt.sock"\n'
            '[ike]\nrestart_delay_ms = 1000\nretransmit_base_ms = 500\n'
            f'[connections.peer]\nlocal_addrs = "{OURS}"\nremote_addrs = "{PEER}"\nproposals = ["3des-sha1-modp1024"]\ndpd_delay = "5s"\ndpd_timeout = "10s"\n'
            f'[connections.peer.local]\nauth = "psk"\nid = "{OURS}"\n[connections.peer.remote]\nauth = "psk"\nid = "{PEER}"\n' + "".join(
                f'[connections.peer.children.net{i}]\nlocal_ts = "10.2.{i}.0/24"\nremote_ts = "10.1.{i}.0/24"\nesp_proposals = ["3des-sha1"]\nreqid = {i}\n'
                f'start_action = "{start_action}"\ndpd_action = "restart"\nlife_kbytes = {life_kbytes}\n' for i in self.policies))
        (folder / "keyd-secrets.toml").write_text(f'[ike.peer]\nid = "{PEER}"\nsecret = "{PSK}"\n')
        os.chmod(folder / "keyd-secrets.toml", 0o600)

    def start_peer(self):
        (self.peer.folder / "vici").unlink(missing_ok=True)
        self.strongswan = StrongSwan(self.peer, self.swanctl)

    def start_espd(self):
        for name in ("espd.sock", "pfkey.sock", "natt.sock"):
            (self.ours.folder / name).unlink(missing_ok=True)
        self.espd = self.ours.start("espd", self.build / "bin/espd", "--config", self.ours.folder / "espd.toml", env=self.env)
        wait_for("espd's socket", lambda: (self.ours.folder / "espd.sock").exists(), 60, [self.espd])

    def start_keyd(self):
        self.keyd = self.ours.start("keyd", self.build / "bin/keyd", "--config", self.ours.folder / "keyd.toml")

    def start(self):
        self.start_peer()
        self.start_espd()
        self.start_keyd()
        wait_for("the security associations", self.ready, 60, [self.keyd, self.espd])

    def ready(self):
        policies = self.ask("policy")["policies"]
        return all(p["ready"] for p in policies) and self.strongswan.swanctl("--list-sas", check=False).count("INSTALLED") >= len(self.policies)

    def espctl(self, *argv, check=True):
        return run(self.build / "bin/espctl", "--socket", self.ours.folder / "espd.sock", *argv, check=check)

    def ask(self, *argv):
        return json.loads(self.espctl(*argv, "--json"))

    def passes(self, i):
        """One packet each way through the tunnel I."""
        return "1 received" in self.ours.sh("ping", "-c", "1", "-W", "1", "-I", f"10.2.{i}.1", f"10.1.{i}.1", check=False)

    def model_of(self, card):
        """Process of the model behind the simulated card with this number (from 1) of espd."""
        for process in Path("/proc").glob("[0-9]*"):
            try:
                of_card = re.compile(rf"EMULATION_SOCKETID=device{card - 1}_\d+_{self.espd.pid}\0".encode())
                if (process / "comm").read_text() == "esp-card-model\n" and of_card.search((process / "environ").read_bytes()):
                    return int(process.name)
            except OSError:  # it ended meanwhile
                pass
        return None

    def close(self):
        for host in (self.ours, self.peer):
            host.close()
