// The PF_KEYv2 codec: every field survives, every wrong form is refused, no octets crash it.
#include <doctest/doctest.h>
#include <linux/pfkeyv2.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <random>

#include "common/pfkey/message.h"
#include "common/pfkey/natt_frame.h"
#include "common/pfkey/sa_message.h"
#include "common/testing/seed.h"

using namespace esplanade;
using namespace esplanade::pfkey;

namespace {

Bytes bytes_of(const Message& m) {
  auto octets = serialize(m);
  REQUIRE(octets);
  return Bytes(octets->reveal().begin(), octets->reveal().end());
}

Secret key_of(std::size_t len, Byte first) {
  Bytes octets(len);
  for (std::size_t i = 0; i < len; ++i) octets[i] = static_cast<Byte>(first + i);
  return Secret(std::move(octets));
}

// A message with every extension, and lengths that need padding.
Message full_message() {
  Message m;
  m.type = Type::kAdd;
  m.error = 17;
  m.satype = SaType::kEsp;
  m.seq = 0x01020304;
  m.pid = 0x0a0b0c0d;
  m.sa = SaExt{0xdeadbeef, 64, SaState::kDying, SADB_AALG_SHA1HMAC, SADB_EALG_3DESCBC, SADB_SAFLAGS_NOECN};
  m.lifetime_current = LifetimeExt{1, 2, 3, 4};
  m.lifetime_hard = LifetimeExt{5, 6, 7, 8};
  m.lifetime_soft = LifetimeExt{9, 10, 11, UINT64_MAX};
  m.src = host_address(*esp::parse_address("192.0.2.1"));
  m.src->port = 500;
  m.dst = host_address(*esp::parse_address("2001:db8::2"));
  m.dst->proto = 17;
  m.key_auth = key_of(20, 1);
  m.key_encrypt = key_of(24, 100);
  m.supported_auth = {{SADB_AALG_SHA1HMAC, 0, 160, 160}};
  m.supported_encrypt = {{SADB_EALG_3DESCBC, 8, 192, 192}, {SADB_EALG_DESCBC, 8, 64, 64}};
  m.spi_range = SpiRangeExt{256, 0xffffffff};
  m.sa2 = Sa2Ext{kModeTunnel, 3, 77};
  m.natt_type = kNattEspInUdp;
  m.natt_sport = 4500;
  m.natt_dport = 61234;
  return m;
}

}  // namespace

TEST_CASE("pfkey: a message with every extension comes back whole") {
  const Message m = full_message();
  auto back = parse(bytes_of(m));
  REQUIRE(back);
  CHECK(back->type == m.type);
  CHECK(back->error == m.error);
  CHECK(back->satype == m.satype);
  CHECK(back->seq == m.seq);
  CHECK(back->pid == m.pid);
  CHECK(back->sa == m.sa);
  CHECK(back->lifetime_current == m.lifetime_current);
  CHECK(back->lifetime_hard == m.lifetime_hard);
  CHECK(back->lifetime_soft == m.lifetime_soft);
  CHECK(back->src == m.src);
  CHECK(back->dst == m.dst);
  REQUIRE(back->key_auth);
  REQUIRE(back->key_encrypt);
  CHECK(std::ranges::equal(back->key_auth->reveal(), m.key_auth->reveal()));
  CHECK(std::ranges::equal(back->key_encrypt->reveal(), m.key_encrypt->reveal()));
  CHECK(back->supported_auth == m.supported_auth);
  CHECK(back->supported_encrypt == m.supported_encrypt);
  CHECK(back->spi_range == m.spi_range);
  CHECK(back->sa2 == m.sa2);
  CHECK(back->natt_type == m.natt_type);
  CHECK(back->natt_sport == m.natt_sport);
  CHECK(back->natt_dport == m.natt_dport);
}

TEST_CASE("pfkey: the octets are those of <linux/pfkeyv2.h>") {
  Message m;
  m.type = Type::kGetspi;
  m.satype = SaType::kEsp;
  m.sa = SaExt{0x11223344, 32, SaState::kMature, 3, 3, 0};
  m.natt_sport = 4500;
  const Bytes octets = bytes_of(m);
  REQUIRE(octets.size() == sizeof(sadb_msg) + sizeof(sadb_sa) + sizeof(sadb_x_nat_t_port));
  sadb_msg head;
  std::memcpy(&head, octets.data(), sizeof head);
  CHECK(head.sadb_msg_version == PF_KEY_V2);
  CHECK(head.sadb_msg_type == SADB_GETSPI);
  CHECK(std::uint16_t{head.sadb_msg_len} == 5);
  // SPI and port stand in network order.
  CHECK(to_hex(ByteView(octets).subspan(16 + 4, 4)) == "11223344");
  CHECK(to_hex(ByteView(octets).subspan(32 + 4, 2)) == "1194");
}

TEST_CASE("pfkey: cut off anywhere, a message is refused") {
  const Bytes whole = bytes_of(full_message());
  for (std::size_t n = 0; n < whole.size(); ++n) {
    CAPTURE(n);
    Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n));
    CHECK_FALSE(parse(cut));
    // And with a length field that agrees: the last extension may end exactly there, else it is refused.
    if (n < sizeof(sadb_msg) || n % 8 != 0) continue;
    const auto units = static_cast<std::uint16_t>(n / 8);
    std::memcpy(cut.data() + offsetof(sadb_msg, sadb_msg_len), &units, sizeof units);
    std::size_t at = sizeof(sadb_msg);
    while (at < n) {
      sadb_ext ext;
      std::memcpy(&ext, whole.data() + at, sizeof ext);
      at += std::size_t{ext.sadb_ext_len} * 8;
    }
    CHECK(static_cast<bool>(parse(cut)) == (at == n));
  }
}

TEST_CASE("pfkey: an extension with any other length is refused, at its offset") {
  const Bytes whole = bytes_of(full_message());
  for (std::size_t at = sizeof(sadb_msg); at < whole.size();) {
    sadb_ext ext;
    std::memcpy(&ext, whole.data() + at, sizeof ext);
    const bool any_count =
        ext.sadb_ext_type == SADB_EXT_SUPPORTED_AUTH || ext.sadb_ext_type == SADB_EXT_SUPPORTED_ENCRYPT;
    for (int change : {-1, 1}) {
      if (any_count) continue;
      CAPTURE(ext.sadb_ext_type);
      CAPTURE(change);
      // Grow or shrink the extension by a unit, and the message with it.
      Bytes changed(whole.begin(), whole.end());
      const auto end = static_cast<std::ptrdiff_t>(at + std::size_t{ext.sadb_ext_len} * 8);
      if (change > 0) {
        changed.insert(changed.begin() + end, 8, Byte{0});
      } else {
        changed.erase(changed.begin() + end - 8, changed.begin() + end);
        if (ext.sadb_ext_len == 1) continue;
      }
      const auto units = static_cast<std::uint16_t>(changed.size() / 8);
      std::memcpy(changed.data() + offsetof(sadb_msg, sadb_msg_len), &units, sizeof units);
      const auto len = static_cast<std::uint16_t>(ext.sadb_ext_len + change);
      std::memcpy(changed.data() + at, &len, sizeof len);
      const auto parsed = parse(changed);
      REQUIRE_FALSE(parsed);
      CHECK(parsed.error().at == at);
    }
    at += std::size_t{ext.sadb_ext_len} * 8;
  }
}

TEST_CASE("pfkey: an extension given twice is refused") {
  Bytes octets = bytes_of(full_message());
  const Bytes sa(octets.begin() + sizeof(sadb_msg), octets.begin() + sizeof(sadb_msg) + sizeof(sadb_sa));
  octets.insert(octets.end(), sa.begin(), sa.end());
  const auto units = static_cast<std::uint16_t>(octets.size() / 8);
  std::memcpy(octets.data() + offsetof(sadb_msg, sadb_msg_len), &units, sizeof units);
  const auto parsed = parse(octets);
  REQUIRE_FALSE(parsed);
  CHECK(parsed.error().code == Errc::kMalformed);
  CHECK(parsed.error().at == octets.size() - sa.size());
}

TEST_CASE("pfkey: impossible values are refused") {
  const auto refused = [](auto change) {
    Bytes octets = bytes_of(full_message());
    change(octets);
    return !parse(octets);
  };
  CHECK(refused([](Bytes& o) { o[0] = 1; }));  // version
  CHECK(refused([](Bytes& o) { o[1] = 0; }));  // type
  CHECK(refused([](Bytes& o) { o[1] = 11; }));
  CHECK(refused([](Bytes& o) { o[3] = 9; }));  // satype IPComp
  CHECK(refused([](Bytes& o) {
    o[16 + 2] = 0;
    o[16 + 3] = 0;
  }));                                                // extension 0
  CHECK(refused([](Bytes& o) { o[16 + 2] = 200; }));  // unknown extension
  CHECK(refused([](Bytes& o) {
    o[16] = 0;
    o[16 + 1] = 0;
  }));                                              // length 0
  CHECK(refused([](Bytes& o) { o[16 + 9] = 4; }));  // SA state
  Message m;
  m.spi_range = SpiRangeExt{300, 299};
  CHECK_FALSE(parse(bytes_of(m)));
  m = {};
  m.src = host_address({});
  m.src->prefix_len = 33;
  CHECK_FALSE(parse(bytes_of(m)));
}

TEST_CASE("pfkey: messages that are too long or have empty keys are not made") {
  Message m;
  m.key_auth = Secret();
  CHECK_FALSE(serialize(m));
  m.key_auth = key_of(4096, 0);
  CHECK_FALSE(serialize(m));
  m.key_auth = key_of(4096 - 16 - 8, 0);
  auto octets = serialize(m);
  REQUIRE(octets);
  CHECK(octets->size() == kMaxMessage);
  CHECK(parse(octets->reveal()));
  CHECK_FALSE(parse(Bytes(kMaxMessage + 8)));
}

TEST_CASE("pfkey: random changes never crash the parser, and what it takes it can write again") {
  const std::uint64_t seed = testing::seed();
  CAPTURE(seed);
  std::mt19937_64 rng(seed);
  const Bytes whole = bytes_of(full_message());
  std::size_t taken = 0;
  for (int round = 0; round < 20000; ++round) {
    Bytes octets = whole;
    const std::size_t changes = 1 + rng() % 4;
    for (std::size_t i = 0; i < changes; ++i) octets[rng() % octets.size()] = static_cast<Byte>(rng());
    if (rng() % 4 == 0) octets.resize(rng() % (octets.size() + 16));
    auto parsed = parse(octets);
    if (!parsed) {
      CHECK(parsed.error().at <= octets.size());
      continue;
    }
    ++taken;
    auto again = serialize(*parsed);
    REQUIRE(again);
    CHECK(parse(again->reveal()));
  }
  CHECK(taken > 100);
}

TEST_CASE("pfkey: an SA goes through a message unchanged") {
  for (const bool natt : {false, true}) {
    CAPTURE(natt);
    esp::SaParams sa;
    sa.spi = 0x12345678;
    sa.enc_key = key_of(24, 3);
    sa.auth_key = key_of(20, 50);
    sa.src = *esp::parse_address("192.0.2.1");
    sa.dst = *esp::parse_address("192.0.2.2");
    sa.replay_window = 32;
    sa.soft = {.bytes = 1000, .packets = 10, .seconds = 60};
    sa.hard = {.bytes = 2000, .packets = 20, .seconds = 90};
    if (natt) sa.natt = esp::Natt{4500, 1025};
    auto parsed = parse(bytes_of(sa_message(Type::kAdd, std::move(sa), 9)));
    REQUIRE(parsed);
    CHECK(parsed->sa2->reqid == 9);
    auto back = sa_params(std::move(*parsed), true);
    REQUIRE(back);
    CHECK(back->outbound);
    CHECK(back->protocol == esp::Protocol::kEsp);
    CHECK(back->mode == esp::Mode::kTunnel);
    CHECK(back->spi == 0x12345678);
    CHECK(back->cipher == esp::Cipher::kTripleDesCbc);
    CHECK(back->auth == esp::Auth::kHmacSha1_96);
    CHECK(std::ranges::equal(back->enc_key.reveal(), key_of(24, 3).reveal()));
    CHECK(std::ranges::equal(back->auth_key.reveal(), key_of(20, 50).reveal()));
    CHECK(to_string(back->src) == "192.0.2.1");
    CHECK(to_string(back->dst) == "192.0.2.2");
    CHECK(back->replay_window == 32);
    CHECK(back->soft.packets == 10);
    CHECK(back->hard.bytes == 2000);
    CHECK(back->hard.seconds == 90);
    CHECK(back->natt.has_value() == natt);
    if (natt) CHECK(back->natt->dst_port == 1025);
  }
}

TEST_CASE("pfkey: an SA message that lacks or contradicts something is refused") {
  const auto refused = [](auto change) {
    Message m = full_message();
    m.src = m.dst = host_address(*esp::parse_address("192.0.2.1"));
    change(m);
    return !sa_params(std::move(m), true);
  };
  CHECK_FALSE(refused([](Message&) {}));
  CHECK(refused([](Message& m) { m.sa.reset(); }));
  CHECK(refused([](Message& m) { m.src.reset(); }));
  CHECK(refused([](Message& m) { m.sa2.reset(); }));
  CHECK(refused([](Message& m) { m.sa2->mode = kModeAny; }));
  CHECK(refused([](Message& m) { m.satype = SaType::kUnspec; }));
  CHECK(refused([](Message& m) { m.sa->encrypt = SADB_X_EALG_AESCBC; }));
  CHECK(refused([](Message& m) { m.sa->auth = SADB_X_AALG_SHA2_256HMAC; }));
  CHECK(refused([](Message& m) { m.natt_type = 1; }));
  CHECK(refused([](Message& m) { m.natt_sport.reset(); }));
  CHECK(refused([](Message& m) { m.natt_dport = 0; }));
  CHECK(refused([](Message& m) { m.natt_type.reset(); }));
}

TEST_CASE("pfkey: NAT-T frames survive, and every cut and wrong field is refused") {
  const Bytes ike(28, Byte{7});
  NattFrame f;
  f.src = *esp::parse_address("192.0.2.1");
  f.dst = *esp::parse_address("192.0.2.2");
  f.src_port = 4500;
  f.dst_port = 1025;
  f.ike = ike;
  const Bytes whole = serialize(f);
  const auto back = parse_natt_frame(whole);
  REQUIRE(back);
  CHECK(back->src == f.src);
  CHECK(back->dst == f.dst);
  CHECK(back->src_port == 4500);
  CHECK(back->dst_port == 1025);
  CHECK(std::ranges::equal(back->ike, ike));
  for (std::size_t n = 0; n < whole.size(); ++n) {
    CAPTURE(n);
    CHECK_FALSE(parse_natt_frame(ByteView(whole).first(n)));
  }
  for (const std::size_t at : {0U, 1U, 2U, 3U}) {
    Bytes wrong = whole;
    wrong[at] = 9;
    CHECK_FALSE(parse_natt_frame(wrong));
  }
  Bytes wrong = whole;
  wrong[1] = 1;  // a keepalive with a message
  CHECK_FALSE(parse_natt_frame(wrong));
  f.keepalive = true;
  f.ike = {};
  CHECK(parse_natt_frame(serialize(f)));
  f.dst_port = 0;
  CHECK_FALSE(parse_natt_frame(serialize(f)));
}
