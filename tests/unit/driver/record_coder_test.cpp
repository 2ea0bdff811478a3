#include "driver/record_coder.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <random>
#include <string>
#include <tuple>

#include "hw/regs/card_regs.h"

using namespace esplanade;

namespace {

/// Reads what the coder wrote, by docs/espscope.md.
class Decoder {
 public:
  explicit Decoder(ByteView in) : in_(in) {}
  bool more() const { return at_ < in_.size(); }
  /// The payload stays in `payload`.
  Record take(Bytes& payload) {
    Record r{};
    const Byte first = u8();
    r.kind = static_cast<RecordKind>(first & 15);
    r.flags = first >> 4 & 7;
    if ((first & 0x80) != 0) thread_ = static_cast<std::uint32_t>(varint());
    r.thread = thread_;
    r.ns = ns_ += difference();
    auto& [address, value] = former_[r.kind];
    r.address = address += difference();
    value += difference();
    const auto number = static_cast<int>(r.kind);
    const bool is_moment = number == 9 || number == 10 || number == 13 || number == 14;
    r.value = is_moment ? value << 32 | value >> 32 : value;
    if (number <= 6 || number == 8) r.took = static_cast<std::uint32_t>(varint());
    payload.clear();
    if (r.kind == RecordKind::kSa) {
      for (int i = 0; i < 128; ++i) payload.push_back(u8());
    } else if (r.kind == RecordKind::kError) {
      for (auto left = varint(); left != 0; --left) payload.push_back(u8());
    } else if (r.kind == RecordKind::kRing || r.kind == RecordKind::kShape) {
      const std::size_t words = r.kind == RecordKind::kShape ? 4 : r.flags == 2 ? 8 : 16;
      auto& [last, step] = series_[{r.kind, r.flags, r.value}];
      for (auto left = varint(); left != 0; --left) {
        const std::uint64_t other = varint();
        for (std::size_t i = 0; i < words; ++i) {
          step[i] += (other >> i & 1) != 0 ? static_cast<std::uint32_t>(difference()) : 0;
          last[i] += step[i];
          for (unsigned b = 0; b < 32; b += 8) payload.push_back(static_cast<Byte>(last[i] >> b));
        }
      }
    }
    r.payload = payload;
    return r;
  }

 private:
  Byte u8() {
    REQUIRE(at_ < in_.size());
    return in_[at_++];
  }
  std::uint64_t varint() {
    std::uint64_t v = 0;
    for (unsigned shift = 0;; shift += 7) {
      const Byte octet = u8();
      v |= std::uint64_t{octet & 127u} << shift;
      if (octet < 128) return v;
    }
  }
  std::uint64_t difference() {
    const std::uint64_t v = varint();
    return v >> 1 ^ (0 - (v & 1));
  }

  ByteView in_;
  std::size_t at_ = 0;
  std::uint64_t ns_ = 0;
  std::uint32_t thread_ = 0;
  std::map<RecordKind, std::pair<std::uint64_t, std::uint64_t>> former_;
  std::map<std::tuple<RecordKind, std::uint8_t, std::uint64_t>, std::pair<std::array<std::uint32_t, 16>, std::array<std::uint32_t, 16>>> series_;
};

Bytes made(RecordCoder& coder, const std::vector<std::pair<Record, Bytes>>& records) {
  Bytes out;
  for (auto [record, payload] : records) {
    record.payload = payload;
    coder.put(out, record);
  }
  return out;
}

/// Descriptors as a queue has them: numbers and places one after the other.
Bytes descriptors(std::uint64_t first, std::size_t count) {
  Bytes out(count * card::kDescriptorBytes);
  for (std::size_t i = 0; i < count; ++i) {
    const auto d = MutableBytes(out).subspan(i * card::kDescriptorBytes, card::kDescriptorBytes);
    card::set(d, card::descriptor::kOp, 1);
    card::set(d, card::descriptor::kCookie, first + i);
    card::set(d, card::descriptor::kSrcAddr, 0x4000'0000'0000 + 256 * (first + i));
    card::set(d, card::descriptor::kSrcLen, 64);
  }
  return out;
}

}  // namespace

TEST_CASE("record coder: any records come back as they were") {
  const char* given = std::getenv("ESPLANADE_SEED");
  const unsigned seed = given != nullptr ? static_cast<unsigned>(std::strtoul(given, nullptr, 10)) : std::random_device{}();
  INFO("seed=", seed);
  std::mt19937_64 rng(seed);
  constexpr std::uint32_t kQueues = 3;
  const auto number = [&rng] { return rng() % 4 == 0 ? rng() : rng() >> rng() % 64; };
  std::vector<std::pair<Record, Bytes>> records;
  for (int n = 0; n < 4000; ++n) {
    Record r{static_cast<RecordKind>(1 + rng() % 15), static_cast<std::uint8_t>(rng() % 8), static_cast<std::uint32_t>(rng() % 3), number(), number(), number()};
    if (r.kind <= RecordKind::kFromCard || r.kind == RecordKind::kError) r.took = static_cast<std::uint32_t>(number());
    std::size_t octets = r.kind == RecordKind::kSa ? 128 : r.kind == RecordKind::kError ? rng() % 400 : 0;
    if (r.kind == RecordKind::kRing || r.kind == RecordKind::kShape) {
      r.flags = r.kind == RecordKind::kShape ? 0 : static_cast<std::uint8_t>(rng() % 3);
      r.value = rng() % kQueues;
      octets = (rng() % 9) * (r.kind == RecordKind::kShape ? 16 : r.flags == 2 ? 32 : 64);
    }
    Bytes payload(octets);
    const bool dense = rng() % 2 != 0;
    for (Byte& b : payload) b = dense || rng() % 16 == 0 ? static_cast<Byte>(rng()) : Byte{0};
    records.emplace_back(r, payload);
  }
  RecordCoder coder(kQueues);
  const Bytes all = made(coder, records);
  Decoder decoder(all);
  Bytes payload;
  for (std::size_t n = 0; n < records.size(); ++n) {
    INFO("record ", n);
    const Record got = decoder.take(payload);
    const auto& [record, octets] = records[n];
    CHECK((got.kind == record.kind && got.flags == record.flags && got.thread == record.thread && got.ns == record.ns));
    CHECK((got.address == record.address && got.value == record.value && got.took == record.took));
    REQUIRE(payload == octets);
  }
  CHECK_FALSE(decoder.more());
  coder.restart();
  CHECK(made(coder, records) == all);  // so nothing before it counts
}

TEST_CASE("record coder: a packet of a batch like the one before takes one octet of each ring") {
  RecordCoder coder(1);
  Bytes out = made(coder, {{{RecordKind::kRing}, descriptors(0, 2)}});
  const std::size_t head = made(coder, {{{RecordKind::kRing}, descriptors(2, 1)}}).size() - 1;
  CHECK(head < 8);
  CHECK(made(coder, {{{RecordKind::kRing}, descriptors(3, 100)}}).size() == head + 100);
}
