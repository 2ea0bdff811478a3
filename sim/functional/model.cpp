#include "sim/functional/model.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <vector>

#include "common/base/log.h"
#include "sim/functional/fault_bus.h"
#include "sim/model/die.h"
#include "sim/model/memory_bytes.h"
#include "sim/model/process.h"

namespace esplanade::sim {

namespace {

/// A register access to a card one of whose ports hangs takes so long, that a host which waits for it sees time pass.
constexpr std::uint64_t kHungCycles = 1'000;

/// The memories of the description.
class Memories final : public CardBus {
 public:
  Memories(Link& link, const Platform& platform) : link_(link), regions_(platform.memories) {
    for (const MemoryRegion& region : regions_) bytes_.push_back(region.host ? nullptr : std::make_unique<SparseBytes>(region));
  }
  bool read(std::uint64_t address, MutableBytes to) override {
    const auto region = holding(address, to.size());
    return region && !bytes_[*region] ? read_host(link_, address, to) : peek(address, to);
  }
  bool peek(std::uint64_t address, MutableBytes to) override {
    const auto region = holding(address, to.size());
    if (!region || !bytes_[*region]) return false;
    std::copy_n(bytes_[*region]->at(address - regions_[*region].base), to.size(), to.begin());
    return true;
  }
  /// Flips a bit of the octet at `address`; false: no memory of the card there.
  bool flip(std::uint64_t address, std::uint64_t bit) {
    const auto region = holding(address, 1);
    if (!region || !bytes_[*region]) return false;
    *bytes_[*region]->at(address - regions_[*region].base) ^= static_cast<Byte>(1U << bit % 8);
    return true;
  }
  bool write(std::uint64_t address, ByteView data) override {
    const auto region = holding(address, data.size());
    if (!region) return false;
    if (!bytes_[*region]) return write_host(link_, address, data);
    std::ranges::copy(data, bytes_[*region]->at(address - regions_[*region].base));
    return true;
  }

 private:
  std::optional<std::size_t> holding(std::uint64_t address, std::uint64_t size) const {
    for (std::size_t i = 0; i < regions_.size(); ++i) {
      const std::uint64_t offset = address - regions_[i].base;
      if (address >= regions_[i].base && offset < regions_[i].size && size <= regions_[i].size - offset) return i;
    }
    return std::nullopt;
  }
  Link& link_;
  const std::vector<MemoryRegion> regions_;
  std::vector<std::unique_ptr<SparseBytes>> bytes_;  // null: the host's
};

class FunctionalModel final : public Finisher {
 public:
  FunctionalModel(Link& link, const Platform& platform, const ModelOptions& options, const MakeFunctional& make, KernelSense sense)
      : link_(link), platform_(platform), options_(options), make_(make), memories_(link, platform) {
    if (!options.faults.empty() || options.takes_faults) arm(std::move(sense));
    for (std::size_t i = 0; i < platform.units; ++i) units_.push_back({make_(bus(i), platform)});
  }

  void run() {
    for (;;) {
      link_.tell_cycle(cycle());
      auto call = link_.receive(std::chrono::milliseconds(-1));
      if (!call || !*call || !serve(**call)) return;
    }
  }

  void finish() override {
    if (finished_) return;
    finished_ = true;
    KernelStatistics s;
    for (const auto& unit : units_) {
      s.cycles += unit.cycles();
      s.busy_cycles += unit.busy_before + unit.kernel->busy_cycles();
    }
    s.register_accesses = register_accesses_;
    const double wall = std::chrono::duration<double>(std::chrono::steady_clock::now() - began_).count();
    log_info("functional model: {} cycles by its formula; open for {:.1f} s; {} register accesses", s.cycles, wall, register_accesses_);
    if (!options_.stats_file.empty()) write_statistics(options_.stats_file, s, {}, interrupts_, wall, 0);
  }

 private:
  struct Unit {
    std::unique_ptr<FunctionalKernel> kernel;
    std::uint64_t before = 0, busy_before = 0;  // cycles up to its last reset
    bool interrupt = false;
    std::uint64_t cycles() const { return before + kernel->cycles(); }
  };

  /// Faults hit the first unit; a reset all of them.
  void arm(KernelSense sense) {
    sense.error = [this] { return units_[0].kernel->error(); };
    injector_.emplace(std::move(sense));
    fault_bus_.emplace(memories_, *injector_, [this] { return units_[0].cycles(); }, [this](std::uint64_t cycles) { units_[0].kernel->skip(cycles); });
    for (const Fault& fault : options_.faults) {
      if (const Status armed = injector_->add(fault); !armed) die(armed.error().detail);
    }
    const auto flip = [](const Fault& fault, bool done) {
      if (!done) log_warn("{}: no such place in this kernel", fault_name(fault.point));
    };
    injector_->on(FaultPoint::kMemoryBitFlip, [this, flip](const Fault& fault) { flip(fault, memories_.flip(fault.address, fault.bit)); });
    injector_->on(FaultPoint::kSaBitFlip, [this, flip](const Fault& fault) { flip(fault, units_[0].kernel->flip_sa(fault.address, fault.bit)); });
    injector_->on(FaultPoint::kPacketBitFlip, [this, flip](const Fault& fault) { flip(fault, units_[0].kernel->flip_packet(fault.address, fault.bit)); });
    injector_->on(FaultPoint::kLinkDown, [this](const Fault&) {
      if (platform_.timing.link_down_resets != 0) fault_bus_->ask_for_reset();
    });
  }
  CardBus& bus(std::size_t unit) {
    if (unit == 0 && fault_bus_) return *fault_bus_;
    return memories_;
  }
  /// All units as new, and the clock goes on.
  void reset() {
    for (std::size_t i = 0; i < units_.size(); ++i) {
      Unit& unit = units_[i];
      unit.before = unit.cycles() + platform_.timing.reset_delay + platform_.timing.reset_cycles;
      unit.busy_before += unit.kernel->busy_cycles();
      unit.interrupt = false;
      unit.kernel = make_(bus(i), platform_);
    }
  }
  bool link_is_down() { return injector_ && injector_->take(FaultPoint::kLinkDown); }

  bool serve(LinkFrame& call) {
    LinkFrame answer;
    switch (call.op) {
      case LinkOp::kReadRegisters:
        call.payload.assign(call.size, 0xff);
        answer.valid = registers(false, call);
        break;
      case LinkOp::kWriteRegisters:
        answer.valid = registers(true, call);
        call.payload.clear();
        break;
      case LinkOp::kReadMemory:
        call.payload.assign(call.size, 0xff);
        answer.valid = !link_is_down() && memories_.read(call.address, call.payload);
        break;
      case LinkOp::kWriteMemory:
        answer.valid = !link_is_down() && memories_.write(call.address, call.payload);
        call.payload.clear();
        break;
      case LinkOp::kTime: {
        const std::uint64_t ns = cycle() * 1000 / platform_.clock_mhz;
        call.payload.resize(sizeof ns);
        std::memcpy(call.payload.data(), &ns, sizeof ns);
        answer.valid = true;
        break;
      }
      case LinkOp::kInject: {
        const std::string text = arm_plan(injector_ ? &*injector_ : nullptr, {call.payload.begin(), call.payload.end()}, cycle());
        call.payload.assign(text.begin(), text.end());
        answer.valid = true;
        break;
      }
      case LinkOp::kClose:
        finish();
        answer.valid = true;
        break;
      default:
        log_error("the front sent an operation that is none: {}", static_cast<unsigned>(call.op));
        return false;
    }
    link_.tell_cycle(cycle());
    return static_cast<bool>(link_.send(answer, call.payload)) && call.op != LinkOp::kClose;
  }

  bool registers(bool write, LinkFrame& call) {
    const std::size_t size = call.payload.size();
    const std::uint64_t range = platform_.control_range, offset = call.address - platform_.control_base;
    if (call.address < platform_.control_base || offset / range >= units_.size() || size > range - offset % range || offset % 4 != 0 ||
        size % 4 != 0) {
      log_warn("host access to 0x{:x}, which is no register of the kernel", call.address);
      return false;
    }
    if (size != 0 && link_is_down()) return false;
    Unit& unit = units_[offset / range];
    if (platform_.timing.idle_follows_wall != 0) follow_wall();
    // Highest offset first: where a message spans several registers, the one that starts things is the lowest.
    for (std::size_t at = size; at > 0; at -= 4) {
      const auto reg = static_cast<std::uint32_t>(offset % range + at - 4);
      Byte* word = call.payload.data() + at - 4;
      ++register_accesses_;
      access(unit, write, reg, word);
    }
    return true;
  }
  void access(Unit& unit, bool write, std::uint32_t reg, Byte* word) {
    const bool watched = injector_ && &unit == &units_[0];
    if (watched) {
      if (fault_bus_->hung()) unit.kernel->skip(kHungCycles);
      fault_bus_->tick();
      // What a write starts is done when it is answered: faults that wait for it must be there before.
      if (write) injector_->at_register(true, reg, load_le32(word));
    }
    if (write) {
      unit.kernel->write(reg, load_le32(word));
    } else {
      store_le32(word, unit.kernel->read(reg));
    }
    if (watched) fault_bus_->settle();
    if (watched && !write) injector_->at_register(false, reg, load_le32(word));
    if (unit.kernel->interrupt() && !unit.interrupt) {
      ++interrupts_.raised;
      if (!watched || !injector_->take(FaultPoint::kInterruptLost)) ++interrupts_.messages;
    }
    unit.interrupt = unit.kernel->interrupt();
    if (watched && fault_bus_->take_reset()) reset();
  }

  /// Of the unit that ran most.
  std::uint64_t cycle() const {
    std::uint64_t cycles = 0;
    for (const auto& unit : units_) cycles = std::max(cycles, unit.cycles());
    return cycles;
  }

  void follow_wall() {
    const auto now = std::chrono::steady_clock::now();
    const auto cycles = static_cast<std::uint64_t>(std::chrono::duration<double>(now - last_access_).count() * platform_.clock_mhz * 1e6);
    last_access_ = now;
    for (const auto& unit : units_) unit.kernel->skip(cycles);
  }

  Link& link_;
  const Platform& platform_;
  const ModelOptions& options_;
  const MakeFunctional& make_;
  Memories memories_;
  std::optional<Injector> injector_;
  std::optional<FaultBus> fault_bus_;
  std::vector<Unit> units_;
  InterruptStatistics interrupts_;
  const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point last_access_ = began_;
  std::uint64_t register_accesses_ = 0;
  bool finished_ = false;
};

}  // namespace

int run_functional(Link& link, const Platform& platform, const ModelOptions& options, const MakeFunctional& make, KernelSense sense) {
  if (!options.wave.file.empty()) log_warn("the functional model has no waves");
  FunctionalModel model(link, platform, options, make, std::move(sense));
  finish_on_death(&model);
  model.run();
  model.finish();
  finish_on_death(nullptr);
  return 0;
}

}  // namespace esplanade::sim
