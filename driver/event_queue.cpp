#include "esplanade/event_queue.h"

#include <fmt/format.h>

#include <algorithm>

namespace esplanade {

namespace {
namespace reg = card::reg;
namespace event = card::event;
}  // namespace

EventQueue::~EventQueue() {
  // Nothing to do about a failure: the card is gone then, or will be reset at the next open.
  if (memory_) static_cast<void>(device_->write32(reg::kEventControl.at(), 0));
}

Result<EventQueue> EventQueue::create(Device& device, std::uint32_t log2_size) {
  if (log2_size < 1 || log2_size > card::kRingLog2Max) return Error{Errc::kBadConfig, fmt::format("ring of 2^{} entries", log2_size)};
  const std::uint32_t entries = 1u << log2_size;
  ESPLANADE_TRY(memory, device.allocate(std::size_t{entries} * card::kEventBytes));
  std::ranges::fill(memory->data(), Byte{0});
  ESPLANADE_CHECK(memory->sync_to_card(0, memory->data().size()));
  EventQueue queue(device, std::move(memory), entries);
  const std::uint64_t address = queue.memory_->address();
  ESPLANADE_CHECK(device.write32(reg::kEventControl.at(), 0));
  ESPLANADE_CHECK(device.write32(reg::kEventBaseLo.at(), static_cast<std::uint32_t>(address)));
  ESPLANADE_CHECK(device.write32(reg::kEventBaseHi.at(), static_cast<std::uint32_t>(address >> 32)));
  ESPLANADE_CHECK(device.write32(reg::kEventControl.at(), reg::kEventControlEnable.put(1) | reg::kEventControlLog2Size.put(log2_size)));
  return queue;
}

Status EventQueue::poll(std::vector<Event>& out) {
  const std::uint32_t before = consumed_;
  for (;;) {
    const std::size_t at = consumed_ % entries_ * card::kEventBytes;
    ESPLANADE_CHECK(memory_->sync_from_card(at, card::kEventBytes));
    const ByteView e = memory_->data().subspan(at, card::kEventBytes);
    const std::uint64_t phase = consumed_ / entries_ % 2 == 0 ? 1 : 0;
    const std::uint64_t type = card::get(e, event::kType);
    // No event is of this type; a lost card's memory is all ones, and then the read says so, whatever the lap.
    if (type == 0xff) ESPLANADE_CHECK(device_->read32(reg::kId.at()));
    if (card::get(e, event::kPhase) != phase) break;
    if (type < 1 || type > static_cast<std::uint64_t>(card::EventType::kError)) {
      return Error{Errc::kMalformed, fmt::format("the card wrote an event of type {}", type)};
    }
    out.push_back({static_cast<card::EventType>(type), static_cast<std::uint32_t>(card::get(e, event::kSaIndex)),
                   static_cast<std::uint32_t>(card::get(e, event::kSpi)), static_cast<std::uint32_t>(card::get(e, event::kArg)), card::get(e, event::kCycle)});
    ++consumed_;
  }
  return consumed_ == before ? ok() : device_->write32(reg::kEventHead.at(), consumed_);
}

}  // namespace esplanade
