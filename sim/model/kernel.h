// A Verilated XRT RTL kernel as a TLM-2.0 module: `control` takes register accesses, `memory[n]` carries its
// AXI4 master n.
//
// Temporal decoupling: one SystemC activation runs up to a quantum of clock cycles on pins, then lets SystemC
// time follow. The clock runs only while the kernel has work; `cycle()` counts the cycles that ran. With
// idle_follows_wall off, time depends on work and on when the host's accesses arrive, not on how long the
// host slept.
//
// Template parameters: Pins, what hw/xclbin/mkpins.py makes of the kernel's description: the Verilated class
// and the names of its ports; Traits, what a description cannot say, each of it optional:
//   static bool idle(const Model&)   clocking it would change nothing but its clock; valid after eval()
//   static void skip(Model&, std::uint64_t cycles, std::uint32_t clock_hz)   time that was not simulated
//   static std::unique_ptr<FunctionalKernel> functional(CardBus&, const Platform&)   sim/functional/model.h
//   static std::optional<std::uint32_t> register_offset(const std::string& name)     for triggers and faults (injector.h):
//   static bool is_completion(const RegisterShadow&, std::uint64_t address)
//   static bool error(const Model&)
//   static bool flip_sa(Model&, std::uint64_t index, std::uint64_t bit)               and flip_packet; false: no such place
// Without idle() the kernel is taken as idle when handshake_idle() says so.
#pragma once

#include <fmt/format.h>
#if defined(SYSTEMC_VERSION) && !defined(VERILATOR_VERILATED_H_)
#error \
    "include kernel.h before <systemc>: Verilator would take its time from SystemC, unlike its runtime library"
#endif
#include <verilated.h>
#include <verilated_fst_c.h>

#include <array>
#include <string>
#include <tuple>
#include <utility>

#include "common/base/log.h"
#include "sim/model/die.h"
#include "sim/model/kernel_base.h"

namespace esplanade::sim {

template <class Pins, class Traits>
class VerilatedKernel final : public KernelBase {
 public:
  VerilatedKernel(sc_core::sc_module_name name, const Platform& platform, const WaveWindow& wave)
      : KernelBase(name, {Pins::kControl, Pins::kProtocol, kShapes, kTellsIdle}, platform), wave_(wave) {
    bus_moved_.fill(true);
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

  /// What the traits tell of this kernel for triggers.
  KernelSense sense() {
    KernelSense out = sense_of<Traits>();
    if constexpr (requires { Traits::error(top_); }) out.error = [this] { return Traits::error(top_); };
    return out;
  }
  void arm(Injector& injector) {
    inject(injector);
    injector.on(FaultPoint::kWaves, [this](const Fault& fault) {
      wave_.from = cycle();
      wave_.to = cycle() + fault.cycles - 1;
    });
    const auto flip = [](const Fault& fault, auto work) {
      if (!work()) log_warn("{}: no such place in this kernel", fault_name(fault.point));
    };
    injector.on(FaultPoint::kSaBitFlip, [this, flip](const Fault& fault) {
      flip(fault, [&] {
        if constexpr (requires { Traits::flip_sa(top_, fault.address, fault.bit); }) return Traits::flip_sa(top_, fault.address, fault.bit);
        return false;
      });
    });
    injector.on(FaultPoint::kPacketBitFlip, [this, flip](const Fault& fault) {
      flip(fault, [&] {
        if constexpr (requires { Traits::flip_packet(top_, fault.address, fault.bit); }) return Traits::flip_packet(top_, fault.address, fault.bit);
        return false;
      });
    });
  }

 private:
  using Model = typename Pins::Model;
  static constexpr std::size_t kNumPorts = std::tuple_size_v<typename Pins::Ports>;
  template <std::size_t N>
  using Port = std::tuple_element_t<N, typename Pins::Ports>;
  static constexpr auto kShapes = []<std::size_t... N>(std::index_sequence<N...>) {
    return std::array<AxiShape, kNumPorts>{Port<N>::kShape...};
  }
  (std::make_index_sequence<kNumPorts>());
  static constexpr bool kTellsIdle = requires(const Model& m) { Traits::idle(m); };
  static constexpr int kAllLevels = 99;

  void set_reset(bool active) override { Pins::reset(top_, active); }
  bool kernel_idle() const override {
    if constexpr (kTellsIdle) {
      return Traits::idle(top_);
    } else {
      return handshake_idle();
    }
  }
  void skip_time(std::uint64_t cycles) override {
    if constexpr (requires { Traits::skip(top_, cycles, 1U); }) {
      Traits::skip(top_, cycles, clock_mhz() * 1'000'000U);
    }
  }

  /// One clock cycle. The inputs were set after the last rising edge; the falling edge settles what depends
  /// on them.
  void tick() override {
    if (lite_restarted()) Pins::drive_lite(top_, lite().pins());
    Pins::clock(top_, false);
    top_.eval();
    if (dumping()) fst_.dump(half_cycle_ps(false));
    sample();
    Pins::clock(top_, true);
    top_.eval();
    if (dumping()) fst_.dump(half_cycle_ps(true));
    if (std::exchange(lite_moved_, false)) Pins::drive_lite(top_, lite().pins());
    for_each_port([this]<std::size_t N>() {
      if (std::exchange(bus_moved_[N], false)) Port<N>::drive(top_, port(N).pins());
    });
    if (context_.gotFinish()) die("the kernel called $finish");
  }

  bool dumping() const { return !wave_.file.empty() && cycle() >= wave_.from && cycle() <= wave_.to; }
  std::uint64_t half_cycle_ps(bool second) const {
    const std::uint64_t period_ps = 1'000'000 / clock_mhz();
    return cycle() * period_ps + (second ? period_ps / 2 : 0);
  }

  /// Hands the pins to both sides' rising edge. Quiet faces, most cycles, cost a few comparisons.
  void sample() {
    if (!lite().done() || Pins::lite_shows(top_)) {
      lite().step(Pins::sample_lite(top_), cycle());
      lite_moved_ = true;
    }
    for_each_port([this]<std::size_t N>() {
      if (Port<N>::shows(top_) || port(N).awake()) {
        step_port(N, Port<N>::sample(top_));
        bus_moved_[N] = true;
      }
    });
    note_interrupt(Pins::interrupt(top_));
  }

  template <class Work>
  static void for_each_port(Work work) {
    [&]<std::size_t... N>(std::index_sequence<N...>) { (work.template operator()<N>(), ...); }
    (std::make_index_sequence<kNumPorts>());
  }

  VerilatedContext context_;
  Model top_{&context_, "kernel"};
  WaveWindow wave_;
  VerilatedFstC fst_;
  // What moved must reach the pins after the rising edge. All do at first, so that no input is left undriven.
  bool lite_moved_ = true;
  std::array<bool, kNumPorts> bus_moved_;
};

}  // namespace esplanade::sim
