// Path MTUs: what is learned, for how long, what is not believed; and what an SA leaves of one, held against the engine.
#include <doctest/doctest.h>

#include "common/esp/engine.h"
#include "common/esp/ip.h"
#include "host/espd/path_mtu.h"

using namespace esplanade;
using namespace esplanade::espd;
using namespace std::chrono_literals;

namespace {

const esp::IpAddress kPeer4 = *esp::parse_address("192.0.2.1"), kOther = *esp::parse_address("192.0.2.9");
const esp::IpAddress kPeer6 = *esp::parse_address("2001:db8::1");

Bytes inner(std::size_t size) {
  Bytes p(size);
  p[0] = 0x45;
  store_be16(&p[2], static_cast<std::uint16_t>(size));
  p[8] = 64;
  p[9] = 61;
  store_be16(&p[10], esp::ipv4_checksum(ByteView(p).first(20)));
  return p;
}

}  // namespace

TEST_CASE("espd/path-mtu: a path takes what its link does, until an error tells of less, for ten minutes") {
  std::size_t link = 1500;
  PathMtu paths([&](const esp::IpAddress&) { return std::optional(link); });
  const Clock::time_point start{};
  CHECK(paths.towards(kPeer4, start) == 1500);
  CHECK(paths.told(kPeer4, 1400, start));
  CHECK(paths.towards(kPeer4, start) == 1400);
  CHECK(paths.towards(kOther, start) == 1500);
  CHECK(paths.towards(kPeer4, start + 10min - 1s) == 1400);
  CHECK(paths.towards(kPeer4, start + 10min) == 1500);
}

TEST_CASE("espd/path-mtu: an error never raises it, and never goes below what every path takes") {
  PathMtu paths([](const esp::IpAddress&) { return std::optional<std::size_t>(1500); });
  const Clock::time_point now{};
  for (const std::size_t mtu : {1500, 1501, 65535}) CHECK_FALSE(paths.told(kPeer4, mtu, now));
  CHECK(paths.told(kPeer4, 1000, now));
  CHECK_FALSE(paths.told(kPeer4, 1000, now));
  CHECK_FALSE(paths.told(kPeer4, 1400, now));
  CHECK(paths.told(kPeer4, 0, now));
  CHECK(paths.towards(kPeer4, now) == 576);
  CHECK_FALSE(paths.told(kPeer4, 68, now));
  CHECK(paths.told(kPeer6, 68, now));
  CHECK(paths.towards(kPeer6, now) == 1280);
}

TEST_CASE("espd/path-mtu: a link that changes is seen after a few seconds; without a route it is taken for Ethernet") {
  std::optional<std::size_t> link = 9000;
  int asked = 0;
  PathMtu paths([&](const esp::IpAddress&) {
    ++asked;
    return link;
  });
  const Clock::time_point start{};
  CHECK(paths.towards(kPeer4, start) == 9000);
  link = 1400;
  CHECK(paths.towards(kPeer4, start + 4s) == 9000);
  CHECK(asked == 1);
  CHECK(paths.towards(kPeer4, start + 5s) == 1400);
  link = std::nullopt;
  CHECK(paths.towards(kPeer4, start + 10s) == 1500);
  link = 100;  // a device may be set so low; nothing of ours fits through
  CHECK(paths.towards(kPeer4, start + 15s) == 576);
}

TEST_CASE("espd/path-mtu: the largest inner packet fits, and one octet more does not") {
  std::size_t seen = 0;
  for (const bool v6 : {false, true}) {
    for (const auto protocol : {esp::Protocol::kEsp, esp::Protocol::kAh}) {
      for (const auto cipher : {esp::Cipher::kNull, esp::Cipher::kDesCbc, esp::Cipher::kTripleDesCbc}) {
        for (const auto auth : {esp::Auth::kNone, esp::Auth::kHmacMd5_96, esp::Auth::kHmacSha1_96}) {
          for (const bool natt : {false, true}) {
            if (natt && protocol == esp::Protocol::kAh) continue;
            Sa sa;
            sa.src = v6 ? kPeer6 : kPeer4;
            sa.id.protocol = protocol;
            sa.cipher = cipher;
            sa.auth = auth;
            if (natt) sa.natt = esp::Natt{};
            esp::SaParams params;
            params.protocol = protocol;
            params.spi = 0x1000;
            params.cipher = cipher;
            params.auth = auth;
            Bytes key = *from_hex("0123456789abcdef23456789abcdef01456789abcdef0123");
            key.resize(esp::key_len(cipher));
            params.enc_key = Secret(std::move(key));
            params.auth_key = Secret(Bytes(esp::key_len(auth), 0x0b));
            params.src = sa.src;
            params.dst = v6 ? *esp::parse_address("2001:db8::2") : kOther;
            // Over IPv6 the engine does no UDP: 8 octets more.
            if (natt && !v6) params.natt = esp::Natt{};
            auto engine = esp::SoftSa::create(std::move(params));
            if (!engine) continue;  // NULL with NULL, AH with a cipher
            CAPTURE(int(protocol));
            CAPTURE(int(cipher));
            CAPTURE(int(auth));
            CAPTURE(natt);
            CAPTURE(v6);
            for (std::size_t mtu = 1280; mtu < 1300; ++mtu) {
              CAPTURE(mtu);
              const std::size_t udp = natt && v6 ? 8 : 0;
              const std::size_t most = largest_inner(sa, mtu);
              const auto fits = engine->encap(inner(most)), not_any_more = engine->encap(inner(most + 1));
              REQUIRE(fits);
              REQUIRE(not_any_more);
              CHECK(fits->packet.size() + udp <= mtu);
              CHECK(not_any_more->packet.size() + udp > mtu);
              ++seen;
            }
          }
        }
      }
    }
  }
  CHECK(seen >= 2 * (8 * 2 + 2) * 20);
}
