// The bitsliced DES in every width that the processor can do. Published vectors: NIST SP 800-17 table 4 (substitution
// table known answers, which pass through every entry of every S-box) and SP 800-67 appendix B; all else against OpenSSL.
#include <doctest/doctest.h>

#include <random>
#include <vector>

#include "common/crypto/des_bitslice.h"
#include "common/testing/seed.h"

using namespace esplanade;
using namespace esplanade::crypto;

namespace {
Bytes hex(std::string_view s) { return from_hex(s).value(); }

struct Known {
  const char* key;
  const char* plain;
  const char* cipher;
};
constexpr Known kSubstitution[] = {
    {"7ca110454a1a6e57", "01a1d6d039776742", "690f5b0d9a26939b"}, {"0131d9619dc1376e", "5cd54ca83def57da", "7a389d10354bd271"},
    {"07a1133e4a0b2686", "0248d43806f67172", "868ebb51cab4599a"}, {"3849674c2602319e", "51454b582ddf440a", "7178876e01f19b2a"},
    {"04b915ba43feb5b6", "42fd443059577fa2", "af37fb421f8c4095"}, {"0113b970fd34f2ce", "059b5e0851cf143a", "86a560f10ec6d85b"},
    {"0170f175468fb5e6", "0756d8e0774761d2", "0cd3da020021dc09"}, {"43297fad38e373fe", "762514b829bf486a", "ea676b2cb7db2b7a"},
    {"07a7137045da2a16", "3bdd119049372802", "dfd64a815caf1a0f"}, {"04689104c2fd3b2f", "26955f6835af609a", "5c513c9c4886c088"},
    {"37d06bb516cb7546", "164d5e404f275232", "0a2aeeae3ff4ab77"}, {"1f08260d1ac2465e", "6b056e18759f5cca", "ef1bf03e5dfa575a"},
    {"584023641aba6176", "004bd6ef09176062", "88bf0db6d70dee56"}, {"025816164629b007", "480d39006ee762f2", "a1f9915541020b56"},
    {"49793ebc79b3258f", "437540c8698f3cfa", "6fbf1cafcffd0556"}, {"4fb05e1515ab73a7", "072d43a077075292", "2f22e49bab7ca1ac"},
    {"49e95d6d4ca229bf", "02fe55778117f12a", "5a6b612cc26cce4a"}, {"018310dc409b26d6", "1d9d5c5018f728c2", "5f4c038ed12b2e41"},
    {"1c587f1c13924fef", "305532286d6f295a", "63fac0d034d9f793"},
};

/// A packet with OpenSSL's word on it.
struct Packet {
  Cbc reference;
  BitsliceKey key;
  Iv iv;
  Bytes plain, cipher, out;
};

Packet random_packet(std::mt19937_64& rng, std::size_t blocks) {
  const auto octets = [&rng](std::size_t n) {
    Bytes out(n);
    for (Byte& b : out) b = static_cast<Byte>(rng());
    return out;
  };
  const BlockCipher cipher = rng() % 4 == 0 ? BlockCipher::kDes : BlockCipher::kTripleDes;
  const Bytes key = octets(key_len(cipher));
  Packet p{Cbc(cipher, key), BitsliceKey(cipher, key), {}, octets(kBlockLen * blocks), {}, {}};
  for (Byte& b : p.iv) b = static_cast<Byte>(rng());
  p.cipher.resize(p.plain.size());
  p.out.resize(p.plain.size());
  REQUIRE(p.reference.encrypt(p.iv, p.plain, p.cipher));
  return p;
}
}  // namespace

TEST_CASE("DES, bitsliced: NIST's substitution table answers, each in a lane of its own") {
  for (const BitsliceWidth width : bitslice_widths()) {
    CAPTURE(static_cast<int>(width));
    std::vector<BitsliceKey> keys;
    std::vector<Bytes> blocks;
    std::vector<BitsliceJob> jobs;
    for (const Known& k : kSubstitution) {
      keys.emplace_back(BlockCipher::kDes, hex(k.key));
      blocks.push_back(hex(k.plain));
    }
    for (std::size_t i = 0; i < keys.size(); ++i) jobs.push_back({&keys[i], {}, blocks[i], blocks[i]});
    CHECK(encrypt(jobs, width));
    for (std::size_t i = 0; i < keys.size(); ++i) CHECK(to_hex(blocks[i]) == kSubstitution[i].cipher);
    CHECK(decrypt(jobs, width));
    for (std::size_t i = 0; i < keys.size(); ++i) CHECK(to_hex(blocks[i]) == kSubstitution[i].plain);
  }
}

TEST_CASE("3DES, bitsliced: the example of SP 800-67, block by block") {
  const BitsliceKey key(BlockCipher::kTripleDes, hex("0123456789abcdef23456789abcdef01456789abcdef0123"));
  for (const BitsliceWidth width : bitslice_widths()) {
    CAPTURE(static_cast<int>(width));
    Bytes octets = hex("5468652071756663" "6b2062726f776e20" "666f78206a756d70");
    std::vector<BitsliceJob> jobs;
    for (std::size_t at = 0; at < octets.size(); at += 8) jobs.push_back({&key, {}, ByteView(octets).subspan(at, 8), MutableBytes(octets).subspan(at, 8)});
    CHECK(encrypt(jobs, width));
    CHECK(to_hex(octets) == "a826fd8ce53b855fcce21c8112256fe668d5c05dd9b6b900");
    CHECK(decrypt(jobs, width));
    CHECK(to_hex(octets) == "5468652071756663" "6b2062726f776e20" "666f78206a756d70");
  }
}

TEST_CASE("CBC, bitsliced: like OpenSSL for random keys, lengths and numbers of packets, apart and in place") {
  std::mt19937_64 rng(testing::seed());
  for (int turn = 0; turn < 12; ++turn) {
    CAPTURE(turn);
    std::vector<Packet> packets;
    for (std::size_t left = turn == 0 ? 1 : rng() % 700; left > 0; --left) packets.push_back(random_packet(rng, rng() % (left % 50 == 1 ? 200 : 12)));
    for (const BitsliceWidth width : bitslice_widths()) {
      CAPTURE(static_cast<int>(width));
      std::vector<BitsliceJob> jobs;
      for (Packet& p : packets) jobs.push_back({&p.key, p.iv, p.plain, p.out});
      CHECK(encrypt(jobs, width));
      for (const Packet& p : packets) CHECK(p.out == p.cipher);
      jobs.clear();
      for (Packet& p : packets) jobs.push_back({&p.key, p.iv, p.out, p.out});
      CHECK(decrypt(jobs, width));
      for (const Packet& p : packets) CHECK(p.out == p.plain);
      CHECK(encrypt(jobs, width));
      for (const Packet& p : packets) CHECK(p.out == p.cipher);
      jobs.clear();
      for (Packet& p : packets) {
        std::ranges::fill(p.out, Byte{0});
        jobs.push_back({&p.key, p.iv, p.cipher, p.out});
      }
      CHECK(decrypt(jobs, width));
      for (const Packet& p : packets) CHECK(p.out == p.plain);
    }
  }
}

TEST_CASE("CBC, bitsliced: a part of a block is refused, and then no packet is touched") {
  const BitsliceKey key(BlockCipher::kDes, hex("0123456789abcdef"));
  Bytes whole(16, 7), part(15, 7);
  const BitsliceJob jobs[] = {{&key, {}, whole, whole}, {&key, {}, part, part}};
  CHECK(encrypt(jobs).error().code == Errc::kBadLength);
  CHECK(decrypt(jobs).error().code == Errc::kBadLength);
  CHECK(whole == Bytes(16, 7));
  CHECK(encrypt({}));
}

TEST_CASE("CBC, bitsliced: what pays") {
  using Octets = std::vector<std::size_t>;
  CHECK(encrypt_alone({}, BitsliceWidth::k128) == 0);
  CHECK(encrypt_alone(Octets{1504}, BitsliceWidth::k128) == 1);                     // one packet fills one lane
  CHECK(encrypt_alone(Octets(100, 1504), BitsliceWidth::k128) == 0);                // a hundred fill a pass
  Octets mixed(100, 64);
  mixed.insert(mixed.begin(), 8000);
  CHECK(encrypt_alone(mixed, BitsliceWidth::k128) == 1);                            // the long one would be alone at the end
  CHECK(decrypt_alone(Octets{80}) == 1);
  CHECK(decrypt_alone(Octets{1504}) == 0);
}
