// Rates and latency, with all packets of one SA.
#include <doctest/doctest.h>

#include "hw/tb/sad/sad_bench.h"

using namespace esplanade;
using namespace esplanade::tb;

namespace {
constexpr unsigned kWarmUp = 100, kPackets = 3000;  // measured: those in between

double cycles_a_packet(bool outbound) {
  SadBench b(SAD_ENTRIES, SAD_REPLAY, 9216, 21);
  SaSetting sa;
  sa.outbound = outbound;
  sa.spi = 0x10000 + 5;
  sa.window = SAD_REPLAY;
  REQUIRE(b.install(5, sa) == 0);
  std::uint32_t next = 0;
  std::uint64_t start = 0, done = 0, first = 0;
  std::array<std::deque<Update>, kLanes> holding;
  while (done < kPackets) {
    for (unsigned l = 0; l < kLanes; ++l) {
      auto& lane = b.lanes[l];
      for (const auto& [lookup, answer] : lane.answers) {
        REQUIRE(answer.status == 0);
        Update u;
        u.index = 5;
        u.epoch = answer.epoch;
        u.seq = answer.seq;
        u.auth = u.ok = !outbound;
        u.bytes = 64;
        holding[l].push_back(u);
      }
      lane.answers.clear();
      done += lane.update_answers.size();
      lane.update_answers.clear();
      if (!lane.updating && !holding[l].empty()) {
        lane.updating = holding[l].front();
        holding[l].pop_front();
      }
      if (!lane.asking && holding[l].size() < 8) {
        Lookup k;
        k.encap = outbound;
        k.index = 5;
        k.spi = sa.spi;
        k.seq = ++next;
        lane.asking = k;
        lane.asked_at = 0;
      }
    }
    b.step();
    if (start == 0 && done >= kWarmUp) {
      start = b.dut.cycle();
      first = done;
    }
  }
  const double rate = static_cast<double>(b.dut.cycle() - start) / static_cast<double>(done - first);
  b.quiesce();
  MESSAGE(std::string(outbound ? "outbound: " : "inbound: ") << rate << " cycles a packet");
  return rate;
}
}  // namespace

TEST_CASE("sad: one SA takes an outbound lookup and a release every two cycles") { CHECK(cycles_a_packet(true) < 2.1); }
TEST_CASE("sad: one SA takes an inbound lookup and an update every two cycles") { CHECK(cycles_a_packet(false) < 2.1); }
TEST_CASE("sad: a lone lookup takes at most 12 cycles") {
  SadBench b(SAD_ENTRIES, SAD_REPLAY, 9216, 22);
  SaSetting out, in;
  out.spi = 0x4000;
  in.outbound = false;
  in.spi = 0x10001;
  in.check_outer = false;
  REQUIRE(b.install(0, out) == 0);
  REQUIRE(b.install(1, in) == 0);
  for (unsigned n = 0; n < 60; ++n) {
    Lookup k;
    k.encap = n % 2 == 0;
    k.spi = in.spi;
    k.seq = n + 1;
    CHECK(b.lookup(k).status == 0);
    b.steps(static_cast<unsigned>(b.random.between(1, 4)));
  }
  MESSAGE("at most " << b.max_latency << " cycles");
  CHECK(b.max_latency <= 12);
}
