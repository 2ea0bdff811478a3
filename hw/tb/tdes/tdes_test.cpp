// The 3DES pipeline against OpenSSL: known answers, then random keys, directions, slots and gaps.
#include <Vtdes_pipe.h>
#include <doctest/doctest.h>
#include <openssl/evp.h>

#include <array>
#include <deque>

#include "hw/tb/lib/bench.h"

namespace tb = esplanade::tb;

namespace {

constexpr unsigned kSlots = 32;
constexpr std::uint64_t kLatency = 49;
using Key = std::array<std::uint8_t, 24>;

std::uint64_t reference(const Key& key, std::uint64_t block, bool decrypt) {
  std::array<std::uint8_t, 8> in{}, out{};
  tb::store_be64(in.data(), block);
  int len = 0;
  EVP_CIPHER_CTX* ctx = EVP_CIPHER_CTX_new();
  REQUIRE(EVP_CipherInit_ex(ctx, EVP_des_ede3_ecb(), nullptr, key.data(), nullptr, decrypt ? 0 : 1) == 1);
  EVP_CIPHER_CTX_set_padding(ctx, 0);
  REQUIRE(EVP_CipherUpdate(ctx, out.data(), &len, in.data(), 8) == 1);
  EVP_CIPHER_CTX_free(ctx);
  REQUIRE(len == 8);
  return tb::load_be64(out.data());
}

void load_key(tb::Clocked<Vtdes_pipe>& dut, unsigned slot, const Key& key, bool decrypt) {
  dut->key_we_i = 1;
  dut->key_slot_i = slot & (kSlots - 1);
  dut->key_decrypt_i = decrypt;
  tb::set_top_first(dut->key_i, key);
  dut.tick();
  dut->key_we_i = 0;
}

}  // namespace

TEST_CASE("tdes: single DES known answer is reached with three equal keys, 49 cycles later") {
  tb::Clocked<Vtdes_pipe> dut;
  dut.reset();
  // The worked example in FIPS 46-3 teaching material: key 133457799BBCDFF1.
  Key key{};
  for (std::size_t i = 0; i < 3; ++i) tb::store_be64(key.data() + 8 * i, 0x133457799bbcdff1);
  load_key(dut, 3, key, false);
  dut->valid_i = 1;
  dut->slot_i = 3;
  dut->data_i = 0x0123456789abcdef;
  const std::uint64_t start = dut.cycle();
  dut.tick();
  dut->valid_i = 0;
  while (!dut->valid_o && dut.cycle() < start + 200) dut.tick();
  REQUIRE(dut->valid_o);
  CHECK(dut.cycle() - start == kLatency);
  CHECK(dut->data_o == 0x85e813540f0ab405);
}

TEST_CASE("tdes: a wiped key is gone") {
  tb::Random random(2);
  tb::Clocked<Vtdes_pipe> dut;
  dut.reset();
  Key key;
  random.fill(key);
  load_key(dut, 5, key, false);
  dut->key_wipe_i = 1;
  load_key(dut, 5, key, false);
  dut->valid_i = 1;
  dut->slot_i = 5;
  dut->data_i = random.bits();
  const std::uint64_t want = reference(Key{}, dut->data_i, false);  // subkeys all zero, as of the zero key
  dut.tick();
  dut->valid_i = 0;
  for (int i = 0; i < 100 && !dut->valid_o; ++i) dut.tick();
  REQUIRE(dut->valid_o);
  CHECK(dut->data_o == want);
}

TEST_CASE("tdes: random blocks of many slots, both directions, equal OpenSSL") {
  tb::Random random(1);
  tb::Clocked<Vtdes_pipe> dut;
  dut.reset();
  std::array<Key, kSlots> keys{};
  std::array<bool, kSlots> decrypt{};
  for (unsigned s = 0; s < kSlots; ++s) {
    random.fill(keys[s]);
    decrypt[s] = random.percent(50);
    load_key(dut, s, keys[s], decrypt[s]);
  }
  std::deque<std::uint64_t> expected;
  int checked = 0;
  for (int n = 0; n < 20000 || !expected.empty(); ++n) {
    dut->valid_i = n < 20000 && random.percent(n < 10000 ? 50 : 100);
    const auto slot = static_cast<unsigned>(random.between(0, kSlots - 1));
    dut->slot_i = slot & (kSlots - 1);
    dut->data_i = random.bits();
    if (dut->valid_i) expected.push_back(reference(keys[slot], dut->data_i, decrypt[slot]));
    dut.tick();
    if (dut->valid_o) {
      REQUIRE(!expected.empty());
      REQUIRE(dut->data_o == expected.front());
      expected.pop_front();
      ++checked;
    }
    REQUIRE(n < 21000);
  }
  CHECK(checked > 10000);
}
