// What does not depend on the Verilated class: the clock thread, register accesses, bursts to TLM, idleness.
#pragma once

#include <tlm_utils/simple_initiator_socket.h>
#include <tlm_utils/simple_target_socket.h>
#include <systemc>
#include <tlm>

#include <chrono>
#include <cstdint>

#include "sim/model/axi_checker.h"
#include "sim/model/axi_slave.h"
#include "sim/model/axil_master.h"
#include "sim/platform.h"

namespace esplanade::sim {

struct KernelStatistics {
  std::uint64_t cycles = 0;          // clock cycles simulated since reset
  std::uint64_t busy_cycles = 0;     // of these, with the kernel not idle
  std::uint64_t skipped_cycles = 0;  // idle time that was not simulated
  std::uint64_t axi_read_bytes = 0, axi_write_bytes = 0;
  std::uint64_t register_accesses = 0, interrupts = 0;
  double clocking_s = 0;  // wall time spent in the clock loop
};

class KernelBase : public sc_core::sc_module, private BurstMemory {
 public:
  /// Register accesses: address is the offset from the kernel's base; length a multiple of 4. b_transport
  /// waits.
  tlm_utils::simple_target_socket<KernelBase> control;
  tlm_utils::simple_initiator_socket<KernelBase> memory;

  /// True while the clock must run.
  bool awake() const { return awake_; }
  std::uint64_t cycle() const { return cycle_; }
  sc_core::sc_time quantum() const { return period_ * double(timing_.quantum_cycles); }
  KernelStatistics statistics() const;
  /// Closes files. Nothing is clocked afterwards.
  virtual void finish() = 0;

 protected:
  KernelBase(sc_core::sc_module_name name, const Platform& platform);
  ~KernelBase() override = default;

  virtual void set_reset(bool active) = 0;
  virtual void tick() = 0;
  virtual bool kernel_idle() const = 0;
  virtual void skip_time(std::uint64_t cycles) = 0;

  std::uint32_t clock_mhz() const { return clock_mhz_; }
  AxiLiteMaster& lite() { return lite_; }
  /// True once after an access began: its pins must be driven.
  bool lite_restarted() { return std::exchange(lite_restarted_, false); }
  /// The memory side needs to see the next edge even if the kernel shows nothing.
  bool bus_awake() const {
    return !slave_.quiet() || checker_.waiting() || !slave_.pins().ar_ready || timing_.stall_percent != 0;
  }
  void step_bus(const AxiMasterPins& m);
  const AxiSlavePins& bus_pins() const { return slave_.pins(); }
  void note_interrupt(bool level);

 private:
  void clock_thread();
  void reset();
  std::uint64_t run_quantum();
  std::uint64_t run_access();
  void cycle_once();
  void access_word(bool write, std::uint32_t offset, Byte* data);
  void wake();
  void sleep();
  void b_transport(tlm::tlm_generic_payload& access, sc_core::sc_time& delay);
  Answer read(std::uint64_t address, MutableBytes to, std::uint64_t now) override;
  Answer write(std::uint64_t address, MutableBytes data, MutableBytes enables, std::uint64_t now) override;
  Answer burst(tlm::tlm_generic_payload& access, std::uint64_t now);

  const Timing timing_;
  const std::uint32_t clock_mhz_;
  const sc_core::sc_time period_;
  AxiLiteMaster lite_;
  bool lite_restarted_ = false;
  AxiSlave slave_;
  AxiChecker checker_;
  tlm::tlm_generic_payload* access_ = nullptr;
  sc_core::sc_event work_, access_done_;
  bool awake_ = false, interrupt_ = false;
  std::uint64_t cycle_ = 0, activation_start_ = 0, last_activity_ = 0;
  unsigned idle_run_ = 0;  // idle cycles in a row
  std::chrono::steady_clock::time_point slept_since_;
  KernelStatistics statistics_;
};

}  // namespace esplanade::sim
