#!/usr/bin/env python3
"""Writes the kernel's top: `esp_card` with one lane, `esp_card_xN` with N. The core, `card_core`, has its AXI masters as
vectors; XRT wants one port set a memory interface, so that each can be linked to a bank of its own.

    gen_top.py                                  all tops of the tree (table TOPS)
    gen_top.py --check                          exit 1 when one of them is out of date
    gen_top.py --lanes N --name esp_card_xN     one top, to standard output or --output FILE
"""
import argparse
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOPS = ((1, "esp_card"), (4, "esp_card_x4"))  # lanes, module; hw/rtl/card/<module>.sv
MAX_LANES = 16                                # a lane without a queue has no work, and the map has 16 queues

# Parameters of card_core beside Lanes: name, default, meaning.
PARAMETERS = (
    ("JumboSlots", "64", "packet slots a lane of up to 9,216 octets"),
    ("SmallSlots", "192", "packet slots a lane of up to 2,048 octets"),
    ("SaEntries", "4096", "a power of two"),
    ("RingCount", None, "queues, a multiple of the lanes, up to card_pkg::MaxQueues; queue n belongs to lane n modulo Lanes"),
    ("ReplayWindow", "1024", "largest window"),
    ("ClockHz", "300000000", ""),
    ("BuildId", "0", "first 32 bits of the source revision"),
    ("AllowTestMode", "1", "CONTROL.TEST_MODE may be set"),
    ("WatchdogLog2", "23", "a packet is reported late after two to four times 2^WatchdogLog2 cycles in its slot"),
    ("KeyCarry", "0", "1: keys travel along the 3DES pipeline (smaller); 0: subkeys by slot (quick in simulation)"),
)

# s_axi_control: direction seen from the card, signal, bits
CONTROL = (
    ("input", "awvalid", 1), ("output", "awready", 1), ("input", "awaddr", 16), ("input", "wvalid", 1), ("output", "wready", 1),
    ("input", "wdata", 32), ("input", "wstrb", 4), ("output", "bvalid", 1), ("input", "bready", 1), ("output", "bresp", 2),
    ("input", "arvalid", 1), ("output", "arready", 1), ("input", "araddr", 16), ("output", "rvalid", 1), ("input", "rready", 1),
    ("output", "rdata", 32), ("output", "rresp", 2),
)
# m_axi_gmem*: direction, signal, bits, and for what the core does not drive or use: the constant, or "" for an unused input
MASTER = (
    ("output", "awvalid", 1), ("input", "awready", 1), ("output", "awaddr", 64), ("output", "awid", 1, "'0"), ("output", "awlen", 8),
    ("output", "awsize", 3, "3'd6"), ("output", "awburst", 2, "2'b01"), ("output", "awlock", 2, "'0"), ("output", "awcache", 4, "4'b0011"),
    ("output", "awprot", 3, "'0"), ("output", "awqos", 4, "'0"), ("output", "awregion", 4, "'0"),
    ("output", "wvalid", 1), ("input", "wready", 1), ("output", "wdata", 512), ("output", "wstrb", 64), ("output", "wlast", 1),
    ("input", "bvalid", 1), ("output", "bready", 1), ("input", "bresp", 2), ("input", "bid", 1, ""),
    ("output", "arvalid", 1), ("input", "arready", 1), ("output", "araddr", 64), ("output", "arid", 1, "'0"), ("output", "arlen", 8),
    ("output", "arsize", 3, "3'd6"), ("output", "arburst", 2, "2'b01"), ("output", "arlock", 2, "'0"), ("output", "arcache", 4, "4'b0011"),
    ("output", "arprot", 3, "'0"), ("output", "arqos", 4, "'0"), ("output", "arregion", 4, "'0"),
    ("input", "rvalid", 1), ("output", "rready", 1), ("input", "rdata", 512), ("input", "rlast", 1), ("input", "rresp", 2),
    ("input", "rid", 1, ""),
)
IDS = ("awid", "bid", "arid", "rid")  # one bit, but vectors to every AXI tool


def master_name(lane):
    """The memory port of a lane, as XRT and v++ know it."""
    return "m_axi_gmem" if lane == 0 else f"m_axi_gmem{lane}"


def wide(bits):
    return f"[{bits - 1}:0]"


def parameters(lanes):
    """(name, default, meaning) with what depends on the lanes filled in: four queues, or the next multiple of the lanes."""
    return [(name, default or str(-(-4 // lanes) * lanes), meaning) for name, default, meaning in PARAMETERS]


def declaration(direction, name, bits, vector=False):
    return f"  {direction:<6} logic {wide(bits) if bits > 1 or vector else '':<7} {name}"


def wrap(items, indent, width=116):
    """Joins with ", " into lines of at most `width`."""
    lines, line = [], indent
    for number, item in enumerate(items):
        item += "," if number + 1 < len(items) else ""
        if len(line) > len(indent) and len(line) + 1 + len(item) > width:
            lines.append(line)
            line = indent
        line += (" " if len(line) > len(indent) else "") + item
    return lines + [line]


def top(lanes, name):
    masters = [master_name(lane) for lane in range(lanes)]
    ports = [declaration("input", "ap_clk", 1), declaration("input", "ap_rst_n", 1)]
    ports += [declaration(d, f"s_axi_control_{signal}", bits) for d, signal, bits in CONTROL]
    for m in masters:
        ports += [declaration(port[0], f"{m}_{port[1]}", port[2], port[1] in IDS) for port in MASTER]

    given = parameters(lanes)
    heads = [f"  parameter int {p} = {default}{',' if n + 1 < len(given) else ''}" for n, (p, default, _) in enumerate(given)]
    column = max(map(len, heads)) + 2
    params = "\n".join(f"{head:<{column}}// {meaning}" if meaning else head for head, (_, _, meaning) in zip(heads, given))

    binds = ["    .ap_clk(ap_clk), .ap_rst_n(ap_rst_n),"]
    binds += wrap([f".s_axi_control_{signal}(s_axi_control_{signal})" for _, signal, _ in CONTROL], "    ")
    binds[-1] += ","
    vectors, ties, unused = [], [], []
    for direction, signal, bits, *tie in MASTER:
        if tie:
            if tie[0]:
                column = len(masters[-1]) + len("_awregion")
                ties += [f"  assign {m + '_' + signal:<{column}} = {tie[0]};" for m in masters]
            else:
                unused += [f"{m}_{signal}" for m in masters]
            continue
        joined = ", ".join(f"{m}_{signal}" for m in reversed(masters))
        suffix = "o" if direction == "output" else "i"
        vectors.append(f".m_axi_{signal}_{suffix}({joined if lanes == 1 else '{' + joined + '}'})")
    binds += wrap(vectors + [".interrupt_o(interrupt)"], "    ")
    core = "\n".join(wrap([f".Lanes({lanes})"] + [f".{p}({p})" for p, _, _ in given], "    "))
    faces = "m_axi_gmem" if lanes == 1 else f"m_axi_gmem and m_axi_gmem1 to {masters[-1]} (one a lane)"
    lines = ",\n".join(ports)
    text = f"""// Made by hw/pack/gen_top.py; do not edit.
// XRT RTL kernel `{name}`: card_core with {lanes} lane{'s' if lanes > 1 else ''} and XRT's port names. Nothing but wires: no latency.
// Faces: s_axi_control (AXI4-Lite registers), {faces} (AXI4, 512 bits), interrupt.
module {name} #(
{params}
) (
{lines},
  // XRT gives the interrupt of a kernel this name.
  // verilator lint_off SYMRSVDWORD
  output logic         interrupt
  // verilator lint_on SYMRSVDWORD
);
  card_core #(
{core}
  ) u_core (
{chr(10).join(binds)}
  );

  // Always: 64-byte beats, incrementing, one ID, normal memory that may be buffered
{chr(10).join(ties)}

  logic unused;
  assign unused = ^{{
{chr(10).join(wrap(unused, '    '))}
  }};
endmodule
"""
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lanes", type=int, help=f"1 to {MAX_LANES}")
    parser.add_argument("--name", help="module name")
    parser.add_argument("--output", type=Path, help="file to write; standard output without it")
    parser.add_argument("--check", action="store_true", help="compare with the tree, write nothing")
    options = parser.parse_args()
    if options.lanes is not None:
        if not 1 <= options.lanes <= MAX_LANES:
            sys.exit(f"gen_top: --lanes {options.lanes}: 1 to {MAX_LANES}")
        name = options.name or ("esp_card" if options.lanes == 1 else f"esp_card_x{options.lanes}")
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            sys.exit(f"gen_top: --name {name!r} is no Verilog name")
        text = top(options.lanes, name)
        if options.output:
            options.output.write_text(text)
        else:
            print(text, end="")
        return
    stale = []
    for lanes, name in TOPS:
        file = ROOT / "hw/rtl/card" / f"{name}.sv"
        text = top(lanes, name)
        if options.check:
            if not file.exists() or file.read_text() != text:
                stale.append(str(file.relative_to(ROOT)))
        else:
            file.write_text(text)
    if stale:
        sys.exit(f"gen_top: out of date, run hw/pack/gen_top.py: {', '.join(stale)}")


if __name__ == "__main__":
    main()
