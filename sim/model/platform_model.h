// A whole platform around the compute units of one Verilated kernel. Include before <systemc>, as kernel.h
// says.
#pragma once

#include "sim/model/kernel.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "common/base/log.h"
#include "sim/functional/model.h"
#include "sim/link.h"
#include "sim/model.h"
#include "sim/model/dma_engine.h"
#include "sim/model/host_port.h"
#include "sim/model/interrupts.h"
#include "sim/model/memory.h"
#include "sim/model/pcie_link.h"
#include "sim/model/process.h"
#include "sim/model/reset.h"

namespace esplanade::sim {

/// The platform: host port and compute units on one router, behind it the memories of the description.
/// Template parameters: those of VerilatedKernel.
template <class Pins, class Traits>
class PlatformModel final : public Finisher {
 public:
  PlatformModel(Link& link, const Platform& platform, const ModelOptions& options)
      : options_(options),
        units_(make_units(platform, options.wave)),
        router_("router", platform.memories, units_.size() * units_[0]->memory.size()),
        pcie_("pcie", platform.timing, cycle_time(platform), host_memories(platform) + 1),
        interrupts_("interrupts", platform.timing, cycle_time(platform), units_.size()),
        reset_("reset", platform.timing, cycle_time(platform), units_.size()),
        dma_("dma", platform.timing),
        host_("host", platform, link, bases(units_), interrupts_, [this] { finish(); }) {
    const Timing& t = platform.timing;
    const auto cycles = [&](double n) {
      return sc_core::sc_time(n * 1e6 / platform.clock_mhz, sc_core::SC_PS);
    };
    for (std::size_t i = 0, on_host = 0; i < platform.memories.size(); ++i) {
      const MemoryRegion& region = platform.memories[i];
      const std::string name = fmt::format("memory{}", i);
      if (region.host) {
        const MemoryTiming timing{cycles(t.host_read_latency), cycles(t.host_write_latency), sc_core::SC_ZERO_TIME};
        memories_.push_back(std::make_unique<HostMemory>(name.c_str(), region, timing, link));
        router_.to_memory[i].bind(pcie_.from_card[on_host]);
        pcie_.to_host[on_host++].bind(memories_.back()->socket);
      } else {
        const MemoryTiming timing{cycles(t.ddr_read_latency), cycles(t.ddr_write_latency), cycles(1.0 / t.ddr_bytes_per_cycle),
                                  t.ddr_banks, t.ddr_row_bytes, cycles(t.ddr_row_miss_latency), cycles(t.ddr_refresh_interval),
                                  cycles(t.ddr_refresh_cycles)};
        memories_.push_back(std::make_unique<CardMemory>(name.c_str(), region, timing));
        router_.to_memory[i].bind(memories_.back()->socket);
      }
    }
    for (std::size_t i = 0, socket = 0; i < units_.size(); ++i) {
      for (auto& port : units_[i]->memory) port.bind(router_.from_kernel[socket++]);
      host_.registers[i].bind(units_[i]->control);
      units_[i]->interrupt.bind(interrupts_.from_unit[i]);
      reset_.to_unit[i].bind(units_[i]->reset);
    }
    interrupts_.to_link.bind(pcie_.from_card[host_memories(platform)]);
    pcie_.to_host[host_memories(platform)].bind(host_.messages);
    pcie_.hot_reset.bind(reset_.from_link);
    host_.memory.bind(dma_.from_host);
    dma_.to_memory.bind(router_.from_dma);
    arm(options.faults);
  }

  /// Waves closed, statistics written and logged. The second call does nothing.
  void finish() override {
    if (finished_) return;
    finished_ = true;
    KernelStatistics s;
    for (const auto& unit : units_) {
      unit->finish();
      s += unit->statistics();
    }
    const double wall = std::chrono::duration<double>(std::chrono::steady_clock::now() - began_).count();
    const double rate = s.clocking_s > 0 ? static_cast<double>(s.cycles) / s.clocking_s : 0;
    log_info(
        "{} cycles ({} busy) in {:.3f} s of clocking, {:.0f} cycles/s; open for {:.1f} s; {} register "
        "accesses",
        s.cycles, s.busy_cycles, s.clocking_s, rate, wall, s.register_accesses);
    if (options_.stats_file.empty()) return;
    write_statistics(options_.stats_file, s, dma_.statistics(), interrupts_.statistics(), wall, rate);
  }

 private:
  /// Faults and wave trigger hit the first unit; a reset all of them.
  void arm(std::vector<Fault> plan) {
    if (options_.wave.trigger) plan.push_back({.point = FaultPoint::kWaves, .when = *options_.wave.trigger, .cycles = options_.wave.cycles});
    if (plan.empty() && !options_.takes_faults) return;
    injector_.emplace(units_[0]->sense());
    injector_->on(FaultPoint::kReset, [this](const Fault&) { reset_.request(units_[0]->local_time()); });
    injector_->on(FaultPoint::kLinkDown, [this](const Fault&) { pcie_.go_down(units_[0]->local_time()); });
    for (Fault& fault : plan) {
      if (const Status armed = injector_->add(std::move(fault)); !armed) die(armed.error().detail);
    }
    units_[0]->arm(*injector_);
    host_.inject(*injector_);
    interrupts_.inject(*injector_);
    injector_->on(FaultPoint::kMemoryBitFlip, [this](const Fault& fault) {
      for (const auto& memory : memories_) {
        auto* card = dynamic_cast<CardMemory*>(memory.get());
        if (card != nullptr && card->flip(fault.address, fault.bit)) return;
      }
      log_warn("memory-bit-flip: no card memory at 0x{:x}", fault.address);
    });
  }

  static sc_core::sc_time cycle_time(const Platform& platform) { return sc_core::sc_time(1e6 / platform.clock_mhz, sc_core::SC_PS); }
  static std::size_t host_memories(const Platform& platform) {
    return static_cast<std::size_t>(std::ranges::count_if(platform.memories, &MemoryRegion::host));
  }

  using Kernel = VerilatedKernel<Pins, Traits>;
  using Units = std::vector<std::unique_ptr<Kernel>>;

  /// Waves of the first unit go to the file that was asked for, those of unit n to that name with .n behind
  /// it.
  static Units make_units(const Platform& platform, const WaveWindow& wave) {
    Units units;
    for (std::size_t i = 0; i < platform.units; ++i) {
      WaveWindow window = wave;
      if (i > 0 && !window.file.empty()) window.file += fmt::format(".{}", i);
      units.push_back(std::make_unique<Kernel>(fmt::format("kernel{}", i).c_str(), platform, window));
    }
    return units;
  }
  static std::vector<const KernelBase*> bases(const Units& units) {
    std::vector<const KernelBase*> out;
    for (const auto& unit : units) out.push_back(unit.get());
    return out;
  }

  const ModelOptions options_;
  const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  const Units units_;
  Router router_;
  PcieLink pcie_;
  InterruptController interrupts_;
  ResetController reset_;
  DmaEngine dma_;
  HostPort host_;
  std::vector<std::unique_ptr<TimedMemory>> memories_;
  std::optional<Injector> injector_;
  bool finished_ = false;
};

/// run_model for any kernel.
template <class Pins, class Traits>
int run_platform(Link& link, const Platform& platform, const ModelOptions& options) {
  return run_in_systemc(link, [&] {
    if (platform.kernel != Pins::kKernel) {
      die(fmt::format("the .xclbin is of kernel {}, this simulator of {}: ESPLANADE_SIM names the wrong one",
                      platform.kernel, Pins::kKernel));
    }
    if (options.functional) {
      if constexpr (requires(CardBus & bus) { Traits::functional(bus, platform); }) {
        run_functional(link, platform, options, Traits::functional, sense_of<Traits>());
        return;
      } else {
        die(fmt::format("kernel {} has no functional model: ESPLANADE_SIM_MODEL must be rtl", platform.kernel));
      }
    }
    PlatformModel<Pins, Traits> model(link, platform, options);
    finish_on_death(&model);
    sc_core::sc_start();
    model.finish();
    finish_on_death(nullptr);
  });
}

}  // namespace esplanade::sim
