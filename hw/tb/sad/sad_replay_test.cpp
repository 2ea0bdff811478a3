// tests/vectors/replay.json through lookup and update, and the window left at the end, bit by bit.
#include <doctest/doctest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "hw/tb/sad/sad_bench.h"

using namespace esplanade;
using namespace esplanade::tb;
using nlohmann::json;

namespace {
constexpr unsigned kReplay = 14, kBadIcv = 15, kBadPadding = 16;

struct Flow {
  SadBench& b;
  std::uint32_t index;
  std::uint32_t spi;
  Answer ask(std::uint32_t low) {
    Lookup l;
    l.encap = false;
    l.spi = spi;
    l.seq = low;
    return b.lookup(l);
  }
  unsigned tell(const Answer& a, bool icv_ok) {
    Update u;
    u.index = index;
    u.epoch = a.epoch;
    u.seq = a.seq;
    u.status = a.status;
    if (a.status == 0) {
      u.auth = u.ok = icv_ok;
      if (!icv_ok) u.status = kBadIcv;
    }
    return b.update(u);
  }
};

SaSetting inbound(std::uint32_t spi, unsigned window, bool esn, std::uint64_t top) {
  SaSetting sa;
  sa.outbound = false;
  sa.spi = spi;
  sa.window = window;
  sa.esn = esn;
  sa.seq = top;
  sa.check_outer = false;
  return sa;
}
bool hex_bit(const std::string& hex, unsigned bit) {
  const unsigned digit = bit / 4;
  if (digit >= hex.size()) return false;
  const char c = hex[hex.size() - 1 - digit];
  const int value = c <= '9' ? c - '0' : c - 'a' + 10;
  return (value >> bit % 4 & 1) != 0;
}
}  // namespace

TEST_CASE("sad: verdicts, inferred numbers and final windows of replay.json") {
  std::ifstream in(std::string(ESPLANADE_VECTORS) + "/replay.json");
  REQUIRE(in);
  const json all = json::parse(in);
  SadBench b(SAD_ENTRIES, SAD_REPLAY, 9216, 31);
  std::size_t cases = 0, events = 0;
  for (const json& c : all.at("cases")) {
    const auto id = c.at("id").get<std::string>();
    CAPTURE(id);
    const auto window = c.at("window").get<unsigned>();
    const bool esn = c.at("esn").get<bool>();
    REQUIRE(window <= SAD_REPLAY);
    ++cases;
    const std::uint32_t index = static_cast<std::uint32_t>(cases % SAD_ENTRIES), spi = 0x5a5a00 * SAD_ENTRIES + index;
    REQUIRE(b.install(index, inbound(spi, window, esn, esn ? c.at("start_top").get<std::uint64_t>() : 0)) == 0);
    Flow flow{b, index, spi};
    for (const json& e : c.at("events")) {
      ++events;
      const auto low = e.at(0).get<std::uint32_t>();
      CAPTURE(low);
      const auto verdict = e.back().get<std::string>();
      const Answer a = flow.ask(low);
      const bool icv_ok = e.at(1).get<int>() != 0;
      const unsigned answer = flow.tell(a, icv_ok);
      if (a.status == 0 && esn) REQUIRE(a.seq == (e.at(2).get<std::uint64_t>() << 32 | low));
      const std::string got = a.status == kReplay || answer == kReplay ? "reject-replay" : a.status != 0 ? "?" : icv_ok ? "accept" : "reject-icv";
      REQUIRE(got == verdict);
    }
    CHECK(b.run(3, index) == 0);
    const auto view = b.view();
    const std::uint64_t top = std::uint64_t{view[3]} << 32 | view[2];
    CHECK(top == c.at("final_top").get<std::uint64_t>());
    const auto bitmap = c.at("final_bitmap_lsb_is_top").get<std::string>();
    for (unsigned n = 0; n < window && n < top; ++n) {
      Update u;  // marks the number: refused where the bit stands already
      u.index = index;
      u.epoch = flow.ask(static_cast<std::uint32_t>(top)).epoch;
      u.auth = true;
      u.status = kBadPadding;
      u.seq = top - n;
      CHECK((b.update(u) == kReplay) == hex_bit(bitmap, n));
    }
    REQUIRE(b.run(2, index) == 0);
  }
  CHECK(cases == all.at("count").get<std::size_t>());
  MESSAGE(cases << " cases, " << events << " events");
}

TEST_CASE("sad: extended numbers are inferred across the boundary of 2^32, both ways") {
  SadBench b(SAD_ENTRIES, SAD_REPLAY, 9216, 32);
  for (const std::uint64_t top : {std::uint64_t{0xffffffff}, std::uint64_t{0x100000000}, std::uint64_t{0x10000001f}, std::uint64_t{0x5fffffff0},
                                  std::uint64_t{0}, std::uint64_t{31}, std::uint64_t{127}, ~std::uint64_t{0}, ~std::uint64_t{0} - 200}) {
    CAPTURE(top);
    REQUIRE(b.install(3, inbound(16 * 999 + 3, 64, true, top)) == 0);
    Flow flow{b, 3, 16 * 999 + 3};
    for (int off = -70; off <= 70; ++off) {
      const Answer a = flow.ask(static_cast<std::uint32_t>(top + static_cast<std::uint64_t>(off)));  // the model looks at it
      if (a.found && a.status != 0) flow.tell(a, false);
      if (a.status == 0) flow.tell(a, b.random.percent(50));
    }
    REQUIRE(b.run(2, 3) == 0);
  }
}
