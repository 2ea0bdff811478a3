"""One archive for a bug report, and a careful look into one from elsewhere."""
import collections
import io
import json
import tarfile
import time
import zlib
from pathlib import Path

from scope import doctor, recording as rec, state
from scope.cardmap import ScopeError

MEMBERS = ("versions.json", "doctor.json", "hello.json", "registers.json", "rings.json", "sas.json", "slots.json", "events.json", "errors.json", "counters.json",
           "missing.json", "recording", "recording.1")
MEMBER_MAX, RECORDING_MAX = 4 << 20, 256 << 20


def collect(card, connect, machine, recording):
    """{member: octets}. What cannot be had is named in missing.json: a bug report is made on broken machines."""
    out, missing = {}, {}
    put = lambda name, value: out.__setitem__(name, json.dumps(value, indent=1).encode() + b"\n")
    put("versions.json", doctor.versions())
    put("doctor.json", doctor.examine(machine))
    try:
        live = connect()
        hello = live.ask("hello")
        put("hello.json", hello)
        recording = recording or hello.get("recording")
        for name, look in ({"registers": lambda: live.read(card.registers)} | state.looks(card, live)).items():
            try:
                put(f"{name}.json", look())
            except ScopeError as error:
                missing[f"{name}.json"] = str(error)
    except ScopeError as error:
        missing["card"] = str(error)
    if recording:
        for name, path in (("recording", Path(recording)), ("recording.1", Path(f"{recording}.1"))):
            try:
                if name == "recording" or path.exists():
                    with open(path, "rb") as file:
                        octets = file.read(RECORDING_MAX + 1)
                    if len(octets) > RECORDING_MAX:
                        raise ScopeError(f"{path}: larger than {RECORDING_MAX >> 20} MiB")
                    collections.deque(rec.parse(io.BytesIO(octets), path)[1], maxlen=0)  # nothing but a recording goes in under this name
                    out[name] = octets
            except (OSError, ValueError, ScopeError) as error:  # ValueError: a path with a 0 in it
                missing[name] = str(error)
    put("missing.json", missing)
    return out


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
    for name, octets in out.items():
        if name.endswith(".json"):
            try:
                json.loads(octets)
            except (ValueError, RecursionError) as error:
                raise ScopeError(f"{path}: {name}: {error}") from error
    return out
