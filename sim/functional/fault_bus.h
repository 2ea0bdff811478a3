// What a plan of faults makes of the memories behind a functional kernel: the points of sim/faults.h, at the accesses of the model in place of
// bursts on pins.
#pragma once

#include <functional>
#include <optional>
#include <utility>

#include "sim/functional/model.h"
#include "sim/model/injector.h"

namespace esplanade::sim {

/// Between the kernel and its memories. All that an access of the kernel can meet is here: errors, delays, order, completions, ports that hang.
class FaultBus final : public CardBus {
 public:
  /// `now` is the kernel's clock, `wait` lets it run on by cycles without work. All must outlive it.
  FaultBus(CardBus& memories, Injector& injector, std::function<std::uint64_t()> now, std::function<void(std::uint64_t)> wait);

  bool read(std::uint64_t address, MutableBytes to) override;
  bool write(std::uint64_t address, ByteView data) override;
  bool peek(std::uint64_t address, MutableBytes to) override { return memories_.peek(address, to); }
  bool halted(std::uint32_t port) const override { return reset_due_ || (port < 64 && (hung_ >> port & 1) != 0); }

  /// A moment passed: triggers and what was held back. Before each access of the host, too.
  void tick();
  /// What the host's access started is done. A completion's second copy comes now: before, the next completion would be written over it, and no
  /// host is quick enough to see it as one of the RTL can.
  void settle();
  /// A port hangs for ever.
  bool hung() const { return hung_ != 0; }
  void ask_for_reset() { reset_due_ = true; }
  /// True once after a reset was asked for; until then the kernel takes up nothing more.
  bool take_reset() { return std::exchange(reset_due_, false); }

 private:
  bool done(bool good);

  CardBus& memories_;
  Injector& injector_;
  const std::function<std::uint64_t()> now_;
  const std::function<void(std::uint64_t)> wait_;
  std::uint64_t hung_ = 0;  // by port
  bool reset_due_ = false;
  struct Held {
    std::uint64_t address, due;  // cycle
    Bytes data;
  };
  std::optional<Held> held_;  // answered, not yet in memory
  std::optional<Held> copy_;  // of a completion
};

}  // namespace esplanade::sim
