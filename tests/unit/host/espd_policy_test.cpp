// Selectors and policies.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <random>

#include "common/testing/seed.h"
#include "host/espd/policy.h"

using namespace esplanade;
using namespace esplanade::espd;

namespace {
esp::IpAddress ip(const char* text) { return *esp::parse_address(text); }
Flow flow(const char* src, const char* dst) { return {ip(src), ip(dst)}; }
}  // namespace

TEST_CASE("espd/policy: prefixes hold what they should, at every length") {
  // Against arithmetic on whole numbers.
  std::mt19937_64 rng(testing::seed());
  for (unsigned len = 0; len <= 32; ++len) {
    const std::uint32_t mask = len == 0 ? 0 : ~std::uint32_t{0} << (32 - len);
    for (int round = 0; round < 200; ++round) {
      const auto network = static_cast<std::uint32_t>(rng()) & mask;
      // Often near: one bit flipped.
      const std::uint32_t other =
          round % 2 == 0 ? static_cast<std::uint32_t>(rng()) : network ^ (1U << (rng() % 32));
      Prefix prefix;
      prefix.len = static_cast<std::uint8_t>(len);
      store_be32(prefix.address.octets.data(), network);
      esp::IpAddress address;
      store_be32(address.octets.data(), other);
      CHECK(prefix.contains(address) == ((other & mask) == network));
    }
  }
  CHECK(parse_prefix("2001:db8::/33")->contains(ip("2001:db8:7fff::1")));
  CHECK_FALSE(parse_prefix("2001:db8::/33")->contains(ip("2001:db8:8000::1")));
  CHECK_FALSE(parse_prefix("0.0.0.0/0")->contains(ip("::1")));
}

TEST_CASE("espd/policy: the first policy that fits counts, in its direction only") {
  const Policy narrow{"narrow",
                      1,
                      *parse_prefix("10.2.0.0/24"),
                      *parse_prefix("10.1.0.5"),
                      ip("192.0.2.2"),
                      ip("192.0.2.1"),
                      UdpEncap::kAuto};
  const Policy wide{"wide",
                    2,
                    *parse_prefix("10.2.0.0/16"),
                    *parse_prefix("10.1.0.0/16"),
                    ip("192.0.2.2"),
                    ip("192.0.2.1"),
                    UdpEncap::kAuto};
  const PolicyTable table({narrow, wide});
  const auto reqid = [&](const char* src, const char* dst) {
    const Policy* p = table.match_outbound(flow(src, dst));
    return p == nullptr ? 0U : p->reqid;
  };
  CHECK(reqid("10.2.0.1", "10.1.0.5") == 1);
  CHECK(reqid("10.2.0.1", "10.1.0.6") == 2);
  CHECK(reqid("10.2.1.1", "10.1.0.5") == 2);
  CHECK(reqid("10.1.0.5", "10.2.0.1") == 0);
  CHECK(reqid("10.3.0.1", "10.1.0.5") == 0);
  CHECK(reqid("10.2.0.1", "11.1.0.5") == 0);
  CHECK(PolicyTable::inbound_allowed(narrow, flow("10.1.0.5", "10.2.0.1")));
  CHECK_FALSE(PolicyTable::inbound_allowed(narrow, flow("10.1.0.6", "10.2.0.1")));
  CHECK_FALSE(PolicyTable::inbound_allowed(narrow, flow("10.2.0.1", "10.1.0.5")));
  CHECK(table.by_reqid(2)->name == "wide");
  CHECK(table.by_reqid(3) == nullptr);
}

TEST_CASE("espd/policy: addresses are read from whole headers alone") {
  Bytes v4(20);
  v4[0] = 0x45;
  std::ranges::copy(ip("10.1.2.3").bytes(), v4.begin() + 12);
  std::ranges::copy(ip("10.4.5.6").bytes(), v4.begin() + 16);
  REQUIRE(flow_of(v4));
  CHECK(flow_of(v4)->src == ip("10.1.2.3"));
  CHECK(flow_of(v4)->dst == ip("10.4.5.6"));
  Bytes v6(40);
  v6[0] = 0x60;
  v6[23] = 1;
  v6[39] = 2;
  REQUIRE(flow_of(v6));
  CHECK(flow_of(v6)->dst == ip("::2"));
  for (std::size_t n = 0; n < 20; ++n) CHECK_FALSE(flow_of(ByteView(v4).first(n)));
  for (std::size_t n = 0; n < 40; ++n) CHECK_FALSE(flow_of(ByteView(v6).first(n)));
  v4[0] = 0x55;
  CHECK_FALSE(flow_of(v4));
}
