#include "driver/record_coder.h"

#include <algorithm>
#include <bit>

#include "hw/regs/card_regs.h"

namespace esplanade {

namespace {

constexpr std::size_t kVarintMax = 10;

/// Octets that grow from a place on the stack, which takes them faster than a vector does.
template <std::size_t kMax>
class Short {
 public:
  void u8(Byte v) { octets_[size_++] = v; }
  /// 7 bits an octet, the lowest first; bit 7: more follow.
  void varint(std::uint64_t v) {
    for (; v >= 0x80; v >>= 7) u8(static_cast<Byte>(v | 0x80));
    u8(static_cast<Byte>(v));
  }
  /// Differences: 0, -1, 1, -2 and so on are 0, 1, 2, 3.
  void difference(std::uint64_t to, std::uint64_t from) {
    const auto d = static_cast<std::int64_t>(to - from);
    varint(static_cast<std::uint64_t>(d) << 1 ^ static_cast<std::uint64_t>(d >> 63));
  }
  ByteView view() const { return ByteView(octets_).first(size_); }

 private:
  std::array<Byte, kMax> octets_;
  std::size_t size_ = 0;
};

constexpr bool is_of_packets(RecordKind kind) {
  return kind == RecordKind::kSubmitted || kind == RecordKind::kDelivered || kind == RecordKind::kArrived || kind == RecordKind::kSent;
}

constexpr std::size_t entry_bytes(const Record& r) {
  constexpr std::uint8_t kEvents = 2;
  static_assert(card::kDescriptorBytes == card::kCompletionBytes);
  return r.kind == RecordKind::kShape ? RecordCoder::kShapeBytes : r.flags == kEvents ? card::kEventBytes : card::kCompletionBytes;
}

}  // namespace

void RecordCoder::Series::put(Bytes& out, ByteView entry) {
  const std::size_t words = entry.size() / 4;
  std::array<std::uint32_t, kWordsMax> off{};
  std::uint32_t any = 0;
  for (std::size_t i = 0; i < words; ++i) {  // without a branch: the compiler makes it a few wide instructions
    const std::uint32_t word = load_le32(&entry[4 * i]), step_now = word - last[i];
    off[i] = step_now - step[i];
    any |= off[i];
    step[i] = step_now;
    last[i] = word;
  }
  if (any == 0) return out.push_back(0);
  std::uint32_t other = 0;  // bits of the words that are not as expected
  for (std::size_t i = 0; i < words; ++i) other |= std::uint32_t{off[i] != 0} << i;
  Short<kVarintMax*(1 + kWordsMax)> octets;
  octets.varint(other);
  for (; other != 0; other &= other - 1) {
    octets.difference(static_cast<std::uint64_t>(std::int64_t{static_cast<std::int32_t>(off[static_cast<std::size_t>(std::countr_zero(other))])}), 0);
  }
  esplanade::put(out, octets.view());
}

void RecordCoder::put(Bytes& out, const Record& r) {
  constexpr Byte kOtherThread = 0x80;
  Short<1 + 6 * kVarintMax> head;
  const bool other_thread = r.thread != thread_;
  head.u8(static_cast<Byte>(static_cast<unsigned>(r.kind) | unsigned{r.flags} << 4 | (other_thread ? kOtherThread : 0u)));
  if (other_thread) head.varint(r.thread);
  head.difference(r.ns, ns_);
  Former& former = former_[static_cast<std::size_t>(r.kind)];
  head.difference(r.address, former.address);
  const std::uint64_t value = is_of_packets(r.kind) ? std::rotl(r.value, 32) : r.value;  // how many changes more often than which queue
  head.difference(value, former.value);
  former = {r.address, value};
  thread_ = r.thread;
  ns_ = r.ns;
  if (takes_time(r.kind)) head.varint(r.took);
  const bool in_series = r.kind == RecordKind::kRing || r.kind == RecordKind::kShape;
  const std::size_t each = in_series ? entry_bytes(r) : 1;
  if (in_series || r.kind == RecordKind::kError) head.varint(r.payload.size() / each);
  esplanade::put(out, head.view());
  if (!in_series) return esplanade::put(out, r.payload);
  Series& series = series_[kSeriesEach * static_cast<std::size_t>(r.value) + (r.kind == RecordKind::kShape ? kSeriesEach - 1 : r.flags)];
  for (std::size_t at = 0; at < r.payload.size(); at += each) series.put(out, r.payload.subspan(at, each));
}

void RecordCoder::restart() {
  std::ranges::fill(series_, Series{});
  former_ = {};
  ns_ = 0;
  thread_ = 0;
}

}  // namespace esplanade
