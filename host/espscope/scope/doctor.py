"""Finds what is wrong with a machine's set-up and says the mend. Each check is a function that yields (ok, what, mend)."""
import contextlib
import ctypes.util
import io
import json
import os
import re
import shutil
import struct
import subprocess
import zipfile
import zlib
from pathlib import Path

XILINX = "0x10ee"


class Machine:
    """Where to look; a test points it at folders of its own."""

    def __init__(self, root="/", environment=None, xclbin=None):
        self.root, self.environment = Path(root), os.environ if environment is None else environment
        here = Path(__file__).resolve()
        built, installed = (base / "share/esplanade/esp_card.hw_emu.xclbin" for base in (here.parents[3] / "build/dev", here.parents[4]))
        self.xclbin = Path(xclbin or self.environment.get("ESPLANADE_XCLBIN") or (built if built.exists() else installed))


def xrt(machine):
    places = (machine.root / folder / "libxrt_coreutil.so.2" for folder in ("usr/lib/x86_64-linux-gnu", "opt/xilinx/xrt/lib", "usr/lib", "usr/local/lib"))
    found = next(filter(Path.exists, places), None)
    yield found is not None, f"XRT: {found or 'libxrt_coreutil.so.2 is not there'}", "install the Debian package libxrt1 (or Xilinx's xrt package)"
    if found:
        version = re.search(r"\.so\.(2\.\d+)", str(found.resolve()))
        good = version is not None and tuple(map(int, version[1].split("."))) >= (2, 13)
        yield good, f"XRT version {version[1] if version else 'unknown'}", "XRT 2.13 or later is needed"
        emulation = list(found.parent.glob("libxrt_hwemu.so*"))
        yield bool(emulation), f"XRT's emulation: {emulation[0] if emulation else 'libxrt_hwemu.so is not there'}", "install the Debian package libxrt1: the simulated card needs it"


def unzip(machine):
    path = shutil.which("unzip", path=machine.environment.get("PATH", ""))
    yield path is not None, f"unzip: {path or 'not there'}", "install the Debian package unzip: XRT unpacks the simulator with it"


def xclbin(machine):
    """The card image: whole, of this kernel, and for the simulation with a simulator that can be started."""
    path = machine.xclbin
    try:
        octets = path.read_bytes()
    except OSError as error:
        yield False, f"{path}: {error.strerror}", "build the target esp_card_xclbin, or set ESPLANADE_XCLBIN"
        return
    whole = octets[:8] == b"xclbin2\0" and len(octets) > 0x1d0
    yield whole, f"{path}: {'an .xclbin' if whole else 'no .xclbin'}", "build it anew, or name another in ESPLANADE_XCLBIN"
    if not whole:
        return
    length, = struct.unpack_from("<Q", octets, 0x130)
    yield length == len(octets), f"{path}: header says {length} octets, the file has {len(octets)}", "the file was cut or changed: copy or build it anew"
    yield b"esp_card" in octets, f"{path}: {'of kernel esp_card' if b'esp_card' in octets else 'of another kernel'}", "name the .xclbin of esp_card in ESPLANADE_XCLBIN"
    emconfig = path.parent / "emconfig.json"
    if ".hw_emu." in path.name:
        try:
            devices = json.loads(emconfig.read_text())["Platform"]["Boards"][0]["Devices"]
            yield bool(devices), f"{emconfig}: {len(devices)} simulated card(s)", "build the target esp_card_xclbin"
        except (OSError, ValueError, LookupError, TypeError) as error:
            yield False, f"{emconfig}: {error}", "emconfig.json must lie beside the .xclbin: build the target esp_card_xclbin"
        yield from simulator(machine, octets)


def simulator(machine, octets):
    named = machine.environment.get("ESPLANADE_SIM")
    if named:
        good = os.path.isabs(named) and os.access(named, os.X_OK)
        yield good, f"ESPLANADE_SIM={named}", "it must be the absolute path of a simulator that can be run"
        return
    path = None
    with contextlib.suppress(zipfile.BadZipFile, OSError, zlib.error, NotImplementedError, RuntimeError), zipfile.ZipFile(io.BytesIO(octets)) as archive:
        for member in archive.infolist()[:20]:  # what XRT unpacks and starts
            if member.file_size < 64 * 1024 and (found := re.search(rb"(/[\w./+-]*esp-card-sim[\w-]*)", archive.read(member))):
                path = found[1].decode()
    good = path is not None and os.access(path, os.X_OK)
    yield good, f"simulator: {path or 'none is named in the .xclbin'}", "the .xclbin starts this program: build or install it there, or set ESPLANADE_SIM"


def environment(machine):
    env = machine.environment
    mode, model = env.get("XCL_EMULATION_MODE", ""), env.get("ESPLANADE_SIM_MODEL", "")
    yield mode in ("", "hw_emu"), f"XCL_EMULATION_MODE={mode}", "unset it: hw_emu is what the simulated card needs, and the driver sets it itself"
    yield model in ("", "rtl", "functional"), f"ESPLANADE_SIM_MODEL={model}", "it is rtl or functional"
    for name in ("ESPLANADE_SIM_FAULTS", "ESPLANADE_SIM_CONFIG", "XRT_INI_PATH"):
        if env.get(name):
            yield os.access(env[name], os.R_OK), f"{name}={env[name]}", "the file cannot be read: unset it"


def cards(machine):
    """Boards on the bus: nodes that may be opened, and links as wide and fast as they can be."""
    read = lambda p: p.read_text().strip() if p.exists() else ""
    boards = [d for d in sorted((machine.root / "sys/bus/pci/devices").glob("*")) if read(d / "vendor") == XILINX]
    yield True, f"{len(boards)} Xilinx board(s) on the PCIe bus", ""
    for board in boards:
        for what in ("width", "speed"):
            now, most = read(board / f"current_link_{what}"), read(board / f"max_link_{what}")
            if now and most:
                yield now == most, f"{board.name}: link {what} {now} of {most}", "reseat the board or use another slot: the link trained below what both ends can do"
        driver = (board / "driver").resolve().name if (board / "driver").exists() else ""
        yield bool(driver), f"{board.name}: kernel driver {driver or 'none'}", "load xocl (Debian's or Xilinx's xrt kernel modules)"
        for node in sorted((board / "drm").glob("renderD*")) if (board / "drm").is_dir() else []:
            device = machine.root / "dev/dri" / node.name
            yield os.access(device, os.R_OK | os.W_OK), f"{board.name}: {device}", "you may not open it: join the group render"


def gateway(machine):
    tun = machine.root / "dev/net/tun"
    yield tun.exists(), f"{tun}: {'there' if tun.exists() else 'not there'}", "modprobe tun: espd needs it"


def space(machine):
    for path in (machine.root / "tmp", machine.root / "dev/shm"):
        if path.is_dir():
            free = shutil.disk_usage(path).free
            yield free > 256 << 20, f"{path}: {free >> 20} MiB free", "XRT's emulation puts its buffers there: make room"


CHECKS = (xrt, unzip, xclbin, environment, cards, gateway, space)


def examine(machine):
    """[{check, ok, what, mend}]"""
    return [{"check": check.__name__, "ok": ok, "what": what, "mend": "" if ok else mend} for check in CHECKS for ok, what, mend in check(machine)]


def versions():
    """What a bug report wants to know of the programs here."""
    xrt_packages = ""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        query = ("dpkg-query", "-W", "-f", "${Package} ${Version}\n", "libxrt1", "libxrt2")
        xrt_packages = subprocess.run(query, capture_output=True, text=True, errors="replace", timeout=10, check=False).stdout.strip()[:2000]
    return {"kernel": " ".join(os.uname()), "xrt": xrt_packages, "library": ctypes.util.find_library("xrt_coreutil")}
