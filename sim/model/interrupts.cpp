#include "sim/model/interrupts.h"

#include <algorithm>
#include <array>

#include "common/base/bytes.h"

namespace esplanade::sim {

InterruptController::InterruptController(sc_core::sc_module_name name, const Timing& timing, sc_core::sc_time clock_period, std::size_t units)
    : sc_module(name), from_unit("from_unit", units), to_link("to_link"),
      latency_(clock_period * static_cast<double>(timing.irq_latency)), gap_(clock_period * static_cast<double>(timing.irq_gap)), vectors_(units) {
  for (std::size_t unit = 0; unit < units; ++unit) from_unit[unit].register_b_transport(this, &InterruptController::b_transport, static_cast<int>(unit));
  SC_HAS_PROCESS(InterruptController);
  SC_METHOD(due);
  sensitive << due_;
  dont_initialize();
}

bool InterruptController::pending() const { return std::ranges::any_of(vectors_, &Vector::pending); }

void InterruptController::b_transport(int unit, tlm::tlm_generic_payload& access, sc_core::sc_time& delay) {
  const auto n = static_cast<std::size_t>(unit);
  const bool level = *access.get_data_ptr() != 0;
  access.set_response_status(tlm::TLM_OK_RESPONSE);
  if (level && !vectors_[n].level) rise(n, sc_core::sc_time_stamp() + delay);
  vectors_[n].level = level;
}

void InterruptController::rise(std::size_t unit, sc_core::sc_time at) {
  Vector& vector = vectors_[unit];
  ++statistics_.raised;
  if (unit == 0 && injector_ != nullptr && injector_->take(FaultPoint::kInterruptLost)) return;
  // Units run ahead of SystemC's time by up to a quantum, so due() may be late: what should have left has left.
  if (vector.pending && vector.leaves_at <= at) leave(unit);
  if (vector.pending) return;
  vector.pending = true;
  vector.rose_at = at;
  vector.leaves_at = std::max(at + latency_, vector.may_leave_at);
  due_.notify(vector.leaves_at - sc_core::sc_time_stamp());
}

void InterruptController::leave(std::size_t unit) {
  Vector& vector = vectors_[unit];
  vector.pending = false;
  vector.may_leave_at = vector.leaves_at + gap_;
  std::array<Byte, 4> number{};
  store_le32(number.data(), static_cast<std::uint32_t>(unit));
  tlm::tlm_generic_payload message;
  message.set_write();
  message.set_data_ptr(number.data());
  message.set_data_length(number.size());
  message.set_streaming_width(number.size());
  const sc_core::sc_time now = sc_core::sc_time_stamp();
  sc_core::sc_time delay = std::max(vector.leaves_at, now) - now;
  to_link->b_transport(message, delay);
  if (!message.is_response_ok()) return;
  ++statistics_.messages;
  statistics_.longest_s = std::max(statistics_.longest_s, (now + delay - vector.rose_at).to_seconds());
}

/// Sends what is due, and comes again for the next.
void InterruptController::due() {
  const sc_core::sc_time now = sc_core::sc_time_stamp();
  for (std::size_t unit = 0; unit < vectors_.size(); ++unit) {
    if (vectors_[unit].pending && vectors_[unit].leaves_at <= now) leave(unit);
  }
  for (const Vector& vector : vectors_) {
    if (vector.pending) due_.notify(vector.leaves_at - now);  // of several the earliest counts
  }
}

}  // namespace esplanade::sim
