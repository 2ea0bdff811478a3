#!/usr/bin/env python3
"""Makes the SystemVerilog package, the C++ header and the register reference from card.toml.

    gen_regs.py            write the three outputs
    gen_regs.py --check    write nothing; exit 1 and name the file if an output is stale
"""
import pathlib
import sys
import tomllib

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SOURCE = HERE / "card.toml"
MADE = "Made by hw/regs/gen_regs.py from hw/regs/card.toml; do not edit."


def camel(name):
    """WINDOW_BASE_LO -> WindowBaseLo; names that are camel already stay."""
    return "".join(p.capitalize() for p in name.split("_")) if name.isupper() or "_" in name and name.upper() == name else name


def fail(text):
    sys.exit(f"card.toml: {text}")


def load():
    with SOURCE.open("rb") as f:
        card = tomllib.load(f)
    taken = {}
    for reg in card["reg"]:
        reg.setdefault("count", 1)
        reg.setdefault("stride", 4)
        reg.setdefault("fields", [])
        reg.setdefault("on_read", "")  # what a read changes, in words; tools that must change nothing leave such a register alone
        if reg["access"] not in ("ro", "rw", "wo", "w1c"):
            fail(f"{reg['name']}: access {reg['access']}")
        for i in range(reg["count"]):
            at = reg["offset"] + i * reg["stride"]
            if at % 4:
                fail(f"{reg['name']}: offset {at:#x} is not a multiple of 4")
            if at in taken:
                fail(f"{reg['name']} and {taken[at]} share offset {at:#x}")
            taken[at] = reg["name"]
        check_overlap(reg["name"], [(f[0], f[1], f[2]) for f in reg["fields"]], 32)
    for fmt in card["format"]:
        check_overlap(fmt["name"], [(f[0], *span(f)) for f in fmt["fields"]], 8 * fmt["bytes"])
    for enum in card["enum"]:
        if len({v[1] for v in enum["values"]}) != len(enum["values"]):
            fail(f"{enum['name']}: a value is given twice")
    return card


def span(field):
    """(lsb, width) in bits of a format field in the little-endian vector of the whole entry."""
    if field[2] == "octets":
        return 8 * field[1], 8 * field[3]
    if field[1] % 4 or field[2] + field[3] > (64 if field[3] > 32 else 32):
        fail(f"{field[0]}: not inside its word")
    return 8 * field[1] + field[2], field[3]


def check_overlap(owner, spans, bits):
    used = 0
    for name, lsb, width in spans:
        mask = ((1 << width) - 1) << lsb
        if used & mask or mask >> bits:
            fail(f"{owner}.{name}: overlaps another field or leaves the entry")
        used |= mask


def system_verilog(card):
    out = [f"// {MADE}", "// Offsets in bytes; *Lsb and *Width in bits of the little-endian vector of an entry.", "// verilator lint_off UNUSEDPARAM", "package card_pkg;"]
    for name, limit in card["limits"].items():
        out.append(f"  localparam int {name} = {limit['value']};  // {limit['doc']}")
    for enum in card["enum"]:
        out.append(f"\n  // {enum['doc']}")
        for name, value, doc in enum["values"]:
            out.append(f"  localparam logic [7:0] {enum['name']}{name} = 8'd{value};  // {doc}")
    out.append("\n  // Registers")
    for reg in card["reg"]:
        name = camel(reg["name"])
        out.append(f"  localparam logic [15:0] Reg{name} = 16'h{reg['offset']:04x};  // {reg['access']}: {reg['doc']}")
        if reg["count"] > 1:
            out.append(f"  localparam int Reg{name}Count = {reg['count']};")
            out.append(f"  localparam int Reg{name}Stride = {reg['stride']};")
        for fname, lsb, width, doc in reg["fields"]:
            out.append(f"  localparam int {name}{camel(fname)}Lsb = {lsb};  // {doc}")
            if width > 1:
                out.append(f"  localparam int {name}{camel(fname)}Width = {width};")
    for fmt in card["format"]:
        out.append(f"\n  // {fmt['name']}: {fmt['doc']}")
        for field in fmt["fields"]:
            lsb, width = span(field)
            octets = " (octets, first at the low end)" if field[2] == "octets" else ""
            out.append(f"  localparam int {fmt['name']}{field[0]}Lsb = {lsb};  // {field[4]}{octets}")
            out.append(f"  localparam int {fmt['name']}{field[0]}Width = {width};")
    out += ["endpackage", "// verilator lint_on UNUSEDPARAM"]
    return "\n".join(out) + "\n"


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def header(card):
    out = [f"// {MADE}", "#pragma once", "", "#include <bit>", "#include <cstddef>", "#include <cstdint>", "#include <cstring>", "#include <span>", "#include <type_traits>", "",
           "static_assert(std::endian::native == std::endian::little, \"formats are little-endian, and so must the machine be\");", "", "namespace esplanade::card {", ""]
    for name, limit in card["limits"].items():
        out.append(f"inline constexpr std::uint32_t k{name} = {limit['value']};  // {limit['doc']}")
    for enum in card["enum"]:
        out.append(f"\n/// {enum['doc']}")
        out.append(f"enum class {enum['name']} : std::uint8_t {{")
        out += [f"  k{name} = {value},  // {doc}" for name, value, doc in enum["values"]]
        out.append("};")
        out.append(f"/// Name of the value as card.toml writes it, or \"?\".")
        out.append(f"constexpr const char* name_of({enum['name']} value) {{\n  switch (value) {{")
        out += [f"    case {enum['name']}::k{name}: return \"{name}\";" for name, _, _ in enum["values"]]
        out.append("  }\n  return \"?\";\n}")
    out.append("""
/// A bit field of a register.
struct RegField {
  const char* name;
  std::uint32_t lsb;
  std::uint32_t width;
  const char* doc;
  constexpr std::uint32_t mask() const { return (width >= 32 ? ~0u : (1u << width) - 1) << lsb; }
  constexpr std::uint32_t get(std::uint32_t word) const { return (word & mask()) >> lsb; }
  constexpr std::uint32_t put(std::uint32_t value) const { return (value << lsb) & mask(); }
};

enum class Access : std::uint8_t { kRo, kRw, kWo, kW1c };

/// A register or an array of them; `offset` in bytes from the kernel's base.
struct Reg {
  const char* name;
  std::uint32_t offset;
  std::uint32_t count;
  std::uint32_t stride;
  Access access;
  const char* doc;
  const char* on_read;  // what a read changes, in words; empty: nothing
  std::span<const RegField> fields;
  constexpr std::uint32_t at(std::uint32_t n = 0) const { return offset + n * stride; }
};

/// A field of a format in memory: `lsb` and `width` in bits of the entry's little-endian vector.
struct Field {
  std::uint32_t lsb;
  std::uint32_t width;
};

/// Reads a number field (width up to 64) of an entry. The entry must be whole.
constexpr std::uint64_t get(std::span<const std::uint8_t> entry, Field f) {
  std::uint64_t value = 0;
  if (!std::is_constant_evaluated() && f.lsb % 8 == 0 && f.width % 8 == 0 && f.width <= 64) {  // whole octets, most fields: as this machine reads them
    std::memcpy(&value, entry.data() + f.lsb / 8, f.width / 8);
    return value;
  }
  for (std::uint32_t bit = 0; bit < f.width;) {
    const std::uint32_t at = f.lsb + bit;
    const std::uint32_t take = f.width - bit < 8 - at % 8 ? f.width - bit : 8 - at % 8;
    value |= (std::uint64_t{entry[at / 8]} >> (at % 8) & ((1u << take) - 1)) << bit;
    bit += take;
  }
  return value;
}

/// Writes a number field; bits of `value` above its width must be 0. Other fields stay.
constexpr void set(std::span<std::uint8_t> entry, Field f, std::uint64_t value) {
  if (!std::is_constant_evaluated() && f.lsb % 8 == 0 && f.width % 8 == 0 && f.width <= 64) {
    std::memcpy(entry.data() + f.lsb / 8, &value, f.width / 8);
    return;
  }
  for (std::uint32_t bit = 0; bit < f.width;) {
    const std::uint32_t at = f.lsb + bit;
    const std::uint32_t take = f.width - bit < 8 - at % 8 ? f.width - bit : 8 - at % 8;
    const auto mask = static_cast<std::uint8_t>(((1u << take) - 1) << (at % 8));
    const auto bits = static_cast<std::uint8_t>((value >> bit) << (at % 8));
    entry[at / 8] = static_cast<std::uint8_t>((entry[at / 8] & ~mask) | (bits & mask));
    bit += take;
  }
}

/// The octets of an octet-string field.
constexpr std::span<std::uint8_t> octets(std::span<std::uint8_t> entry, Field f) { return entry.subspan(f.lsb / 8, f.width / 8); }
constexpr std::span<const std::uint8_t> octets(std::span<const std::uint8_t> entry, Field f) { return entry.subspan(f.lsb / 8, f.width / 8); }
""")
    for fmt in card["format"]:
        out.append(f"/// {fmt['doc']}\nnamespace {fmt['name'].lower() if fmt['name'].islower() else snake(fmt['name'])} {{")
        out.append(f"inline constexpr std::size_t kSize = {fmt['bytes']};")
        for field in fmt["fields"]:
            lsb, width = span(field)
            out.append(f"inline constexpr Field k{field[0]}{{{lsb}, {width}}};  // {field[4]}")
        out.append("}\n")
    out.append("namespace reg {")
    for reg in card["reg"]:
        name = camel(reg["name"])
        fields = "{}"
        if reg["fields"]:
            for fname, lsb, width, doc in reg["fields"]:
                out.append(f"inline constexpr RegField k{name}{camel(fname)}{{{quoted(fname)}, {lsb}, {width}, {quoted(doc)}}};")
            out.append(f"inline constexpr RegField k{name}Fields[] = {{{', '.join(f'k{name}{camel(f[0])}' for f in reg['fields'])}}};")
            fields = f"k{name}Fields"
        out.append(f"inline constexpr Reg k{name}{{{quoted(reg['name'])}, 0x{reg['offset']:04x}, {reg['count']}, {reg['stride']}, Access::k{reg['access'].capitalize()}, {quoted(reg['doc'])}, {quoted(reg['on_read'])}, {fields}}};")
    out.append(f"inline constexpr Reg kAll[] = {{{', '.join('k' + camel(r['name']) for r in card['reg'])}}};")
    out.append("}  // namespace reg\n\n}  // namespace esplanade::card")
    return "\n".join(out) + "\n"


def snake(name):
    return "".join(("_" if i and c.isupper() else "") + c.lower() for i, c in enumerate(name))


def markdown(card):
    out = [f"<!-- {MADE} -->", "# Registers and formats of esp_card", "",
           "Registers are 32 bits wide; " + ("no read has a side effect" if not any(r["on_read"] for r in card["reg"]) else "a read has a side effect only where it is said") + ". Formats are little-endian; octet strings stand in network order.", "",
           "## Limits", "", "| name | value | meaning |", "|---|---|---|"]
    out += [f"| {n} | {v['value']} | {v['doc']} |" for n, v in card["limits"].items()]
    out += ["", "## Registers", "", "| offset | name | access | meaning |", "|---|---|---|---|"]
    for reg in card["reg"]:
        where = f"0x{reg['offset']:04x}" + (f" + {reg['stride']}n, n < {reg['count']}" if reg["count"] > 1 else "")
        out.append(f"| {where} | {reg['name']} | {reg['access']} | {reg['doc']}{' A read: ' + reg['on_read'] if reg['on_read'] else ''} |")
        for fname, lsb, width, doc in reg["fields"]:
            bits = f"{lsb + width - 1}:{lsb}" if width > 1 else f"{lsb}"
            out.append(f"| | .{fname} [{bits}] | | {doc} |")
    for fmt in card["format"]:
        out += ["", f"## {fmt['name']} ({fmt['bytes']} bytes)", "", fmt["doc"], "", "| bytes | bits | field | meaning |", "|---|---|---|---|"]
        for field in fmt["fields"]:
            lsb, width = span(field)
            first, last = lsb // 8, (lsb + width - 1) // 8
            at = f"{first}" if first == last else f"{first}..{last}"
            bits = "octets" if field[2] == "octets" else f"{lsb + width - 1}:{lsb}"
            out.append(f"| {at} | {bits} | {field[0]} | {field[4]} |")
    for enum in card["enum"]:
        out += ["", f"## {enum['name']}", "", enum["doc"], "", "| value | name | meaning |", "|---|---|---|"]
        out += [f"| {value} | {name} | {doc} |" for name, value, doc in enum["values"]]
    return "\n".join(out) + "\n"


def main():
    card = load()
    outputs = {ROOT / "hw/rtl/pkg/card_pkg.sv": system_verilog(card), HERE / "card_regs.h": header(card), ROOT / "docs/registers.md": markdown(card)}
    stale = [p for p, text in outputs.items() if not p.exists() or p.read_text() != text]
    if sys.argv[1:] == ["--check"]:
        if stale:
            sys.exit("stale, run hw/regs/gen_regs.py: " + ", ".join(str(p.relative_to(ROOT)) for p in stale))
        return
    if sys.argv[1:]:
        sys.exit(__doc__)
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(outputs[path])
        print(f"wrote {path.relative_to(ROOT)}")


main()
