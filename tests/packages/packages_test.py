#!/usr/bin/env python3
"""The Debian packages in a fresh Debian 12: installed, tried, upgraded, removed, purged; nothing is left. Needs root, debootstrap and a Debian mirror: exit 77
without. Usage: packages_test.py BUILD_DIR"""
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

BUILD = Path(sys.argv[1]).resolve()
OURS = ("esplanade", "esplanade-keyd", "esplanade-sim", "libesplanade1", "libesplanade-dev")
MIRROR = "http://deb.debian.org/debian"


def run(*argv, check=True, **more):
    done = subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **more)
    if check and done.returncode:
        sys.exit(f"FAILED: {' '.join(map(str, argv))}: status {done.returncode}\n{done.stdout[-3000:]}")
    return done.stdout


def check(what, good, told=""):
    if not good:
        sys.exit(f"FAILED: {what}: {told}")
    print(f"    ok: {what}", flush=True)


def files_of(root):
    """Everything below the folders that packages write to, but caches of apt, dpkg and the linker."""
    skip = ("var/lib/apt", "var/lib/dpkg", "var/cache", "var/log", "etc/ld.so.cache", "tmp", "proc", "sys", "dev", "root")
    out = set()
    for folder, folders, files in os.walk(root):
        at = os.path.relpath(folder, root)
        folders[:] = [f for f in folders if not os.path.normpath(os.path.join(at, f)).startswith(skip)]
        out |= {os.path.normpath(os.path.join(at, f)) for f in files + folders if f != "__pycache__"}
    return {f for f in out if not f.startswith(skip) and "__pycache__" not in f}


def main():
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        print("skipped: needs root and debootstrap")
        sys.exit(77)
    with tempfile.TemporaryDirectory(prefix="esplanade-packages-") as name:
        top = Path(name)
        run("cpack", "--config", BUILD / "CPackConfig.cmake", "-B", top / "deb", cwd=top)
        packages = sorted((top / "deb").glob("*.deb"))
        check("six packages", sorted(p.name.split("_")[0] for p in packages) == sorted(["esplanade-emulation-dev", *OURS]), packages)
        root = top / "root"
        made = subprocess.run(["debootstrap", "--variant=minbase", "--include=ca-certificates", "bookworm", str(root), MIRROR], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if made.returncode:
            if "Failed getting release file" in made.stdout or "Couldn't download" in made.stdout:
                print(f"skipped: no Debian mirror at {MIRROR}")
                sys.exit(77)
            sys.exit(f"FAILED: debootstrap\n{made.stdout[-2000:]}")
        inside = lambda *argv, **more: run("chroot", root, "/usr/bin/env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive", "HOME=/root", *argv, **more)
        run("mount", "-t", "proc", "proc", root / "proc")
        try:
            inside("apt-get", "update")
            # What the packages need of Debian first, so that the comparison at the end is of ours alone.
            ours = [p for p in packages if p.name.split("_")[0] in OURS]
            for package in ours:
                shutil.copy(package, root / "tmp")
            places = [f"/tmp/{p.name}" for p in ours]
            planned = inside("apt-get", "install", "-s", "--no-install-recommends", *places)
            needs = [line.split()[1] for line in planned.splitlines() if line.startswith("Inst ") and line.split()[1] not in OURS]
            inside("apt-get", "install", "-y", "--no-install-recommends", *needs)
            before = files_of(root)
            inside("apt-get", "install", "-y", "--no-install-recommends", *places)
            check("installed", "install ok installed" in inside("dpkg", "-s", *OURS))
            check("keyd has its user", inside("getent", "passwd", "keyd", check=False).startswith("keyd:") or not (root / "usr/bin/systemd-sysusers").exists())
            inside("espd", "--config", "/usr/share/doc/esplanade/examples/espd.toml", "--check")
            inside("keyd", "--help")
            check("espctl", "espctl: " in inside("espctl", "status", check=False))
            doctor = inside("espscope", "doctor", "--json", check=False)
            check("the simulator is found where its package put it", '"simulator: /usr/bin/esp-card-sim"' in doctor and "esp_card.hw_emu.xclbin: an .xclbin" in doctor, doctor)
            capture = inside("sh", "-c", "cd /tmp && espcap --help")
            check("espcap", "encrypt" in capture)
            version = "import ctypes; f = ctypes.CDLL('libesplanade.so.1').esplanade_version; f.restype = ctypes.c_char_p; print(f().decode())"
            check("libesplanade1 is found by the linker's cache", inside("python3", "-c", version) == "0.1.0\n")
            check("libesplanade-dev", all((root / "usr" / f).exists() for f in ("include/esplanade/esplanade.h", "lib/libesplanade.so", "lib/pkgconfig/esplanade.pc")))
            newer = top / "newer"
            newer.mkdir()
            for package in ours:
                tree = newer / package.stem
                run("dpkg-deb", "-R", package, tree)
                control = tree / "DEBIAN/control"
                control.write_text(control.read_text().replace("Version: 0.1.0", "Version: 0.1.1").replace("(= 0.1.0)", "(= 0.1.1)"))
                run("dpkg-deb", "--root-owner-group", "-b", tree, root / "tmp" / package.name)
            (root / "etc/esplanade/espd.toml").write_text("# of the administrator\n")
            inside("apt-get", "install", "-y", "--no-install-recommends", *places)
            check("upgraded, configuration untouched", inside("dpkg-query", "-W", "-f", "${Version} ", *OURS).split() == ["0.1.1"] * len(OURS) and
                  (root / "etc/esplanade/espd.toml").read_text() == "# of the administrator\n")
            inside("apt-get", "remove", "-y", *OURS)
            check("removed, configuration stays", not (root / "usr/sbin/espd").exists() and (root / "etc/esplanade/espd.toml").exists())
            (root / "etc/esplanade/espd.toml").unlink()
            inside("dpkg", "--purge", *OURS)  # apt does not know a package that had nothing to leave
            left = {f for f in files_of(root) - before if not f.startswith(("etc/passwd", "etc/group", "etc/shadow", "etc/gshadow"))}
            check("purged, nothing is left", not left, sorted(left)[:20])
        finally:
            run("umount", root / "proc", check=False)
    print("all passed")


main()
