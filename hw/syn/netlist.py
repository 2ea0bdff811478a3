"""Area and logic levels of a flat Yosys netlist of Xilinx cells (write_json). Levels: a LUT and the read of a LUTRAM count 1,
a carry chain 1 however long, MUXF7/MUXF8 and inverters 0. Paths start and end at flip-flops, shift registers, RAMs and ports."""
import re
from collections import defaultdict

# Look-up tables that a cell takes. RAM32M16 and RAM64M8 are the eight LUTs of a SLICEM.
LUTS = {"RAM32M16": 8, "RAM64M8": 8, "RAM32M": 4, "RAM64M": 4, "RAM32X1D": 2, "RAM64X1D": 2, "RAM128X1D": 4, "RAM256X1D": 8,
        "RAM32X1S": 1, "RAM64X1S": 1, "RAM128X1S": 2, "RAM256X1S": 4, "RAM512X1S": 8, "SRL16E": 1, "SRLC16E": 1, "SRLC32E": 1}
LUTS |= {f"LUT{n}": 1 for n in range(1, 7)}
BRAMS = {"RAMB36E1": 1.0, "RAMB36E2": 1.0, "RAMB18E1": 0.5, "RAMB18E2": 0.5}
REGISTERS = re.compile(r"FD[RSCP]E|LD[CP]E")
SHIFTERS = re.compile(r"SRL")
LUTRAM = re.compile(r"RAM\d+[MX]")
BLOCKS = re.compile(r"RAMB|URAM|DSP|FIFO")


def area(cells):
    """(lut, ff, bram, uram, dsp) of {type: count}."""
    lut = sum(LUTS.get(kind, 0) * n for kind, n in cells.items())
    ff = sum(n for kind, n in cells.items() if REGISTERS.match(kind))
    bram = sum(BRAMS.get(kind, 0) * n for kind, n in cells.items())
    uram = sum(n for kind, n in cells.items() if kind.startswith("URAM"))
    dsp = sum(n for kind, n in cells.items() if kind.startswith("DSP"))
    return {"lut": lut, "ff": ff, "bram": bram, "uram": uram, "dsp": dsp}


class Paths:
    """Longest paths of one module of the JSON netlist."""

    def __init__(self, module):
        self.names = {}
        for name, net in module["netnames"].items():
            for place, bit in enumerate(net["bits"]):
                if isinstance(bit, str):
                    continue
                text = name if len(net["bits"]) == 1 else f"{name}[{place + net.get('offset', 0)}]"
                rank = (net.get("hide_name", 0), name.startswith("$"), text.count("."), len(text))
                if bit not in self.names or rank < self.names[bit][0]:
                    self.names[bit] = (rank, text)
        self.level, self.source = {}, {}  # of a net: levels up to it; (cell type, net before) that made the longest way
        self.ends = []                    # (net, what it ends at)
        self.loops = 0
        self._walk(module)

    def name(self, bit):
        return self.names.get(bit, (None, f"net {bit}"))[1]

    def _start(self, bit, what):
        if not isinstance(bit, str):
            self.level[bit], self.source[bit] = 0, (what, None)

    def _walk(self, module):
        for name, port in module["ports"].items():
            for bit in port["bits"]:
                if port["direction"] == "input":
                    self._start(bit, f"port {name}")
                elif not isinstance(bit, str):
                    self.ends.append((bit, f"port {name}"))
        waiting, users = {}, defaultdict(list)  # arcs into a net: count; net -> arcs out of it
        arcs = []
        for name, cell in module["cells"].items():
            kind = cell["type"]
            pins = cell["connections"]
            ways = cell.get("port_directions", {})
            outs = [(pin, b) for pin, bits in pins.items() if ways.get(pin) == "output" for b in bits if not isinstance(b, str)]
            ins = [(pin, b) for pin, bits in pins.items() if ways.get(pin) == "input" for b in bits if not isinstance(b, str)]
            if kind.startswith("BUF") or kind.endswith("BUF"):
                arcs += [(b, o, 0, kind) for _, b in ins for _, o in outs]
            elif kind == "INV" or kind.startswith("MUXF"):
                arcs += [(b, o, 0, kind) for _, b in ins for _, o in outs]
            elif kind.startswith("LUT"):
                arcs += [(b, o, 1, kind) for _, b in ins for _, o in outs]
            elif kind.startswith("CARRY"):
                for pin, bits in pins.items():
                    if ways.get(pin) != "input":
                        continue
                    for place, b in enumerate(bits):
                        if isinstance(b, str):
                            continue
                        first = place if pin in ("S", "DI") else 0
                        for out in ("O", "CO"):
                            for at, o in enumerate(pins.get(out, [])):
                                if at >= first and not isinstance(o, str):
                                    arcs.append((b, o, 0 if pin in ("CI", "CYINIT") else 1, kind))
            elif LUTRAM.match(kind):
                # Each read port has its own address: ADDRA to DOA, DPRA to DPO, A to SPO or O. Writes end at the clock.
                for pin, b in ins:
                    reads = [o for out, o in outs if self._reads(pin, out)]
                    arcs += [(b, o, 1, kind) for o in reads]
                    if not pin.startswith("WCLK"):
                        self.ends.append((b, f"{kind} {self.name(outs[0][1]) if outs else name}"))
            else:  # flip-flops, shift registers, block RAMs, unknown boxes
                what = self.name(outs[0][1]) if outs else name
                for _, o in outs:
                    self._start(o, f"{kind} {self.name(o)}")
                for pin, b in ins:
                    if pin not in ("C", "CLK", "CLKARDCLK", "CLKBWRCLK"):
                        self.ends.append((b, f"{kind} {what}"))
        for arc in arcs:
            users[arc[0]].append(arc)
            waiting[arc[1]] = waiting.get(arc[1], 0) + 1
        ready = [bit for bit in list(self.level) + list(users) if bit not in waiting]
        done = set()
        while ready:
            bit = ready.pop()
            if bit in done:
                continue
            done.add(bit)
            level = self.level.setdefault(bit, 0)
            for _, out, weight, kind in users.get(bit, ()):
                if level + weight > self.level.get(out, -1):
                    self.level[out], self.source[out] = level + weight, (kind, bit)
                waiting[out] -= 1
                if waiting[out] == 0:
                    ready.append(out)
        self.loops = sum(1 for n in waiting.values() if n > 0)

    @staticmethod
    def _reads(pin, out):
        if pin.startswith("ADDR"):
            return out == "DO" + pin[4:5]
        if pin.startswith("DPRA"):
            return out.startswith("DPO")
        return bool(re.fullmatch(r"A\d*", pin)) and out in ("SPO", "O")

    def trace(self, bit):
        """Cells from the start of the longest way to `bit`: texts, the start first."""
        out = []
        while True:
            kind, before = self.source.get(bit, ("constant", None))
            if before is None:
                out.append(kind)
                break
            out.append(f"{kind} {self.name(bit)}")
            bit = before
        return out[::-1]

    def worst(self, count):
        """The longest paths, one for every register name (bits of a vector count once): [{levels, start, end, cells}]."""
        found, seen = [], set()
        for bit, end in sorted(self.ends, key=lambda e: -self.level.get(e[0], 0)):
            base = re.sub(r"\[\d+\]", "", end)
            if base in seen:
                continue
            seen.add(base)
            cells = self.trace(bit)
            found.append({"levels": self.level.get(bit, 0), "start": cells[0], "end": end, "cells": cells[1:]})
            if len(found) == count:
                break
        return found

    def levels(self, inside):
        """Most levels of a path; `inside`: between registers only."""
        best = 0
        starts = {}
        for bit, end in self.ends:
            level = self.level.get(bit, 0)
            if level <= best or (inside and end.startswith("port ")):
                continue
            if inside:
                at = bit
                while at not in starts and self.source.get(at, ("", None))[1] is not None:
                    at = self.source[at][1]
                if self.source.get(at, ("constant", None))[0].startswith("port "):
                    continue
            best = level
        return best
