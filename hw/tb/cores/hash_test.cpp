// The hash cores against OpenSSL: latency, rate in cycles, order, tags, gaps, reset.
#include "hw/tb/cores/hash_driver.h"  // first: it says which OpenSSL calls it means

#include <Vmd5_core.h>
#include <Vmd5_ring.h>
#include <Vsha1_ring.h>
#include <doctest/doctest.h>

#include <deque>

namespace tb = esplanade::tb;

namespace {

struct Expected {
  tb::Words state;
  unsigned tag;
  std::uint64_t at;
};

tb::Words random_state(tb::Random& random, std::size_t words) {
  tb::Words state(words);
  for (auto& w : state) w = static_cast<std::uint32_t>(random.bits());
  return state;
}

// Feeds `blocks` random blocks, offering one in a cycle with `percent`; checks each result, its tag, its
// order and its latency. Returns the cycles from the first acceptance to the last one.
template <class Kind, class Model>
std::uint64_t stream(tb::Clocked<Model>& dut, tb::Random& random, unsigned blocks, unsigned percent,
                     std::uint64_t latency, unsigned& most) {
  std::deque<Expected> waiting;
  unsigned sent = 0, done = 0;
  std::uint64_t first = 0, last = 0;
  const std::uint64_t limit = dut.cycle() + 1000 + std::uint64_t{blocks} * 400 / percent;
  tb::HashBlock block;
  tb::Words state;
  bool fresh = true;
  while (done < blocks) {
    REQUIRE(dut.cycle() < limit);
    if (fresh) {
      random.fill(block);
      if (random.percent(5)) block.fill(random.percent(50) ? 0xff : 0);
      state = random_state(random, Kind::kWords);
      fresh = false;
    }
    dut->valid_i = sent < blocks && random.percent(percent);
    dut->tag_i = static_cast<std::uint8_t>(sent * 37 + 5);
    tb::set_block(dut, state, block);
    dut.settle();
    const bool take = dut->valid_i && dut->ready_o;
    if (take) {
      waiting.push_back({Kind::reference(state, block), dut->tag_i, dut.cycle() + latency});
      if (sent == 0) first = dut.cycle();
      last = dut.cycle();
      ++sent;
      fresh = true;
    }
    most = std::max(most, static_cast<unsigned>(waiting.size()));
    dut.tick();
    if (dut->valid_o) {
      REQUIRE(!waiting.empty());
      REQUIRE(dut.cycle() == waiting.front().at);
      REQUIRE(dut->tag_o == waiting.front().tag);
      REQUIRE(tb::get_state(dut, Kind::kWords) == waiting.front().state);
      waiting.pop_front();
      ++done;
    }
  }
  CHECK(waiting.empty());
  return last - first;
}

template <class Kind, class Model>
void check_rates(std::uint64_t salt, std::uint64_t latency, unsigned turns, unsigned places) {
  tb::Random random(salt);
  tb::Clocked<Model> dut;
  dut.reset();
  unsigned most = 0;
  const std::uint64_t cycles = stream<Kind>(dut, random, 1000, 100, latency, most);
  MESSAGE("1000 blocks accepted within ", cycles, " cycles, ", most, " at once");
  CHECK(cycles <= turns * 999);
  CHECK(most >= places);
  CHECK(most <= places + 4);
  for (const unsigned percent : {50U, 25U, 10U, 2U}) {
    stream<Kind>(dut, random, percent < 10 ? 50 : 300, percent, latency, most);
  }
}

template <class Kind, class Model>
void check_reset(std::uint64_t salt) {
  tb::Random random(salt);
  tb::Clocked<Model> dut;
  dut.reset();
  for (int round = 0; round < 20; ++round) {
    tb::HashBlock block;
    for (std::uint64_t i = random.between(1, 120); i > 0; --i) {
      random.fill(block);
      tb::set_block(dut, random_state(random, Kind::kWords), block);
      dut->valid_i = random.percent(70);
      dut.tick();
    }
    dut->rst_ni = 0;
    dut->valid_i = random.percent(50);  // offered during reset: not taken
    dut.tick();
    dut.tick();
    dut->valid_i = 0;
    dut->rst_ni = 1;
    for (int i = 0; i < 100; ++i) {
      dut.tick();
      REQUIRE(!dut->valid_o);
      REQUIRE(dut->ready_o);
    }
    random.fill(block);
    const tb::Words state = random_state(random, Kind::kWords);
    REQUIRE(tb::one_block<Kind>(dut, state, block) == Kind::reference(state, block));
    for (int i = 0; i < 100; ++i) {
      dut.tick();
      REQUIRE(!dut->valid_o);
    }
  }
}

}  // namespace

TEST_CASE("sha1_ring: random blocks equal OpenSSL, 84 cycles later, in order, a block every 3 cycles") {
  check_rates<tb::Sha1Kind, Vsha1_ring>(1, 84, 3, 27);
}
TEST_CASE("sha1_ring: a reset drops every block and nothing of them comes out later") {
  check_reset<tb::Sha1Kind, Vsha1_ring>(2);
}
TEST_CASE("md5_ring: random blocks equal OpenSSL, 67 cycles later, in order, a block every 4 cycles") {
  check_rates<tb::Md5Kind, Vmd5_ring>(3, 67, 4, 16);
}
TEST_CASE("md5_ring: a reset drops every block and nothing of them comes out later") {
  check_reset<tb::Md5Kind, Vmd5_ring>(4);
}

TEST_CASE(
    "md5_core: random blocks equal OpenSSL, 130 cycles later, and the result stays until the next block") {
  tb::Random random(5);
  tb::Clocked<Vmd5_core> dut;
  dut.reset();
  for (int n = 0; n < 1000; ++n) {
    tb::HashBlock block, other;
    random.fill(block);
    random.fill(other);
    const tb::Words state = random_state(random, 4);
    const tb::Words want = tb::Md5Kind::reference(state, block);
    tb::set_block(dut, state, block);
    dut->valid_i = 1;
    dut.settle();
    REQUIRE(dut->ready_o);
    const std::uint64_t start = dut.cycle();
    dut.tick();
    dut->valid_i = random.percent(50);  // offered while busy: not taken
    tb::set_block(dut, state, other);
    dut.settle();
    while (!dut->ready_o && dut.cycle() < start + 200) dut.tick();
    dut->valid_i = 0;
    REQUIRE(dut->valid_o);
    REQUIRE(dut.cycle() - start == 130);
    REQUIRE(tb::get_state(dut, 4) == want);
    for (std::uint64_t idle = random.between(0, 3); idle > 0; --idle) {
      dut.tick();
      REQUIRE(!dut->valid_o);
      REQUIRE(tb::get_state(dut, 4) == want);
    }
  }
}
TEST_CASE("md5_core: a reset drops the block") { check_reset<tb::Md5Kind, Vmd5_core>(7); }
