// The host's end of the PCIe link: takes the front's calls from the link and makes TLM accesses of them.
// While the kernel is awake it looks at the link between quanta; while the kernel sleeps it sleeps on the
// link, and with it the process.
#pragma once

#include <tlm_utils/simple_initiator_socket.h>
#include <systemc>
#include <tlm>

#include <functional>

#include "sim/link.h"
#include "sim/model/kernel_base.h"

namespace esplanade::sim {

class HostPort : public sc_core::sc_module {
 public:
  tlm_utils::simple_initiator_socket<HostPort> registers, memory;

  /// `at_end` runs before the host hears that the card is closed, or when the front is gone.
  HostPort(sc_core::sc_module_name name, const Platform& platform, Link& link, KernelBase& kernel,
           std::function<void()> at_end);

 private:
  void thread();
  bool serve(LinkFrame& call);
  bool access(bool write, bool to_registers, LinkFrame& call);

  const Platform& platform_;
  Link& link_;
  KernelBase& kernel_;
  const std::function<void()> at_end_;
};

}  // namespace esplanade::sim
