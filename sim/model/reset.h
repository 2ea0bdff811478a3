// The board's reset: drives the reset line of every compute unit at power-on, when the PCIe link goes down, and on request.
#pragma once

#include <tlm_utils/simple_initiator_socket.h>
#include <tlm_utils/simple_target_socket.h>
#include <systemc>
#include <tlm>

#include "sim/platform.h"

namespace esplanade::sim {

/// The lines are held for `reset_cycles`, from `reset_delay` cycles after the request on; at power-on from the first cycle.
class ResetController final : public sc_core::sc_module {
 public:
  tlm_utils::simple_target_socket<ResetController> from_link;                        // a write: a hot reset
  sc_core::sc_vector<tlm_utils::simple_initiator_socket<ResetController>> to_unit;  // a write of one octet, 1 or 0: the line's level from then on

  ResetController(sc_core::sc_module_name name, const Timing& timing, sc_core::sc_time clock_period, std::size_t units);
  /// A reset of all units, asked for `delay` from now.
  void request(sc_core::sc_time delay);

 private:
  void start_of_simulation() override;
  void b_transport(tlm::tlm_generic_payload& access, sc_core::sc_time& delay);
  void hold(sc_core::sc_time from);
  void drive(bool active, sc_core::sc_time from);

  const sc_core::sc_time delay_, held_;
};

}  // namespace esplanade::sim
