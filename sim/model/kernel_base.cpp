#include "sim/model/kernel_base.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "common/base/log.h"
#include "sim/model/die.h"
#include "sim/model/line.h"

namespace esplanade::sim {

namespace {
constexpr unsigned kPowerOnCycles = 32;  // clocked behind the first reset, before cycle 0
constexpr unsigned kIdleCycles = 4;     // idle for so long before the clock stops
constexpr unsigned kSettleCycles = 16;  // after a register write: it may take a few to start what it starts

// The control register of ap_ctrl_hs and ap_ctrl_chain, at offset 0.
constexpr std::uint32_t kApStart = 1 << 0, kApIdle = 1 << 2, kAutoRestart = 1 << 7;
}  // namespace

KernelStatistics& KernelStatistics::operator+=(const KernelStatistics& other) {
  cycles += other.cycles;
  busy_cycles += other.busy_cycles;
  skipped_cycles += other.skipped_cycles;
  axi_read_bytes += other.axi_read_bytes;
  axi_write_bytes += other.axi_write_bytes;
  register_accesses += other.register_accesses;
  clocking_s += other.clocking_s;
  return *this;
}

KernelBase::KernelBase(sc_core::sc_module_name name, const KernelShape& shape, const Platform& platform)
    : sc_module(name),
      control("control"),
      memory("memory", shape.ports.size()),
      interrupt("interrupt"),
      reset("reset"),
      protocol_(shape.protocol),
      tells_idle_(shape.tells_idle),
      timing_(platform.timing),
      clock_mhz_(platform.clock_mhz),
      clock_{sc_core::sc_time(1e6 / platform.clock_mhz, sc_core::SC_PS)},
      lite_(shape.control) {
  for (std::size_t n = 0; n < shape.ports.size(); ++n) {
    ports_.emplace_back(shape.ports[n], timing_, clock_, memory[n]);
  }
  control.register_b_transport(this, &KernelBase::b_transport);
  reset.register_b_transport(this, &KernelBase::reset_transport);
  SC_HAS_PROCESS(KernelBase);
  SC_THREAD(clock_thread);
}

void KernelBase::clock_thread() {
  power_on();
  for (;;) {
    const auto began = std::chrono::steady_clock::now();
    clock_.activation_start = cycle_;
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
    sc_core::wait(clock_.period * static_cast<double>(cycle_ - clock_.activation_start));
    if (served != nullptr) {
      access_ = nullptr;
      access_done_.notify();
    }
  }
}

/// The reset that the platform began with, and a few cycles behind it. Takes no simulated time.
void KernelBase::power_on() {
  Injector* const injector = std::exchange(injector_, nullptr);  // its cycles count from the end of the reset
  for (const std::uint64_t until = reset_until_ + kPowerOnCycles; cycle_ < until;) cycle_once();
  cycle_ = 0;
  statistics_ = {};
  injector_ = injector;
  wake();
}

void KernelBase::inject(Injector& injector) {
  injector_ = &injector;
  for (KernelPort& port : ports_) port.inject(injector);
  hung_until_.resize(ports_.size());
  injector.on(FaultPoint::kRemoval, [](const Fault&) { die("the card was removed"); });
  injector.on(FaultPoint::kLaneHung, [this](const Fault& fault) {
    if (fault.port >= ports_.size()) return;
    hung_until_[fault.port] = fault.cycles == 0 ? kNever : cycle_ + fault.cycles;
    ports_[fault.port].hang(true);
  });
}

void KernelBase::reset_transport(tlm::tlm_generic_payload& access, sc_core::sc_time& delay) {
  const std::uint64_t at = clock_.activation_start + static_cast<std::uint64_t>(delay / clock_.period + 0.5);
  (*access.get_data_ptr() != 0 ? reset_from_ : reset_until_) = at;
  access.set_response_status(tlm::TLM_OK_RESPONSE);
  wake();
  work_.notify(sc_core::SC_ZERO_TIME);
}

/// Follows the line, in the middle of everything but of a register access, for which its master would wait for ever.
void KernelBase::drive_reset() {
  if (!in_reset_) {
    if (!lite_.done()) return;
    reset_until_ += cycle_ - reset_from_;  // it is held for the whole time, however late
  } else if (cycle_ < reset_until_) {
    return;
  } else {
    reset_from_ = kNever;
  }
  in_reset_ = !in_reset_;
  run_in_flight_ = false;
  set_reset(in_reset_);
  for (KernelPort& port : ports_) port.reset(in_reset_);
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
  if (injector_ != nullptr) {
    injector_->at_cycle(cycle_);
    for (std::size_t n = 0; n < hung_until_.size(); ++n) {
      if (hung_until_[n] != 0 && cycle_ >= hung_until_[n]) {
        hung_until_[n] = 0;
        ports_[n].hang(false);
      }
    }
  }
  if (cycle_ >= reset_from_) drive_reset();
  tick();
  ++cycle_;
  ++statistics_.cycles;
  if (kernel_idle() && reset_from_ == kNever) {
    idle_run_ = faces_quiet() ? idle_run_ + 1 : 0;
  } else {
    ++statistics_.busy_cycles;
    idle_run_ = 0;
  }
}

bool KernelBase::faces_quiet() const {
  return lite_.done() && std::ranges::all_of(ports_, [](const KernelPort& p) { return p.quiet(); });
}

std::uint64_t KernelBase::run_quantum() {
  for (std::uint32_t i = 0; i < timing_.quantum_cycles && awake_; ++i) {
    cycle_once();
    if (idle_run_ >= kIdleCycles) sleep();
  }
  if (awake_ && cycle_ - last_activity_ > timing_.quiet_cycles_max) {
    if (tells_idle_ || protocol_ != ControlProtocol::kUserManaged) {
      log_warn(
          "cycle {}: busy for {} cycles without any bus activity; the clock stops until the host's next "
          "access",
          cycle_, timing_.quiet_cycles_max);
    }
    sleep();
  }
  return cycle_ - clock_.activation_start;
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
  while (in_reset_) cycle_once();
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
  return cycle_ - clock_.activation_start;
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
  if (!write) {
    value = lite_.value();
    std::memcpy(data, &value, sizeof value);
  }
  watch_handshake(write, offset, value);
  if (injector_ != nullptr) injector_->at_register(write, offset, value);
}

/// A run is in flight from its start until the host reads that the kernel is idle.
void KernelBase::watch_handshake(bool write, std::uint32_t offset, std::uint32_t value) {
  if (offset != 0) return;
  if (write) {
    run_in_flight_ = run_in_flight_ || (value & (kApStart | kAutoRestart)) != 0;
  } else if ((value & (kApStart | kApIdle)) == kApIdle) {
    run_in_flight_ = false;
  }
}

void KernelBase::tell_interrupt(bool level) {
  interrupt_ = level;
  drive_line(interrupt, level, local_time());
}

void KernelBase::b_transport(tlm::tlm_generic_payload& access, sc_core::sc_time& delay) {
  sc_core::wait(delay);
  delay = sc_core::SC_ZERO_TIME;
  access_ = &access;
  work_.notify();
  sc_core::wait(access_done_);
}

KernelStatistics KernelBase::statistics() const {
  KernelStatistics out = statistics_;
  for (const KernelPort& port : ports_) {
    out.axi_read_bytes += port.bytes_read();
    out.axi_write_bytes += port.bytes_written();
  }
  return out;
}

}  // namespace esplanade::sim
