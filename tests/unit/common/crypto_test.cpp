// Published vectors: RFC 1321 A.5, RFC 3174 s7.3, RFC 2202 s2 and s3; FIPS 81 appendix C for DES-CBC.
#include <doctest/doctest.h>

#include <string_view>

#include "common/crypto/cbc.h"
#include "common/crypto/dh.h"
#include "common/crypto/hash.h"
#include "common/crypto/random.h"
#include "common/crypto/seal.h"

using namespace esplanade;
using namespace esplanade::crypto;

namespace {
ByteView text(std::string_view s) { return {reinterpret_cast<const Byte*>(s.data()), s.size()}; }
Bytes hex(std::string_view s) { return from_hex(s).value(); }
}  // namespace

TEST_CASE("hash: published digests, whole and in parts") {
  CHECK(to_hex(hash(Hash::kMd5, {text("abc")})) == "900150983cd24fb0d6963f7d28e17f72");
  CHECK(to_hex(hash(Hash::kSha1, {text("abc")})) == "a9993e364706816aba3e25717850c26c9cd0d89d");
  CHECK(hash(Hash::kSha1, {text("a"), text(""), text("bc")}) == hash(Hash::kSha1, {text("abc")}));
}

TEST_CASE("HMAC: RFC 2202, and a context serves many messages") {
  CHECK(to_hex(prf(Hash::kSha1, Bytes(20, 0x0b), {text("Hi There")}).reveal()) == "b617318655057264e28bc0b6fb378c8ef146be00");
  CHECK(to_hex(prf(Hash::kMd5, Bytes(16, 0x0b), {text("Hi There")}).reveal()) == "9294727a3638bb1c13f48ef8158bfc9d");
  CHECK(to_hex(prf(Hash::kSha1, text("Jefe"), {text("what do ya want "), text("for nothing?")}).reveal()) == "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
  CHECK(to_hex(prf(Hash::kSha1, Bytes(80, 0xaa), {text("Test Using Larger Than Block-Size Key - Hash Key First")}).reveal()) == "aa4ae5e15272d00e95705637ce8a3b55ed402112");
  Hmac mac(Hash::kSha1, Bytes(20, 0x0b));
  for (int i = 0; i < 3; ++i) {
    Bytes out(12);
    mac.digest({text("Hi There")}, out);
    CHECK(to_hex(out) == "b617318655057264e28bc0b6");
  }
}

TEST_CASE("CBC: DES of FIPS 81, 3DES with three equal keys is DES, and odd sizes are refused") {
  const Iv iv{0x12, 0x34, 0x56, 0x78, 0x90, 0xab, 0xcd, 0xef};
  Cbc des(BlockCipher::kDes, hex("0123456789abcdef"));
  Bytes data(text("Now is the time for all ").begin(), text("Now is the time for all ").end());
  Bytes out(data.size());
  CHECK(des.encrypt(iv, data, out));
  CHECK(to_hex(out) == "e5c7cdde872bf27c43e934008c389c0f683788499a7c05f6");
  Bytes again(data.size());
  Cbc triple(BlockCipher::kTripleDes, hex("0123456789abcdef0123456789abcdef0123456789abcdef"));
  CHECK(triple.encrypt(iv, data, again));
  CHECK(again == out);
  CHECK(triple.decrypt(iv, again, again));  // in place
  CHECK(again == data);
  CHECK(des.encrypt(iv, ByteView(data).first(7), MutableBytes(out).first(7)).error().code == Errc::kBadLength);
}

TEST_CASE("DES: weak and semi-weak keys are known whatever their parity") {
  CHECK(is_weak_des_key(hex("0101010101010101")));
  CHECK(is_weak_des_key(hex("0000000000000000")));
  CHECK(is_weak_des_key(hex("e0fee0fef1fef1fe")));
  CHECK_FALSE(is_weak_des_key(hex("0123456789abcdef")));
}

TEST_CASE("DH: both ends agree in every group, and values that give the secret away are refused") {
  for (const DhGroup group : {DhGroup::kModp768, DhGroup::kModp1024, DhGroup::kModp1536, DhGroup::kModp2048}) {
    const DhKey a = DhKey::generate(group).value(), b = DhKey::generate(group).value();
    CHECK(a.public_value().size() == prime_len(group));
    CHECK(a.public_value() != b.public_value());
    const Secret ab = a.shared(b.public_value()).value(), ba = b.shared(a.public_value()).value();
    CHECK(constant_time_equal(ab.reveal(), ba.reveal()));
    CHECK(ab.size() == prime_len(group));
    Bytes bad(prime_len(group), 0);
    CHECK_FALSE(a.shared(bad));  // 0
    bad.back() = 1;
    CHECK_FALSE(a.shared(bad));
    bad = prime(group);
    CHECK_FALSE(a.shared(bad));  // p
    bad.back() -= 1;
    CHECK_FALSE(a.shared(bad));  // p - 1
    CHECK_FALSE(a.shared(ByteView(b.public_value()).first(prime_len(group) - 1)));
    CHECK_FALSE(a.shared(ByteView()));
  }
}

TEST_CASE("random: two draws differ") {
  Bytes a(32), b(32);
  random_bytes(a);
  random_bytes(b);
  CHECK(a != b);
}

TEST_CASE("crypto: what was sealed comes back under the same key, number and bound octets, and under no other") {
  const Bytes key(crypto::kSealKeyLen, 0x42), bound{1, 2, 3}, plain{9, 8, 7, 6, 5};
  const Bytes sealed = crypto::seal(key, 7, bound, plain);
  REQUIRE(sealed.size() == plain.size() + crypto::kSealTagLen);
  CHECK_FALSE(std::ranges::equal(ByteView(sealed).first(plain.size()), plain));
  const auto back = crypto::unseal(key, 7, bound, sealed);
  REQUIRE(back);
  CHECK(std::ranges::equal(back->reveal(), plain));
  Bytes other = key;
  other[31] ^= 1;
  CHECK_FALSE(crypto::unseal(other, 7, bound, sealed));
  CHECK_FALSE(crypto::unseal(key, 8, bound, sealed));
  CHECK_FALSE(crypto::unseal(key, 7, Bytes{1, 2, 4}, sealed));
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    Bytes changed = sealed;
    changed[i] ^= 0x80;
    CHECK_FALSE(crypto::unseal(key, 7, bound, changed));
  }
  CHECK_FALSE(crypto::unseal(key, 7, bound, ByteView(sealed).first(15)));
  CHECK(crypto::unseal(key, 7, {}, crypto::seal(key, 7, {}, {}))->size() == 0);
}
