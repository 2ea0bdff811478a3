"""The card's registers, formats and enumerations, from the file that the RTL and the driver are made from (card.toml)."""
import collections
import os
import tomllib
from pathlib import Path

RINGS = (("submission", "Descriptor"), ("completion", "Completion"), ("event", "Event"))  # kind, format of its entries


class ScopeError(Exception):
    """The text says what is wrong, where and what to do."""


class Field(collections.namedtuple("Field", "name lsb width doc octets", defaults=[False])):
    """Bits `lsb`, `width` of a register or of an entry's little-endian vector."""

    def get(self, number):
        return number >> self.lsb & (1 << self.width) - 1


class Register:
    """One register: of an array, the nth."""

    def __init__(self, table, n):
        self.table, self.n = table, n
        self.array = table["name"]
        self.name = table["name"] + (f"[{n}]" if table.get("count", 1) > 1 else "")
        self.offset = table["offset"] + n * table.get("stride", 4)
        self.access, self.doc = table["access"], table["doc"]
        self.on_read = table.get("on_read", "")
        self.fields = [Field(*f) for f in table.get("fields", [])]

    def why_not_read(self):
        """Why a look would change something or show nothing; empty: it may be read."""
        return "write-only" if self.access == "wo" else self.on_read

    def decode(self, value):
        return {f.name: f.get(value) for f in self.fields}


class CardMap:
    def __init__(self, path=None):
        self.path = Path(path) if path else find()
        try:
            table = tomllib.loads(self.path.read_text("utf-8"))
            self.registers = [Register(r, n) for r in table["reg"] for n in range(r.get("count", 1))]
            self.formats = {f["name"]: (f["bytes"], [self._format_field(x) for x in f["fields"]]) for f in table["format"]}
            self.enums = {e["name"]: {v[1]: (v[0], v[2]) for v in e["values"]} for e in table["enum"]}
            self.limits = {name: limit["value"] for name, limit in table["limits"].items()}
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise ScopeError(f"{self.path}: not the description of a card: {error}") from error
        self.by_name = {r.name: r for r in self.registers}
        self.by_offset = {r.offset: r for r in self.registers}

    @staticmethod
    def _format_field(f):
        octets = f[2] == "octets"
        return Field(f[0], 8 * f[1] + (0 if octets else f[2]), f[3] * (8 if octets else 1), f[4], octets)

    def name_at(self, offset):
        return self.by_offset[offset].name if offset in self.by_offset else f"0x{offset:04x}"

    def enum(self, name, value):
        return self.enums[name].get(value, (str(value), "no such value"))[0]

    def decode(self, name, octets):
        """An entry of format `name` as a dictionary; octet fields in hexadecimal."""
        _, fields = self.formats[name]
        number = int.from_bytes(octets, "little")
        return {f.name: octets[f.lsb // 8:(f.lsb + f.width) // 8].hex() if f.octets else f.get(number) for f in fields}

    def entries(self, name, octets):
        """The entries of format `name` that lie there one behind the other."""
        size = self.formats[name][0]
        return (self.decode(name, octets[i:i + size]) for i in range(0, len(octets), size))

    def matching(self, names):
        """Registers whose name, or whose array's name, is among `names`; all if there are none."""
        found = [[r for r in self.registers if name.upper() in (r.name, r.array)] for name in names]
        if [] in found:
            raise ScopeError(f"no register {names[found.index([])]}: docs/registers.md has them all")
        return sum(found, []) if names else self.registers


def find():
    """card.toml of the build or installation that this program belongs to."""
    here = Path(__file__).resolve()
    for path in (os.environ.get("ESPLANADE_CARD_MAP"), here.parents[3] / "hw/regs/card.toml", here.parents[4] / "share/esplanade/card.toml"):
        if path and Path(path).is_file():
            return Path(path)
    raise ScopeError("card.toml is not where this program was installed: name it in ESPLANADE_CARD_MAP")
