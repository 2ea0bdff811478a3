// Checksums made anew behind a NAT. The vectors were computed in Python as remainders modulo 65,535, not by adding and folding as the code
// does it, and tshark calls each first one wrong and each second one right.
#include <doctest/doctest.h>

#include <algorithm>

#include "host/espd/checksum.h"

using namespace esplanade;
using namespace esplanade::espd;

namespace {

struct Case {
  const char* name;
  const char* came;  // with the checksum for the address that the peer has
  const char* right;  // for the one that the NAT gave it
};
// From 10.9.0.2, seen as 192.0.2.254, to 192.0.2.1; from 2001:db8:1::2, seen as 2001:db8:ff::fe, to 2001:db8::1.
constexpr Case kCases[] = {
    {"TCP with options and an odd number of octets",
     "45000047000700003f06f6aac00002fec00002019c4001bb010203040a0b0c0d801804004b6d00000101080a00000001000000026f6464206c656e677468206f66206461746121",
     "45000047000700003f06f6aac00002fec00002019c4001bb010203040a0b0c0d80180400927900000101080a00000001000000026f6464206c656e677468206f66206461746121"},
    {"TCP without data", "45000028000700003f06f6c9c00002fec00002019c4001bb010203040a0b0c0d5002040027bd0000", "45000028000700003f06f6c9c00002fec00002019c4001bb010203040a0b0c0d500204006ec90000"},
    {"UDP", "45000024000700003f11f6c2c00002fec000020113880035001065447175657374696f6e", "45000024000700003f11f6c2c00002fec0000201138800350010ac507175657374696f6e"},
    {"UDP whose sum is 0, which is sent as ffff", "4500001e000700003f11f6c8c00002fec000020113880035000ab8f3671d", "4500001e000700003f11f6c8c00002fec000020113880035000affff671d"},
    {"UDP over IPv6", "600000000010114020010db800ff000000000000000000fe20010db8000000000000000000000001138800350010d5da7175657374696f6e",
     "600000000010114020010db800ff000000000000000000fe20010db8000000000000000000000001138800350010d3e07175657374696f6e"},
    {"TCP behind destination options",
     "6000000000203c4020010db800ff000000000000000000fe20010db800000000000000000000000106000104000000009c4001bb010203040a0b0c0d50180400bf76000064617461",
     "6000000000203c4020010db800ff000000000000000000fe20010db800000000000000000000000106000104000000009c4001bb010203040a0b0c0d50180400bd7c000064617461"},
    {"ICMPv6", "60000000000c3a4020010db800ff000000000000000000fe20010db80000000000000000000000018000456f0001000270696e67",
     "60000000000c3a4020010db800ff000000000000000000fe20010db8000000000000000000000001800043750001000270696e67"},
};

}  // namespace

TEST_CASE("espd/checksum: made anew for the addresses that the packet has; a right one stays") {
  for (const Case& c : kCases) {
    CAPTURE(std::string(c.name));
    Bytes packet = *from_hex(c.came);
    const Bytes right = *from_hex(c.right);
    renew_checksum(packet);
    CHECK(packet == right);
    renew_checksum(packet);
    CHECK(packet == right);
    // Octets behind the packet's end do not count.
    packet = *from_hex(c.came);
    packet.insert(packet.end(), 5, Byte{0xa5});
    renew_checksum(packet);
    CHECK(std::ranges::equal(ByteView(packet).first(right.size()), right));
  }
}

TEST_CASE("espd/checksum: the length of UDP's own header counts, not the packet's") {
  const Bytes whole = *from_hex(kCases[2].right);
  Bytes packet = *from_hex("45000026000700003f11f6c0c00002fec000020113880035001065447175657374696f6effff");
  renew_checksum(packet);
  CHECK(std::ranges::equal(ByteView(packet).subspan(20, 16), ByteView(whole).subspan(20)));
  CHECK(load_be16(&packet[36]) == 0xffff);
}

TEST_CASE("espd/checksum: what has none, or none that depends on addresses, stays as it came; so does what is broken") {
  const auto unchanged = [](Bytes packet) {
    const Bytes before = packet;
    renew_checksum(packet);
    CHECK(packet == before);
  };
  Bytes none = *from_hex(kCases[2].came);
  store_be16(&none[26], 0);
  unchanged(none);                                                                                           // UDP without one
  unchanged(*from_hex("4500001c000700003f01f6dac00002fec00002010800f7fd00010001"));                           // ICMP
  unchanged(*from_hex("45000024000720003f11d6c2c00002fec000020113880035001065447175657374696f6e"));           // more fragments
  unchanged(*from_hex("4500001b000700003f11f6cbc00002fec0000201138800350010ac"));                             // half a header
  unchanged(*from_hex("45000024000700003f11f6c2c00002fec000020113880035001165447175657374696f6e"));           // UDP's length: too long
  unchanged(*from_hex("45000024000700003f11f6c2c00002fec000020113880035000765447175657374696f6e"));           // and shorter than itself
  unchanged(*from_hex("45000027000700003f06f6cac00002fec00002019c4001bb010203040a0b0c0d5002040027bd00"));     // 19 octets of TCP
  const Bytes whole = *from_hex(kCases[0].came);
  for (std::size_t len = 0; len < whole.size(); ++len) unchanged(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(len)));
}
