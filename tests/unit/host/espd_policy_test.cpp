// Selectors and policies.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <random>

#include "common/esp/ip.h"
#include "common/testing/seed.h"
#include "host/espd/flow_tracker.h"
#include "host/espd/guard.h"
#include "host/espd/policy.h"
#include "host/espd/routes.h"
#include "test_policy.h"

using namespace esplanade;
using namespace esplanade::espd;

namespace {
esp::IpAddress ip(const char* text) { return *esp::parse_address(text); }
Flow flow(const char* src, const char* dst, std::uint8_t protocol = 1, std::optional<Flow::Ports> ports = std::nullopt) {
  return {ip(src), ip(dst), protocol, ports, false};
}
using Ports = Flow::Ports;
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
  const PolicyTable table({protect("narrow", 1, "10.2.0.0/24", "10.1.0.5"), protect("wide", 2, "10.2.0.0/16", "10.1.0.0/16")});
  const auto reqid = [&](const char* src, const char* dst) {
    const Policy* p = table.match(flow(src, dst)).policy;
    return p == nullptr ? 0U : p->reqid;
  };
  CHECK(reqid("10.2.0.1", "10.1.0.5") == 1);
  CHECK(reqid("10.2.0.1", "10.1.0.6") == 2);
  CHECK(reqid("10.2.1.1", "10.1.0.5") == 2);
  CHECK(reqid("10.1.0.5", "10.2.0.1") == 0);
  CHECK(reqid("10.3.0.1", "10.1.0.5") == 0);
  CHECK(reqid("10.2.0.1", "11.1.0.5") == 0);
  const Policy& narrow = table.all()[0];
  const Policy& wide = table.all()[1];
  CHECK(table.inbound_allowed(narrow, flow("10.1.0.5", "10.2.0.1")));
  CHECK_FALSE(table.inbound_allowed(narrow, flow("10.1.0.6", "10.2.0.1")));
  CHECK_FALSE(table.inbound_allowed(narrow, flow("10.2.0.1", "10.1.0.5")));
  CHECK(table.inbound_allowed(wide, flow("10.1.0.6", "10.2.0.1")));
  CHECK_FALSE(table.inbound_allowed(wide, flow("10.1.0.5", "10.2.0.1")));  // the narrow one's
  CHECK(table.by_reqid(2)->name == "wide");
  CHECK(table.by_reqid(3) == nullptr);
}

TEST_CASE("espd/policy: more flows than are remembered find their policies, the first time and again, also after a change") {
  std::mt19937_64 rng(testing::seed());
  const auto address = [](std::uint32_t value) {
    esp::IpAddress out;
    store_be32(out.octets.data(), value);
    return out;
  };
  // Policy i: from anywhere to 10.0.0.i, UDP port 1000 and above; before them all, port 53 bypasses to 10.0.0.0/27.
  std::vector<Policy> policies(1);
  policies[0].action = Action::kBypass;
  policies[0].remote_ts = *parse_selector("10.0.0.0/27[udp/53]");
  policies[0].local_ts = *parse_selector("0.0.0.0/0");
  for (std::uint32_t i = 0; i < 40; ++i) {
    Policy p = policies[0];
    p.action = Action::kProtect;
    p.reqid = i + 1;
    p.remote_ts = {{address(0x0a000000 + i), 32}, 17, {1000, 65535}};
    policies.push_back(p);
  }
  PolicyTable table(policies);
  std::vector<Flow> flows{{}};  // of the address 0.0.0.0 and protocol 0
  for (int i = 0; i < 6000; ++i) {
    flows.push_back({address(static_cast<std::uint32_t>(rng())), address(0x0a000000 + static_cast<std::uint32_t>(rng() % 64)), 17,
                     Ports{static_cast<std::uint16_t>(rng()), rng() % 2 == 0 ? std::uint16_t{53} : static_cast<std::uint16_t>(rng())}, false});
  }
  for (int round = 0; round < 3; ++round) {
    if (round == 2) {  // the same without the first
      policies.erase(policies.begin());
      table.replace(policies);
    }
    for (const Flow& f : flows) {
      const std::uint32_t host = load_be32(f.dst.octets.data()) - 0x0a000000;
      const std::uint16_t port = f.ports ? f.ports->dst : 0;
      const std::size_t first = round == 2 ? 0 : 1;
      const Policy* expected = round < 2 && host < 32 && port == 53 ? &table.all()[0] : host < 40 && port >= 1000 ? &table.all()[host + first] : nullptr;
      REQUIRE(table.match(f).policy == expected);
    }
  }
}

TEST_CASE("espd/policy: selectors in strongSwan's words, and back") {
  for (const char* text : {"10.1.0.0/24", "192.0.2.1/32", "10.1.0.0/24[icmp]", "10.1.0.0/24[tcp/443]", "2001:db8::/32[udp/5000-5999]", "10.0.0.0/8[50]", "::/0[ipv6-icmp]", "0.0.0.0/0[sctp/0-9]"})
    CHECK(to_string(*parse_selector(text)) == text);
  CHECK(to_string(*parse_selector("10.1.0.0/24[6/80-80]")) == "10.1.0.0/24[tcp/80]");
  CHECK(to_string(*parse_selector("10.1.0.0/24[tcp/0-65535]")) == "10.1.0.0/24[tcp]");
  for (const char* text : {"", "10.1.0.0/24[", "10.1.0.0/24[]", "10.1.0.0/24[tcp", "10.1.0.0/24[tcp]x", "10.1.0.0/24[tcp/]", "10.1.0.0/24[tcp/65536]", "10.1.0.0/24[tcp/9-8]", "10.1.0.0/24[tcp/-8]",
                           "10.1.0.0/24[tcp/8-]", "10.1.0.0/24[0]", "10.1.0.0/24[256]", "10.1.0.0/24[ icmp]", "10.1.0.0/24[icmp/8]", "10.1.0.1/24[tcp]"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_selector(text));
  }
}

TEST_CASE("espd/policy: protocol and ports, with exceptions in front of the rule") {
  const PolicyTable table({other(Action::kBypass, "ssh", "10.2.0.0/16", "10.1.0.0/16[tcp/22]"), other(Action::kDiscard, "smb", "10.2.0.0/16", "10.1.0.0/16[tcp/137-139]"),
                           protect("web", 1, "10.2.0.0/16[tcp]", "10.1.0.0/16[tcp/443]"), protect("rest", 2, "10.2.0.0/16", "10.1.0.0/16")});
  const auto name = [&](std::uint8_t protocol, std::optional<Ports> ports) {
    const auto match = table.match(flow("10.2.0.1", "10.1.0.1", protocol, ports));
    return match.unclear ? "unclear" : match.policy == nullptr ? "none" : match.policy->name;
  };
  CHECK(name(6, Ports{1000, 22}) == "ssh");
  CHECK(name(6, Ports{22, 1000}) == "rest");
  CHECK(name(6, Ports{1000, 136}) == "rest");
  CHECK(name(6, Ports{1000, 137}) == "smb");
  CHECK(name(6, Ports{1000, 139}) == "smb");
  CHECK(name(6, Ports{1000, 140}) == "rest");
  CHECK(name(6, Ports{1000, 443}) == "web");
  CHECK(name(17, Ports{1000, 443}) == "rest");
  CHECK(name(1, {}) == "rest");
  CHECK(name(6, {}) == "unclear");  // ports were asked for first
  CHECK(name(17, {}) == "rest");    // no policy asks for those of UDP
  Flow hidden = flow("10.2.0.1", "10.1.0.1", 0);
  hidden.unclear = true;
  CHECK(table.match(hidden).unclear);
}

TEST_CASE("espd/policy: a policy that covers another fits whatever that fits") {
  std::mt19937_64 rng(testing::seed());
  const auto selector = [&] {
    TrafficSelector ts;
    ts.prefix.len = static_cast<std::uint8_t>(30 + rng() % 3);
    store_be32(ts.prefix.address.octets.data(), 0x0a000000 | (static_cast<std::uint32_t>(rng() % 4) & (~0U << (32 - ts.prefix.len))));
    if (rng() % 2 == 0) ts.protocol = rng() % 2 == 0 ? 6 : 17;
    if (ts.protocol != 0 && rng() % 2 == 0) ts.ports.last = static_cast<std::uint16_t>(rng() % 4), ts.ports.first = static_cast<std::uint16_t>(rng() % (ts.ports.last + 1));
    return ts;
  };
  int covered = 0;
  for (int round = 0; round < 4000; ++round) {
    Policy a, b;
    a.local_ts = selector(), a.remote_ts = selector(), b.local_ts = selector(), b.remote_ts = selector();
    a.reqid = 1, b.reqid = 2;
    const PolicyTable only_a({a}), only_b({b});
    bool all = true;
    for (int packet = 0; packet < 200; ++packet) {
      Flow f = flow("10.0.0.0", "10.0.0.0", rng() % 2 == 0 ? 6 : 17, Ports{static_cast<std::uint16_t>(rng() % 5), static_cast<std::uint16_t>(rng() % 5)});
      f.src.octets[3] = static_cast<Byte>(rng() % 4), f.dst.octets[3] = static_cast<Byte>(rng() % 4);
      const bool fits_b = only_b.match(f).policy != nullptr;
      if (fits_b && only_a.match(f).policy == nullptr) all = false;
    }
    if (!covers(a, b)) continue;
    ++covered;
    CHECK(all);
  }
  CHECK(covered > 20);
}

namespace {

// An IPv4 packet: `offset` in octets.
Bytes v4_packet(std::uint8_t protocol, std::uint16_t id, std::size_t offset, bool more, std::span<const Byte> payload) {
  Bytes p(20);
  p[0] = 0x45;
  store_be16(&p[2], static_cast<std::uint16_t>(20 + payload.size()));
  store_be16(&p[4], id);
  store_be16(&p[6], static_cast<std::uint16_t>(offset / 8 | (more ? 0x2000 : 0)));
  p[8] = 64;
  p[9] = protocol;
  std::ranges::copy(ip("10.1.2.3").bytes(), p.begin() + 12);
  std::ranges::copy(ip("10.4.5.6").bytes(), p.begin() + 16);
  store_be16(&p[10], esp::ipv4_checksum(p));
  p.insert(p.end(), payload.begin(), payload.end());
  return p;
}

// An IPv6 packet with these headers and octets behind its own.
Bytes v6_packet(std::uint8_t next, std::span<const Byte> rest) {
  Bytes p(40);
  p[0] = 0x60;
  store_be16(&p[4], static_cast<std::uint16_t>(rest.size()));
  p[6] = next;
  p[23] = 1;
  p[39] = 2;
  p.insert(p.end(), rest.begin(), rest.end());
  return p;
}

const Bytes kUdpOctets{0x12, 0x34, 0x56, 0x78, 0, 8, 0, 0};
const FlowTracker::Time kNow{std::chrono::seconds(1000)};

}  // namespace

TEST_CASE("espd/flow: addresses, protocol and ports of whole packets; broken ones have none") {
  FlowTracker t;
  const Bytes v4 = v4_packet(17, 1, 0, false, kUdpOctets);
  const auto f = t.of(v4, kNow);
  REQUIRE(f);
  CHECK(f->src == ip("10.1.2.3"));
  CHECK(f->dst == ip("10.4.5.6"));
  CHECK(f->protocol == 17);
  CHECK(f->ports->src == 0x1234);
  CHECK(f->ports->dst == 0x5678);
  CHECK(f->reversed().ports->src == 0x5678);
  CHECK_FALSE(t.of(v4_packet(1, 1, 0, false, kUdpOctets), kNow)->ports);
  CHECK_FALSE(t.of(v4_packet(17, 1, 0, false, ByteView(kUdpOctets).first(3)), kNow)->ports);
  const Bytes v6 = v6_packet(17, kUdpOctets);
  CHECK(t.of(v6, kNow)->dst == ip("::2"));
  CHECK(t.of(v6, kNow)->ports->dst == 0x5678);
  // Behind hop-by-hop and destination options.
  Bytes rest{60, 0, 1, 4, 0, 0, 0, 0, 17, 0, 1, 4, 0, 0, 0, 0};
  rest.insert(rest.end(), kUdpOctets.begin(), kUdpOctets.end());
  CHECK(t.of(v6_packet(0, rest), kNow)->ports->src == 0x1234);
  for (std::size_t n = 0; n < v4.size(); ++n) CHECK_FALSE(t.of(ByteView(v4).first(n), kNow));
  for (std::size_t n = 0; n < v6.size(); ++n) CHECK_FALSE(t.of(ByteView(v6).first(n), kNow));
}

TEST_CASE("espd/flow: a later fragment has the ports of its first one, while that is remembered") {
  FlowTracker t;
  CHECK(t.of(v4_packet(17, 7, 8, false, kUdpOctets), kNow)->unclear);  // came before its first
  CHECK(t.of(v4_packet(17, 7, 0, true, kUdpOctets), kNow)->ports->dst == 0x5678);
  const auto later = t.of(v4_packet(17, 7, 8, false, kUdpOctets), kNow);
  CHECK(later->ports->src == 0x1234);
  CHECK_FALSE(later->unclear);
  CHECK(t.of(v4_packet(17, 8, 8, false, kUdpOctets), kNow)->unclear);  // of another packet
  CHECK(t.of(v4_packet(6, 7, 8, false, kUdpOctets), kNow)->unclear);   // of another protocol
  CHECK(t.of(v4_packet(17, 7, 8, false, kUdpOctets), kNow + std::chrono::seconds(31))->unclear);
  // A first fragment too short for ports (RFC 1858 s3) leaves the later ones without them.
  (void)t.of(v4_packet(17, 9, 0, true, ByteView(kUdpOctets).first(2)), kNow);
  CHECK_FALSE(t.of(v4_packet(17, 9, 8, false, kUdpOctets), kNow)->ports);

  Bytes first{17, 0, 0, 1, 0, 0, 0, 5};
  first.insert(first.end(), kUdpOctets.begin(), kUdpOctets.end());
  Bytes second = first;
  store_be16(&second[2], 8);
  CHECK(t.of(v6_packet(44, second), kNow)->unclear);
  CHECK(t.of(v6_packet(44, first), kNow)->ports->dst == 0x5678);
  CHECK(t.of(v6_packet(44, second), kNow)->ports->dst == 0x5678);
  CHECK(t.of(v6_packet(44, second), kNow)->protocol == 17);
  // Options behind the fragment header hide nothing.
  Bytes options{60, 0, 0, 1, 0, 0, 0, 6, 17, 0, 1, 4, 0, 0, 0, 0};
  options.insert(options.end(), kUdpOctets.begin(), kUdpOctets.end());
  CHECK(t.of(v6_packet(44, options), kNow)->ports->src == 0x1234);
  CHECK(t.of(v6_packet(44, ByteView(options).first(12)), kNow)->unclear);
}

TEST_CASE("espd/flow: any octets, and any number of fragments, do no harm") {
  std::mt19937_64 rng(testing::seed());
  FlowTracker t;
  for (int round = 0; round < 20000; ++round) {
    Bytes octets(rng() % 80);
    for (Byte& b : octets) b = static_cast<Byte>(rng());
    if (octets.size() >= 40) {
      octets[0] = 0x60;
      store_be16(&octets[4], static_cast<std::uint16_t>(octets.size() - 40));
      octets[6] = static_cast<Byte>(std::array{0, 43, 44, 60, 17, 6}[rng() % 6]);
    }
    (void)t.of(octets, kNow);
  }
  for (unsigned id = 0; id < 10000; ++id) (void)t.of(v4_packet(17, static_cast<std::uint16_t>(id), 0, true, kUdpOctets), kNow);
  CHECK(t.of(v4_packet(17, 0, 8, false, kUdpOctets), kNow)->unclear);  // the oldest gave way
  CHECK(t.of(v4_packet(17, 9999, 8, false, kUdpOctets), kNow)->ports);
}

TEST_CASE("espd/routes: what is protected or discarded comes to espd; what wholly bypasses does not, unless an earlier policy wants it") {
  const auto kinds = [](std::vector<Policy> policies) {
    std::string out;
    for (const Route& r : routes_for(policies)) out += to_string(r.destination) + (r.thrown ? " thrown, " : ", ");
    return out;
  };
  CHECK(kinds({protect("a", 1, "10.2.0.0/24", "10.1.0.0/24"), protect("b", 2, "10.3.0.0/24", "10.1.0.0/24")}) == "10.1.0.0/24, ");
  CHECK(kinds({other(Action::kBypass, "lan", "0.0.0.0/0", "10.1.0.0/24"), protect("all", 1, "10.2.0.0/24", "0.0.0.0/0")}) == "10.1.0.0/24 thrown, 0.0.0.0/0, ");
  CHECK(kinds({other(Action::kBypass, "some", "10.2.0.0/24", "10.1.0.0/24"), protect("all", 1, "10.2.0.0/24", "0.0.0.0/0")}) == "0.0.0.0/0, ");
  CHECK(kinds({other(Action::kBypass, "ssh", "0.0.0.0/0", "10.1.0.0/24[tcp/22]"), other(Action::kDiscard, "d", "0.0.0.0/0", "10.1.0.0/16")}) == "10.1.0.0/16, ");
  CHECK(kinds({protect("p", 1, "10.2.0.0/24", "10.1.0.5"), other(Action::kBypass, "lan", "0.0.0.0/0", "10.1.0.0/24")}) == "10.1.0.5/32, ");
}

TEST_CASE("espd/guard: the rules say in the kernel's words what the policies say") {
  const std::vector<Policy> policies{other(Action::kBypass, "ssh", "10.2.0.0/16", "0.0.0.0/0[tcp/22-23]"), protect("p", 1, "10.2.0.0/16", "10.1.0.0/16"), protect("six", 2, "::/0", "2001:db8::/32[ipv6-icmp]")};
  const std::string closed = guard_rules(policies, [](const Policy&) { return false; }, "t0", 4500);
  const auto has = [](const std::string& rules, const std::string& line) { return rules.find("\n" + line + "\n") != std::string::npos; };
  CHECK(has(closed, "add rule inet espd in meta nfproto ipv4 ip daddr 10.2.0.0/16 meta l4proto 6 th sport 22-23 accept"));
  CHECK(has(closed, "add rule inet espd out meta nfproto ipv4 ip saddr 10.2.0.0/16 meta l4proto 6 ip frag-off & 0x1fff != 0 counter name clear_out drop"));
  CHECK(has(closed, "add rule inet espd in meta nfproto ipv4 ip saddr 10.1.0.0/16 ip daddr 10.2.0.0/16 counter name clear_in drop"));
  CHECK(has(closed, "add rule inet espd out meta nfproto ipv6 ip6 daddr 2001:db8::/32 meta l4proto 58 counter name clear_out drop"));
  CHECK(has(closed, "add rule inet espd out meta mark 4500 accept"));
  const std::string open = guard_rules(policies, [](const Policy& p) { return p.name == "p"; }, "t0", 4500);
  CHECK(has(open, "add rule inet espd in meta nfproto ipv4 ip saddr 10.1.0.0/16 ip daddr 10.2.0.0/16 accept"));
}
