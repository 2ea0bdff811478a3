// One submission and one completion ring of a card with their packet buffers. Batched: submit() only fills, flush()
// moves and rings the doorbell once, reap() fetches what is done with as few transfers as it can. Packets are copied into
// the queue's own buffers, or stand in the caller's as segments, which the card gathers from and scatters to.
#pragma once

#include <array>
#include <chrono>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "esplanade/device.h"

namespace esplanade {

/// A place in a buffer of the caller's own (Device::allocate) that the card reads or writes itself. The caller syncs it:
/// to the card before flush(), from the card after completion, and keeps the buffer until then.
struct Segment {
  Device::Buffer* buffer;
  std::size_t offset;  // offset and the buffer's address: multiples of kBufferAlign
  std::uint32_t size;  // a multiple of kBufferAlign in all segments but the last
};

/// A packet to be processed. Its octets come from `source` where that is not empty, else from `pieces`, else `packet`.
struct Submission {
  card::Op op;
  std::uint32_t sa_index;  // encapsulation
  ByteView packet;         // copied by submit()
  std::uint64_t cookie;
  std::optional<std::array<Byte, 8>> iv = std::nullopt;  // encapsulation in test mode only
  std::span<const ByteView> pieces = {};                 // copied by submit(), one behind the other
  std::span<const Segment> source = {};                  // up to kMaxSegments; more than one needs CAPS.SCATTER_GATHER
  std::span<const Segment> destination = {};             // the same for the result; empty: the queue's own buffer
  std::chrono::steady_clock::time_point arrived = {};    // when the program got it, for a recording (Device::recording()); none: not told
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
  std::uint32_t len;                    // of the result; 0 unless status is kOk
  ByteView packet;                      // empty unless status is kOk and the result is in the queue's own buffer
  std::uint64_t number;                 // of the packet in its queue, from 0
};

/// How often a queue's packets ended with a status, modulo 2^32. card::name_of gives the status its name.
struct StatusCount {
  card::Status status;
  std::uint32_t count;
};

struct QueueOptions {
  std::uint32_t log2_size = 8;   // entries of both rings
  bool in_order = true;          // complete in the order of submission; false: only within each SA, so none waits for another
  std::uint32_t slot_bytes = 0;  // room for a packet, and for its result; 0: the card's MAX_PACKET
};

class PacketQueue {
 public:
  /// Sets up queue `number`; it belongs to lane `number` modulo DeviceInfo::lanes. kUnsupported: no such queue;
  /// kBadConfig: options out of range.
  static Result<PacketQueue> create(Device& device, std::uint32_t number, const QueueOptions& options);
  static Result<PacketQueue> create(Device& device, std::uint32_t number = 0, std::uint32_t log2_size = 8) {
    return create(device, number, {.log2_size = log2_size});
  }
  /// Queues 0 to `count` - 1 in one memory window, of which a card has only NumWindows. Each may have its own thread.
  static Result<std::vector<PacketQueue>> create_all(Device& device, std::uint32_t count, const QueueOptions& options = {});
  PacketQueue(PacketQueue&&) noexcept = default;
  PacketQueue& operator=(PacketQueue&&) = delete;
  /// Lets the card finish what it has (a second at most), then switches the queue off.
  ~PacketQueue();

  /// Errors: kRingFull (reap first), kBadLength (empty, above MAX_PACKET or, where copied, above the slot), kUnsupported
  /// (segments on a card that has none), kBadConfig (segments that the card would refuse). Nothing is queued then.
  Status submit(const Submission& submission);
  /// Hands everything submitted to the card.
  Status flush();
  /// Calls `done` for each packet finished since the last call. Everything that the card wrote is checked; what makes
  /// no sense is kDeviceLost (a card that fell off the bus reads all ones) or kMalformed (a card that must be reset).
  /// A card that is silent for long with packets inside is asked for the reason: kDeviceLost; kState with the card's own
  /// words when it stopped the queue; kMalformed when a completion got lost; kTimeout when it hangs.
  Status reap(const std::function<void(const Completed&)>& done);
  /// For a recording: the result of packet Completed::number has gone to where the program sends it.
  void note_sent(std::uint64_t packet, std::chrono::steady_clock::time_point when = {}) { device_->note(Device::Moment::kSent, number_, packet, 1, when); }
  /// Submitted and not yet reaped.
  std::size_t in_flight() const { return static_cast<std::size_t>(produced_ - consumed_); }
  std::size_t capacity() const { return slots_.size() / 2; }
  std::uint32_t number() const { return number_; }
  /// Largest packet that is taken by copy, and largest result that fits without `destination`.
  std::uint32_t slot_bytes() const { return slot_bytes_; }
  /// The card's counts of this queue since its reset, one for every status, in order.
  Result<std::vector<StatusCount>> counters();

 private:
  struct Slot {
    bool busy = false;
    std::uint64_t number = 0;  // of the submission that holds it
    std::uint64_t cookie = 0;
    card::Op op = card::Op::kNop;
    std::uint32_t copied = 0;  // octets in the source buffer
    std::uint32_t room = 0;    // for the result
    bool lists = false;        // its segment lists are in use
    bool scattered = false;    // the result goes to the caller's segments
  };
  PacketQueue(Device& device, std::uint32_t number, std::unique_ptr<Device::Buffer> memory, std::uint32_t entries, std::uint32_t slot_bytes);

  static Result<std::size_t> memory_bytes(const Device& device, std::uint32_t number, const QueueOptions& options);
  static Result<PacketQueue> create_in(Device& device, std::uint32_t number, const QueueOptions& options, std::unique_ptr<Device::Buffer> memory);
  Result<std::uint32_t> check_segments(std::span<const Segment> segments, const char* what) const;
  void put_segments(std::span<const Segment> segments, std::size_t list_at, MutableBytes descriptor, card::Field address, card::Field count);
  Status move_out(std::uint64_t from, std::uint64_t to);
  Result<std::size_t> fetch_completions();
  Status fetch_results(std::uint64_t from, std::size_t count);
  Status ask_why_silent();
  Status ask_if_it_hangs();
  Result<Completed> check(ByteView completion);
  std::size_t slot_of(std::uint64_t n) const { return static_cast<std::size_t>(n % slots_.size()); }

  Device* device_;
  std::uint32_t number_;
  std::unique_ptr<Device::Buffer> memory_;
  std::vector<Slot> slots_;
  std::uint32_t slot_bytes_;
  // Places in memory_, in bytes.
  std::size_t sq_at_, cq_at_, list_at_, src_at_, dst_at_;
  // Free-running counts.
  std::uint64_t produced_ = 0, flushed_ = 0, consumed_ = 0, told_consumed_ = 0;
  std::size_t look_ahead_;  // completions that the next look fetches
  std::vector<const Byte*> results_;  // of the completions that were fetched last
  std::chrono::steady_clock::time_point heard_{};  // when the card last gave a sign of life
  struct Silence {
    std::chrono::steady_clock::time_point since;
    std::uint64_t cycles;
  };
  std::optional<Silence> silent_;  // since when it has not, with packets inside
};

}  // namespace esplanade
