"""Hosts for demo and interoperability tests: network namespaces joined by a veth pair, and processes in them.

Everything that is started here is stopped by close(), in reverse order, by its own process id. Needs root.
"""
import os
import signal
import subprocess
import time
from pathlib import Path


class HostError(Exception):
    """Something did not come up; the text says what and where its log is."""


def run(*argv, check=True, timeout=60):
    """Runs a command to its end; returns its standard output. Fails with what it printed."""
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, timeout=timeout)
    if check and done.returncode != 0:
        raise HostError(f"{' '.join(map(str, argv))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


class Host:
    """One network namespace with its own /run and /tmp entries where asked for."""

    def __init__(self, name, folder):
        self.name = name
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.processes = []
        run("ip", "netns", "add", name)
        self.sh("ip", "link", "set", "lo", "up")
        self.sh("sysctl", "-q", "-w", "net.ipv6.conf.default.accept_dad=0", check=False)  # nobody else is here; it takes seconds

    def argv(self, *argv):
        return ["ip", "netns", "exec", self.name, *map(str, argv)]

    def sh(self, *argv, **kw):
        return run(*self.argv(*argv), **kw)

    def start(self, label, *argv, env=None, private_run=False):
        """Starts a daemon with its output in folder/LABEL.log. `private_run` gives it a /run of its own."""
        command = self.argv(*argv)
        if private_run:
            command = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none /run && exec "$@"', "sh", *map(str, argv)]
            command = self.argv(*command)
        log = open(self.folder / f"{label}.log", "wb")
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                   env={**os.environ, **(env or {})})
        process.label = label
        process.log = Path(log.name)
        log.close()
        self.processes.append(process)
        return process

    def stop(self, process, timeout=10):
        """Asks with SIGTERM, insists with SIGKILL; returns the exit code."""
        if process in self.processes:
            self.processes.remove(process)
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        return process.returncode

    def close(self):
        for process in reversed(list(self.processes)):
            self.stop(process)
        run("ip", "netns", "del", self.name, check=False)


def join(a, address_a, b, address_b, name_a="eth0", name_b="eth0"):
    """Joins two hosts with a veth pair; addresses with prefix length."""
    tag = f"v{os.getpid() % 100000}"
    run("ip", "link", "add", f"{tag}a", "type", "veth", "peer", "name", f"{tag}b")
    for end, host, name, address in ((f"{tag}a", a, name_a, address_a), (f"{tag}b", b, name_b, address_b)):
        run("ip", "link", "set", end, "netns", host.name)
        host.sh("ip", "link", "set", end, "name", name)
        host.sh("ip", "addr", "add", address, "dev", name, *(["nodad"] if ":" in address else []))
        host.sh("ip", "link", "set", name, "up")


def wait_for(what, condition, seconds, processes=()):
    """Polls until condition() is true; fails early when one of the processes ends."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        for process in processes:
            if process.poll() is not None:
                tail = process.log.read_text(errors="replace")[-2000:]
                raise HostError(f"{process.label} ended with {process.returncode} while waiting for {what}; its log {process.log}:\n{tail}")
        time.sleep(0.05)
    logs = "\n".join(f"--- {p.log}\n{p.log.read_text(errors='replace')[-1500:]}" for p in processes)
    raise HostError(f"{what} did not happen within {seconds} s\n{logs}")


CHARON_PLUGINS = ("random nonce openssl pem pkcs1 pkcs8 x509 revocation constraints pubkey des rc2 sha1 sha2 md5 gmp hmac "
                  "kdf socket-default kernel-libipsec kernel-netlink vici updown")


class StrongSwan:
    """A private strongSwan (charon with user-space ESP) in a host. `connections` is the text of swanctl.conf."""

    def __init__(self, host, connections, charon="/usr/lib/ipsec/charon", settings="", key_log=False, log_level=1):
        """`settings`: more lines of the charon section of strongswan.conf. `key_log`: its log has the keys of SAs."""
        if not Path(charon).exists():
            raise HostError(f"{charon} is missing: install strongswan-charon")
        self.host = host
        folder = host.folder
        self.uri = f"unix://{folder}/vici"
        (folder / "strongswan.conf").write_text(
            f"charon {{\n  load = {CHARON_PLUGINS}\n  dos_protection = no\n  {settings}\n  install_virtual_ip = no\n"
            f"  plugins {{\n    vici {{ socket = {self.uri} }}\n    kernel-libipsec {{ allow_peer_ts = yes }}\n  }}\n"
            f"  filelog {{ log {{ path = {folder}/charon-detail.log\n default = {log_level}\n ike = {log_level + 1}\n {'chd = 4' if key_log else ''}\n flush_line = yes }} }}\n}}\n")
        (folder / "swanctl.conf").write_text(connections)
        self.process = host.start("charon", charon, env={"STRONGSWAN_CONF": str(folder / "strongswan.conf")}, private_run=True)
        wait_for("strongSwan's control socket", lambda: (folder / "vici").exists(), 10, [self.process])
        self.swanctl("--load-all", "--file", folder / "swanctl.conf")

    def swanctl(self, *argv, check=True, timeout=60):
        env = {**os.environ, "STRONGSWAN_CONF": str(self.host.folder / "strongswan.conf")}
        done = subprocess.run(self.host.argv("swanctl", *argv, "--uri", self.uri), capture_output=True, text=True, env=env, timeout=timeout)
        if check and done.returncode != 0:
            raise HostError(f"swanctl {argv[0]}: {done.stdout}{done.stderr}")
        return done.stdout

    def established(self):
        return "INSTALLED" in self.swanctl("--list-sas", check=False)
