#include "sim/model/kernel_base.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "common/base/log.h"
#include "sim/model/die.h"

namespace esplanade::sim {

namespace {
constexpr unsigned kResetCycles = 32;
constexpr unsigned kIdleCycles = 4;     // idle for so long before the clock stops
constexpr unsigned kSettleCycles = 16;  // after a register write: it may take a few to start what it starts
}  // namespace

KernelBase::KernelBase(sc_core::sc_module_name name, const Platform& platform)
    : sc_module(name),
      control("control"),
      memory("memory"),
      timing_(platform.timing),
      clock_mhz_(platform.clock_mhz),
      period_(1e6 / platform.clock_mhz, sc_core::SC_PS),
      slave_(*this, timing_) {
  control.register_b_transport(this, &KernelBase::b_transport);
  SC_HAS_PROCESS(KernelBase);
  SC_THREAD(clock_thread);
}

void KernelBase::clock_thread() {
  reset();
  for (;;) {
    const auto began = std::chrono::steady_clock::now();
    activation_start_ = cycle_;
    tlm::tlm_generic_payload* const served = access_;
    if (served != nullptr) {
      run_access();
    } else if (awake_) {
      run_quantum();
    } else {
      sc_core::wait(work_);
      continue;
    }
    statistics_.clocking_s += std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    sc_core::wait(period_ * static_cast<double>(cycle_ - activation_start_));
    if (served != nullptr) {
      access_ = nullptr;
      access_done_.notify();
    }
  }
}

void KernelBase::reset() {
  set_reset(true);
  for (unsigned i = 0; i < kResetCycles; ++i) tick();
  set_reset(false);
  for (unsigned i = 0; i < kResetCycles; ++i) cycle_once();
  cycle_ = 0;
  statistics_ = {};
  wake();
}

void KernelBase::wake() {
  awake_ = true;
  idle_run_ = 0;
  last_activity_ = cycle_;
}

void KernelBase::sleep() {
  awake_ = false;
  slept_since_ = std::chrono::steady_clock::now();
}

void KernelBase::cycle_once() {
  tick();
  ++cycle_;
  ++statistics_.cycles;
  if (kernel_idle()) {
    idle_run_ = slave_.quiet() && lite_.done() ? idle_run_ + 1 : 0;
  } else {
    ++statistics_.busy_cycles;
    idle_run_ = 0;
  }
}

std::uint64_t KernelBase::run_quantum() {
  for (std::uint32_t i = 0; i < timing_.quantum_cycles && awake_; ++i) {
    cycle_once();
    if (idle_run_ >= kIdleCycles) sleep();
  }
  if (awake_ && cycle_ - last_activity_ > timing_.quiet_cycles_max) {
    log_warn(
        "cycle {}: busy for {} cycles without any bus activity; the clock stops until the host's next access",
        cycle_, timing_.quiet_cycles_max);
    sleep();
  }
  return cycle_ - activation_start_;
}

std::uint64_t KernelBase::run_access() {
  if (!awake_ && timing_.idle_follows_wall != 0) {
    const double slept =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - slept_since_).count();
    const auto cycles = static_cast<std::uint64_t>(slept * clock_mhz_ * 1e6);
    skip_time(cycles);
    statistics_.skipped_cycles += cycles;
  }
  wake();
  const std::size_t size = access_->get_data_length();
  if (size % 4 != 0 || access_->get_address() % 4 != 0 || access_->get_byte_enable_ptr() != nullptr) {
    access_->set_response_status(tlm::TLM_BURST_ERROR_RESPONSE);
    return 0;
  }
  const auto offset = static_cast<std::uint32_t>(access_->get_address());
  access_->set_response_status(tlm::TLM_OK_RESPONSE);
  // Highest offset first: where a message spans several registers, the one that starts things is the lowest.
  for (std::size_t at = size; at > 0; at -= 4) {
    access_word(access_->is_write(), offset + static_cast<std::uint32_t>(at - 4),
                access_->get_data_ptr() + at - 4);
  }
  if (access_->is_write()) {
    for (unsigned i = 0; i < kSettleCycles; ++i) cycle_once();
    idle_run_ = 0;
  }
  return cycle_ - activation_start_;
}

void KernelBase::access_word(bool write, std::uint32_t offset, Byte* data) {
  std::uint32_t value = 0;
  std::memcpy(&value, data, sizeof value);
  if (write) {
    lite_.start_write(offset, value);
  } else {
    lite_.start_read(offset);
  }
  lite_restarted_ = true;
  const std::uint64_t until = cycle_ + timing_.access_cycles_max;
  while (!lite_.done()) {
    cycle_once();
    if (cycle_ > until) {
      die(fmt::format("cycle {}: the kernel did not answer a register {} at 0x{:04x} within {} cycles",
                      cycle_, write ? "write" : "read", offset, timing_.access_cycles_max));
    }
  }
  ++statistics_.register_accesses;
  if (lite_.response() != 0) {
    log_warn("cycle {}: register {} at 0x{:04x}: AXI response {}", cycle_, write ? "write" : "read", offset,
             lite_.response());
  }
  value = lite_.value();
  if (!write) std::memcpy(data, &value, sizeof value);
}

void KernelBase::step_bus(const AxiMasterPins& m) {
  checker_.check(m, slave_.pins(), cycle_);
  slave_.step(m, cycle_);
  if (m.ar_valid || m.aw_valid || m.w_valid || !slave_.quiet()) last_activity_ = cycle_;
}

void KernelBase::note_interrupt(bool level) {
  if (level && !interrupt_) ++statistics_.interrupts;
  interrupt_ = level;
}

void KernelBase::b_transport(tlm::tlm_generic_payload& access, sc_core::sc_time& delay) {
  sc_core::wait(delay);
  delay = sc_core::SC_ZERO_TIME;
  access_ = &access;
  work_.notify();
  sc_core::wait(access_done_);
}

BurstMemory::Answer KernelBase::burst(tlm::tlm_generic_payload& access, std::uint64_t now) {
  sc_core::sc_time delay = period_ * static_cast<double>(now - activation_start_);
  memory->b_transport(access, delay);
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
  return {response, activation_start_ + static_cast<std::uint64_t>(delay / period_)};
}

BurstMemory::Answer KernelBase::read(std::uint64_t address, MutableBytes to, std::uint64_t now) {
  tlm::tlm_generic_payload access;
  access.set_read();
  access.set_address(address);
  access.set_data_ptr(to.data());
  access.set_data_length(static_cast<unsigned>(to.size()));
  access.set_streaming_width(static_cast<unsigned>(to.size()));
  return burst(access, now);
}

BurstMemory::Answer KernelBase::write(std::uint64_t address, MutableBytes data, MutableBytes enables,
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

KernelStatistics KernelBase::statistics() const {
  KernelStatistics out = statistics_;
  out.axi_read_bytes = slave_.bytes_read();
  out.axi_write_bytes = slave_.bytes_written();
  return out;
}

}  // namespace esplanade::sim
