// The card's event ring: lifetimes, sequence numbers, errors.
#pragma once

#include <vector>

#include "esplanade/device.h"

namespace esplanade {

struct Event {
  card::EventType type;
  std::uint32_t sa_index;  // 0xffffffff: none
  std::uint32_t spi;
  std::uint32_t arg;
  std::uint64_t cycle;
};

class EventQueue {
 public:
  static Result<EventQueue> create(Device& device, std::uint32_t log2_size = 8);
  EventQueue(EventQueue&&) noexcept = default;
  EventQueue& operator=(EventQueue&&) = delete;
  ~EventQueue();
  /// Appends the events since the last call, oldest first. kMalformed for an event that makes no sense, kDeviceLost.
  Status poll(std::vector<Event>& out);

 private:
  EventQueue(Device& device, std::unique_ptr<Device::Buffer> memory, std::uint32_t entries)
      : device_(&device), memory_(std::move(memory)), entries_(entries) {}
  Device* device_;
  std::unique_ptr<Device::Buffer> memory_;
  std::uint32_t entries_;
  std::uint32_t consumed_ = 0;
};

}  // namespace esplanade
