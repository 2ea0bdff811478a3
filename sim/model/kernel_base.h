// What does not depend on the Verilated class: the clock thread, register accesses, idleness.
#pragma once

#include <tlm_utils/simple_target_socket.h>
#include <systemc>
#include <tlm>

#include <chrono>
#include <cstdint>
#include <deque>
#include <limits>
#include <span>
#include <utility>

#include "sim/model/axil_master.h"
#include "sim/model/injector.h"
#include "sim/model/kernel_port.h"
#include "sim/platform.h"

namespace esplanade::sim {

struct KernelStatistics {
  std::uint64_t cycles = 0;          // clock cycles simulated since reset
  std::uint64_t busy_cycles = 0;     // of these, with the kernel not idle
  std::uint64_t skipped_cycles = 0;  // idle time that was not simulated
  std::uint64_t axi_read_bytes = 0, axi_write_bytes = 0;
  std::uint64_t register_accesses = 0;
  double clocking_s = 0;  // wall time spent in the clock loop

  /// Adds those of another compute unit.
  KernelStatistics& operator+=(const KernelStatistics& other);
};

/// How the host starts the kernel and sees its end, as XRT has it.
enum class ControlProtocol { kUserManaged, kApCtrlHs, kApCtrlChain };

/// What does not depend on the kernel's inside: generated from its description.
struct KernelShape {
  const char* control;  // prefix of the control port's signals
  ControlProtocol protocol;
  std::span<const AxiShape> ports;  // must outlive the kernel
  bool tells_idle;                  // kernel_idle() knows, and does not only see what the host does
};

class KernelBase : public sc_core::sc_module {
 public:
  /// Register accesses: address is the offset from the kernel's base; length a multiple of 4. b_transport
  /// waits.
  tlm_utils::simple_target_socket<KernelBase> control;
  KernelPort::Sockets memory;  // one a port
  tlm_utils::simple_initiator_socket<KernelBase> interrupt;  // a write of one octet: the line's level, when it changes
  tlm_utils::simple_target_socket<KernelBase> reset;         // a write of one octet: the line's level, 1 for reset, from `delay` on

  /// True while the clock must run.
  bool awake() const { return awake_; }
  std::uint64_t cycle() const { return cycle_; }
  /// How far the kernel is ahead of SystemC's time.
  sc_core::sc_time local_time() const { return clock_.period * static_cast<double>(cycle_ - clock_.activation_start); }
  sc_core::sc_time quantum() const { return clock_.period * double(timing_.quantum_cycles); }
  KernelStatistics statistics() const;
  /// Faults and wave triggers from now on; must outlive the kernel.
  void inject(Injector& injector);
  /// Closes files. Nothing is clocked afterwards.
  virtual void finish() = 0;

 protected:
  KernelBase(sc_core::sc_module_name name, const KernelShape& shape, const Platform& platform);
  ~KernelBase() override = default;

  virtual void set_reset(bool active) = 0;
  virtual void tick() = 0;
  virtual bool kernel_idle() const = 0;
  virtual void skip_time(std::uint64_t cycles) = 0;

  std::uint32_t clock_mhz() const { return clock_mhz_; }
  AxiLiteMaster& lite() { return lite_; }
  /// True once after an access began: its pins must be driven.
  bool lite_restarted() { return std::exchange(lite_restarted_, false); }
  KernelPort& port(std::size_t n) { return ports_[n]; }
  /// A rising edge at which port `n` must see what the kernel shows.
  void step_port(std::size_t n, const AxiMasterPins& m) {
    if (ports_[n].step(m, cycle_)) last_activity_ = cycle_;
  }
  void note_interrupt(bool level) {
    if ((level && !in_reset_) != interrupt_) tell_interrupt(!interrupt_);
  }
  /// Idle as far as the host has seen it in the control register: no run was started since that read as idle.
  /// Never for a user-managed kernel.
  bool handshake_idle() const { return protocol_ != ControlProtocol::kUserManaged && !run_in_flight_; }

 private:
  void clock_thread();
  void power_on();
  void drive_reset();
  void reset_transport(tlm::tlm_generic_payload& access, sc_core::sc_time& delay);
  std::uint64_t run_quantum();
  std::uint64_t run_access();
  void cycle_once();
  void tell_interrupt(bool level);
  void access_word(bool write, std::uint32_t offset, Byte* data);
  void watch_handshake(bool write, std::uint32_t offset, std::uint32_t value);
  bool faces_quiet() const;
  void wake();
  void sleep();
  void b_transport(tlm::tlm_generic_payload& access, sc_core::sc_time& delay);

  const ControlProtocol protocol_;
  const bool tells_idle_;
  const Timing timing_;
  const std::uint32_t clock_mhz_;
  KernelClock clock_;
  AxiLiteMaster lite_;
  bool lite_restarted_ = false;
  std::deque<KernelPort> ports_;
  tlm::tlm_generic_payload* access_ = nullptr;
  sc_core::sc_event work_, access_done_;
  bool awake_ = false, interrupt_ = false, run_in_flight_ = false;
  std::uint64_t cycle_ = 0, last_activity_ = 0;
  Injector* injector_ = nullptr;
  static constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();
  bool in_reset_ = false;
  std::uint64_t reset_from_ = kNever, reset_until_ = kNever;  // cycles
  std::vector<std::uint64_t> hung_until_;  // by port; 0: not hung
  unsigned idle_run_ = 0;  // idle cycles in a row
  std::chrono::steady_clock::time_point slept_since_;
  KernelStatistics statistics_;
};

}  // namespace esplanade::sim
