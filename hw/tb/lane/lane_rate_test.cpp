// How fast the lane is, in cycles; the checks are floors below what was measured, to notice a loss.
#include <doctest/doctest.h>

#include <cstdio>

#include "hw/tb/lane/lane_driver.h"

namespace tb = esplanade::tb;
using tb::LaneJob;

namespace {

/// A job of `len` inner octets; decap takes the packet that encap makes.
LaneJob make(bool encap, std::size_t len, std::uint64_t seed) {
  tb::Random random(seed);
  LaneJob job;
  random.fill(job.keys.enc);
  random.fill(job.keys.auth);
  random.fill(job.shape.iv);
  job.encap = encap;
  job.source = tb::random_ipv4(len, seed);
  if (!encap) job.source = tb::encap(job.keys, job.shape, job.source);
  return job;
}

/// Inner octets per cycle over the middle half of many packets.
double rate(bool encap, std::size_t len) {
  tb::LaneDriver lane(1);
  const std::size_t n = 400;
  const auto results = lane.run(std::vector<LaneJob>(n, make(encap, len, 5)));
  for (const auto& r : results) REQUIRE(r.status == 0);
  const auto cycles = results[3 * n / 4].cycle_done - results[n / 4].cycle_done;
  return static_cast<double>(len * (n / 2)) / static_cast<double>(cycles);
}

std::uint64_t latency(bool encap, std::size_t len) {
  tb::LaneDriver lane(1);
  const auto results = lane.run({make(encap, len, 6)});
  REQUIRE(results[0].status == 0);
  return results[0].cycle_done - results[0].cycle_taken;
}

}  // namespace

TEST_CASE("lane: latency of a lone packet and sustained rate") {
  std::printf("%-6s %6s %18s %22s\n", "", "octets", "lone packet cycles", "sustained octets/cycle");
  for (const bool encap : {true, false}) {
    for (const std::size_t len : {64u, 256u, 1500u}) {
      const auto cycles = latency(encap, len);
      const double sustained = rate(encap, len);
      std::printf("%-6s %6zu %18llu %22.2f\n", encap ? "encap" : "decap", len,
                  static_cast<unsigned long long>(cycles), sustained);
      CHECK(cycles < (encap ? 60 * (len / 8 + 8) : 100 * (len / 64 + 6)));
      CHECK(sustained > (len == 64 ? 1.5 : 3.0));
    }
  }
}
