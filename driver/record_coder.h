// The records of a driver's recording (ESPLANADE_RECORD) as octets; docs/espscope.md has the format. A record says only what the ones before it do not let
// expect, so that a packet in a batch takes some ten octets, which costs less to make than to copy what they stand for.
#pragma once

#include <array>
#include <vector>

#include "common/base/bytes.h"

namespace esplanade {

enum class RecordKind : std::uint8_t { kRead = 1, kWrite, kAllocate, kFree, kToCard, kFromCard, kRing, kError, kSubmitted, kDelivered, kSa, kShape, kArrived, kSent, kQueue };
/// A register access, a transfer, an allocation or an error, which take time; the others are moments.
constexpr bool takes_time(RecordKind kind) { return kind <= RecordKind::kFromCard || kind == RecordKind::kError; }

struct Record {
  RecordKind kind;
  std::uint8_t flags = 0;  // below 8
  std::uint32_t thread = 0;
  std::uint64_t ns = 0;  // since the card was opened
  std::uint64_t address = 0;
  std::uint64_t value = 0;   // of kRing and kShape: the queue; of a moment of packets: their queue, in the high half how many
  std::uint32_t took = 0;    // nanoseconds; of a kind that takes_time()
  ByteView payload = {};     // kRing: entries; kShape: 16 octets a packet; kSa: the entry before its keys; kError: a text
};

class RecordCoder {
 public:
  static constexpr std::size_t kShapeBytes = 16;

  /// Queues in kRing and kShape are below `queues`.
  explicit RecordCoder(std::uint32_t queues) : series_(kSeriesEach * std::size_t{queues}) {}
  /// Appends `record` to `out`.
  void put(Bytes& out, const Record& record);
  /// What is put from here on is understood without what was put before.
  void restart();

 private:
  /// Entries of one ring, or shapes of one queue's packets, as words; each is expected to go on as it did from the one before to the last.
  struct Series {
    static constexpr std::size_t kWordsMax = 16;
    std::array<std::uint32_t, kWordsMax> last{}, step{};
    void put(Bytes& out, ByteView entry);
  };
  static constexpr std::size_t kSeriesEach = 4;  // submissions, completions, events, shapes
  struct Former {
    std::uint64_t address = 0, value = 0;
  };

  std::vector<Series> series_;
  std::array<Former, 16> former_{};  // by kind
  std::uint64_t ns_ = 0;
  std::uint32_t thread_ = 0;
};

}  // namespace esplanade
