// The functional card with its look ahead against itself without: both get the same registers and memory, with many
// descriptors a doorbell, and everything must be the same to the last stamp and octet. Packets change what was foreseen
// for those behind them: they take IVs or do not, close SAs, move windows, and write over sources.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>

#include "common/testing/seed.h"
#include "sim/functional/card.h"
#include "tests/sim/functional_bench.h"

using namespace esplanade;
using namespace esplanade::sim;
using namespace esplanade::sim::functional_bench;
namespace reg = card::reg;

namespace {

constexpr std::uint64_t kBase = 0x40'0000'0000, kSize = 0x20'0000;
constexpr std::uint64_t kQueueAt = kBase, kEvents = kBase + 0x30'000, kLists = kBase + 0x38'000, kSlots = kBase + 0x40'000;
constexpr std::uint64_t kHole = kBase + 0x1f0'000;  // inside the window, and no memory there
constexpr std::uint64_t kSlot = 0x800;
constexpr unsigned kNumSlots = 800, kQueues = 3, kLog2 = 8, kEventLog2 = 8;
constexpr std::uint32_t kSas = 24;

class Memory final : public CardBus {
 public:
  bool read(std::uint64_t address, MutableBytes to) override { return peek(address, to); }
  bool write(std::uint64_t address, ByteView data) override {
    if (!there(address, data.size())) return false;
    std::ranges::copy(data, &octets[address - kBase]);
    return true;
  }
  bool peek(std::uint64_t address, MutableBytes to) override {
    if (!there(address, to.size())) return false;
    std::copy_n(&octets[address - kBase], to.size(), to.begin());
    return true;
  }
  Bytes octets = Bytes(kHole - kBase);

 private:
  bool there(std::uint64_t address, std::size_t size) const { return address >= kBase && address - kBase + size <= octets.size(); }
};

struct Pair {
  Memory ahead_memory, plain_memory;
  FunctionalCard ahead{ahead_memory, {.queues = kQueues}}, plain{plain_memory, {.queues = kQueues, .look_ahead = false}};

  void write(std::uint32_t offset, std::uint32_t value) {
    ahead.write(offset, value);
    plain.write(offset, value);
  }
  std::uint32_t read(std::uint32_t offset) {
    const std::uint32_t value = plain.read(offset);
    CHECK(ahead.read(offset) == value);
    return value;
  }
  void write64(std::uint32_t lo, std::uint64_t value) {
    write(lo, static_cast<std::uint32_t>(value));
    write(lo + 4, static_cast<std::uint32_t>(value >> 32));
  }
  void put(std::uint64_t at, ByteView octets) {
    ahead_memory.write(at, octets);
    plain_memory.write(at, octets);
  }
  void compare() {
    if (ahead_memory.octets != plain_memory.octets) {
      const auto at = std::ranges::mismatch(ahead_memory.octets, plain_memory.octets).in1 - ahead_memory.octets.begin();
      FAIL("memory differs at octet ", at);
    }
    for (const card::Reg& r : reg::kAll) {
      for (std::uint32_t n = 0; n < r.count; ++n) {
        CAPTURE(std::string(r.name));
        read(r.at(n));
      }
    }
    CHECK(ahead.busy_cycles() == plain.busy_cycles());
  }
};

class Traffic : public Random {
 public:
  explicit Traffic(std::uint64_t seed) : Random(seed) {
    open_card(pair_, {kBase, kEvents, kSize, kEventLog2}, [this](std::uint32_t) { return static_cast<std::uint32_t>(any()); });
    for (std::uint32_t q = 0; q < kQueues; ++q) start_queue(pair_, q, kQueueAt + 0x10'000 * q, kQueueAt + 0x10'000 * q + 0x8000, kLog2);
  }

  void round() {
    for (std::uint64_t n = below(6); n > 0; --n) install(static_cast<std::uint32_t>(below(kSas)));
    for (std::uint32_t q = 0; q < kQueues; ++q) {
      const std::uint64_t number = percent(20) ? 0 : percent(50) ? below(12) : below(1u << kLog2);
      for (std::uint64_t n = 0; n < number && tail_[q] - pair_.read(reg::kSqHead.at(q)) < 1u << kLog2; ++n) {
        pair_.put(kQueueAt + 0x10'000 * q + 64 * (tail_[q] % (1u << kLog2)), descriptor());
        ++tail_[q];
      }
    }
    // With the doorbells shut, so that several queues are found full.
    if (percent(50)) pair_.write(reg::kControl.offset, 2);
    for (std::uint32_t q = 0; q < kQueues; ++q) pair_.write(reg::kSqTail.at(q), tail_[q]);
    pair_.write(reg::kControl.offset, 3);
    pair_.compare();
    for (std::uint32_t q = 0; q < kQueues; ++q) {
      const std::uint32_t done = pair_.read(reg::kCqTail.at(q));
      for (; head_[q] != done; ++head_[q]) {
        Bytes entry(64);
        pair_.plain_memory.read(kQueueAt + 0x10'000 * q + 0x8000 + 64 * (head_[q] % (1u << kLog2)), entry);
        ++results[card::name_of(static_cast<card::Status>(card::get(entry, card::completion::kStatus)))];
      }
      if (!percent(30)) pair_.write(reg::kCqHead.at(q), done);
    }
    pair_.write(reg::kEventHead.offset, pair_.read(reg::kEventTail.offset));
    pair_.compare();
  }

  std::map<std::string, unsigned> results;

 private:
  std::uint64_t slot() { return kSlots + kSlot * below(kNumSlots); }

  void install(std::uint32_t index) {
    esp::SaParams p;
    p.outbound = percent(50);
    p.protocol = percent(10) ? esp::Protocol::kAh : esp::Protocol::kEsp;
    p.mode = percent(20) ? esp::Mode::kTransport : esp::Mode::kTunnel;
    p.spi = static_cast<std::uint32_t>((1 + below(1u << 19)) << 12 | index);
    p.cipher = p.protocol == esp::Protocol::kAh || percent(10) ? esp::Cipher::kNull : percent(20) ? esp::Cipher::kDesCbc : esp::Cipher::kTripleDesCbc;
    p.auth = static_cast<esp::Auth>(p.cipher == esp::Cipher::kNull ? 1 + below(2) : below(3));
    p.enc_key = Secret(octets(esp::key_len(p.cipher)));
    p.auth_key = Secret(octets(esp::key_len(p.auth)));
    p.src = *esp::parse_address("192.0.2.1");
    p.dst = *esp::parse_address("192.0.2.2");
    if (p.protocol == esp::Protocol::kEsp && percent(25)) p.natt.emplace();
    p.esn = percent(25) && p.auth != esp::Auth::kNone;
    p.seq = percent(80) ? 0 : p.esn ? any() >> 20 : percent(20) ? 0xfffffff0 : below(0xf0000010);
    p.replay_window = static_cast<std::uint16_t>(32 * (1 + below(4)));
    p.check_outer = !p.outbound && percent(60);
    if (percent(20)) p.soft.packets = 1 + below(40);
    if (percent(20)) p.hard.packets = 3 + below(60);
    if (percent(20)) p.hard.bytes = 500 + below(40000);
    const auto entry = SaTable::encode(p, ~0U);
    pair_.write(reg::kSaIndex.offset, index);
    pair_.write(reg::kSaCommand.offset, static_cast<std::uint32_t>(card::SaCommand::kRemove));
    write_entry(pair_, entry);
    pair_.write(reg::kSaCommand.offset, static_cast<std::uint32_t>(card::SaCommand::kInstall));
    table_.insert_or_assign(index, Sa(std::move(p)));
  }

  Bytes plain() {
    Bytes p = octets(20 + (percent(70) ? below(120) : below(1400)));
    std::ranges::copy(esp::parse_address("192.0.2.1")->bytes(), &p[12]);
    std::ranges::copy(esp::parse_address("192.0.2.2")->bytes(), &p[16]);
    make_ipv4(p, percent(2) ? 0x2000 : 0, 17);
    return p;
  }

  Bytes descriptor() {
    namespace d = card::descriptor;
    Bytes out(64);
    const auto put = [&out](card::Field field, std::uint64_t value) { card::set(out, field, value); };
    const auto index = static_cast<std::uint32_t>(below(kSas));
    const auto sa = table_.find(index);
    Bytes source = plain();
    const bool encap = sa == table_.end() || !sa->second.peer;
    if (!encap) {
      if (!old_.empty() && percent(8)) {
        source = old_[below(old_.size())];
      } else if (auto sent = sa->second.peer->encap(source, iv())) {
        source = std::move(sent->packet);
        old_.push_back(source);
      }
    }
    if (percent(5)) source[below(source.size())] ^= static_cast<Byte>(1u << below(8));
    const std::uint64_t from = slot();
    put(d::kOp, percent(2) ? 0 : encap ? 1 : 2);
    put(d::kSaIndex, index);
    put(d::kCookie, any());
    put(d::kSrcAddr, percent(1) ? kHole : from);
    put(d::kDstAddr, percent(1) ? kHole : percent(5) ? from : slot() + (percent(30) ? 64 * below(8) : 0));  // often what another waits to read, or a part
    put(d::kSrcLen, source.size());
    put(d::kDstSize, percent(95) ? kSlot : below(source.size() + 80));
    if (encap && percent(30)) {
      put(d::kHostIv, 1);
      std::ranges::copy(iv(), card::octets(std::span<Byte>(out), d::kIv).begin());
    }
    if (percent(10)) {
      const std::uint64_t list = kLists + 64 * below(256);
      const std::size_t first = std::min<std::size_t>(64, source.size());
      Bytes entries(first == source.size() ? 16 : 32);
      for (std::size_t n = 0; n < entries.size() / 16; ++n) {
        const std::uint64_t at = from + 64 * n;
        store_le32(&entries[16 * n], static_cast<std::uint32_t>(at));
        store_le32(&entries[16 * n + 4], static_cast<std::uint32_t>(at >> 32));
        store_le32(&entries[16 * n + 8], static_cast<std::uint32_t>(n == 0 ? first : source.size() - first));
      }
      pair_.put(list, entries);
      put(d::kNumSegments, entries.size() / 16);
      put(d::kSrcAddr, list);
    }
    if (percent(2)) out[below(64)] ^= static_cast<Byte>(1u << below(8));
    pair_.put(from, source);
    return out;
  }

  Pair pair_;
  std::map<std::uint32_t, Sa> table_;
  std::vector<Bytes> old_;
  std::array<std::uint32_t, kQueues> tail_{}, head_{};
};

}  // namespace

TEST_CASE("sim/functional: what a host sees does not depend on the look ahead") {
  Traffic traffic(testing::seed());
  for (int round = 0; round < 150; ++round) {
    CAPTURE(round);
    traffic.round();
  }
  CHECK(traffic.results["Ok"] > 5000);
}
