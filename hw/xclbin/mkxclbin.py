#!/usr/bin/env python3
"""Writes the .xclbin container (struct axlf of xrt/xclbin.h) of a kernel that a simulator stands for, and the
emconfig.json that goes with it, both from one TOML description. No vendor tool is needed.

The same description and simulator path give the same file, byte for byte; the UUID is a hash of the content.
"""
import argparse
import hashlib
import io
import json
import struct
import sys
import uuid
import zipfile
from pathlib import Path
from xml.sax.saxutils import quoteattr

from description import MEM_TYPES, PROTOCOLS, Description, DescriptionError

# enum axlf_section_kind, IP_TYPE, CLOCK_TYPE and XCLBIN_MODE of xrt/xclbin.h
BITSTREAM, EMBEDDED_METADATA, MEM_TOPOLOGY, CONNECTIVITY, IP_LAYOUT, CLOCK_FREQ_TOPOLOGY, BUILD_METADATA = 0, 2, 6, 7, 8, 11, 14
IP_KERNEL = 1
IP_CONTROL_SHIFT = 8
CT_DATA = 1
XCLBIN_HW_EMU = 4
XRT_VERSION = (2, 13)

AXLF_BYTES = 8 + 4 + 28 + 256 + 8 + 152  # up to the first section header
SECTION_HEADER_BYTES = 40


def text_field(text, size):
    """A NUL-terminated string in a field of `size` bytes."""
    data = text.encode()
    if len(data) >= size:
        raise DescriptionError(f"{text!r} is longer than {size - 1} bytes")
    return data.ljust(size, b"\0")


def launcher(simulator):
    """What XRT runs. Its standard output is /dev/null, so trouble goes to a file in the run folder and, where set, the log."""
    name = Path(simulator).name
    return f"""#!/bin/sh
# Started by XRT when it loads this .xclbin in hardware emulation.
here=$(dirname "$0")
sim=${{ESPLANADE_SIM:-{simulator}}}
if [ ! -x "$sim" ]; then
  text="{name}: no simulator at $sim; set ESPLANADE_SIM to the path of {name}"
  echo "$text" >&2
  echo "$text" >>"${{ESPLANADE_SIM_LOG:-${{EMULATION_RUN_DIR:-.}}/{name}.log}}"
  exit 127
fi
unset LD_PRELOAD  # what the program needs is not for its simulator
exec "$sim" --platform "$here/platform.toml"
"""


def bitstream(d, simulator):
    """The zip that XRT unpacks with unzip(1): the launcher and a copy of the description."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data, mode in (("simulate.sh", launcher(simulator).encode(), 0o755), ("platform.toml", d.text, 0o644)):
            entry = zipfile.ZipInfo(f"behav_waveform/xsim/{name}", (1980, 1, 1, 0, 0, 0))
            entry.create_system = 3  # Unix: external_attr holds the mode
            entry.external_attr = mode << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    return out.getvalue()


def unit_base(d, unit):
    """Where XRT puts the registers of compute unit `unit`."""
    return d.control_base + unit * d.control_range


def metadata_xml(d):
    q = quoteattr
    ports = [f'<port name={q(d.control_port)} mode="slave" range="0x{d.control_range:x}" dataWidth="32" portType="addressable" base="0x0"/>']
    ports += [f'<port name={q(p.name)} mode="master" range="0xffffffffffffffff" dataWidth="{p.data_width}" portType="addressable" base="0x0"/>'
              for p in d.ports]
    args = [f'<arg name={q(a.name)} addressQualifier="{0 if a.memory is None else 1}" id="{n}" port={q(a.port)} size="0x{a.size:x}" '
            f'offset="0x{a.offset:x}" hostOffset="0x0" hostSize="0x{a.size:x}" type={q(a.type)}/>' for n, a in enumerate(d.arguments)]
    units = [f'<instance name={q(name)}>\n            <addrRemap base="0x{unit_base(d, n):x}" range="0x{d.control_range:x}" port={q(d.control_port)}/>\n'
             f'          </instance>' for n, name in enumerate(d.instances)]
    indent = "\n          "
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<project name={q(d.name)}>
  <platform vendor={q(d.vendor)} boardid={q(d.board)} name={q(d.platform)} featureRomTime="0">
    <version major="{d.major}" minor="{d.minor}"/>
    <device name="fpga0" fpgaDevice="none" addrWidth="0">
      <core name="OCL_REGION_0" target="hw_em" type="clc_region" clockFreq="{d.clock_mhz}MHz" numComputeUnits="{len(d.instances)}">
        <kernelClocks>
          <clock port="KERNEL_CLK" frequency="{d.clock_mhz}.0MHz"/>
        </kernelClocks>
        <kernel name={q(d.name)} language="ip_c" hwControlProtocol={q(d.protocol)} interrupt="{'true' if d.interrupt else 'false'}">
          {indent.join(ports + args + units)}
        </kernel>
      </core>
    </device>
  </platform>
</project>
""".encode()


def mem_topology(d):
    out = struct.pack("<i4x", len(d.memories))
    for memory in d.memories:  # type, used, padding, size in KiB, base, tag
        out += struct.pack("<BB6xQQ", MEM_TYPES[memory.type], 1, memory.size // 1024, memory.base) + text_field(memory.tag, 16)
    return out


def connectivity(d):
    # argument, index in IP_LAYOUT, index in MEM_TOPOLOGY
    rows = [(n, unit, a.memory) for unit in range(len(d.instances)) for n, a in enumerate(d.arguments) if a.memory is not None]
    return struct.pack("<i", len(rows)) + b"".join(struct.pack("<iii", *row) for row in rows)


def ip_layout(d):
    return struct.pack("<i4x", len(d.instances)) + b"".join(
        struct.pack("<IIQ", IP_KERNEL, PROTOCOLS[d.protocol] << IP_CONTROL_SHIFT, unit_base(d, n)) + text_field(f"{d.name}:{name}", 64)
        for n, name in enumerate(d.instances))


def clock_topology(d):
    return struct.pack("<h", 1) + struct.pack("<HB5x", d.clock_mhz, CT_DATA) + text_field("DATA_CLK", 128)


def build_metadata(d):
    return json.dumps({"build_metadata": {
        "schema_version": {"major": "1", "minor": "0", "patch": "0"},
        "dsa": {"vendor": d.vendor, "board_id": d.board, "name": d.platform, "version_major": str(d.major), "version_minor": str(d.minor)},
        "xclbin": {"generated_by": {"name": "mkxclbin.py"}, "packaged_by": {"name": "mkxclbin.py"}, "user_regions": []},
    }}).encode()


def axlf(d, simulator):
    """The whole container. Sections are aligned to 8 bytes; there is no signature."""
    sections = [
        (BITSTREAM, "bitstream", bitstream(d, simulator)), (EMBEDDED_METADATA, "metadata", metadata_xml(d)),
        (MEM_TOPOLOGY, "memory", mem_topology(d)), (CONNECTIVITY, "connectivity", connectivity(d)),
        (IP_LAYOUT, "ip_layout", ip_layout(d)), (CLOCK_FREQ_TOPOLOGY, "clocks", clock_topology(d)),
        (BUILD_METADATA, "build_metadata", build_metadata(d)),
    ]
    digest = hashlib.sha256(b"".join(struct.pack("<IQ", kind, len(data)) + data for kind, _, data in sections)).digest()
    identity = uuid.UUID(bytes=digest[:16], version=5)  # version 5: made from a hash

    headers, body = b"", b""
    start = (AXLF_BYTES + SECTION_HEADER_BYTES * len(sections) + 7) & ~7
    for kind, name, data in sections:
        headers += struct.pack("<I", kind) + text_field(name, 16) + struct.pack("<4xQQ", start + len(body), len(data))
        body += data + b"\0" * (-len(data) % 8)
    length = start + len(body)
    major, minor = XRT_VERSION
    header = (struct.pack("<QQQHBBHH", length, 0, 0, 0, major, minor, XCLBIN_HW_EMU, 0) + bytes(16) + text_field(d.vbnv, 64) + identity.bytes +
              bytes(16) + struct.pack("<I4x", len(sections)))
    top = b"xclbin2\0" + struct.pack("<i", -1) + b"\xff" * 28 + b"\xff" * 256 + digest[16:24] + header
    assert len(top) == AXLF_BYTES
    return (top + headers).ljust(start, b"\0") + body


def emconfig(d):
    device_bytes = sum(m.size for m in d.memories if m.type != "host")
    return json.dumps({
        "Version": {"FileVersion": "2.0", "ToolVersion": "2022.1"},
        "Platform": {"UnifiedPlatform": "true", "Boards": [{"NumBoards": "1", "Devices": [{
            "Name": d.vbnv, "HalMajorVersion": "1", "HalMinorVersion": "0", "VendorId": "4334", "DeviceVersion": "0", "DataAlignment": "4096",
            "OclFreqency": str(d.clock_mhz),  # spelt so
            "NumDevices": "1", "DdrBanks": [{"Size": f"{max(1, device_bytes >> 30)}GB"}], "FeatureRom": {"Feature_Bitmap": "0"}}]}]},
    }, indent=2).encode() + b"\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("description", type=Path, help="TOML description of platform, kernel and memories")
    parser.add_argument("--simulator", required=True, help="absolute path of the simulator that the launcher falls back to")
    parser.add_argument("--xclbin", type=Path, required=True, help="file to write")
    parser.add_argument("--emconfig", type=Path, help="emconfig.json to write as well")
    options = parser.parse_args()
    try:
        if not options.simulator.startswith("/") or any(c in options.simulator for c in "'\"`$\\}\n"):
            raise DescriptionError(f"--simulator {options.simulator!r}: an absolute path without quotes, $, }} and backslashes is needed")
        d = Description(options.description)
        options.xclbin.write_bytes(axlf(d, options.simulator))
        if options.emconfig:
            options.emconfig.write_bytes(emconfig(d))
    except (DescriptionError, OSError) as error:
        sys.exit(f"mkxclbin: {error}")


if __name__ == "__main__":
    main()
