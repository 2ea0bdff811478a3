// A card whose buffers lie in few large ones: a card has only NumWindows of those, and a recording's program may have put all its queues into one.
#pragma once

#include "esplanade/device.h"

namespace esplanade::replay {

/// `below` with all buffers in parts of its own. What is freed is not used again before the end.
class Arena final : public Device {
 public:
  explicit Arena(Device& below) : below_(below) {}
  const DeviceInfo& info() const override { return below_.info(); }
  Result<std::uint32_t> read32(std::uint32_t offset) override { return below_.read32(offset); }
  Status write32(std::uint32_t offset, std::uint32_t value) override { return below_.write32(offset, value); }
  /// Errors as those of `below`, whose windows may all be in use.
  Result<std::unique_ptr<Buffer>> allocate(std::size_t bytes) override;

 private:
  Device& below_;
  std::shared_ptr<Buffer> chunk_;
  std::size_t used_ = 0;  // of it
};

}  // namespace esplanade::replay
