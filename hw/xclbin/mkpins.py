#!/usr/bin/env python3
"""Writes the C++ header that leads the simulator's platform to the pins of a Verilated kernel, from its description.

Signals that AXI lets a master leave out (IDs, sizes, bursts, responses, a whole direction) are used where the Verilated
class has them."""
import argparse
import sys
from pathlib import Path

from description import Description, DescriptionError

PROTOCOLS = {"user_managed": "kUserManaged", "ap_ctrl_hs": "kApCtrlHs", "ap_ctrl_chain": "kApCtrlChain"}

HEADER = """// Made by mkpins.py from {source}; do not edit.
#pragma once

#include <V{top}.h>
#include <V{top}___024root.h>

#include "sim/model/kernel.h"

#include <tuple>

#include "sim/model/signal.h"

namespace esplanade::sim {{

struct KernelPins {{
  using Model = V{top};
  static constexpr const char* kKernel = "{name}";
  static constexpr const char* kControl = "{control}";
  static constexpr ControlProtocol kProtocol = ControlProtocol::{protocol};

  static void clock(Model& m, bool level) {{ m.{clock} = level; }}
  static void reset(Model& m, bool active) {{ m.{reset} = !active; }}
  template <class M>
  static bool interrupt([[maybe_unused]] const M& m) {{
{interrupt}
  }}

  /// The control port answers.
  static bool lite_shows(const Model& m) {{ return m.{BVALID} || m.{RVALID}; }}
  template <class M>
  static LiteSlavePins sample_lite(const M& m) {{
    LiteSlavePins p{{m.{AWREADY} != 0, m.{WREADY} != 0, m.{BVALID} != 0, m.{ARREADY} != 0, m.{RVALID} != 0, 0, 0,
                    m.{RDATA}}};
    if constexpr (requires {{ m.{BRESP}; }}) p.b_response = m.{BRESP};
    if constexpr (requires {{ m.{RRESP}; }}) p.r_response = m.{RRESP};
    return p;
  }}
  template <class M>
  static void drive_lite(M& m, const LiteMasterPins& p) {{
    m.{AWVALID} = p.aw_valid;
    set_signal(m.{AWADDR}, p.address & {address_mask});
    m.{WVALID} = p.w_valid;
    m.{WDATA} = p.w_data;
    if constexpr (requires {{ m.{WSTRB}; }}) m.{WSTRB} = 0xf;
    m.{BREADY} = p.b_ready;
    m.{ARVALID} = p.ar_valid;
    set_signal(m.{ARADDR}, p.address & {address_mask});
    m.{RREADY} = p.r_ready;
    if constexpr (requires {{ m.{AWPROT}; }}) m.{AWPROT} = m.{ARPROT} = 0;
  }}
"""

PORT = """
  struct Port{n} {{
    static constexpr AxiShape kShape{{"{name}", {bytes}}};

    /// The kernel begins something or goes on with it.
    template <class M>
    static bool shows(const M& m) {{
      bool any = false;
      if constexpr (requires {{ m.{ARVALID}; }}) any |= m.{ARVALID} != 0;
      if constexpr (requires {{ m.{AWVALID}; }}) any |= m.{AWVALID} != 0 || m.{WVALID} != 0;
      return any;
    }}
    template <class M>
    static AxiMasterPins sample(const M& m) {{
      AxiMasterPins p;
      p.ar.size = p.aw.size = kShape.beat_size();
      if constexpr (requires {{ m.{ARVALID}; }}) {{
        p.ar_valid = m.{ARVALID} != 0;
        p.ar.address = m.{ARADDR};
        p.ar.len = m.{ARLEN};
        if constexpr (requires {{ m.{ARSIZE}; }}) p.ar.size = m.{ARSIZE};
        if constexpr (requires {{ m.{ARBURST}; }}) p.ar.burst = m.{ARBURST};
        if constexpr (requires {{ m.{ARID}; }}) p.ar.id = m.{ARID};
        p.r_ready = m.{RREADY} != 0;
      }}
      if constexpr (requires {{ m.{AWVALID}; }}) {{
        p.aw_valid = m.{AWVALID} != 0;
        p.aw.address = m.{AWADDR};
        p.aw.len = m.{AWLEN};
        if constexpr (requires {{ m.{AWSIZE}; }}) p.aw.size = m.{AWSIZE};
        if constexpr (requires {{ m.{AWBURST}; }}) p.aw.burst = m.{AWBURST};
        if constexpr (requires {{ m.{AWID}; }}) p.aw.id = m.{AWID};
        p.w_valid = m.{WVALID} != 0;
        p.w_last = m.{WLAST} != 0;
        static_assert(sizeof(m.{WDATA}) == kShape.beat_bytes, "data_width of {name} is not that of {WDATA}");
        p.w_data = signal_bytes(m.{WDATA});
        p.w_strobes = signal_bytes(m.{WSTRB});
        p.b_ready = m.{BREADY} != 0;
      }}
      return p;
    }}
    template <class M>
    static void drive(M& m, const AxiSlavePins& p) {{
      if constexpr (requires {{ m.{ARVALID}; }}) {{
        m.{ARREADY} = p.ar_ready;
        m.{RVALID} = p.r_valid;
        m.{RLAST} = p.r_last;
        static_assert(sizeof(m.{RDATA}) == kShape.beat_bytes, "data_width of {name} is not that of {RDATA}");
        if (p.r_valid) std::memcpy(signal_bytes(m.{RDATA}), p.r_data, kShape.beat_bytes);
        if constexpr (requires {{ m.{RRESP}; }}) set_signal(m.{RRESP}, p.r_response);
        if constexpr (requires {{ m.{RID}; }}) set_signal(m.{RID}, p.r_id);
        if constexpr (requires {{ m.{RUSER}; }}) m.{RUSER} = 0;
      }}
      if constexpr (requires {{ m.{AWVALID}; }}) {{
        m.{AWREADY} = p.aw_ready;
        m.{WREADY} = p.w_ready;
        m.{BVALID} = p.b_valid;
        if constexpr (requires {{ m.{BRESP}; }}) set_signal(m.{BRESP}, p.b_response);
        if constexpr (requires {{ m.{BID}; }}) set_signal(m.{BID}, p.b_id);
        if constexpr (requires {{ m.{BUSER}; }}) m.{BUSER} = 0;
      }}
    }}
  }};
"""

FOOTER = """
  using Ports = std::tuple<{ports}>;
}};

}}  // namespace esplanade::sim
"""

# Verilator renames a port whose name is a word of C++ or SystemC.
INTERRUPT = """    if constexpr (requires {{ m.__SYM__{0}; }}) {{
      return m.__SYM__{0} != 0;
    }} else {{
      return m.{0} != 0;
    }}"""

CHANNELS = ("AWVALID AWREADY AWADDR AWLEN AWSIZE AWBURST AWID AWPROT WVALID WREADY WDATA WSTRB WLAST BVALID BREADY BRESP BID BUSER ARVALID ARREADY ARADDR "
            "ARLEN ARSIZE ARBURST ARID ARPROT RVALID RREADY RDATA RLAST RRESP RID RUSER").split()


def signals(d, prefix):
    """{AXI signal: name of the kernel's port}."""
    return {channel: f"{prefix}_{channel if d.upper else channel.lower()}" for channel in CHANNELS}


def pins(d):
    """The text of the header."""
    text = HEADER.format(source=d.path.name, top=d.top, name=d.name, control=d.control_port, protocol=PROTOCOLS[d.protocol], clock=d.clock, reset=d.reset,
                         address_mask=hex((1 << d.control_address_width) - 1),
                         interrupt=INTERRUPT.format(d.interrupt) if d.interrupt else "    return false;", **signals(d, d.control_port))
    for n, port in enumerate(d.ports):
        text += PORT.format(n=n, name=port.name, bytes=port.data_width // 8, **signals(d, port.name))
    return text + FOOTER.format(ports=", ".join(f"Port{n}" for n in range(len(d.ports))))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("description", type=Path, help="TOML description of platform, kernel and memories")
    parser.add_argument("--top", action="store_true", help="print the name of the kernel's Verilog module instead")
    parser.add_argument("--output", type=Path, help="file to write")
    options = parser.parse_args()
    try:
        d = Description(options.description)
        if options.top:
            print(d.top)
        elif options.output:
            options.output.write_text(pins(d))
        else:
            parser.error("--output or --top is needed")
    except (DescriptionError, OSError) as error:
        sys.exit(f"mkpins: {error}")


if __name__ == "__main__":
    main()
