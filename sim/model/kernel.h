// A Verilated XRT RTL kernel as a TLM-2.0 module: `control` takes register accesses, `memory` carries its
// AXI4 master.
//
// Temporal decoupling: one SystemC activation runs up to a quantum of clock cycles on pins, then lets SystemC
// time follow. The clock runs only while the kernel has work; `cycle()` counts the cycles that ran. With
// idle_follows_wall off, time depends on work and on when the host's accesses arrive, not on how long the
// host slept.
//
// Template parameters: Model, the Verilated class, with the port names of esp_card; Traits:
//   static bool idle(const Model&)                             clocking it would change nothing but its clock
//   static bool interrupt(const Model&)                        its interrupt line
//   static void skip(Model&, std::uint64_t cycles, std::uint32_t clock_hz)   time that was not simulated
#pragma once

#include <fmt/format.h>
#if defined(SYSTEMC_VERSION) && !defined(VERILATOR_VERILATED_H_)
#error \
    "include kernel.h before <systemc>: Verilator would take its time from SystemC, unlike its runtime library"
#endif
#include <verilated.h>
#include <verilated_fst_c.h>

#include <tlm_utils/simple_initiator_socket.h>
#include <tlm_utils/simple_target_socket.h>
#include <systemc>
#include <tlm>

#include <chrono>
#include <cstring>
#include <memory>

#include "common/base/log.h"
#include "sim/model.h"
#include "sim/model/axi_checker.h"
#include "sim/model/axi_slave.h"
#include "sim/model/axil_master.h"
#include "sim/model/die.h"
#include "sim/model/kernel_base.h"

namespace esplanade::sim {

template <class Model, class Traits>
class VerilatedKernel final : public KernelBase {
 public:
  VerilatedKernel(sc_core::sc_module_name name, const Platform& platform, const WaveWindow& wave)
      : KernelBase(name, platform), wave_(wave) {
    if (!wave_.file.empty()) {
      context_.traceEverOn(true);
      top_.trace(&fst_, kAllLevels);
      fst_.open(wave_.file.c_str());
      if (!fst_.isOpen()) die(fmt::format("cannot write waves to {}", wave_.file));
    }
  }
  ~VerilatedKernel() override { finish(); }

  void finish() override {
    if (fst_.isOpen()) fst_.close();
  }

 private:
  static constexpr int kAllLevels = 99;

  void set_reset(bool active) override { top_.ap_rst_n = active ? 0 : 1; }
  bool kernel_idle() const override { return Traits::idle(top_); }
  void skip_time(std::uint64_t cycles) override { Traits::skip(top_, cycles, clock_mhz() * 1'000'000U); }

  /// One clock cycle. The inputs were set after the last rising edge; the falling edge settles what depends
  /// on them.
  void tick() override {
    if (lite_restarted()) drive_lite();
    top_.ap_clk = 0;
    top_.eval();
    if (dumping()) fst_.dump(half_cycle_ps(false));
    sample();
    top_.ap_clk = 1;
    top_.eval();
    if (dumping()) fst_.dump(half_cycle_ps(true));
    if (lite_moved_) drive_lite();
    if (bus_moved_) drive_bus();
    if (context_.gotFinish()) die("the kernel called $finish");
  }

  bool dumping() const { return !wave_.file.empty() && cycle() >= wave_.from && cycle() <= wave_.to; }
  std::uint64_t half_cycle_ps(bool second) const {
    const std::uint64_t period_ps = 1'000'000 / clock_mhz();
    return cycle() * period_ps + (second ? period_ps / 2 : 0);
  }

  /// Hands the pins to both sides' rising edge. Quiet faces, most cycles, cost a few comparisons.
  void sample() {
    if (!lite().done() || top_.s_axi_control_bvalid || top_.s_axi_control_rvalid) {
      lite().step(
          {top_.s_axi_control_awready != 0, top_.s_axi_control_wready != 0, top_.s_axi_control_bvalid != 0,
           top_.s_axi_control_arready != 0, top_.s_axi_control_rvalid != 0, top_.s_axi_control_bresp,
           top_.s_axi_control_rresp, top_.s_axi_control_rdata},
          cycle());
      lite_moved_ = true;
    }
    if (top_.m_axi_gmem_arvalid || top_.m_axi_gmem_awvalid || top_.m_axi_gmem_wvalid || bus_awake()) {
      AxiMasterPins m;
      m.ar_valid = top_.m_axi_gmem_arvalid != 0;
      m.ar = {top_.m_axi_gmem_araddr, top_.m_axi_gmem_arlen, top_.m_axi_gmem_arsize, top_.m_axi_gmem_arburst,
              top_.m_axi_gmem_arid};
      m.aw_valid = top_.m_axi_gmem_awvalid != 0;
      m.aw = {top_.m_axi_gmem_awaddr, top_.m_axi_gmem_awlen, top_.m_axi_gmem_awsize, top_.m_axi_gmem_awburst,
              top_.m_axi_gmem_awid};
      m.w_valid = top_.m_axi_gmem_wvalid != 0;
      m.w_last = top_.m_axi_gmem_wlast != 0;
      m.w_strobes = top_.m_axi_gmem_wstrb;
      m.w_data = reinterpret_cast<const Byte*>(top_.m_axi_gmem_wdata.data());
      m.r_ready = top_.m_axi_gmem_rready != 0;
      m.b_ready = top_.m_axi_gmem_bready != 0;
      step_bus(m);
      bus_moved_ = true;
    }
    note_interrupt(Traits::interrupt(top_));
  }

  /// Put on the pins what the two sides show from the last rising edge on.
  void drive_lite() {
    const LiteMasterPins& p = lite().pins();
    top_.s_axi_control_awvalid = p.aw_valid;
    top_.s_axi_control_awaddr = static_cast<std::uint16_t>(p.address);
    top_.s_axi_control_wvalid = p.w_valid;
    top_.s_axi_control_wdata = p.w_data;
    top_.s_axi_control_wstrb = 0xf;
    top_.s_axi_control_bready = p.b_ready;
    top_.s_axi_control_arvalid = p.ar_valid;
    top_.s_axi_control_araddr = static_cast<std::uint16_t>(p.address);
    top_.s_axi_control_rready = p.r_ready;
    lite_moved_ = false;
  }
  void drive_bus() {
    const AxiSlavePins& p = bus_pins();
    top_.m_axi_gmem_arready = p.ar_ready;
    top_.m_axi_gmem_awready = p.aw_ready;
    top_.m_axi_gmem_wready = p.w_ready;
    top_.m_axi_gmem_bvalid = p.b_valid;
    top_.m_axi_gmem_bresp = static_cast<std::uint8_t>(p.b_response);
    top_.m_axi_gmem_bid = static_cast<std::uint8_t>(p.b_id);
    top_.m_axi_gmem_rvalid = p.r_valid;
    top_.m_axi_gmem_rlast = p.r_last;
    top_.m_axi_gmem_rresp = static_cast<std::uint8_t>(p.r_response);
    top_.m_axi_gmem_rid = static_cast<std::uint8_t>(p.r_id);
    if (p.r_valid) std::memcpy(top_.m_axi_gmem_rdata.data(), p.r_data, kBeatBytes);
    bus_moved_ = false;
  }

  VerilatedContext context_;
  Model top_{&context_, "kernel"};
  WaveWindow wave_;
  VerilatedFstC fst_;
  bool lite_moved_ = true, bus_moved_ = true;  // at first, so that no input is left undriven
};

}  // namespace esplanade::sim
