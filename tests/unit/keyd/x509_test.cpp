// Certificates and RSA signatures: what is accepted, and the forgeries that are not.
#include <cstring>

#include "common/crypto/private_key.h"
#include "common/crypto/rsa.h"
#include "common/crypto/x509.h"
#include "pki.h"

using namespace esplanade;
using namespace esplanade::crypto;
using namespace esplanade::ike::test;
using crypto::testing::cube_root;
using crypto::testing::make_certificate;
using crypto::testing::make_crl;
using crypto::testing::make_pkcs7;
using crypto::testing::private_operation;

namespace {

const Pki& pki() {
  static const Pki* const one = new Pki;
  return *one;
}

Certificate parsed(const Bytes& der) {
  auto c = Certificate::parse(der);
  REQUIRE(c);
  return *c;
}

std::string verdict(const TrustStore& trust, const Identity& leaf, const std::vector<Identity>& others = {},
                    std::int64_t now = kWallClock, Revocation revocation = Revocation::kRelaxed) {
  std::vector<Certificate> chain;
  for (const Identity& o : others) chain.push_back(parsed(o.certificate));
  const Status s = trust.verify(parsed(leaf.certificate), chain, now, revocation);
  if (s) return "ok";
  return std::string(errc_name(s.error().code)) + ": " + s.error().detail;
}
bool contains(const std::string& text, const char* what) { return text.find(what) != std::string::npos; }

TrustStore trust_in(const std::vector<Bytes>& authorities, const std::vector<Bytes>& pinned = {},
                    const std::vector<Bytes>& crls = {}) {
  auto t = TrustStore::create(authorities, pinned, crls);
  REQUIRE(t);
  return *t;
}

Bytes block(std::size_t len, ByteView tail) {
  Bytes b(len, 0xff);
  b[0] = 0;
  b[1] = 1;
  b[len - tail.size() - 1] = 0;
  std::ranges::copy(tail, b.end() - static_cast<std::ptrdiff_t>(tail.size()));
  return b;
}

// A constructed element around `inner`.
Bytes wrapped(Byte tag, const Bytes& inner) {
  Bytes out{tag, 0x83, static_cast<Byte>(inner.size() >> 16), static_cast<Byte>(inner.size() >> 8),
            static_cast<Byte>(inner.size())};
  out.insert(out.end(), inner.begin(), inner.end());
  return out;
}

}  // namespace

TEST_CASE("ike/x509: a chain to a configured authority is accepted, over an intermediate too") {
  const Identity middle = make_certificate(authority_spec("O=Test, CN=Middle"), &pki().ca);
  const Identity leaf = make_certificate(peer_spec("O=Test, CN=leaf", {"DNS:leaf.example"}), &middle);
  const TrustStore trust = trust_in({pki().ca.certificate});
  CHECK(verdict(trust, pki().left) == "ok");
  CHECK(verdict(trust, leaf, {middle}) == "ok");
  CHECK(contains(verdict(trust, leaf), "unknown-authority"));
  // An intermediate in the configuration is an authority by itself.
  CHECK(verdict(trust_in({middle.certificate}), leaf) == "ok");
}

TEST_CASE("ike/x509: a certificate of a foreign authority is refused, even under the same name") {
  const Identity impostor = make_certificate(authority_spec("O=Test, CN=Root"));
  const Identity leaf = make_certificate(peer_spec("O=Test, CN=left", {"DNS:left.example"}), &impostor);
  const TrustStore trust = trust_in({pki().ca.certificate});
  CHECK(verdict(trust, leaf) != "ok");
  CHECK(verdict(trust, leaf, {impostor}) != "ok");
  const Identity alone = make_certificate(peer_spec("O=Test, CN=self", {"DNS:self.example"}));
  CHECK(contains(verdict(trust, alone), "unknown-authority"));
}

TEST_CASE("ike/x509: validity times are those of the caller's clock") {
  const TrustStore trust = trust_in({pki().ca.certificate});
  CHECK(contains(verdict(trust, pki().left, {}, kWallClock - 2 * kYear), "not yet valid"));
  CHECK(contains(verdict(trust, pki().left, {}, kWallClock + 2 * kYear), "expired"));
  CHECK(contains(verdict(trust, pki().left, {}, 0), "not yet valid"));
}

TEST_CASE("ike/x509: an issuer that is no authority, a path that is too long and a wrong use are refused") {
  const TrustStore trust = trust_in({pki().ca.certificate});
  const Identity leaf = make_certificate(peer_spec("O=Test, CN=under a peer", {"DNS:x.example"}), &pki().left);
  CHECK(verdict(trust, leaf, {pki().left}) != "ok");
  // keyCertSign alone makes no authority.
  CertificateSpec half = authority_spec("O=Test, CN=Half");
  half.basic_constraints = "";
  const Identity middle = make_certificate(half, &pki().ca);
  CHECK(verdict(trust, make_certificate(peer_spec("O=Test, CN=x", {}), &middle), {middle}) != "ok");
  CertificateSpec zero = authority_spec("O=Test, CN=Zero");
  zero.basic_constraints = "critical,CA:TRUE,pathlen:0";
  const Identity ends = make_certificate(zero, &pki().ca);
  const Identity beyond = make_certificate(authority_spec("O=Test, CN=Beyond"), &ends);
  CHECK(verdict(trust, make_certificate(peer_spec("O=Test, CN=x", {}), &ends), {ends}) == "ok");
  CHECK(verdict(trust, make_certificate(peer_spec("O=Test, CN=x", {}), &beyond), {ends, beyond}) != "ok");
  CertificateSpec use = peer_spec("O=Test, CN=use", {});
  use.key_usage = "keyEncipherment";
  CHECK(contains(verdict(trust, pki().make(use)), "keyUsage"));
  use.key_usage = "";
  CHECK(verdict(trust, pki().make(use)) == "ok");
}

TEST_CASE("ike/x509: keys below 1024 bits, other kinds of keys and MD5 signatures are refused") {
  const TrustStore trust = trust_in({pki().ca.certificate});
  CertificateSpec spec = peer_spec("O=Test, CN=weak", {});
  spec.bits = 768;
  CHECK(contains(verdict(trust, pki().make(spec)), "768 bits"));
  spec.bits = 1024;
  CHECK(verdict(trust, pki().make(spec)) == "ok");
  spec.digest = "MD5";
  CHECK(verdict(trust, pki().make(spec)) != "ok");
  spec.digest = "SHA1";
  CHECK(verdict(trust, pki().make(spec)) == "ok");
  spec.elliptic = true;
  CHECK(contains(verdict(trust, pki().make(spec)), "not an RSA key"));
}

TEST_CASE("ike/x509: a listed certificate is refused; a missing or old list as the setting says") {
  CertificateSpec with_uri = peer_spec("O=Test, CN=uri", {"DNS:uri.example"});
  with_uri.crl_uri = "http://crl.test/ca.crl";
  const Identity uri = pki().make(with_uri);
  const Identity& plain = pki().left;
  const Bytes clean = make_crl(pki().ca, {}, kWallClock - 1000, kWallClock + 1000);
  const Bytes old = make_crl(pki().ca, {}, kWallClock - 2000, kWallClock - 1000);
  const Bytes lists = make_crl(pki().ca, {plain.certificate}, kWallClock - 1000, kWallClock + 1000);
  const Bytes old_lists = make_crl(pki().ca, {plain.certificate}, kWallClock - 2000, kWallClock - 1000);
  struct {
    const std::vector<Bytes> crls;
    bool strict, ifuri_plain, ifuri_uri, relaxed;
  } const cases[] = {
      {{}, false, true, false, true},
      {{clean}, true, true, true, true},
      {{old}, false, true, false, true},
  };
  for (const auto& c : cases) {
    const TrustStore trust = trust_in({pki().ca.certificate}, {}, c.crls);
    CAPTURE(&c - cases);
    CHECK((verdict(trust, plain, {}, kWallClock, Revocation::kStrict) == "ok") == c.strict);
    CHECK((verdict(trust, plain, {}, kWallClock, Revocation::kIfUri) == "ok") == c.ifuri_plain);
    CHECK((verdict(trust, uri, {}, kWallClock, Revocation::kIfUri) == "ok") == c.ifuri_uri);
    CHECK((verdict(trust, plain, {}, kWallClock, Revocation::kRelaxed) == "ok") == c.relaxed);
  }
  for (const Bytes& crl : {lists, old_lists})
    for (Revocation r : {Revocation::kStrict, Revocation::kIfUri, Revocation::kRelaxed}) {
      const TrustStore trust = trust_in({pki().ca.certificate}, {}, {crl});
      CHECK(verdict(trust, plain, {}, kWallClock, r) != "ok");
      if (&crl == &lists) CHECK(verdict(trust, pki().right, {}, kWallClock, r) == "ok");
    }
  // A list that another key signed lists nobody.
  const Identity impostor = make_certificate(authority_spec("O=Test, CN=Root"));
  const TrustStore trust = trust_in({pki().ca.certificate}, {},
                                    {make_crl(impostor, {plain.certificate}, kWallClock - 1000, kWallClock + 1000)});
  CHECK(verdict(trust, plain, {}, kWallClock, Revocation::kStrict) != "ok");
}

TEST_CASE("ike/x509: with pinned certificates no other is taken, whoever issued it") {
  const TrustStore trust = trust_in({pki().ca.certificate}, {pki().left.certificate});
  CHECK(verdict(trust, pki().left) == "ok");
  CHECK(contains(verdict(trust, pki().right), "not one of the pinned"));
  const Identity alone = make_certificate(peer_spec("O=Test, CN=self", {"DNS:self.example"}));
  CHECK(verdict(trust_in({}, {alone.certificate}), alone) == "ok");
  CHECK(contains(verdict(trust_in({}, {alone.certificate}), alone, {}, kWallClock + 2 * kYear), "expired"));
}

TEST_CASE("ike/x509: names are compared as their types ask, and none stands for another") {
  const Certificate c = parsed(pki().left.certificate);
  CHECK(c.has_dns_name("left.example"));
  CHECK(c.has_dns_name("LEFT.Example"));
  CHECK_FALSE(c.has_dns_name("right.example"));
  CHECK_FALSE(c.has_dns_name("left.example."));
  CHECK_FALSE(c.has_dns_name(std::string_view("left.example\0.evil", 18)));
  CHECK_FALSE(c.has_dns_name(""));
  CHECK_FALSE(c.has_dns_name("left"));  // the subject's CN
  CHECK_FALSE(c.has_dns_name("l@left.example"));
  CHECK(c.has_email("l@left.example"));
  CHECK_FALSE(c.has_email("left.example"));
  CHECK(c.has_address(Bytes{192, 0, 2, 1}));
  CHECK_FALSE(c.has_address(Bytes{192, 0, 2, 2}));
  CHECK_FALSE(c.has_address(Bytes{}));
  CHECK(c.has_subject(*name_from_text("C=CH, O=Test, CN=left")));
  CHECK(c.has_subject(*name_from_text("C=CH, O=TEST, CN=Left")));  // RFC 5280 s7.1
  CHECK_FALSE(c.has_subject(*name_from_text("O=Test, C=CH, CN=left")));
  CHECK_FALSE(c.has_subject(*name_from_text("CN=left")));
  CHECK_FALSE(c.has_subject(Bytes{0x30, 0x00}));
  CHECK_FALSE(c.has_subject(Bytes{}));
  CHECK_FALSE(name_from_text("left.example"));
  CHECK_FALSE(name_from_text("CN="));
  CHECK_FALSE(name_from_text("CN=a,"));
  CHECK(name_to_text(*name_from_text("C=CH, O=a\nb, CN=x")) == "C=CH, O=a\\x5c0Ab, CN=x");
  CHECK(name_to_text(Bytes{1, 2, 3}) == "malformed name");
}

TEST_CASE("ike/x509: certificates that are cut, changed, too long or followed by octets do not get through") {
  const Bytes good = pki().left.certificate;
  REQUIRE(Certificate::parse(good));
  for (std::size_t n = 0; n < good.size(); ++n) CHECK_FALSE(Certificate::parse(ByteView(good).first(n)));
  Bytes longer = good;
  longer.push_back(0);
  CHECK_FALSE(Certificate::parse(longer));
  CHECK_FALSE(Certificate::parse(Bytes(kCertificateMax + 1, 0x30)));
  const TrustStore trust = trust_in({pki().ca.certificate});
  const std::uint64_t seed = ike::test::base_seed(41);
  CAPTURE(seed);
  std::mt19937_64 gen(seed);
  std::size_t parsed_ones = 0;
  for (int i = 0; i < 4000; ++i) {
    Bytes b = good;
    b[gen() % b.size()] ^= static_cast<Byte>(1u << (gen() % 8));
    auto c = Certificate::parse(b);
    if (!c) continue;
    ++parsed_ones;
    (void)c->has_dns_name("left.example");
    (void)name_to_text(c->subject());
    CHECK_FALSE(trust.verify(*c, {}, kWallClock, Revocation::kRelaxed));
  }
  CHECK(parsed_ones > 100);
}

TEST_CASE("ike/x509: nested elements are refused before they can exhaust a stack") {
  Bytes bomb{0x05, 0x00};
  std::size_t depth = 0;
  for (; bomb.size() + 8 < kCertificateMax; ++depth) bomb = wrapped(0x30, bomb);
  REQUIRE(depth > 2000);
  CHECK_FALSE(Certificate::parse(bomb));
  CHECK_FALSE(certificates_of_pkcs7(bomb));
  CHECK(name_to_text(bomb) == "malformed name");
  // Indefinite lengths nest without saying how much.
  Bytes open;
  for (int i = 0; i < 4000; ++i) open.insert(open.end(), {0x30, 0x80});
  CHECK_FALSE(Certificate::parse(open));
  CHECK_FALSE(certificates_of_pkcs7(open));
  Bytes many{0x30, 0x82, 0x30, 0x00};  // 6,144 empty elements
  for (int i = 0; i < 6144; ++i) many.insert(many.end(), {0x05, 0x00});
  CHECK_FALSE(Certificate::parse(many));
}

TEST_CASE("ike/x509: PKCS #7 gives its certificates, a bounded number of them") {
  auto two = certificates_of_pkcs7(make_pkcs7({pki().left.certificate, pki().ca.certificate}));
  REQUIRE(two);
  CHECK(two->size() == 2);
  CHECK(std::ranges::count(*two, pki().left.certificate) == 1);
  std::vector<Bytes> nine;
  for (int i = 0; i < 9; ++i) nine.push_back(make_certificate(peer_spec("O=Test, CN=" + std::to_string(i), {}), &pki().ca).certificate);
  CHECK_FALSE(certificates_of_pkcs7(make_pkcs7(nine)));
  const Bytes good = make_pkcs7({pki().left.certificate});
  for (std::size_t n = 0; n < good.size(); n += 3) CHECK_FALSE(certificates_of_pkcs7(ByteView(good).first(n)));
  CHECK_FALSE(certificates_of_pkcs7(pki().left.certificate));
}

TEST_CASE("ike/rsa: the signature is the hash in PKCS #1 block type 1 and nothing else") {
  const Certificate c = parsed(pki().left.certificate);
  const Bytes hash(20, 0x42);
  const std::string& pem = pki().left.key_pem;
  auto key = PrivateKey::from_pem(ByteView(reinterpret_cast<const Byte*>(pem.data()), pem.size()));
  REQUIRE(key);
  const Bytes good = *key->sign_raw(hash);
  CHECK(c.verify_raw(hash, good));
  CHECK(good == private_operation(pki().left, block(128, hash)));
  auto refused = [&](const Bytes& b) {
    return !c.verify_raw(hash, private_operation(pki().left, b));
  };
  // DigestInfo of SHA-1, as everybody but IKEv1 has it.
  Bytes info = *from_hex("3021300906052b0e03021a05000414");
  put(info, hash);
  CHECK(refused(block(128, info)));
  // Octets after the hash, with short padding in front to make room for them.
  Bytes garbage = hash;
  garbage.insert(garbage.end(), 40, 0xab);
  CHECK(refused(block(128, garbage)));
  garbage[20] = 0;
  CHECK(refused(block(128, garbage)));
  Bytes b = block(128, hash);
  b[1] = 2;  // block type 2
  CHECK(refused(b));
  b = block(128, hash);
  b[1] = 0;
  CHECK(refused(b));
  b = block(128, hash);
  b[50] = 0;  // an early end of the padding
  CHECK(refused(b));
  b = block(128, hash);
  b[50] = 0xfe;
  CHECK(refused(b));
  b = block(128, ByteView(hash).first(16));
  CHECK(refused(b));
  // Lengths and values.
  for (std::size_t n : {0, 1, 127, 129, 256}) {
    Bytes s = good;
    s.resize(n);
    CHECK_FALSE(c.verify_raw(hash, s));
  }
  for (Byte v : {Byte{0}, Byte{0xff}}) CHECK_FALSE(c.verify_raw(hash, Bytes(128, v)));
  Bytes one(128, 0);
  one.back() = 1;
  CHECK_FALSE(c.verify_raw(hash, one));
  for (std::size_t i = 0; i < good.size(); ++i) {
    Bytes s = good;
    s[i] ^= 1;
    CHECK_FALSE(c.verify_raw(hash, s));
  }
}

TEST_CASE("ike/rsa: with exponent 3 a cube root of a block with garbage at its end is no signature") {
  CertificateSpec spec = peer_spec("O=Test, CN=three", {});
  spec.bits = 2048;
  spec.exponent = 3;
  const Identity three = pki().make(spec);
  const Certificate c = parsed(three.certificate);
  const Bytes hash(20, 0x42);
  CHECK(c.verify_raw(hash, private_operation(three, block(256, hash))));
  // 00 01 FF x8 00 HASH, then whatever the cube has: the forgery of CVE-2006-4339.
  Bytes prefix{0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0};
  put(prefix, hash);
  const Bytes forged = cube_root(prefix, 256);
  CHECK(std::ranges::any_of(forged, [](Byte x) { return x != 0; }));
  CHECK_FALSE(c.verify_raw(hash, forged));
}

TEST_CASE("ike/rsa: keys that are none are refused without their text") {
  for (const char* text : {"", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "hunter2"}) {
    auto key = PrivateKey::from_pem(ByteView(reinterpret_cast<const Byte*>(text), std::strlen(text)));
    REQUIRE_FALSE(key);
    CHECK_FALSE(contains(key.error().detail, "hunter2"));
  }
}
