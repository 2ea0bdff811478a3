#include "sim/model/reset.h"

#include "sim/model/line.h"

namespace esplanade::sim {

ResetController::ResetController(sc_core::sc_module_name name, const Timing& timing, sc_core::sc_time clock_period, std::size_t units)
    : sc_module(name), from_link("from_link"), to_unit("to_unit", units), delay_(clock_period * static_cast<double>(timing.reset_delay)),
      held_(clock_period * static_cast<double>(timing.reset_cycles)) {
  from_link.register_b_transport(this, &ResetController::b_transport);
}

/// Before any unit is clocked.
void ResetController::start_of_simulation() { hold(sc_core::SC_ZERO_TIME); }

void ResetController::b_transport(tlm::tlm_generic_payload& access, sc_core::sc_time& delay) {
  access.set_response_status(tlm::TLM_OK_RESPONSE);
  request(delay);
}

void ResetController::request(sc_core::sc_time delay) { hold(delay + delay_); }

void ResetController::hold(sc_core::sc_time from) {
  drive(true, from);
  drive(false, from + held_);
}

void ResetController::drive(bool active, sc_core::sc_time from) {
  for (auto& unit : to_unit) drive_line(unit, active, from);
}

}  // namespace esplanade::sim
