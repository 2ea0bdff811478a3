// Fragments and ICMP messages as a Linux router makes them, and packets that must not be told of.
#include <doctest/doctest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "common/esp/ip.h"
#include "common/testing/seed.h"
#include "host/espd/oversize.h"

using namespace esplanade;
using namespace esplanade::espd;

namespace {

std::vector<Bytes> fragments_of(ByteView packet, std::size_t mtu) {
  std::vector<Bytes> out;
  fragment_ipv4(packet, mtu, [&](ByteView f) { out.emplace_back(f.begin(), f.end()); });
  return out;
}

Bytes ipv4(std::uint8_t protocol, const Bytes& payload, std::uint16_t flags = 0) {
  Bytes p = *from_hex("450000000001000040000000c0000201c0000202");
  put(p, payload);
  store_be16(&p[2], static_cast<std::uint16_t>(p.size()));
  store_be16(&p[6], flags);
  p[9] = protocol;
  store_be16(&p[10], esp::ipv4_checksum(ByteView(p).first(20)));
  return p;
}

}  // namespace

TEST_CASE("espd/oversize: fragments and messages are those of a Linux router") {
  std::ifstream file(std::string(ESPLANADE_VECTORS) + "/kernel/oversize.json");
  const auto vectors = nlohmann::json::parse(file);
  std::size_t seen = 0;
  for (const auto& c : vectors["cases"]) {
    const std::string name = c["name"];
    CAPTURE(name);
    const Bytes packet = *from_hex(c["packet"].get<std::string>());
    const std::size_t mtu = c["mtu"];
    if (c.contains("icmp")) {
      const auto message = icmp_too_big(packet, mtu);
      REQUIRE(message);
      CHECK(to_hex(*message) == c["icmp"].get<std::string>());
    } else {
      const auto fragments = fragments_of(packet, mtu);
      REQUIRE(fragments.size() == c["fragments"].size());
      for (std::size_t i = 0; i < fragments.size(); ++i) CHECK(to_hex(fragments[i]) == c["fragments"][i].get<std::string>());
    }
    ++seen;
  }
  CHECK(seen == vectors["count"]);
  CHECK(seen == 10);
}

TEST_CASE("espd/oversize: fragments put together again are the packet, whatever its length and the MTU") {
  std::mt19937_64 random(testing::seed());
  for (int round = 0; round < 500; ++round) {
    Bytes payload(1 + random() % 9000);
    for (Byte& b : payload) b = static_cast<Byte>(random());
    const Bytes packet = ipv4(17, payload);
    const std::size_t mtu = 68 + random() % 1500;
    CAPTURE(payload.size());
    CAPTURE(mtu);
    Bytes back;
    const auto fragments = fragments_of(packet, mtu);
    for (const Bytes& f : fragments) {
      const auto ip = esp::parse_ip(f);  // checks length and checksum
      REQUIRE(ip);
      REQUIRE(f.size() <= mtu);
      REQUIRE((load_be16(&f[6]) & 0x1fff) * 8 == back.size());
      REQUIRE(((load_be16(&f[6]) & 0x2000) != 0) == (&f != &fragments.back()));
      put(back, ByteView(f).subspan(20));
    }
    REQUIRE(back == payload);
  }
}

TEST_CASE("espd/oversize: options that are none do not lead out of the header") {
  for (const char* options : {"9400", "1e00", "07ff", "1eff", "01010194"}) {
    Bytes packet = ipv4(17, Bytes(1000));
    Bytes filled = *from_hex(options);
    filled.resize(4);
    packet.insert(packet.begin() + 20, filled.begin(), filled.end());
    packet[0] = 0x46;
    store_be16(&packet[2], static_cast<std::uint16_t>(packet.size()));
    store_be16(&packet[10], esp::ipv4_checksum(ByteView(packet).first(24)));
    CHECK(fragments_of(packet, 576).size() == 2);
  }
}

TEST_CASE("espd/oversize: what may be cut") {
  CHECK(may_fragment(ipv4(17, Bytes(8))));
  CHECK_FALSE(may_fragment(ipv4(17, Bytes(8), 0x4000)));
  Bytes six(48);
  six[0] = 0x60;
  CHECK_FALSE(may_fragment(six));
  CHECK_FALSE(may_fragment({}));
}

TEST_CASE("espd/oversize: errors, later fragments and packets of no single host are not told of") {
  CHECK(icmp_too_big(ipv4(1, *from_hex("0800000000000000"), 0x4000), 600));        // echo
  for (const char* error : {"03", "04", "05", "0b", "0c"})
    CHECK_FALSE(icmp_too_big(ipv4(1, *from_hex(std::string(error) + "00000000000000"), 0x4000), 600));
  CHECK(icmp_too_big(ipv4(17, Bytes(8), 0x4000 | 0x2000), 600));                   // the first fragment
  CHECK_FALSE(icmp_too_big(ipv4(17, Bytes(8), 0x4000 | 1), 600));
  CHECK_FALSE(icmp_too_big({}, 600));
  for (const char* source : {"00000000", "7f000001", "e0000001", "ffffffff"}) {
    Bytes packet = ipv4(17, Bytes(8), 0x4000);
    std::ranges::copy(*from_hex(source), packet.begin() + 12);
    store_be16(&packet[10], esp::ipv4_checksum(ByteView(packet).first(20)));
    CHECK_FALSE(icmp_too_big(packet, 600));
  }
  const auto six = [](std::uint8_t next, const std::string& payload, const char* source) {
    Bytes p = *from_hex("6000000000000040" + std::string(source) + "20010db8000000000000000000000002" + payload);
    store_be16(&p[4], static_cast<std::uint16_t>(p.size() - 40));
    p[6] = next;
    return p;
  };
  const char* host = "20010db8000000000000000000000001";
  CHECK(icmp_too_big(six(58, "8000000000000000", host), 1280));
  CHECK_FALSE(icmp_too_big(six(58, "0200000000000000", host), 1280));
  CHECK_FALSE(icmp_too_big(six(58, "", host), 1280));
  CHECK_FALSE(icmp_too_big(six(17, "0000000000080000", "00000000000000000000000000000000"), 1280));
  CHECK_FALSE(icmp_too_big(six(17, "0000000000080000", "ff020000000000000000000000000001"), 1280));
}
