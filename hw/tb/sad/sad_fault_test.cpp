// Flipped bits in the rows: found, told once, and the entry never again used until it is removed.
#include <doctest/doctest.h>

#include "hw/tb/sad/sad_bench.h"

using namespace esplanade;
using namespace esplanade::tb;

namespace {
constexpr unsigned kNoSa = 7, kPoisoned = 24, kError = 9;

template <class Row>
void flip(Row& row, unsigned bit) {
  row[bit / 32] ^= 1u << bit % 32;
}
enum class Part { kParameters, kKeys, kState };
constexpr unsigned bits(Part p) {
  return p == Part::kParameters ? 65 * 12 : p == Part::kKeys ? 65 * 8 : 65 * ((576 + SAD_REPLAY + 63) / 64);
}
void flip(SadBench& b, Part part, unsigned index, unsigned bit) {
  auto* root = b.dut->rootp;
  if (part == Part::kParameters) flip(root->sad_bench_top__DOT__u_sad__DOT__u_par__DOT__mem[index], bit);
  if (part == Part::kKeys) flip(root->sad_bench_top__DOT__u_sad__DOT__u_key__DOT__mem[index], bit);
  if (part == Part::kState) flip(root->sad_bench_top__DOT__u_sad__DOT__u_dyn__DOT__mem[index], bit);
}
SaSetting setting(bool outbound, std::uint32_t index) {
  SaSetting sa;
  sa.outbound = outbound;
  sa.spi = SAD_ENTRIES * 77777 + index;
  sa.check_outer = false;
  sa.enc_key.fill(0x5a);
  return sa;
}
Lookup of(const SaSetting& sa, std::uint32_t index) {
  Lookup l;
  l.encap = sa.outbound;
  l.index = index;
  l.spi = sa.spi;
  l.seq = 7;
  return l;
}
bool told_once(const SadBench& b, std::uint32_t index) {
  return b.poison_pulses == 1 && b.events.size() == 1 && b.events[0].type == kError && b.events[0].index == index && b.events[0].arg == 0x80;
}
}  // namespace

TEST_CASE("sad: any flipped bit of a row poisons its entry, once told") {
  SadBench b(SAD_ENTRIES, SAD_REPLAY, 9216, 41);
  b.strict = false;
  unsigned through_scan = 0, spi_hidden = 0;
  for (const Part part : {Part::kParameters, Part::kKeys, Part::kState}) {
    for (unsigned n = 0; n < 150; ++n) {
      const unsigned bit = n < 30 ? bits(part) - 1 - n : static_cast<unsigned>(b.random.between(0, bits(part) - 1));
      const bool outbound = b.random.percent(50);
      const auto index = static_cast<std::uint32_t>(b.random.between(0, SAD_ENTRIES - 1));
      CAPTURE(static_cast<int>(part));
      CAPTURE(bit);
      CAPTURE(outbound);
      const SaSetting sa = setting(outbound, index);
      REQUIRE(b.install(index, sa) == 0);
      b.poison_pulses = 0;
      b.events.clear();
      // Between the scan's visits, so that it is the lookup that meets the flipped bit, most of the time
      flip(b, part, index, bit);
      Answer a = b.lookup(of(sa, index));
      if (a.status == kNoSa) {
        ++spi_hidden;  // the bit was of the SPI
        REQUIRE(part == Part::kParameters);
        REQUIRE_FALSE(outbound);
      } else {
        REQUIRE(a.status == kPoisoned);
        REQUIRE(a.found);
        Update u;
        u.index = index;
        u.epoch = a.epoch;
        u.status = a.status;
        b.update(u);
      }
      for (unsigned k = 0; k < 40 && b.poison_pulses == 0; ++k) b.step();
      if (b.poison_pulses == 0) {
        ++through_scan;
        MESSAGE(static_cast<int>(part) << ' ' << bit << ' ' << outbound << ' ' << a.status);
        b.steps(SAD_SCAN * (SAD_ENTRIES + 2));
      }
      b.steps(20);
      CHECK(told_once(b, index));
      a = b.lookup(of(sa, index));
      CHECK((a.status == kPoisoned || a.status == kNoSa));
      if (a.found) {
        Update u;
        u.index = index;
        u.epoch = a.epoch;
        u.status = a.status;
        b.update(u);
      }
      CHECK(b.run(3, index) == 0);
      CHECK((b.view()[0] & 9) == 9);
      b.steps(SAD_SCAN * (SAD_ENTRIES + 2));
      CHECK(told_once(b, index));
      CHECK(b.install(index, sa) == 2);  // occupied
      REQUIRE(b.run(2, index) == 0);
      REQUIRE(b.install(index, sa) == 0);
      a = b.lookup(of(sa, index));
      CHECK(a.status == 0);
      Update u;
      u.index = index;
      u.epoch = a.epoch;
      b.update(u);
      REQUIRE(b.run(2, index) == 0);
      b.model[index].held = 0;
    }
  }
  MESSAGE("found by the scan: " << through_scan << ", SPI hidden: " << spi_hidden);
}

TEST_CASE("sad: the scan finds a flipped bit without traffic") {
  SadBench b(SAD_ENTRIES, SAD_REPLAY, 9216, 42);
  b.strict = false;
  for (const Part part : {Part::kParameters, Part::kKeys, Part::kState}) {
    const SaSetting sa = setting(true, 9);
    REQUIRE(b.install(9, sa) == 0);
    b.poison_pulses = 0;
    b.events.clear();
    flip(b, part, 9, 100);
    b.steps(2 * SAD_SCAN * (SAD_ENTRIES + 2));
    CHECK(told_once(b, 9));
    REQUIRE(b.run(2, 9) == 0);
  }
}

TEST_CASE("sad: an update that meets a poisoned window gives no packet free") {
  SadBench b(SAD_ENTRIES, SAD_REPLAY, 9216, 43);
  b.strict = false;
  const SaSetting sa = setting(false, 4);
  REQUIRE(b.install(4, sa) == 0);
  const Answer a = b.lookup(of(sa, 4));
  REQUIRE(a.status == 0);
  flip(b, Part::kState, 4, 580);
  Update u;
  u.index = 4;
  u.epoch = a.epoch;
  u.auth = u.ok = true;
  u.seq = a.seq;
  CHECK(b.update(u) == kPoisoned);
  CHECK(b.poison_pulses == 1);
}
