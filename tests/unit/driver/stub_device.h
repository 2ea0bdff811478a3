// A Device in memory, for what no real card does: completions that make no sense, registers of any value. Only for unit
// tests of the driver's own checks; everything else runs against the simulated card.
#pragma once

#include <algorithm>
#include <functional>
#include <map>

#include "esplanade/device.h"

namespace esplanade::test {

class StubDevice final : public Device {
 public:
  StubDevice() {
    info_ = {card::kFormatVersion, 0, ~0u, 1, 1, 32, 64, 2048, 1024, 300'000'000, false};
  }
  const DeviceInfo& info() const override { return info_; }
  Result<std::uint32_t> read32(std::uint32_t offset) override {
    if (lost) return Error{Errc::kDeviceLost, "lost"};
    reads.push_back(offset);
    if (on_read) on_read(offset);
    return registers[offset];
  }
  Status write32(std::uint32_t offset, std::uint32_t value) override {
    registers[offset] = value;
    writes.emplace_back(offset, value);
    return ok();
  }
  Result<std::unique_ptr<Buffer>> allocate(std::size_t bytes) override {
    auto buffer = std::make_unique<Memory>(bytes, next_);
    next_ += 1 << 24;
    last = buffer.get();
    ++allocations;
    return std::unique_ptr<Buffer>(std::move(buffer));
  }

  void note(Moment moment, std::uint32_t queue, std::uint64_t first, std::uint32_t count, std::chrono::steady_clock::time_point when) override {
    noted.push_back({moment, queue, first, count, when});
  }
  bool recording() const override { return records; }

  // Card and host see the same octets: syncs have nothing to do.
  class Memory final : public Buffer {
   public:
    Memory(std::size_t bytes, std::uint64_t address) : octets_(bytes), address_(address) {}
    MutableBytes data() override { return octets_; }
    std::uint64_t address() const override { return address_; }
    Status sync_to_card(std::size_t offset, std::size_t size) override {
      to_card.emplace_back(offset, size);
      return inside(offset, size);
    }
    Status sync_from_card(std::size_t offset, std::size_t size) override { return inside(offset, size); }

    std::vector<std::pair<std::size_t, std::size_t>> to_card;  // offset and size of each transfer

   private:
    Status inside(std::size_t offset, std::size_t size) const {
      if (offset > octets_.size() || size > octets_.size() - offset) return Error{Errc::kBadLength, "sync outside the buffer"};
      return ok();
    }
    Bytes octets_;
    std::uint64_t address_;
  };

  DeviceInfo info_;
  std::map<std::uint32_t, std::uint32_t> registers;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> writes;
  Memory* last = nullptr;
  std::size_t allocations = 0;
  std::vector<std::uint32_t> reads;
  std::function<void(std::uint32_t offset)> on_read;  // called before a register is read
  bool lost = false;
  struct Noted {
    Moment moment;
    std::uint32_t queue;
    std::uint64_t first;
    std::uint32_t count;
    std::chrono::steady_clock::time_point when;
  };
  std::vector<Noted> noted;
  bool records = false;
  std::ptrdiff_t reads_of(std::uint32_t offset) const { return std::ranges::count(reads, offset); }

 private:
  std::uint64_t next_ = 1ull << 32;
};

}  // namespace esplanade::test
