#!/usr/bin/env python3
"""Packaging for real cards: kernel.xml of the XRT kernel, link files for v++, and how many lanes fit a card.

    pack.py                        writes <platform>.cfg beside this file
    pack.py --check                exit 1 when one of them is out of date
    pack.py --kernel-xml FILE --lanes N       for package_kernel.tcl
    pack.py --description FILE --lanes N      the description of the simulated card with N lanes
    pack.py --fit AREA_JSON        table of lanes that fit, from the figures of bench-area (Markdown)

Ports and arguments come from hw/xclbin/esp_card.toml, from which the simulated .xclbin is made, too: a host cannot tell them apart.
"""
import argparse
import json
import sys
import tomllib
from pathlib import Path
from xml.sax.saxutils import quoteattr

import gen_top

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
DESCRIPTION = ROOT / "hw/xclbin/esp_card.toml"
VENDOR = "esplanade"


class PackError(Exception):
    """The text says what is wrong and where."""


def description():
    return tomllib.loads(DESCRIPTION.read_text())


def platforms():
    table = tomllib.loads((HERE / "platforms.toml").read_text())
    for p in table["platform"]:
        if not 1 <= p["lanes"] <= gen_top.MAX_LANES:
            raise PackError(f"platforms.toml: {p['name']}: {p['lanes']} lanes")
    return table


def kernel_name(lanes):
    base = description()["kernel"]["name"]
    return base if lanes == 1 else f"{base}_x{lanes}"


def memory_port(lanes_port):
    """Lane 0's port has the description's name; the others have the number of their lane behind it."""
    base = description()["port"][0]["name"]
    assert base == gen_top.master_name(0)
    return base if lanes_port == 0 else f"{base}{lanes_port}"


def arguments(lanes):
    """(name, id, port, offset): one for each memory and lane, those of lane 0 first. Nobody writes them: the kernel is
    user-managed. They tell the linker which port reaches which memory, and give XRT its buffer groups."""
    memories = len(description()["memory"])
    return [(f"memory{n}", n, memory_port(n // memories), 0x10 + 8 * n) for n in range(lanes * memories)]


def kernel_xml(lanes):
    kernel = description()["kernel"]
    q = quoteattr
    name = kernel_name(lanes)
    ports = [f'<port name={q(kernel["control_port"])} mode="slave" range="0x{kernel["control_range"]:x}" dataWidth="32" portType="addressable" base="0x0"/>']
    ports += [f'<port name={q(memory_port(lane))} mode="master" range="0xffffffffffffffff" dataWidth="{description()["port"][0]["data_width"]}" '
              f'portType="addressable" base="0x0"/>' for lane in range(lanes)]
    args = [f'<arg name={q(arg)} addressQualifier="1" id="{number}" port={q(port)} size="0x8" offset="0x{offset:x}" hostOffset="0x0" hostSize="0x8" '
            f'type="void*"/>' for arg, number, port, offset in arguments(lanes)]
    indent = "\n      "
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<root versionMajor="1" versionMinor="6">
  <kernel name={q(name)} language="ip_c" vlnv="{VENDOR}:kernel:{name}:1.0" attributes="" preferredWorkGroupSizeMultiple="0" workGroupSize="1" interrupt="true" hwControlProtocol="user_managed">
    <ports>
      {indent.join(ports)}
    </ports>
    <args>
      {indent.join(args)}
    </args>
  </kernel>
</root>
"""


def toml(value):
    """A value of a description as TOML."""
    return json.dumps(value)  # of strings, integers and lists of them


def lanes_description(lanes):
    """hw/xclbin/esp_card.toml with the ports and arguments of so many lanes."""
    base = description()
    kernel, memories = base["kernel"], base["memory"]
    tables = [("[platform]", base["platform"]), ("[kernel]", kernel | {"name": kernel_name(lanes)})]
    tables += [("[[port]]", {"name": memory_port(lane), "data_width": base["port"][0]["data_width"]}) for lane in range(lanes)]
    tables += [("[[memory]]", memory) for memory in memories]
    tables += [("[[argument]]", {"name": name, "type": "void*", "offset": offset, "size": 8, "port": port, "memory": memories[number % len(memories)]["tag"]})
               for name, number, port, offset in arguments(lanes)]
    tables.append(("[sim]", base["sim"]))
    return "".join(f"{head}\n" + "".join(f"{key} = {toml(value)}\n" for key, value in rows.items()) for head, rows in tables)


def link_config(platform, clock_mhz):
    lanes = platform["lanes"]
    kernel = kernel_name(lanes)
    instance = f"{description()['kernel']['name']}_1"
    # All arguments of a port: v++ connects a port to what its arguments name.
    sp = "\n".join(f"sp={instance}.{port}:{platform['banks']}" for port in dict.fromkeys(a[2] for a in arguments(lanes)))
    return f"""# Made by hw/pack/pack.py; do not edit. v++ link file: {kernel} on {platform['card']}.
platform={platform['shell']}
target=hw
save-temps=1

[clock]
freqHz={clock_mhz}000000:{instance}

[connectivity]
nk={kernel}:1:{instance}
slr={instance}:{platform['slr']}
{sp}

[vivado]
prop=run.impl_1.STEPS.PHYS_OPT_DESIGN.IS_ENABLED=true
prop=run.impl_1.STEPS.PHYS_OPT_DESIGN.ARGS.DIRECTIVE=AggressiveExplore
"""


def lane_areas(rows):
    """({what: of one lane}, {what: shared by all}) from the rows of a card with one and with four lanes."""
    by_name = {row["module"]: row for row in rows}
    try:
        one, four = by_name["esp_card (1 lane)"], by_name["esp_card (4 lanes)"]
    except KeyError as error:
        raise PackError(f"no row {error} among the area figures: run bench-area") from error
    lane = {what: (four[what] - one[what]) / 3 for what in ("lut", "bram", "uram")}
    return lane, {what: one[what] - lane[what] for what in lane}


def fit(rows):
    """A dict for each platform: lanes that each of its resources allows."""
    lane, shared = lane_areas(rows)
    table = platforms()
    out = []
    for p in table["platform"]:
        limits = {what: int((p[what] * (1 - table["reserve"]) - shared[what]) // lane[what]) if lane[what] > 0 else gen_top.MAX_LANES for what in lane}
        limits["memory"] = int(p["memory_gbps"] // table["lane_memory_gbps"])
        limits["pcie"] = int(p["pcie_gbps"] // table["lane_gbps"])
        out.append({"card": p["card"], "lanes": p["lanes"], "fits": min(limits["lut"], limits["bram"], limits["uram"], gen_top.MAX_LANES)} | limits)
    return out, lane, shared


def fit_markdown(rows):
    figures, lane, shared = fit(rows)
    table = platforms()
    free = f"{table['reserve']:.0%}"
    lines = [f"One lane: {lane['lut'] / 1000:.1f} kLUT, {lane['bram']:g} BRAM, {lane['uram']:g} URAM. Shared by all lanes: {shared['lut'] / 1000:.1f} kLUT, "
             f"{shared['bram']:g} BRAM, {shared['uram']:g} URAM. Lanes = (resource x {1 - table['reserve']:g} - shared) / lane, {free} staying free; memory and",
             f"host link: their rate / {table['lane_memory_gbps']} and {table['lane_gbps']} Gb/s a lane.", "",
             "| card | by LUT | by BRAM | by URAM | by memory | by host link | linked |", "|---|---|---|---|---|---|---|"]
    lines += [f"| {f['card']} | {f['lut']} | {f['bram']} | {f['uram']} | {f['memory']} | {f['pcie']} | {f['lanes']} |" for f in figures]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--kernel-xml", type=Path)
    parser.add_argument("--description", type=Path)
    parser.add_argument("--lanes", type=int, default=1)
    parser.add_argument("--fit", type=Path, metavar="AREA_JSON")
    options = parser.parse_args()
    try:
        if not 1 <= options.lanes <= gen_top.MAX_LANES:
            raise PackError(f"--lanes {options.lanes}: 1 to {gen_top.MAX_LANES}")
        if options.kernel_xml:
            options.kernel_xml.write_text(kernel_xml(options.lanes))
            return
        if options.description:
            options.description.write_text(lanes_description(options.lanes))
            return
        if options.fit:
            print(fit_markdown(json.loads(options.fit.read_text())["rows"]), end="")
            return
        table = platforms()
        stale = []
        for p in table["platform"]:
            file, text = HERE / f"{p['name']}.cfg", link_config(p, table["clock_mhz"])
            if not options.check:
                file.write_text(text)
            elif not file.exists() or file.read_text() != text:
                stale.append(file.name)
        if stale:
            raise PackError(f"out of date, run hw/pack/pack.py: {', '.join(stale)}")
    except (PackError, OSError, json.JSONDecodeError, tomllib.TOMLDecodeError) as error:
        sys.exit(f"pack: {error}")


if __name__ == "__main__":
    main()
