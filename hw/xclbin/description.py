"""The TOML description of a kernel and its platform, read and checked. hw/xclbin/esp_card.toml is an example with every
table; docs/emulation.md explains the keys."""
import re
import tomllib
from dataclasses import dataclass

# enum MEM_TYPE and IP_CONTROL of xrt/xclbin.h
MEM_TYPES = {"ddr3": 0, "ddr4": 1, "dram": 2, "hbm": 6, "host": 10}
PROTOCOLS = {"ap_ctrl_hs": 0, "ap_ctrl_chain": 1, "user_managed": 2}
DATA_WIDTHS = (32, 64, 128, 256, 512, 1024)  # bits of an AXI4 master that XRT links
TABLES = ("platform", "kernel", "port", "memory", "argument", "sim")  # the simulator itself checks what [sim] says
MAX_UNITS = 16
IDENTIFIER = re.compile(r"(?!.*__)[A-Za-z][A-Za-z0-9_]*")  # Verilator spells names with two underscores otherwise


class DescriptionError(Exception):
    """The description is wrong; the text says where."""


@dataclass(frozen=True)
class Port:
    """An AXI4 master: prefix of its signals, data bits."""
    name: str
    data_width: int


@dataclass(frozen=True)
class Argument:
    """An argument as the host sees it. `memory` is an index into the memories, None for a scalar."""
    name: str
    type: str
    offset: int
    size: int
    port: str
    memory: int | None


@dataclass(frozen=True)
class Memory:
    tag: str
    type: str
    base: int
    size: int


class Description:
    """What the file at `path` says. `text` is the file itself."""

    def __init__(self, path):
        self.path = path
        try:
            self.text = path.read_bytes()
            self.table = tomllib.loads(self.text.decode())
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise DescriptionError(f"{path}: {error}") from error
        for key in self.table:
            if key not in TABLES:
                raise DescriptionError(f"{path}: there is no table {key!r}, only {', '.join(TABLES)}")
        self.read_platform()
        self.read_kernel()
        self.memories = [self.memory(n, t) for n, t in self.rows("memory")]
        if not self.memories:
            raise DescriptionError(f"{path}: no [[memory]]")
        self.unique("memory", "tag", self.memories)
        self.ports = [self.port(n, t) for n, t in self.rows("port")]
        self.unique("port", "name", self.ports)
        self.arguments = [self.argument(n, t) for n, t in self.rows("argument")]
        self.unique("argument", "name", self.arguments)

    def read_platform(self):
        where, table = "[platform]", self.single("platform", {"vendor", "board", "name", "version"})
        self.vendor, self.board, self.platform = (self.take(table, where, key, str) for key in ("vendor", "board", "name"))
        version = self.take(table, where, "version", list)
        if len(version) != 2 or not all(isinstance(v, int) for v in version):
            raise DescriptionError(f"{self.path}: [platform] version must be [major, minor]")
        self.major, self.minor = version
        self.vbnv = f"{self.vendor}_{self.board}_{self.platform}_{self.major}_{self.minor}"

    def read_kernel(self):
        where = "[kernel]"
        table = self.single("kernel", {"name", "top", "instances", "protocol", "clock", "reset", "interrupt", "signal_case", "control_port", "control_base",
                                       "control_range", "control_address_width", "clock_mhz", "secret_registers"})
        self.name = self.identifier(table, where, "name")
        self.top = self.identifier(table, where, "top", self.name)  # the Verilog module
        self.control_port = self.identifier(table, where, "control_port")
        self.clock = self.identifier(table, where, "clock", "ap_clk")
        self.reset = self.identifier(table, where, "reset", "ap_rst_n")  # active low
        self.interrupt = self.identifier(table, where, "interrupt", "") if "interrupt" in table else None
        self.instances = self.take(table, where, "instances", list)
        if not 1 <= len(self.instances) <= MAX_UNITS or not all(isinstance(i, str) and IDENTIFIER.fullmatch(i) for i in self.instances) or \
                len(set(self.instances)) != len(self.instances):
            raise DescriptionError(f"{self.path}: [kernel] instances must be 1 to {MAX_UNITS} different names")
        self.protocol = self.choice(table, where, "protocol", PROTOCOLS)
        self.upper = self.choice(table, where, "signal_case", ("lower", "upper"), "lower") == "upper"
        self.control_base = self.number(table, where, "control_base", 0, 2**48)
        self.control_range = self.number(table, where, "control_range", 4096, 2**24)
        if self.control_range & (self.control_range - 1) or self.control_base % self.control_range:
            raise DescriptionError(f"{self.path}: [kernel] control_range must be a power of two, control_base a multiple of it")
        secrets = table.get("secret_registers", [])  # for the simulator alone
        if not isinstance(secrets, list) or any(not isinstance(s, list) or len(s) != 2 or any(type(n) is not int for n in s) or
                                                not 0 <= s[0] < s[0] + s[1] <= self.control_range for s in secrets):
            raise DescriptionError(f"{self.path}: [kernel] secret_registers must be a list of [offset, bytes] inside control_range")
        bits = self.control_range.bit_length() - 1
        self.control_address_width = self.number(table, where, "control_address_width", 2, bits, bits)
        self.clock_mhz = self.number(table, where, "clock_mhz", 1, 10_000)

    def memory(self, number, table):
        where = f"[[memory]] {number}:"
        self.only(table, where, {"tag", "type", "base", "size"})
        memory = Memory(self.take(table, where, "tag", str), self.choice(table, where, "type", MEM_TYPES),
                        *(self.number(table, where, key, 0, 2**63 - 1) for key in ("base", "size")))
        if memory.size == 0 or memory.size % 4096 or memory.base % 4096:
            raise DescriptionError(f"{self.path}: {where} base and size must be multiples of 4096")
        return memory

    def port(self, number, table):
        where = f"[[port]] {number}:"
        self.only(table, where, {"name", "data_width"})
        return Port(self.identifier(table, where, "name"), self.choice(table, where, "data_width", DATA_WIDTHS))

    def argument(self, number, table):
        where = f"[[argument]] {number}:"
        self.only(table, where, {"name", "type", "offset", "size", "port", "memory"})
        name, kind = self.identifier(table, where, "name"), self.take(table, where, "type", str)
        offset, size = self.number(table, where, "offset", 0, self.control_range - 4), self.choice(table, where, "size", (4, 8))
        if offset % 4 or offset + size > self.control_range:
            raise DescriptionError(f"{self.path}: {where} offset must be a multiple of 4 inside control_range")
        if not kind.endswith("*"):
            return Argument(name, kind, offset, size, self.control_port, None)
        port = self.choice(table, where, "port", [p.name for p in self.ports])
        tags = [m.tag for m in self.memories]
        return Argument(name, kind, offset, size, port, tags.index(self.choice(table, where, "memory", tags)))

    def single(self, name, keys):
        table = self.table.get(name)
        if not isinstance(table, dict):
            raise DescriptionError(f"{self.path}: no table [{name}]")
        self.only(table, f"[{name}]", keys)
        return table

    def rows(self, name):
        rows = self.table.get(name, [])
        if not isinstance(rows, list) or not all(isinstance(r, dict) for r in rows):
            raise DescriptionError(f"{self.path}: {name} must be an array of tables")
        return enumerate(rows)

    def only(self, table, where, keys):
        for key in table:
            if key not in keys:
                raise DescriptionError(f"{self.path}: {where} there is no key {key!r}")

    def unique(self, name, key, rows):
        values = [getattr(row, key) for row in rows]
        for value in values:
            if values.count(value) > 1:
                raise DescriptionError(f"{self.path}: [[{name}]] {key} {value!r} is there twice")

    def take(self, table, where, key, kind):
        value = table.get(key)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise DescriptionError(f"{self.path}: {where} {key} must be there and of type {kind.__name__}")
        return value

    def identifier(self, table, where, key, default=None):
        if default is not None and key not in table:
            return default
        value = self.take(table, where, key, str)
        if not IDENTIFIER.fullmatch(value):
            raise DescriptionError(f"{self.path}: {where} {key} {value!r} is no name: letters, digits, single underscores")
        return value

    def number(self, table, where, key, least, most, default=None):
        value = default if default is not None and key not in table else self.take(table, where, key, int)
        if not least <= value <= most:
            raise DescriptionError(f"{self.path}: {where} {key} must be from {least} to {most}")
        return value

    def choice(self, table, where, key, values, default=None):
        value = table.get(key, default)
        if value is None:
            raise DescriptionError(f"{self.path}: {where} {key} must be there")
        if isinstance(value, list | dict) or value not in values:
            raise DescriptionError(f"{self.path}: {where} {key} {value!r} is none of {', '.join(map(str, values))}")
        return value
