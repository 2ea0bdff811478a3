#include "sim/model/kernel_port.h"

#include "common/base/log.h"

namespace esplanade::sim {

bool KernelPort::step(const AxiMasterPins& m, std::uint64_t cycle) {
  checker_.check(m, slave_.pins(), cycle);
  slave_.step(m, cycle);
  awake_ = !slave_.quiet() || checker_.waiting() || !slave_.pins().ar_ready || timing_.stall_percent != 0;
  return m.ar_valid || m.aw_valid || m.w_valid || !slave_.quiet();
}

BurstMemory::Answer KernelPort::burst(tlm::tlm_generic_payload& access, std::uint64_t now) {
  sc_core::sc_time delay = clock_.period * static_cast<double>(now - clock_.activation_start);
  socket_->b_transport(access, delay);
  AxiResponse response = AxiResponse::kOkay;
  if (access.get_response_status() == tlm::TLM_ADDRESS_ERROR_RESPONSE) {
    response = AxiResponse::kDecodeError;
  } else if (!access.is_response_ok()) {
    response = AxiResponse::kSlaveError;
  }
  if (response != AxiResponse::kOkay) {
    log_warn("cycle {}: {} of {} bytes at 0x{:x}: {}", now, access.is_read() ? "read" : "write",
             access.get_data_length(), access.get_address(),
             response == AxiResponse::kDecodeError ? "no memory there" : "memory error");
  }
  return {response, clock_.activation_start + static_cast<std::uint64_t>(delay / clock_.period)};
}

BurstMemory::Answer KernelPort::read(std::uint64_t address, MutableBytes to, std::uint64_t now) {
  tlm::tlm_generic_payload access;
  access.set_read();
  access.set_address(address);
  access.set_data_ptr(to.data());
  access.set_data_length(static_cast<unsigned>(to.size()));
  access.set_streaming_width(static_cast<unsigned>(to.size()));
  return burst(access, now);
}

BurstMemory::Answer KernelPort::write(std::uint64_t address, MutableBytes data, MutableBytes enables,
                                      std::uint64_t now) {
  tlm::tlm_generic_payload access;
  access.set_write();
  access.set_address(address);
  access.set_data_ptr(data.data());
  access.set_data_length(static_cast<unsigned>(data.size()));
  access.set_streaming_width(static_cast<unsigned>(data.size()));
  access.set_byte_enable_ptr(enables.data());
  access.set_byte_enable_length(static_cast<unsigned>(enables.size()));
  return burst(access, now);
}

}  // namespace esplanade::sim
