#!/usr/bin/env python3
"""Tunnels over IPv6. Two espd with SAs set by hand: plain ESP and ESP in UDP 4500, IPv4 and IPv6 inside. Then keyd, which negotiates over
IPv6: with strongSwan (ESP in UDP, its user-space ESP does no other) and with another keyd (plain ESP), the latter in transport mode too. Needs root: exit 77 without."""
import os
import re

from natt_transport_test import End, both_ways
from two_hosts import MARKER, Capture, check, first_packet_waits, ike_passes, pair, payload, ping, run_cases, show_logs, transfer
from hosts import Host, StrongSwan, join, run, wait_for  # two_hosts.py has set the path

OUTER = "2001:db8:ffff::1", "2001:db8:ffff::2"
INNER = {4: (("10.1.0.1", "10.1.0.0/24"), ("10.2.0.1", "10.2.0.0/24")),
         6: (("2001:db8:1::1", "2001:db8:1::/48"), ("2001:db8:2::1", "2001:db8:2::/48"))}
FILE_BYTES = 300_000

ESPD = """
card = "{card}"
run_dir = "{run_dir}"
[tun]
name = "espltest0"
[[policy]]
name = "four"
reqid = 4
local_ts = "10.{l}.0.0/24"
remote_ts = "10.{r}.0.0/24"
local = "{local}"
peer = "{peer}"
[[policy]]
name = "six"
reqid = 6
local_ts = "2001:db8:{l}::/48"
remote_ts = "2001:db8:{r}::/48"
local = "{local}"
peer = "{peer}"
"""
KEYD = """
[process]
user = "nobody"
control = "{run_dir}/keyd.sock"
[espd]
pfkey = "{run_dir}/pfkey.sock"
natt = "{run_dir}/natt.sock"
[connections.peer]
local_addrs = "{local}"
remote_addrs = "{peer}"
proposals = "3des-sha1-modp1024"
[connections.peer.children.four]
local_ts = "10.{l}.0.0/24"
remote_ts = "10.{r}.0.0/24"
reqid = 4
start_action = "trap"
[connections.peer.children.six]
local_ts = "2001:db8:{l}::/48"
remote_ts = "2001:db8:{r}::/48"
reqid = 6
start_action = "trap"
"""
SECRET = "the secret of the test"
SWANCTL = f"""
connections {{
  peer {{
    version = 1
    local_addrs = {OUTER[1]}
    remote_addrs = {OUTER[0]}
    proposals = 3des-sha1-modp1024
    encap = yes
    local {{ auth = psk\n id = {OUTER[1]} }}
    remote {{ auth = psk\n id = {OUTER[0]} }}
    children {{
      four {{ local_ts = 10.2.0.0/24\n remote_ts = 10.1.0.0/24\n esp_proposals = 3des-sha1 }}
      six {{ local_ts = 2001:db8:2::/48\n remote_ts = 2001:db8:1::/48\n esp_proposals = 3des-sha1 }}
    }}
  }}
}}
secrets {{ ike-peer {{ id = {OUTER[0]}\n secret = "{SECRET}" }} }}
"""


def by_hand(build, folder, udp, inner):
    addresses, nets = zip(*INNER[inner])
    with pair(build, folder, f"es6{'u' if udp else 'r'}{inner}", "soft", udp=udp, outer=OUTER, inner=addresses, nets=nets, far_nets=nets[::-1]) as (a, b):
        for gateway in (a, b):
            gateway.start()
        capture = Capture(a.host, folder)
        first_packet_waits(a, b)
        # Traffic class and hop limit: an ESP packet keeps the former, as the card copied it.
        ping(b, a, extra=("-s", "1300", "-Q", "0xb8"))
        data = payload(1, MARKER)[:FILE_BYTES]
        for source, sink in ((a, b), (b, a)):
            transfer(source.host, source.inner, sink.host, sink.inner, data)
            check(f"{len(data):,} bytes {source.inner} -> {sink.inner}", True)
        ike_passes(a, b)
        way, other = ("udp", "raw") if udp else ("raw", "udp")
        traffic = b.stats()["traffic"]
        check(f"all went as {way}", traffic[f"{way}_esp_in"] > 100 and traffic[f"{other}_esp_in"] == 0, traffic)
        capture.stop()
        check("the traffic class of the inner packet is the outer one's", capture.count("ipv6.tclass == 0xb8 && (esp || udp.port == 4500)") >= 6)
        if udp:
            check("no UDP checksum is 0", capture.count("udp.port == 4500") > 100 and capture.count("udp.checksum == 0") == 0)


def start_ours(build, host, card, local, peer, l, r):
    run_dir = host.folder / "run"
    names = dict(card=card, run_dir=run_dir, local=local, peer=peer, l=l, r=r)
    (host.folder / "espd.toml").write_text(ESPD.format(**names))
    (host.folder / "keyd.toml").write_text(KEYD.format(**names))
    (host.folder / "keyd-secrets.toml").write_text(f'[ike.peer]\nsecret = "{SECRET}"\n')
    (host.folder / "keyd-secrets.toml").chmod(0o600)
    espd = host.start("espd", build / "bin/espd", "--config", host.folder / "espd.toml", env={"ESPLANADE_SIM_MODEL": "functional"})
    wait_for("espd's status socket", lambda: (run_dir / "espd.sock").exists(), 60, [espd])
    keyd = host.start("keyd", build / "bin/keyd", "--config", host.folder / "keyd.toml")
    wait_for("keyd", lambda: " ready:" in keyd.log.read_text(), 10, [keyd, espd])


def negotiated(build, folder, peer, card):
    tag = f"es6{os.getpid() % 100000}{peer[0]}"
    hosts = []
    try:
        for name in "ab":
            hosts.append(Host(tag + name, folder / name))
        a, b = hosts
        join(a, f"{OUTER[0]}/64", b, f"{OUTER[1]}/64")
        for version in (4, 6):
            for host, (address, _) in zip(hosts, INNER[version]):
                host.sh("ip", "addr", "add", f"{address}/{32 if version == 4 else 128}", "dev", "lo")
        if peer == "strongSwan":
            StrongSwan(b, SWANCTL)
        else:
            start_ours(build, b, "soft", *reversed(OUTER), 2, 1)
        start_ours(build, a, card, *OUTER, 1, 2)
        for version in (4, 6):
            near, far = (address for address, _ in INNER[version])
            # The first packet brings an SA; a peer that is still busy with it may lose that packet.
            a.sh("ping", "-c", "3", "-i", "0.5", "-W", "5", "-I", near, far, check=False)
            text = a.sh("ping", "-c", "3", "-i", "0.2", "-W", "5", "-I", near, far, check=False)
            check(f"pings pass: {near} -> {far}", " 0% packet loss" in text, text)
            for source, address, sink, target in ((a, near, b, far), (b, far, a, near)):
                transfer(source, address, sink, target, payload(1, MARKER)[:FILE_BYTES])
                check(f"{FILE_BYTES:,} bytes {address} -> {target}", True)
        sas = run(build / "bin/espctl", "--socket", a.folder / "run/espd.sock", "sa")
        in_udp = len(re.findall("4500", sas))
        check("the SAs run " + ("in UDP" if peer == "strongSwan" else "as plain ESP"), (in_udp > 0) == (peer == "strongSwan"), sas)
    except Exception:
        show_logs(hosts, "espd.log", "keyd.log", "charon-detail.log")
        raise
    finally:
        for host in hosts:
            host.close()


def transport(build, folder):
    """Between the two hosts themselves, with datagrams that their kernels cut to the TUN device's size."""
    a, b = ends = [End(build, folder, name, *pair) for name, pair in (("a", OUTER), ("b", OUTER[::-1]))]
    try:
        join(a.host, f"{OUTER[0]}/64", b.host, f"{OUTER[1]}/64")
        for end in ends:
            end.start()
        capture = Capture(a.host, folder)
        both_ways(a, b)
        capture.stop()
        for end in ends:
            stats = end.ask("stats")
            check(f"{end.side}: nothing was dropped, large ones went in outer fragments", not stats["drops"] and stats["traffic"]["outer_fragmented"] == 1, stats)
    except BaseException:
        show_logs([end.host for end in ends], "espd.log", "keyd.log")
        raise
    finally:
        for end in ends:
            end.host.close()


def scenario(build, folder, what, *case):
    {"by hand": by_hand, "negotiated": negotiated, "transport": transport}[what](build, folder, *case)


if __name__ == "__main__":
    run_cases(__doc__, [("by hand", True, 4), ("by hand", False, 6), ("by hand", False, 4), ("by hand", True, 6), ("negotiated", "strongSwan", "sim"),
                        ("negotiated", "keyd", "soft"), ("transport",)], scenario)
