// Both kinds of tdes_pipe (subkeys by slot, key carried along) in lockstep against OpenSSL, 256 slots: keys
// written and wiped under traffic, both directions, and the vectors of NIST's CAVP through both.
#include <Vtdes_pair.h>
#include <doctest/doctest.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "hw/tb/cores/response_file.h"
#include "hw/tb/lib/bench.h"

namespace tb = esplanade::tb;

namespace {

constexpr unsigned kSlots = 256;
constexpr std::uint64_t kLatency = 49;
using Key = std::array<std::uint8_t, 24>;
using Dut = tb::Clocked<Vtdes_pair>;

std::uint64_t reference(const Key& key, std::uint64_t block, bool decrypt) {
  static const std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)> ctx(EVP_CIPHER_CTX_new(),
                                                                                   &EVP_CIPHER_CTX_free);
  std::array<std::uint8_t, 8> in{}, out{};
  tb::store_be64(in.data(), block);
  int len = 0;
  REQUIRE(EVP_CipherInit_ex(ctx.get(), EVP_des_ede3_ecb(), nullptr, key.data(), nullptr, decrypt ? 0 : 1) ==
          1);
  EVP_CIPHER_CTX_set_padding(ctx.get(), 0);
  REQUIRE(EVP_CipherUpdate(ctx.get(), out.data(), &len, in.data(), 8) == 1);
  REQUIRE(len == 8);
  return tb::load_be64(out.data());
}

void offer_key(Dut& dut, unsigned slot, const Key& key, bool decrypt, bool wipe = false) {
  dut->key_we_i = 1;
  dut->key_slot_i = static_cast<std::uint8_t>(slot);
  dut->key_decrypt_i = decrypt;
  dut->key_wipe_i = wipe;
  tb::set_top_first(dut->key_i, key);
}
void load_key(Dut& dut, unsigned slot, const Key& key, bool decrypt) {
  offer_key(dut, slot, key, decrypt);
  dut.tick();
  dut->key_we_i = 0;
}

// One block, alone; both kinds must agree.
std::uint64_t one_block(Dut& dut, unsigned slot, std::uint64_t data) {
  dut->valid_i = 1;
  dut->slot_i = static_cast<std::uint8_t>(slot);
  dut->data_i = data;
  const std::uint64_t start = dut.cycle();
  dut.tick();
  dut->valid_i = 0;
  while (!dut->by_slot_valid_o && dut.cycle() < start + 200) dut.tick();
  REQUIRE(dut->by_slot_valid_o);
  REQUIRE(dut->carried_valid_o);
  REQUIRE(dut.cycle() - start == kLatency);
  REQUIRE(dut->by_slot_data_o == dut->carried_data_o);
  return dut->carried_data_o;
}

Key key_of(const tb::Response& r) {
  Key key;
  for (std::size_t i = 0; i < 3; ++i) {
    const auto part = r.octets(r.has("KEYS") ? "KEYS" : "KEY" + std::to_string(i + 1));
    REQUIRE(part.size() == 8);
    std::ranges::copy(part, key.begin() + static_cast<std::ptrdiff_t>(8 * i));
  }
  return key;
}

// All cases of a file, through the pipeline block by block; returns how many.
unsigned run_file(Dut& dut, const std::string& name, bool cbc) {
  unsigned cases = 0;
  for (const tb::Response& r : tb::read_responses(std::string(ESPLANADE_CRYPTOGRAPHY_VECTORS) + name)) {
    CAPTURE(name);
    CAPTURE(cases);
    const bool decrypt = r.section == "DECRYPT";
    const auto in = r.octets(decrypt ? "CIPHERTEXT" : "PLAINTEXT");
    const auto want = r.octets(decrypt ? "PLAINTEXT" : "CIPHERTEXT");
    REQUIRE(in.size() == want.size());
    REQUIRE(in.size() % 8 == 0);
    REQUIRE(!in.empty());
    const unsigned slot = (cases * 101 + 7) % kSlots;
    load_key(dut, slot, key_of(r), decrypt);
    std::uint64_t chain = cbc ? tb::load_be64(r.octets("IV").data()) : 0;
    for (std::size_t at = 0; at < in.size(); at += 8) {
      const std::uint64_t x = tb::load_be64(&in[at]);
      std::uint64_t y = one_block(dut, slot, decrypt ? x : x ^ chain);
      if (decrypt) y ^= chain;
      if (cbc) chain = decrypt ? x : y;
      REQUIRE(y == tb::load_be64(&want[at]));
    }
    ++cases;
  }
  return cases;
}

}  // namespace

TEST_CASE("tdes_pipe: both kinds equal OpenSSL in lockstep while keys are written and wiped under traffic") {
  tb::Random random(1);
  Dut dut;
  dut.reset();
  std::array<Key, kSlots> keys{};
  std::array<bool, kSlots> decrypt{};
  std::array<std::uint64_t, kSlots> used{};  // a key may change when no block of its slot is under way
  for (unsigned s = 0; s < kSlots; ++s) {
    random.fill(keys[s]);
    decrypt[s] = random.percent(50);
    load_key(dut, s, keys[s], decrypt[s]);
  }
  struct Expected {
    std::uint64_t data, at;
  };
  std::deque<Expected> waiting;
  unsigned checked = 0, written = 0, wiped = 0, at_once = 0;
  constexpr int kTraffic = 60000;
  for (int n = 0; n < kTraffic || !waiting.empty(); ++n) {
    REQUIRE(n < kTraffic + 100);
    // A few slots at a time, so that key changes meet traffic of the same slot soon after.
    const unsigned percent = (n / 10000) % 2 != 0 ? 100 : 60;
    unsigned slot = static_cast<unsigned>(random.between(0, kSlots - 1));
    dut->key_we_i = 0;
    if (random.percent(20)) {
      const auto s = static_cast<unsigned>(random.between(0, kSlots - 1));
      if (used[s] + kLatency <= dut.cycle() || used[s] == 0) {
        const bool wipe = random.percent(30);
        Key key;
        random.fill(key);
        const bool d = random.percent(50);
        offer_key(dut, s, key, d, wipe);
        // Blocks from the next cycle on see it; this cycle must not use the slot, as its block would be under
        // way.
        if (slot == s) slot = (slot + 1) % kSlots;
        if (random.percent(50)) {
          dut->valid_i = 0;
          dut.tick();
          if (dut->by_slot_valid_o || dut->carried_valid_o) {
            REQUIRE(dut->by_slot_valid_o == dut->carried_valid_o);
            REQUIRE(!waiting.empty());
            REQUIRE(dut->by_slot_data_o == waiting.front().data);
            REQUIRE(dut->carried_data_o == waiting.front().data);
            waiting.pop_front();
            ++checked;
          }
          dut->key_we_i = 0;
          slot = s;  // the very next cycle
          ++at_once;
        }
        keys[s] = wipe ? Key{} : key;
        decrypt[s] = !wipe && d;
        wipe ? ++wiped : ++written;
      }
    }
    dut->valid_i = n < kTraffic && random.percent(percent);
    dut->slot_i = static_cast<std::uint8_t>(slot);
    dut->data_i = random.bits();
    if (dut->valid_i) {
      waiting.push_back({reference(keys[slot], dut->data_i, decrypt[slot]), dut.cycle() + kLatency});
      used[slot] = dut.cycle();
    }
    dut.tick();
    REQUIRE(dut->by_slot_valid_o == dut->carried_valid_o);
    const bool due = !waiting.empty() && waiting.front().at == dut.cycle();
    REQUIRE(static_cast<bool>(dut->carried_valid_o) == due);
    if (due) {
      REQUIRE(dut->by_slot_data_o == waiting.front().data);
      REQUIRE(dut->carried_data_o == waiting.front().data);
      waiting.pop_front();
      ++checked;
    }
  }
  CHECK(checked > 30000);
  CHECK(written > 1000);
  CHECK(wiped > 300);
  CHECK(at_once > 500);
}

TEST_CASE("tdes_pipe: 1000 blocks in 1000 cycles come out in 1000 cycles") {
  tb::Random random(2);
  Dut dut;
  dut.reset();
  Key key;
  random.fill(key);
  load_key(dut, 200, key, true);
  unsigned out = 0;
  std::uint64_t first = 0, last = 0;
  for (int n = 0; n < 1100; ++n) {
    dut->valid_i = n < 1000;
    dut->slot_i = 200;
    dut->data_i = random.bits();
    dut.tick();
    REQUIRE(dut->by_slot_valid_o == dut->carried_valid_o);
    if (dut->carried_valid_o) {
      if (out++ == 0) first = dut.cycle();
      last = dut.cycle();
      REQUIRE(dut->by_slot_data_o == dut->carried_data_o);
    }
  }
  CHECK(out == 1000);
  CHECK(last - first == 999);
}

TEST_CASE("tdes_pipe: a reset drops all blocks, keys stay") {
  tb::Random random(3);
  Dut dut;
  dut.reset();
  Key key;
  random.fill(key);
  load_key(dut, 9, key, false);
  for (int n = 0; n < 60; ++n) {
    dut->valid_i = random.percent(60);
    dut->slot_i = 9;
    dut->data_i = random.bits();
    dut.tick();
  }
  dut->valid_i = 0;
  dut.reset();
  for (int n = 0; n < 100; ++n) {
    REQUIRE(!dut->by_slot_valid_o);
    REQUIRE(!dut->carried_valid_o);
    dut.tick();
  }
  const std::uint64_t data = random.bits();
  CHECK(one_block(dut, 9, data) == reference(key, data, false));
}

TEST_CASE("tdes_pipe: NIST CAVP known answers and multi-block messages, ECB") {
  Dut dut;
  dut.reset();
  unsigned cases = 0;
  for (const char* name : {"invperm", "permop", "subtab", "varkey", "vartext", "MMT1", "MMT2", "MMT3"}) {
    const unsigned n = run_file(dut, std::string("/ciphers/3DES/ECB/TECB") + name + ".rsp", false);
    CHECK_MESSAGE(n > 0, name);
    cases += n;
  }
  MESSAGE(cases, " cases");
  CHECK(cases >= 400);
}

TEST_CASE("tdes_pipe: NIST CAVP known answers and multi-block messages, CBC") {
  Dut dut;
  dut.reset();
  unsigned cases = 0;
  for (const char* name : {"invperm", "permop", "subtab", "varkey", "vartext", "MMT1", "MMT2", "MMT3"}) {
    const unsigned n = run_file(dut, std::string("/ciphers/3DES/CBC/TCBC") + name + ".rsp", true);
    CHECK_MESSAGE(n > 0, name);
    cases += n;
  }
  MESSAGE(cases, " cases");
  CHECK(cases >= 400);
}
