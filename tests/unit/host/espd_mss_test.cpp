// The maximum segment size of SYNs. The packets and their checksums were computed in Python as remainders modulo 65,535, and tshark calls them right.
#include <doctest/doctest.h>

#include <algorithm>

#include "host/espd/mss.h"

using namespace esplanade;
using namespace esplanade::espd;

namespace {

struct Case {
  const char* name;
  std::size_t most;
  const char* packet;
  const char* lowered;  // "": it stays
};
constexpr Case kCases[] = {
    {"SYN, IPv4", 1280,
     "4500003c00070000400666b10a0100010a0200019c4001bb0102030400000000a002faf097080000020405b40402080a000000010000000001030307",
     "4500003c00070000400666b10a0100010a0200019c4001bb0102030400000000a002faf097e40000020404d80402080a000000010000000001030307"},
    {"SYN and ACK, IPv4", 1280,
     "4500003c00070000400666b10a0100010a0200019c4001bb0102030400000000a012faf096f80000020405b40402080a000000010000000001030307",
     "4500003c00070000400666b10a0100010a0200019c4001bb0102030400000000a012faf097d40000020404d80402080a000000010000000001030307"},
    {"SYN, IPv6", 1222,
     "600000000028064020010db800010000000000000000000120010db80002000000000000000000019c4001bb0102030400000000a002faf04faa0000020405a00402080a000000010000000001030307",
     "600000000028064020010db800010000000000000000000120010db80002000000000000000000019c4001bb0102030400000000a002faf050c000000204048a0402080a000000010000000001030307"},
    {"SYN, IPv6, behind destination options", 1222,
     "6000000000303c4020010db800010000000000000000000120010db800020000000000000000000106000104000000009c4001bb0102030400000000a002faf04faa0000020405a00402080a000000010000000001030307",
     "6000000000303c4020010db800010000000000000000000120010db800020000000000000000000106000104000000009c4001bb0102030400000000a002faf050c000000204048a0402080a000000010000000001030307"},
    {"at an odd octet", 1000,
     "4500003000070000400666bd0a0100010a0200019c4001bb01020304000000007002faf025dc000001020405b4000000",
     "4500003000070000400666bd0a0100010a0200019c4001bb01020304000000007002faf019de000001020403c0000000"},
    {"behind another option, data behind", 1000,
     "4500003b00070000400666b20a0100010a0200019c4001bb01020304000000007002faf0d21c0000030307020405b4006561726c79206461746121",
     "4500003b00070000400666b20a0100010a0200019c4001bb01020304000000007002faf0c61e0000030307020403c0006561726c79206461746121"},
    {"alone", 100,
     "4500002c00070000400666c10a0100010a0200019c4001bb01020304000000006002faf0e72f0000020405b4",
     "4500002c00070000400666c10a0100010a0200019c4001bb01020304000000006002faf0eca700000204003c"},
    {"as large as may be", 1500,
     "4500003c00070000400666b10a0100010a0200019c4001bb0102030400000000a002faf097080000020405b40402080a000000010000000001030307",
     ""},
    {"larger than needed", 9000,
     "4500003c00070000400666b10a0100010a0200019c4001bb0102030400000000a002faf097080000020405b40402080a000000010000000001030307",
     ""},
    {"no SYN", 1280,
     "4500003c00070000400666b10a0100010a0200019c4001bb0102030400000000a010faf096fa0000020405b40402080a000000010000000001030307",
     ""},
    {"no such option", 1280,
     "4500002c00070000400666c10a0100010a0200019c4001bb01020304000000006002faf0e9e4000001010402",
     ""},
    {"behind the end of the options", 1280,
     "4500003000070000400666bd0a0100010a0200019c4001bb01020304000000007002faf026dc000000020405b4000000",
     ""},
    {"of a wrong length", 1280,
     "4500002c00070000400666c10a0100010a0200019c4001bb01020304000000006002faf0e7300000020305b4",
     ""},
    {"an option that ends behind the header", 1280,
     "4500002c00070000400666c10a0100010a0200019c4001bb01020304000000006002faf0ebde000001010208",
     ""},
    {"a fragment", 1280,
     "4500003c00072000400646b10a0100010a0200019c4001bb0102030400000000a002faf097080000020405b40402080a000000010000000001030307",
     ""},
};

}  // namespace

TEST_CASE("espd/mss: lowered to what a packet of that size holds, never raised, with a checksum that was right before") {
  for (const Case& c : kCases) {
    CAPTURE(std::string(c.name));
    const auto lowered = with_lower_mss(*from_hex(c.packet), c.most);
    CHECK(lowered.has_value() == (std::string(c.lowered) != ""));
    if (lowered) CHECK(may_be_syn(*lowered));
    if (lowered) CHECK(*lowered == *from_hex(c.lowered));
    if (lowered) CHECK_FALSE(with_lower_mss(*lowered, c.most));
  }
}

TEST_CASE("espd/mss: a wrong checksum stays wrong") {
  Bytes packet = *from_hex(kCases[0].packet);
  packet[36] ^= 1;
  Bytes right = *from_hex(kCases[0].lowered);
  const auto lowered = with_lower_mss(packet, kCases[0].most);
  REQUIRE(lowered);
  CHECK(*lowered != right);
  packet = *lowered;
  packet[36] = right[36] = 0;
  packet[37] = right[37] = 0;
  CHECK(packet == right);
}

TEST_CASE("espd/mss: whatever is broken or cut off stays as it is") {
  const Bytes whole = *from_hex(kCases[0].packet);
  for (std::size_t len = 0; len < whole.size(); ++len) {
    CHECK_FALSE(with_lower_mss(ByteView(whole).first(len), 1000));
    CHECK((len >= 40 || !may_be_syn(ByteView(whole).first(len))));
  }
  for (const char* options : {"02", "0200", "020405b4", "03020405b4", "ff", "0001", "0204", "010204"})
    for (std::size_t words = 5; words < 16; ++words) {
      Bytes packet(whole.begin(), whole.begin() + 40);
      put(packet, *from_hex(options));
      packet[32] = static_cast<Byte>(words << 4);
      (void)with_lower_mss(packet, 1000);  // no octet past the end is read, which the address sanitizer watches
    }
  CHECK_FALSE(with_lower_mss(whole, 40));
  CHECK_FALSE(with_lower_mss(whole, 0));
}
