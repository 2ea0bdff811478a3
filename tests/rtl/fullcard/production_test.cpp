// A card built as it is sold: no test mode, whatever the host writes; and its watchdog, with a limit that a bench can
// outlast (2^14 to 2^15 cycles instead of 2^24 to 2^25).
#include <doctest/doctest.h>

#include <algorithm>

#include "common/esp/engine.h"
#include "hw/tb/fullcard/generator.h"

using namespace esplanade;
using namespace esplanade::fullcard;
namespace reg = card::reg;

namespace {

constexpr std::uint32_t kOut = 3, kIn = 5;
constexpr std::uint64_t kLatestReport = 33'000;  // cycles in a slot

/// Outbound and inbound SAs that are each other's ends, all queues started.
struct Bench : Card {
  Bench()
      : Card(make_card_x1(), {.seed = seed_of_run(), .timing = {.read_latency = 20, .write_latency = 10, .stalls = 10}}),
        gen(*this, seed_of_run()) {
    esp::SaParams sa;
    sa.outbound = true;
    sa.spi = 16 * sa_entries + kIn;
    sa.enc_key = Secret(*from_hex("0123456789abcdeffedcba987654321089abcdef01234567"));
    sa.auth_key = Secret(*from_hex("000102030405060708090a0b0c0d0e0f10111213"));
    sa.src = *esp::parse_address("192.0.2.1");
    sa.dst = *esp::parse_address("192.0.2.2");
    sa.inner_v6 = false;
    REQUIRE(install(kOut, sa) == card::SaResult::kOk);
    sa.outbound = false;
    REQUIRE(install(kIn, sa) == card::SaResult::kOk);
    for (unsigned q = 0; q < queues; ++q) start_queue(q, 5);
  }
  Job good(std::size_t size = 100) { return {.source = gen.ipv4(size, 0, false), .sa_index = kOut, .dst_size = 2048}; }
  void there_and_back() {
    const Bytes plain = gen.ipv4(100, 0, false);
    const auto sent = run_one(0, {.source = plain, .sa_index = kOut, .dst_size = 256});
    REQUIRE(sent.status == card::Status::kOk);
    const auto back = run_one(0, {.op = card::Op::kDecap, .source = sent.packet, .dst_size = 256});
    REQUIRE(back.status == card::Status::kOk);
    CHECK(back.packet == plain);
  }
  bool late() { return reg::kErrorCauseWatchdog.get(read32(reg::kErrorCause.at())) != 0; }
  /// Cycles until the watchdog tells; fails after `most`.
  std::uint64_t until_late(std::uint64_t most) {
    const std::uint64_t from = cycles();
    while (!late()) {
      REQUIRE(cycles() - from < most);
      run(200);
    }
    return cycles() - from;
  }
  Generator gen;
};

}  // namespace

TEST_CASE("fullcard/production: test mode cannot be switched on, and an IV from the host is refused") {
  Bench b;
  CHECK(reg::kCapsTestMode.get(b.caps) == 0);
  CHECK(reg::kControlTestMode.get(b.read32(reg::kControl.at())) == 0);  // the bench has written a 1
  Job with_iv = b.good();
  with_iv.iv.emplace();
  with_iv.iv->fill(0xc3);
  const auto refused = b.run_one(0, with_iv);
  CHECK(std::string(card::name_of(refused.status)) == "HostIvRefused");
  CHECK(b.read32(reg::kPacketsByStatus.at(static_cast<unsigned>(card::Status::kHostIvRefused))) == 1);
  CHECK(b.memory.num_violations == 0);

  // Without one the card makes its own, another each time.
  std::vector<Bytes> ivs;
  for (int i = 0; i < 4; ++i) {
    const auto sent = b.run_one(0, b.good());
    REQUIRE(sent.status == card::Status::kOk);
    CHECK(sent.seq == static_cast<std::uint64_t>(i) + 1);  // the refused packet took no number
    ivs.emplace_back(sent.packet.begin() + 28, sent.packet.begin() + 36);
    CHECK(ivs.back() != Bytes(8, 0xc3));
  }
  std::ranges::sort(ivs);
  CHECK(std::ranges::adjacent_find(ivs) == ivs.end());
}

TEST_CASE("fullcard/production: the watchdog is quiet under good traffic and tells of packets that stay") {
  Bench b;
  const std::uint64_t from = b.cycles();
  while (b.cycles() - from < 3 * kLatestReport) {
    for (unsigned q = 0; q < b.queues; ++q) {
      for (int i = 0; i < 8; ++i) b.submit(q, b.good(20 + b.gen.below(1400)));
      b.ring(q);
    }
    for (unsigned q = 0; q < b.queues; ++q)
      for (int i = 0; i < 8; ++i) REQUIRE(b.reap(q).status == card::Status::kOk);
  }
  CHECK_FALSE(b.late());
  b.take_events();

  // The memory takes no data: packets stay where they are.
  for (auto& port : b.ports) port.timing.no_write_data = true;
  for (int i = 0; i < 12; ++i) b.submit(0, b.good(1200));
  b.ring(0);
  CHECK(b.until_late(kLatestReport + 15'000) > 16'000);
  CHECK(reg::kStatusIdle.get(b.read32(reg::kStatus.at())) == 0);  // registers answer while the lane hangs
  CHECK_FALSE(b.completion_waits(0));

  // It only tells. When the memory goes on, so do the packets: none lost, and the cause can be cleared.
  for (auto& port : b.ports) port.timing.no_write_data = false;
  for (int i = 0; i < 12; ++i) CHECK(b.reap(0).status == card::Status::kOk);
  const auto events = b.take_events();
  CHECK(std::ranges::any_of(events, [](const Event& e) {
    return e.type == card::EventType::kError && (e.arg & reg::kErrorCauseWatchdog.mask()) != 0;
  }));
  b.write32(reg::kErrorCause.at(), reg::kErrorCauseWatchdog.mask());
  CHECK(b.read32(reg::kErrorCause.at()) == 0);
  b.there_and_back();
  CHECK(b.memory.num_violations == 0);
}

TEST_CASE("fullcard/production: after the watchdog a soft reset brings the lane back, with its SAs and numbers") {
  Bench b;
  for (auto& port : b.ports) port.timing.no_write_data = true;
  for (unsigned q = 0; q < b.queues; ++q) {
    for (int i = 0; i < 8; ++i) b.submit(q, b.good(1200));
    b.ring(q);
  }
  b.until_late(kLatestReport + 15'000);
  // A write that has begun must be ended by the memory (AXI): until then the reset waits, and says so.
  b.write32(reg::kControl.at(), reg::kControlEnable.mask() | reg::kControlSoftReset.mask());
  b.run(5'000);
  CHECK(reg::kControlSoftReset.get(b.read32(reg::kControl.at())) != 0);
  for (auto& port : b.ports) port.timing.no_write_data = false;
  for (unsigned i = 0; reg::kControlSoftReset.get(b.read32(reg::kControl.at())) != 0; ++i) REQUIRE(i < 2000);
  REQUIRE(b.settle());
  for (unsigned q = 0; q < b.queues; ++q) b.start_queue(q, 5);
  b.write32(reg::kErrorCause.at(), reg::kErrorCauseWatchdog.mask());
  const auto sent = b.run_one(0, b.good());
  CHECK(std::string(card::name_of(sent.status)) == "Ok");
  CHECK(sent.seq > 8);  // numbers of lost packets are not used again
  b.there_and_back();
  b.run(3 * kLatestReport);
  CHECK(b.read32(reg::kErrorCause.at()) == 0);  // no slot has leaked
  CHECK(b.memory.num_violations == 0);
}
