#include "sim/model/kernel_port.h"

#include <algorithm>

#include "common/base/log.h"

namespace esplanade::sim {

void KernelPort::release(std::uint64_t now) {
  if (!held_ || now < held_->due) return;
  Held held = std::move(*held_);
  held_.reset();
  write_now(held.address, held.data, held.enables, now);
}

bool KernelPort::step(const AxiMasterPins& m, std::uint64_t cycle) {
  if (in_reset_) return false;
  release(cycle);
  checker_.check(m, slave_.pins(), cycle);
  slave_.step(m, cycle);
  awake_ = !quiet() || checker_.waiting() || !slave_.pins().ar_ready || timing_.stall_percent != 0;
  return m.ar_valid || m.aw_valid || m.w_valid || !slave_.quiet();
}

void KernelPort::hang(bool hung) {
  slave_.hang(hung);
  awake_ = true;
}

void KernelPort::reset(bool active) {
  in_reset_ = active;
  slave_.reset();
  checker_ = AxiChecker(shape_);
  held_.reset();
  awake_ = true;
}

BurstMemory::Answer KernelPort::burst(tlm::tlm_generic_payload& access, std::uint64_t now) {
  if (injector_ == nullptr) return transport(access, now);
  if (injector_->take(access.is_read() ? FaultPoint::kAxiReadError : FaultPoint::kAxiWriteError)) {
    if (access.is_read()) std::fill_n(access.get_data_ptr(), access.get_data_length(), Byte{0});
    return {AxiResponse::kSlaveError, now + 1};
  }
  Answer answer = transport(access, now);
  if (injector_->take(FaultPoint::kDmaStall)) answer.cycle += injector_->last().cycles;
  return answer;
}

BurstMemory::Answer KernelPort::transport(tlm::tlm_generic_payload& access, std::uint64_t now) {
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
  if (injector_ == nullptr) return write_now(address, data, enables, now);
  if (injector_->at_write(address, data)) {
    if (injector_->take(FaultPoint::kCompletionLost)) return {AxiResponse::kOkay, now + 1};
    if (injector_->take(FaultPoint::kCompletionDuplicated)) write_now(address + data.size(), data, enables, now);
  }
  if (!held_ && injector_->take(FaultPoint::kDmaReorder)) {
    held_ = Held{address, now + injector_->last().cycles, Bytes(data.begin(), data.end()), Bytes(enables.begin(), enables.end())};
    return {AxiResponse::kOkay, now + 1};
  }
  return write_now(address, data, enables, now);
}

BurstMemory::Answer KernelPort::write_now(std::uint64_t address, MutableBytes data, MutableBytes enables,
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
