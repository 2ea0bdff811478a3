// One submission and one completion ring of a card with their packet buffers. Batched: submit() only fills, flush()
// moves and rings the doorbell once, reap() fetches what is done with as few transfers as it can.
#pragma once

#include <array>
#include <chrono>
#include <functional>
#include <optional>
#include <vector>

#include "esplanade/device.h"

namespace esplanade {

/// A packet to be processed; copied by submit().
struct Submission {
  card::Op op;
  std::uint32_t sa_index;  // encapsulation
  ByteView packet;
  std::uint64_t cookie;
  std::optional<std::array<Byte, 8>> iv = std::nullopt;  // encapsulation in test mode only
};

/// What the card said of one packet. `packet` is valid inside the callback only.
struct Completed {
  std::uint64_t cookie;
  card::Op op;
  card::Status status;
  std::uint8_t next_header;
  std::uint32_t sa_index;  // 0xffffffff: none found
  std::uint32_t spi;
  std::uint64_t seq;
  std::array<std::uint32_t, 5> cycles;  // fetched, started, ciphered, hashed, done; low 32 bits of CYCLES
  ByteView packet;                      // empty unless status is kOk
};

class PacketQueue {
 public:
  /// Sets up queue `number` with 2^log2_size entries.
  static Result<PacketQueue> create(Device& device, std::uint32_t number = 0, std::uint32_t log2_size = 8);
  PacketQueue(PacketQueue&&) noexcept = default;
  PacketQueue& operator=(PacketQueue&&) = delete;
  /// Lets the card finish what it has (a second at most), then switches the queue off.
  ~PacketQueue();

  /// Errors: kRingFull (reap first), kBadLength (empty, or above the card's MAX_PACKET).
  Status submit(const Submission& submission);
  /// Hands everything submitted to the card.
  Status flush();
  /// Calls `done` for each packet finished since the last call. Everything that the card wrote is checked; what makes
  /// no sense is kDeviceLost (a card that fell off the bus reads all ones) or kMalformed (a card that must be reset).
  /// A card that is silent for long with packets inside is asked for the reason: kDeviceLost, or kState with the
  /// card's own words when it stopped the queue.
  Status reap(const std::function<void(const Completed&)>& done);
  /// Submitted and not yet reaped.
  std::size_t in_flight() const { return static_cast<std::size_t>(produced_ - consumed_); }
  std::size_t capacity() const { return slots_.size() / 2; }

 private:
  struct Slot {
    bool busy = false;
    std::uint64_t number = 0;  // of the submission that holds it
    std::uint64_t cookie = 0;
    card::Op op = card::Op::kNop;
  };
  PacketQueue(Device& device, std::uint32_t number, std::unique_ptr<Device::Buffer> memory, std::uint32_t entries, std::uint32_t slot_bytes);

  Status move_out(std::uint64_t from, std::uint64_t to);
  Result<std::size_t> fetch_completions();
  Status fetch_results(std::uint64_t from, std::size_t count);
  Status ask_why_silent();
  Result<Completed> check(ByteView completion);
  std::size_t slot_of(std::uint64_t n) const { return static_cast<std::size_t>(n % slots_.size()); }

  Device* device_;
  std::uint32_t number_;
  std::unique_ptr<Device::Buffer> memory_;
  std::vector<Slot> slots_;
  std::uint32_t slot_bytes_;
  // Places in memory_, in bytes.
  std::size_t sq_at_, cq_at_, src_at_, dst_at_;
  // Free-running counts.
  std::uint64_t produced_ = 0, flushed_ = 0, consumed_ = 0, told_consumed_ = 0;
  std::chrono::steady_clock::time_point heard_{};  // when the card last gave a sign of life
};

}  // namespace esplanade
