#include "sim/functional/fault_bus.h"

#include <algorithm>
#include <utility>

#include "sim/model/die.h"

namespace esplanade::sim {

FaultBus::FaultBus(CardBus& memories, Injector& injector, std::function<std::uint64_t()> now, std::function<void(std::uint64_t)> wait)
    : memories_(memories), injector_(injector), now_(std::move(now)), wait_(std::move(wait)) {
  injector_.on(FaultPoint::kReset, [this](const Fault&) { ask_for_reset(); });
  injector_.on(FaultPoint::kRemoval, [](const Fault&) { die("the card was removed"); });
  injector_.on(FaultPoint::kLaneHung, [this](const Fault& fault) {
    // Nothing is ever in flight here: a port that comes back has cost time and no more.
    if (fault.cycles != 0) return wait_(fault.cycles);
    if (fault.port < 64) hung_ |= std::uint64_t{1} << fault.port;
  });
}

void FaultBus::tick() {
  injector_.at_cycle(now_());
  if (held_ && now_() >= held_->due) {
    const Held held = *std::exchange(held_, std::nullopt);
    memories_.write(held.address, held.data);
  }
}

void FaultBus::settle() {
  if (const auto copy = std::exchange(copy_, std::nullopt)) memories_.write(copy->address, copy->data);
}

bool FaultBus::done(bool good) {
  if (injector_.take(FaultPoint::kDmaStall)) wait_(injector_.last().cycles);
  return good;
}

bool FaultBus::read(std::uint64_t address, MutableBytes to) {
  tick();
  if (!injector_.take(FaultPoint::kAxiReadError)) return done(memories_.read(address, to));
  std::ranges::fill(to, Byte{0});
  return false;
}

bool FaultBus::write(std::uint64_t address, ByteView data) {
  tick();
  if (injector_.at_write(address, data)) {
    if (injector_.take(FaultPoint::kCompletionLost)) return true;
    if (injector_.take(FaultPoint::kCompletionDuplicated)) copy_ = Held{address + data.size(), 0, Bytes(data.begin(), data.end())};
  }
  if (!held_ && injector_.take(FaultPoint::kDmaReorder)) {
    held_ = Held{address, now_() + injector_.last().cycles, Bytes(data.begin(), data.end())};
    return true;
  }
  if (injector_.take(FaultPoint::kAxiWriteError)) return false;
  return done(memories_.write(address, data));
}

}  // namespace esplanade::sim
