"""One archive for a bug report, and a careful look into one from elsewhere."""
import io
import json
import os
import tarfile
import time
import zlib

from scope import doctor, recording as rec, state
from scope.cardmap import ScopeError

MEMBERS = ("versions.json", "doctor.json", "hello.json", "registers.json", "rings.json", "sas.json", "slots.json", "events.json", "errors.json", "counters.json",
           "missing.json", "recording", "recording.1")
MEMBER_MAX, RECORDING_MAX = 4 << 20, 256 << 20


def collect(card, connect, machine, recording):
    """{member: octets}. What cannot be had is named in missing.json: a bug report is made on broken machines."""
    out, missing = {}, {}

    def put(name, look):
        try:
            value = look()
            out[name] = value if isinstance(value, bytes) else json.dumps(value, indent=1).encode() + b"\n"
            return value
        except (OSError, ValueError, ScopeError) as error:  # ValueError: a path with a 0 in it
            missing[name] = str(error)

    put("versions.json", doctor.versions)
    put("doctor.json", lambda: doctor.examine(machine))
    try:
        live = connect()
        hello = put("hello.json", lambda: live.ask("hello")) or {}
        recording = recording or hello.get("recording")
        for name, look in ({"registers": lambda: live.read(card.registers)} | state.looks(card, live)).items():
            put(f"{name}.json", look)
    except ScopeError as error:
        missing["card"] = str(error)
    for name, path in {"recording": recording, "recording.1": f"{recording}.1"}.items() if recording else []:
        if name == "recording" or os.path.exists(path):
            put(name, lambda path=path: recorded(path))
    put("missing.json", lambda: missing)
    return out


def recorded(path):
    """A file that is a recording, and nothing else."""
    with open(path, "rb") as file:
        octets = file.read(RECORDING_MAX + 1)
    if len(octets) > RECORDING_MAX:
        raise ScopeError(f"{path}: larger than {RECORDING_MAX >> 20} MiB")
    all(rec.parse(io.BytesIO(octets), path)[1])
    return octets


def write(path, members):
    with tarfile.open(path, "w:gz") as tar:
        for name, octets in members.items():
            info = tarfile.TarInfo(f"espscope/{name}")
            info.size, info.mtime, info.mode = len(octets), int(time.time()), 0o600
            tar.addfile(info, io.BytesIO(octets))


def read(path):
    """{member: octets} of a bundle from anywhere: known names, ordinary files, bounded sizes, nothing written to disk."""
    out = {}
    try:
        with tarfile.open(path, "r:gz") as tar:
            for count, info in enumerate(tar):
                folder, _, name = info.name.partition("/")
                if count >= len(MEMBERS) or folder != "espscope" or name not in MEMBERS or name in out or not info.isreg():
                    raise ScopeError(f"{path}: {rec.printable(info.name)[:80]} is no member of a bundle")
                if info.size > (RECORDING_MAX if name.startswith("recording") else MEMBER_MAX):
                    raise ScopeError(f"{path}: {name} has {info.size} octets, which is too much")
                out[name] = tar.extractfile(info).read(info.size)
    except (OSError, tarfile.TarError, EOFError, ValueError, zlib.error) as error:
        raise ScopeError(f"{path}: no bundle: {error}") from error
    for name in (n for n in out if n.endswith(".json")):
        try:
            json.loads(out[name])
        except (ValueError, RecursionError) as error:
            raise ScopeError(f"{path}: {name}: {error}") from error
    return out
