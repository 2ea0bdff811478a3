// The card's interrupt controller, as XDMA has it for its user interrupts: a line that rises becomes an MSI-X message.
#pragma once

#include <tlm_utils/simple_initiator_socket.h>
#include <tlm_utils/simple_target_socket.h>
#include <systemc>
#include <tlm>

#include <vector>

#include "sim/model/injector.h"
#include "sim/platform.h"

namespace esplanade::sim {

struct InterruptStatistics {
  std::uint64_t raised = 0;     // rises of the lines, lost ones too
  std::uint64_t messages = 0;   // that reached the host
  double longest_s = 0;         // from a line's rise to the host, the slowest message
};

/// One vector a compute unit. A message leaves `irq_latency` cycles after its line rose, and `irq_gap` cycles after the vector's last one at the
/// earliest. What rises until then is covered by it, as by the pending bit of MSI-X (PCIe base specification 6.1.4). A message is a posted write of four bytes, the
/// vector's number, and crosses the PCIe link like any other.
class InterruptController final : public sc_core::sc_module {
 public:
  sc_core::sc_vector<tlm_utils::simple_target_socket_tagged<InterruptController>> from_unit;  // a write of one octet: the line's level
  tlm_utils::simple_initiator_socket<InterruptController> to_link;

  InterruptController(sc_core::sc_module_name name, const Timing& timing, sc_core::sc_time clock_period, std::size_t units);
  /// Asks from now on whether an interrupt of the first unit gets lost; must outlive it.
  void inject(Injector& injector) { injector_ = &injector; }

  /// A message has not left yet: time must pass, though no unit may be clocked.
  bool pending() const;
  const InterruptStatistics& statistics() const { return statistics_; }

 private:
  struct Vector {
    bool level = false, pending = false;
    sc_core::sc_time rose_at, leaves_at, may_leave_at;
  };
  void b_transport(int unit, tlm::tlm_generic_payload& access, sc_core::sc_time& delay);
  void rise(std::size_t unit, sc_core::sc_time at);
  void leave(std::size_t unit);
  void due();

  const sc_core::sc_time latency_, gap_;
  std::vector<Vector> vectors_;
  sc_core::sc_event due_;
  Injector* injector_ = nullptr;
  InterruptStatistics statistics_;
};

}  // namespace esplanade::sim
