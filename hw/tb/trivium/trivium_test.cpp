// Trivium against the eSTREAM test vectors and a bit-serial model written from the specification.
#include <Vtrivium64.h>
#include <doctest/doctest.h>

#include <array>

#include "hw/tb/lib/bench.h"

namespace tb = esplanade::tb;

namespace {

using Seed = std::array<std::uint8_t, 10>;

/// The specification, one step at a time. Octets as in the eSTREAM vectors: s_1 is the top bit of the last
/// key octet.
class Serial {
 public:
  Serial(const Seed& key, const Seed& iv) {
    for (std::size_t i = 0; i < 80; ++i) {
      s_[i] = key[9 - i / 8] >> (7 - i % 8) & 1;
      s_[93 + i] = iv[9 - i / 8] >> (7 - i % 8) & 1;
    }
    s_[285] = s_[286] = s_[287] = true;
    for (int i = 0; i < 4 * 288; ++i) bit();
  }
  bool bit() {
    bool t1 = s_[65] != s_[92], t2 = s_[161] != s_[176], t3 = s_[242] != s_[287];
    const bool z = (t1 != t2) != t3;
    t1 = (t1 != (s_[90] && s_[91])) != s_[170];
    t2 = (t2 != (s_[174] && s_[175])) != s_[263];
    t3 = (t3 != (s_[285] && s_[286])) != s_[68];
    for (std::size_t i = 287; i > 0; --i) s_[i] = s_[i - 1];
    s_[0] = t3, s_[93] = t1, s_[177] = t2;
    return z;
  }
  std::uint8_t octet() {
    unsigned v = 0;
    for (unsigned i = 0; i < 8; ++i) v |= static_cast<unsigned>(bit()) << i;
    return static_cast<std::uint8_t>(v);
  }

 private:
  std::array<bool, 288> s_{};
};

void seed(tb::Clocked<Vtrivium64>& dut, const Seed& key, const Seed& iv) {
  // 80-bit ports: 3 words, the top one with 16 bits.
  const auto put = [](auto& port, const Seed& v) {
    port[2] = static_cast<std::uint32_t>(v[0] << 8 | v[1]);
    port[1] = static_cast<std::uint32_t>(tb::load_be64(v.data() + 2) >> 32);
    port[0] = static_cast<std::uint32_t>(tb::load_be64(v.data() + 2));
  };
  put(dut->seed_key_i, key);
  put(dut->seed_iv_i, iv);
  dut->seed_valid_i = 1;
  dut.tick();
  dut->seed_valid_i = 0;
}

}  // namespace

TEST_CASE("trivium: eSTREAM vectors, 18 cycles after the seed") {
  struct Vector {
    Seed key, iv;
    std::vector<std::uint64_t> stream;
  };
  // eSTREAM test vectors of Trivium: set 1 vector 0, set 2 vector 0, set 6 vector 0.
  const std::array<Vector, 3> vectors{{
      {{0x80},
       {},
       {0x38eb86ff730d7a9c, 0xaf8df13a4420540d, 0xbb7b651464c87501, 0x552041c249f29a64, 0xd2fbf515610921eb,
        0xe06c8f92cecf7f80, 0x98ff20cccc6a62b9, 0x7be8ef7454fc80f9}},
      {{},
       {},
       {0xfbe0bf265859051b, 0x517a2e4e239fc97f, 0x563203161907cf2d, 0xe7a8790fa1b2e9cd, 0xf75292030268b738,
        0x2b4c1a759aa2599a, 0x285549986e748059, 0x03801a4cb5a5d4f2}},
      {{0x00, 0x53, 0xa6, 0xf9, 0x4c, 0x9f, 0xf2, 0x45, 0x98, 0xeb},
       {0x0d, 0x74, 0xdb, 0x42, 0xa9, 0x10, 0x77, 0xde, 0x45, 0xac},
       {0xf4cd954a717f26a7, 0xd6930830c4e7cf08}},
  }};
  for (const Vector& v : vectors) {
    tb::Clocked<Vtrivium64> dut;
    dut.reset();
    CHECK(!dut->valid_o);
    seed(dut, v.key, v.iv);
    dut->ready_i = 0;
    int cycles = 0;
    while (!dut->seeded_o && cycles < 100) {
      dut.tick();
      ++cycles;
    }
    CHECK(cycles == 18);
    dut->ready_i = 1;
    for (const std::uint64_t word : v.stream) {
      REQUIRE(dut->valid_o);
      CHECK(dut->data_o == word);
      dut.tick();
    }
  }
}

TEST_CASE(
    "trivium: random seeds equal the bit-serial specification, also when the reader pauses or seeds again") {
  tb::Random random(1);
  tb::Clocked<Vtrivium64> dut;
  dut.reset();
  for (int round = 0; round < 10; ++round) {
    Seed key, iv;
    random.fill(key);
    random.fill(iv);
    seed(dut, key, iv);
    Serial serial(key, iv);
    std::array<std::uint8_t, 8> want;
    const auto next = [&] {
      for (auto& o : want) o = serial.octet();
    };
    next();
    int taken = 0;
    for (int cycle = 0; cycle < 500; ++cycle) {
      dut->ready_i = random.percent(60);
      dut.settle();
      if (dut->valid_o) REQUIRE(dut->data_o == tb::load_be64(want.data()));
      if (dut->valid_o && dut->ready_i) {
        next();
        ++taken;
      }
      dut.tick();
    }
    CHECK(taken > 200);
  }
}
