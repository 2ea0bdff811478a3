// How fast crypto_lane is, in cycles, against T = max(C / 8, 3 B): words through the pipeline, blocks through
// SHA-1.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdio>

#include "hw/tb/crypto/crypto_driver.h"

namespace tb = esplanade::tb;
using tb::CryptoJob;
using tb::Octets;

namespace {

/// 3DES and SHA-1, tunnel, `inner` octets of IPv4.
CryptoJob make(bool encap, std::size_t inner, tb::Random& random) {
  CryptoJob job;
  job.key = random.octets(24);
  job.auth_key = random.octets(20);
  job.stream = random.octets(16 + inner);
  job.stream[16] = 0x45;
  job.stream[18] = static_cast<std::uint8_t>(inner >> 8);
  job.stream[19] = static_cast<std::uint8_t>(inner);
  tb::seal_ipv4(&job.stream[16]);
  const std::size_t pad = (8 - (inner + 2) % 8) % 8;
  for (std::size_t i = 1; i <= pad; ++i) job.stream.push_back(static_cast<std::uint8_t>(i));
  job.stream.push_back(static_cast<std::uint8_t>(pad));
  job.stream.push_back(4);
  job.jumbo = inner + 100 > 2048;
  return encap ? job : tb::reverse(job);
}
double roofline(std::size_t inner) {
  const double c = 8.0 * static_cast<double>((inner + 9) / 8);
  const double b = static_cast<double>((16 + static_cast<std::size_t>(c) + 9 + 63) / 64 + 1);
  return std::max(c / 8, 3 * b);
}
/// Words that went through the pipeline in each cycle of a run, on average from a quarter to three quarters
/// of it: in steady state, and without the edges that packets finishing in waves would have.
double words_a_cycle(tb::CryptoDriver& lane, const std::vector<CryptoJob>& jobs) {
  std::vector<std::uint32_t> words{0};
  lane.each_cycle = [&] { words.push_back(words.back() + (lane.word_done() ? 1U : 0U)); };
  const auto results = lane.run(jobs, {}, true);
  lane.each_cycle = {};
  for (const auto& r : results) {
    REQUIRE(r.got.status == 0);
    if (r.job % 16 == 0) REQUIRE(r.got.icv == tb::expected(jobs[r.job]).icv);
  }
  std::size_t all = 0;
  for (const auto& j : jobs) all += (j.stream.size() - 16) / 8;
  REQUIRE(words.back() == all);
  const std::size_t last = static_cast<std::size_t>(results.back().done - results.front().opened);
  return static_cast<double>(words[3 * last / 4] - words[last / 4]) /
         static_cast<double>(3 * last / 4 - last / 4);
}

}  // namespace

TEST_CASE("crypto: sustained rate is within 3 % of pipeline and hash") {
  tb::CryptoDriver lane(1);
  tb::Random random(1);
  std::printf("%-6s %6s %9s %9s %8s\n", "", "octets", "roofline", "cycles", "of it");
  for (const bool encap : {true, false}) {
    for (const std::size_t inner : {64u, 256u, 1500u, 9000u}) {
      const std::size_t n = inner == 9000 ? 320 : inner == 1500 ? 800 : 3000;
      std::vector<CryptoJob> jobs(n, make(encap, inner, random));
      const double cycles = static_cast<double>((inner + 9) / 8) / words_a_cycle(lane, jobs);
      const double best = roofline(inner);
      std::printf("%-6s %6zu %9.1f %9.2f %7.1f%%\n", encap ? "encap" : "decap", inner, best, cycles,
                  100 * best / cycles);
      CHECK(cycles <= best / 0.97);
      CHECK(cycles >= best * 0.999);  // faster than that: the bench is wrong
    }
  }
}

TEST_CASE("crypto: both directions and all sizes of one SA each keep the rate") {
  tb::CryptoDriver lane(2);
  tb::Random random(2);

  std::printf("%-24s %9s %9s %8s\n", "IMIX 64/576/1500 7:4:1", "roofline", "cycles", "of it");
  for (const int kind : {0, 1, 2}) {
    std::vector<CryptoJob> kinds;
    std::vector<CryptoJob> jobs;
    for (const bool encap : {true, false})
      for (const std::size_t inner : {64u, 576u, 1500u}) kinds.push_back(make(encap, inner, random));
    double words = 0;
    const std::size_t n = 2400;
    for (std::size_t i = 0; i < n; ++i) {
      const auto r = random.between(0, 11);
      const bool encap = kind == 0 || (kind == 2 && random.percent(50));
      jobs.push_back(kinds[(encap ? 0U : 3U) + (r < 7 ? 0U : r < 11 ? 1U : 2U)]);
      jobs.back().ordered = true;
      jobs.back().order = encap ? 7 : 8;
    }
    for (const auto& j : jobs) words += static_cast<double>(j.stream.size() - 16) / 8;
    words /= static_cast<double>(n);
    const double cycles = words / words_a_cycle(lane, jobs);
    std::printf("%-24s %9.1f %9.2f %7.1f%%\n",
                kind == 0   ? "encap"
                : kind == 1 ? "decap"
                            : "both",
                words, cycles, 100 * words / cycles);
    CHECK(cycles <= words / 0.97);
  }
}

TEST_CASE("crypto: MD5 takes a block every 4 cycles") {
  tb::CryptoDriver lane(4);
  tb::Random random(4);
  for (const bool encap : {true, false}) {
    CryptoJob job = make(true, 64, random);
    job.auth = tb::Auth::kMd5;
    job.auth_key = random.octets(16);
    if (!encap) job = tb::reverse(job);
    const double cycles = 9 / words_a_cycle(lane, std::vector<CryptoJob>(2000, job));
    std::printf("%s 64 MD5: %.2f cycles\n", encap ? "encap" : "decap", cycles);
    CHECK(cycles <= 12 / 0.97);
  }
}

TEST_CASE("crypto: a lone packet of 64 octets is encapsulated in at most 660 cycles") {
  tb::CryptoDriver lane(3);
  tb::Random random(3);
  for (const bool encap : {true, false})
    for (const std::size_t inner : {64u, 1500u}) {
      const auto r = lane.run({make(encap, inner, random)});
      const auto cycles = r[0].done - r[0].opened;
      std::printf("lone %s %zu: %llu cycles\n", encap ? "encap" : "decap", inner,
                  static_cast<unsigned long long>(cycles));
      if (encap && inner == 64) CHECK(cycles <= 660);
      CHECK(r[0].got.status == 0);
    }
}
