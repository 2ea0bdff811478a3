// SHA-1 blocks against FIPS 180-4 and OpenSSL: latency, many units, tags, gaps.
#define OPENSSL_SUPPRESS_DEPRECATED  // SHA_CTX takes and shows the chaining value; EVP does not
#include <Vsha1_engine.h>
#include <doctest/doctest.h>
#include <openssl/sha.h>

#include <array>
#include <map>

#include "hw/tb/lib/bench.h"

namespace tb = esplanade::tb;

namespace {

using State = std::array<std::uint8_t, 20>;
using Block = std::array<std::uint8_t, 64>;

State reference(const State& state, const Block& block) {
  SHA_CTX ctx;
  SHA1_Init(&ctx);
  const auto word = [&](std::size_t i) {
    return static_cast<std::uint32_t>(tb::load_be64(&state[4 * i]) >> 32);
  };
  ctx.h0 = word(0), ctx.h1 = word(1), ctx.h2 = word(2), ctx.h3 = word(3);
  ctx.h4 = static_cast<std::uint32_t>(tb::load_be64(&state[12]));
  SHA1_Transform(&ctx, block.data());
  State out;
  const std::array<std::uint32_t, 5> h{ctx.h0, ctx.h1, ctx.h2, ctx.h3, ctx.h4};
  for (std::size_t i = 0; i < 20; ++i) out[i] = static_cast<std::uint8_t>(h[i / 4] >> (24 - 8 * (i % 4)));
  return out;
}

State to_state(const std::vector<std::uint8_t>& v) {
  State s;
  std::ranges::copy(v, s.begin());
  return s;
}

}  // namespace

TEST_CASE("sha1: the one-block message of FIPS 180-4, \"abc\"") {
  tb::Clocked<Vsha1_engine> dut;
  dut.reset();
  Block block{'a', 'b', 'c', 0x80};
  block[63] = 24;
  const State init{0x67, 0x45, 0x23, 0x01, 0xef, 0xcd, 0xab, 0x89, 0x98, 0xba,
                   0xdc, 0xfe, 0x10, 0x32, 0x54, 0x76, 0xc3, 0xd2, 0xe1, 0xf0};
  const State want{0xa9, 0x99, 0x3e, 0x36, 0x47, 0x06, 0x81, 0x6a, 0xba, 0x3e,
                   0x25, 0x71, 0x78, 0x50, 0xc2, 0x6c, 0x9c, 0xd0, 0xd8, 0x9d};
  tb::set_top_first(dut->block_i, block);
  tb::set_top_first(dut->state_i, init);
  dut->valid_i = 1;
  const std::uint64_t start = dut.cycle();
  dut.tick();
  dut->valid_i = 0;
  while (!dut->valid_o && dut.cycle() < start + 200) dut.tick();
  REQUIRE(dut->valid_o);
  CHECK(to_state(tb::get_top_first(dut->state_o, 20)) == want);
  CHECK(dut.cycle() - start == 83);  // 82 of the core, one to gather
  dut.tick();
  CHECK(!dut->valid_o);
}

TEST_CASE("sha1: random blocks in all units come back with their tag and equal OpenSSL") {
  tb::Random random(1);
  tb::Clocked<Vsha1_engine> dut;
  dut.reset();
  std::map<unsigned, State> waiting;  // by tag
  unsigned tag = 0, done = 0, most = 0;
  for (int cycle = 0; cycle < 20000 && done < 1000; ++cycle) {
    Block block;
    random.fill(block);
    State state;
    random.fill(state);
    dut->valid_i = tag < 1000 && random.percent(tag < 500 ? 100 : 10);
    dut->tag_i = static_cast<std::uint8_t>(tag);
    tb::set_top_first(dut->block_i, block);
    tb::set_top_first(dut->state_i, state);
    dut.settle();
    if (dut->valid_i && dut->ready_o) waiting[tag++ % 256] = reference(state, block);
    most = std::max(most, static_cast<unsigned>(waiting.size()));
    if (dut->valid_o) {
      const auto it = waiting.find(dut->tag_o);
      REQUIRE(it != waiting.end());
      REQUIRE(to_state(tb::get_top_first(dut->state_o, 20)) == it->second);
      waiting.erase(it);
      ++done;
    }
    dut.tick();
  }
  CHECK(done == 1000);
  CHECK(most >= 8);  // all units at work
}
