// The host's end of the PCIe link: takes the front's calls from the link and makes TLM accesses of them.
// While a compute unit is awake it looks at the link between quanta; while all sleep it sleeps on the link,
// and with it the process. XRT's emulation takes no interrupts: their messages end here, and the statistics count them.
#pragma once

#include <tlm_utils/simple_initiator_socket.h>
#include <tlm_utils/simple_target_socket.h>
#include <systemc>
#include <tlm>

#include <functional>
#include <vector>

#include "sim/link.h"
#include "sim/model/interrupts.h"
#include "sim/model/kernel_base.h"

namespace esplanade::sim {

class HostPort : public sc_core::sc_module {
 public:
  sc_core::sc_vector<tlm_utils::simple_initiator_socket<HostPort>> registers;  // one a compute unit
  tlm_utils::simple_initiator_socket<HostPort> memory;
  tlm_utils::simple_target_socket<HostPort> messages;  // of the card's interrupts

  /// `units`: the compute units, at least one; unit n has the n-th register range from the platform's
  /// control_base. `at_end` runs before the host hears that the card is closed, or when the front is gone.
  HostPort(sc_core::sc_module_name name, const Platform& platform, Link& link,
           std::vector<const KernelBase*> units, const InterruptController& interrupts, std::function<void()> at_end);
  /// Asks from now on whether the link is down; must outlive it.
  void inject(Injector& injector) { injector_ = &injector; }

 private:
  void thread();
  bool serve(LinkFrame& call);
  void take_message(tlm::tlm_generic_payload& message, sc_core::sc_time& delay);
  bool awake() const;
  std::uint64_t cycle() const;
  std::uint64_t moment() const;
  bool access(bool write, bool to_registers, LinkFrame& call);

  const Platform& platform_;
  Link& link_;
  const std::vector<const KernelBase*> units_;
  const InterruptController& interrupts_;
  const std::function<void()> at_end_;
  Injector* injector_ = nullptr;
};

}  // namespace esplanade::sim
