#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "esplanade/sa_table.h"
#include "tests/unit/driver/stub_device.h"

using namespace esplanade;
using test::StubDevice;
namespace entry = card::sa_entry;

namespace {
esp::SaParams params(bool outbound, std::uint32_t spi) {
  esp::SaParams sa;
  sa.outbound = outbound;
  sa.spi = spi;
  sa.enc_key = Secret(from_hex("0123456789abcdef23456789abcdef01456789abcdef0123").value());
  sa.auth_key = Secret(Bytes(20, 0x5a));
  sa.src = esp::parse_address("192.0.2.1").value();
  sa.dst = esp::parse_address("192.0.2.2").value();
  return sa;
}
}  // namespace

TEST_CASE("SA entry: every field stands where the format says, keys in network order") {
  esp::SaParams sa = params(true, 0xa1b2c3d4);
  sa.natt = esp::Natt{1111, 2222};
  sa.seq = 0x123456789;
  sa.esn = true;
  sa.ip_id = 0xbeef;
  sa.ttl = 17;
  sa.dscp = 46;
  sa.df = esp::DfPolicy::kSet;
  sa.soft.bytes = 1ull << 40;
  const auto e = SaTable::encode(sa, ~0u);
  CHECK(card::get(e, entry::kOutbound) == 1);
  CHECK(card::get(e, entry::kNatt) == 1);
  CHECK(card::get(e, entry::kSpi) == 0xa1b2c3d4);
  CHECK(card::get(e, entry::kUdpSrc) == 1111);
  CHECK(card::get(e, entry::kUdpDst) == 2222);
  CHECK(card::get(e, entry::kSeq) == 0x123456789);
  CHECK(card::get(e, entry::kIpId) == 0xbeef);
  CHECK(card::get(e, entry::kTtl) == 17);
  CHECK(card::get(e, entry::kDscp) == 46);
  CHECK(card::get(e, entry::kDfPolicy) == 2);
  CHECK(card::get(e, entry::kSoftBytes) == 1ull << 40);
  CHECK(card::get(e, entry::kCipher) == 2);
  CHECK(card::get(e, entry::kAuth) == 2);
  CHECK(to_hex(card::octets(std::span<const Byte>(e), entry::kSrc).first(4)) == "c0000201");
  CHECK(e[128] == 0x01);
  CHECK(e[128 + 23] == 0x23);
}

TEST_CASE("SA table: what the card lacks is named before anything is sent") {
  StubDevice device;
  auto table = SaTable::create(device);
  REQUIRE(table);
  const std::size_t writes = device.writes.size();
  device.info_.caps &= ~card::reg::kCapsTripleDes.mask();
  const auto refused = table->install(params(true, 0x1000));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::kUnsupported);
  CHECK(refused.error().detail.find("3DES-CBC") != std::string::npos);
  CHECK(device.writes.size() == writes);
}

TEST_CASE("SA table: SPIs are 256 and up, distinct, and lead to their own entry until the table is full") {
  StubDevice device;
  auto table = SaTable::create(device);
  REQUIRE(table);
  std::set<std::uint32_t> indices, spis;
  for (std::uint32_t i = 0; i < device.info_.sa_entries; ++i) {
    const auto spi = table->allocate_spi();
    REQUIRE(spi);
    CHECK(*spi >= 256);
    indices.insert(*spi % device.info_.sa_entries);
    spis.insert(*spi);
  }
  CHECK(indices.size() == device.info_.sa_entries);
  CHECK(table->allocate_spi().error().code == Errc::kTableFull);
  CHECK(table->install(params(true, 0x1000)).error().code == Errc::kTableFull);
  table->release_spi(*spis.begin());
  CHECK(table->install(params(true, 0x1000)));
}

TEST_CASE("SA table: an inbound SPI takes its entry; another one with the same low bits does not fit") {
  StubDevice device;
  auto table = SaTable::create(device);
  const auto first = table->install(params(false, 0x1005));
  REQUIRE(first);
  CHECK(*first == 5);
  CHECK(table->install(params(false, 0x2005)).error().code == Errc::kTableFull);
  CHECK(table->remove(*first));
  CHECK(table->install(params(false, 0x2005)));
  CHECK(table->remove(6).error().code == Errc::kUnknownSpi);
  CHECK(table->remove(1u << 30).error().code == Errc::kUnknownSpi);
}

TEST_CASE("SA table: a refusal by the card is told, and the next entry overwrites all that the window may hold") {
  StubDevice device;
  auto table = SaTable::create(device);
  device.registers[card::reg::kSaStatus.at()] = card::reg::kSaStatusResult.put(static_cast<std::uint32_t>(card::SaResult::kBadEntry));
  CHECK(table->install(params(true, 0x1000)).error().detail.find("BadEntry") != std::string::npos);
  device.registers[card::reg::kSaStatus.at()] = 0;
  device.writes.clear();
  CHECK(table->install(params(true, 0x1000)));
  const auto words = std::ranges::count_if(device.writes, [](const auto& w) { return w.first >= card::reg::kSaEntry.at() && w.first < card::reg::kSaEntry.at(64); });
  CHECK(words == 64);
}

TEST_CASE("SA table: a removal that outlasts its time is not taken for the end of the next command") {
  StubDevice device;
  auto table = SaTable::create(device);
  REQUIRE(table);
  const auto index = table->install(params(true, 0x1000));
  REQUIRE(index);
  device.registers[card::reg::kSaStatus.at()] = card::reg::kSaStatusBusy.put(1);
  CHECK(table->remove(*index).error().code == Errc::kTimeout);
  // The card ends it now. The next command waits for that before it is given.
  device.writes.clear();
  bool given_while_busy = false;
  device.on_read = [&device, &given_while_busy, n = 0](std::uint32_t offset) mutable {
    if (offset != card::reg::kSaStatus.at() || ++n > 3) return;
    const auto given = [](const auto& w) { return w.first == card::reg::kSaCommand.at(); };
    given_while_busy |= std::ranges::any_of(device.writes, given);
    if (n == 3) device.registers[offset] = card::reg::kSaStatusResult.put(static_cast<std::uint32_t>(card::SaResult::kEmpty));
  };
  CHECK(table->remove(*index));
  CHECK_FALSE(given_while_busy);
  CHECK(table->remove(*index).error().code == Errc::kUnknownSpi);
}

TEST_CASE("SA table: an entry that the card lost by itself is an error") {
  StubDevice device;
  auto table = SaTable::create(device);
  const auto index = table->install(params(true, 0x1000));
  REQUIRE(index);
  device.registers[card::reg::kSaStatus.at()] = card::reg::kSaStatusResult.put(static_cast<std::uint32_t>(card::SaResult::kEmpty));
  CHECK(table->remove(*index).error().code == Errc::kState);
}
