#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <set>

#include "esplanade/sa_table.h"
#include "tests/sa_params.h"
#include "tests/unit/driver/stub_device.h"

using namespace esplanade;
using test::StubDevice;
namespace entry = card::sa_entry;

namespace {
using esplanade::testing::sa_params;
}  // namespace

TEST_CASE("SA entry: every field stands where the format says, keys in network order") {
  esp::SaParams sa = sa_params(true, 0xa1b2c3d4);
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

TEST_CASE("SA entry: decoded it is the SA that was encoded, without its keys") {
  esp::SaParams out = sa_params(true, 0xa1b2c3d4);
  out.natt = esp::Natt{1111, 2222};
  out.seq = 0x123456789;
  out.esn = true;
  out.ip_id = 0xbeef;
  out.ttl = 17;
  out.dscp = 46;
  out.df = esp::DfPolicy::kSet;
  out.ecn_copy = false;
  out.soft = {.bytes = 1ull << 40, .packets = 7, .seconds = 9};
  out.hard = {.bytes = 1ull << 41, .packets = 70, .seconds = 90};
  esp::SaParams in = sa_params(false, 0x1001);
  in.protocol = esp::Protocol::kAh;
  in.mode = esp::Mode::kTransport;
  in.cipher = esp::Cipher::kNull;
  in.enc_key = Secret();
  in.auth = esp::Auth::kHmacMd5_96;
  in.auth_key = Secret(Bytes(16, 0x5a));
  in.src = esp::parse_address("2001:db8::1").value();
  in.dst = esp::parse_address("2001:db8::2").value();
  in.replay_window = 1024;
  in.check_outer = false;
  in.inner_v4 = false;
  for (const esp::SaParams& sa : {std::cref(out), std::cref(in)}) {
    auto e = SaTable::encode(sa, ~0u);
    const auto back = SaTable::decode(e);
    REQUIRE(back);
    CHECK(back->enc_key.size() == 0);
    CHECK(back->auth_key.size() == 0);
    auto again = SaTable::encode(*back, ~0u);
    std::ranges::fill(std::span(e).subspan(entry::kEncKey.lsb / 8), Byte{0});
    CHECK(to_hex(again) == to_hex(e));
  }
  auto bad = SaTable::encode(out, ~0u);
  for (const card::Field f : {entry::kCipher, entry::kAuth, entry::kDfPolicy}) {
    auto e = bad;
    card::set(e, f, 3);
    CHECK(SaTable::decode(e).error().code == Errc::kBadConfig);
  }
}

TEST_CASE("SA table: what the card lacks is named before anything is sent") {
  StubDevice device;
  auto table = SaTable::create(device);
  REQUIRE(table);
  const std::size_t writes = device.writes.size();
  device.info_.caps &= ~card::reg::kCapsTripleDes.mask();
  const auto refused = table->install(sa_params(true, 0x1000));
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
  CHECK(table->install(sa_params(true, 0x1000)).error().code == Errc::kTableFull);
  table->release_spi(*spis.begin());
  CHECK(table->install(sa_params(true, 0x1000)));
}

TEST_CASE("SA table: an inbound SPI takes its entry; another one with the same low bits does not fit") {
  StubDevice device;
  auto table = SaTable::create(device);
  const auto first = table->install(sa_params(false, 0x1005));
  REQUIRE(first);
  CHECK(*first == 5);
  CHECK(table->install(sa_params(false, 0x2005)).error().code == Errc::kTableFull);
  CHECK(table->remove(*first));
  CHECK(table->install(sa_params(false, 0x2005)));
  CHECK(table->remove(6).error().code == Errc::kUnknownSpi);
  CHECK(table->remove(1u << 30).error().code == Errc::kUnknownSpi);
}

TEST_CASE("SA table: a refusal by the card is told, and the next entry overwrites all that the window may hold") {
  StubDevice device;
  auto table = SaTable::create(device);
  device.registers[card::reg::kSaStatus.at()] = card::reg::kSaStatusResult.put(static_cast<std::uint32_t>(card::SaResult::kBadEntry));
  CHECK(table->install(sa_params(true, 0x1000)).error().detail.find("BadEntry") != std::string::npos);
  device.registers[card::reg::kSaStatus.at()] = 0;
  device.writes.clear();
  CHECK(table->install(sa_params(true, 0x1000)));
  const auto words = std::ranges::count_if(device.writes, [](const auto& w) { return w.first >= card::reg::kSaEntry.at() && w.first < card::reg::kSaEntry.at(64); });
  CHECK(words == 64);
}

TEST_CASE("SA table: a removal that outlasts its time is not taken for the end of the next command") {
  StubDevice device;
  auto table = SaTable::create(device);
  REQUIRE(table);
  const auto index = table->install(sa_params(true, 0x1000));
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
  const auto index = table->install(sa_params(true, 0x1000));
  REQUIRE(index);
  device.registers[card::reg::kSaStatus.at()] = card::reg::kSaStatusResult.put(static_cast<std::uint32_t>(card::SaResult::kEmpty));
  CHECK(table->remove(*index).error().code == Errc::kState);
}

TEST_CASE("SA table: weak keys, keys that undo 3DES and reserved SPIs are refused before anything is sent") {
  StubDevice device;
  auto table = SaTable::create(device);
  REQUIRE(table);
  const std::size_t writes = device.writes.size();
  const auto refused = [&table](esp::SaParams sa) { return table->install(sa).error(); };
  const auto with_key = [](esp::Cipher cipher, const char* hex) {
    esp::SaParams sa = sa_params(true, 0x1000);
    sa.cipher = cipher;
    sa.enc_key = Secret(from_hex(hex).value());
    return sa;
  };
  // FIPS 74 s3.6: weak and semi-weak keys, with and without parity set as it should be.
  for (const char* key : {"0101010101010101", "fefefefefefefefe", "e0e0e0e0f1f1f1f1", "1f1f1f1f0e0e0e0e", "0000000000000000", "01fe01fe01fe01fe", "fe01fe01fe01fe01",
                          "1fe01fe00ef10ef1", "e01fe01ff10ef10e", "01e001e001f101f1", "e001e001f101f101", "1ffe1ffe0efe0efe", "fe1ffe1ffe0efe0e", "011f011f010e010e",
                          "1f011f010e010e01", "e0fee0fef1fef1fe", "fee0fee0fef1fef1"}) {
    CAPTURE(key);
    CHECK(refused(with_key(esp::Cipher::kDesCbc, key)).code == Errc::kWeakKey);
    for (std::size_t place = 0; place < 3; ++place) {
      std::string three = "0123456789abcdef23456789abcdef01456789abcdef0123";
      three.replace(16 * place, 16, key);
      CHECK(refused(with_key(esp::Cipher::kTripleDesCbc, three.c_str())).code == Errc::kWeakKey);
    }
  }
  const auto twice = refused(with_key(esp::Cipher::kTripleDesCbc, "0123456789abcdef0123456789abcdef456789abcdef0123"));
  CHECK(twice.code == Errc::kWeakKey);
  CHECK(twice.detail.find("K1 = K2") != std::string::npos);
  CHECK(refused(with_key(esp::Cipher::kTripleDesCbc, "0123456789abcdef23456789abcdef0123456789abcdef01")).code == Errc::kWeakKey);
  // The same but for parity bits, which no cipher sees.
  CHECK(refused(with_key(esp::Cipher::kTripleDesCbc, "0123456789abcdef0022446688aaccee456789abcdef0123")).code == Errc::kWeakKey);
  for (const std::uint32_t spi : {0u, 1u, 255u}) {
    const Error reserved = refused(sa_params(true, spi));
    CHECK(reserved.code == Errc::kBadConfig);
    CHECK(reserved.detail.find("reserved") != std::string::npos);
  }
  CHECK(device.writes.size() == writes);
  CHECK(table->install(with_key(esp::Cipher::kTripleDesCbc, "0123456789abcdef23456789abcdef01456789abcdef0123")));
  // K1 = K3 is two-key 3DES, which RFC 2451 allows.
  CHECK(table->install(with_key(esp::Cipher::kTripleDesCbc, "0123456789abcdef23456789abcdef010123456789abcdef")));
}

TEST_CASE("SA table: each bit of CAPS that an SA needs is named when it is missing") {
  namespace reg = card::reg;
  const auto base = [] { return sa_params(false, 0x1005); };
  const auto make = [&base](auto&& change) {
    esp::SaParams sa = base();
    change(sa);
    return sa;
  };
  const auto des = [](esp::SaParams& sa) {
    sa.cipher = esp::Cipher::kDesCbc;
    sa.enc_key = Secret(from_hex("0123456789abcdef").value());
  };
  const auto null = [](esp::SaParams& sa) {
    sa.cipher = esp::Cipher::kNull;
    sa.enc_key = Secret();
  };
  const auto md5 = [](esp::SaParams& sa) {
    sa.auth = esp::Auth::kHmacMd5_96;
    sa.auth_key = Secret(Bytes(16, 0x5a));
  };
  const auto open = [](esp::SaParams& sa) {
    sa.auth = esp::Auth::kNone;
    sa.auth_key = Secret();
  };
  const auto ah = [&null](esp::SaParams& sa) {
    null(sa);
    sa.protocol = esp::Protocol::kAh;
  };
  const auto v6 = [](esp::SaParams& sa) { sa.src = sa.dst = esp::parse_address("2001:db8::1").value(); };
  struct Case {
    const card::RegField* cap;
    esp::SaParams sa;
    const char* word;
  };
  std::vector<Case> cases;
  cases.push_back({&reg::kCapsTripleDes, base(), "3DES"});
  cases.push_back({&reg::kCapsDes, make(des), "DES-CBC"});
  cases.push_back({&reg::kCapsNullCipher, make(null), "NULL"});
  cases.push_back({&reg::kCapsHmacSha1, base(), "SHA1"});
  cases.push_back({&reg::kCapsHmacMd5, make(md5), "MD5"});
  cases.push_back({&reg::kCapsAuthNone, make(open), "without authentication"});
  cases.push_back({&reg::kCapsEsp, base(), "ESP"});
  cases.push_back({&reg::kCapsAh, make(ah), "AH"});
  cases.push_back({&reg::kCapsTunnel, base(), "tunnel"});
  cases.push_back({&reg::kCapsTransport, make([](esp::SaParams& sa) { sa.mode = esp::Mode::kTransport; }), "transport"});
  cases.push_back({&reg::kCapsOuterV4, base(), "outer IPv4"});
  cases.push_back({&reg::kCapsOuterV6, make(v6), "outer IPv6"});
  cases.push_back({&reg::kCapsInnerV4, make([](esp::SaParams& sa) { sa.inner_v6 = false; }), "inner IPv4"});
  cases.push_back({&reg::kCapsInnerV6, make([](esp::SaParams& sa) { sa.inner_v4 = false; }), "inner IPv6"});
  cases.push_back({&reg::kCapsNatt, make([](esp::SaParams& sa) { sa.natt = esp::Natt{}; }), "UDP"});
  cases.push_back({&reg::kCapsEsn, make([](esp::SaParams& sa) { sa.esn = true; }), "extended"});
  cases.push_back({&reg::kCapsLifetimes, make([](esp::SaParams& sa) { sa.hard.packets = 5; }), "lifetimes"});
  for (const Case& c : cases) {
    CAPTURE(c.word);
    CHECK(SaTable::lacking(c.sa, ~0u, 1024).empty());
    CHECK(SaTable::lacking(c.sa, ~c.cap->mask(), 1024).find(c.word) != std::string::npos);
  }
  CHECK(SaTable::lacking(make([](esp::SaParams& sa) { sa.replay_window = 96; }), ~0u, 64).find("96") != std::string::npos);
}

TEST_CASE("SA entry: lifetimes, ESN, MD5, IPv6 and AH stand where the format says") {
  esp::SaParams sa = sa_params(false, 0x1005);
  sa.protocol = esp::Protocol::kAh;
  sa.mode = esp::Mode::kTransport;
  sa.cipher = esp::Cipher::kNull;
  sa.enc_key = Secret();
  sa.auth = esp::Auth::kHmacMd5_96;
  sa.auth_key = Secret(from_hex("000102030405060708090a0b0c0d0e0f").value());
  sa.src = esp::parse_address("2001:db8::1").value();
  sa.dst = esp::parse_address("2001:db8::2").value();
  sa.esn = true;
  sa.seq = 0xfedcba9876543210;
  sa.replay_window = 1024;
  sa.ecn_copy = false;
  sa.soft = {0x1111111111111111, 0x2222222222222222, 0x33333333};
  sa.hard = {0x4444444444444444, 0x5555555555555555, 0x66666666};
  const auto e = SaTable::encode(sa, ~0u);
  CHECK(card::get(e, entry::kOutbound) == 0);
  CHECK(card::get(e, entry::kTransport) == 1);
  CHECK(card::get(e, entry::kAh) == 1);
  CHECK(card::get(e, entry::kOuterV6) == 1);
  CHECK(card::get(e, entry::kEsn) == 1);
  CHECK(card::get(e, entry::kCheckOuter) == 1);
  CHECK(card::get(e, entry::kCipher) == 0);
  CHECK(card::get(e, entry::kAuth) == 1);
  CHECK(card::get(e, entry::kEcnClear) == 1);
  CHECK(card::get(e, entry::kReplayWindow) == 1024);
  CHECK(card::get(e, entry::kSeq) == 0xfedcba9876543210);
  CHECK(card::get(e, entry::kSoftBytes) == 0x1111111111111111);
  CHECK(card::get(e, entry::kSoftPackets) == 0x2222222222222222);
  CHECK(card::get(e, entry::kSoftSeconds) == 0x33333333);
  CHECK(card::get(e, entry::kHardBytes) == 0x4444444444444444);
  CHECK(card::get(e, entry::kHardPackets) == 0x5555555555555555);
  CHECK(card::get(e, entry::kHardSeconds) == 0x66666666);
  CHECK(to_hex(card::octets(std::span<const Byte>(e), entry::kDst)) == "20010db8000000000000000000000002");
  CHECK(to_hex(card::octets(std::span<const Byte>(e), entry::kAuthKey)) == "000102030405060708090a0b0c0d0e0f00000000");
}

TEST_CASE("SA table: an update sends what may change and no key, with its own command") {
  StubDevice device;
  auto table = SaTable::create(device);
  esp::SaParams sa = sa_params(true, 0x1000);
  const auto index = table->install(sa);
  REQUIRE(index);
  sa.dst = esp::parse_address("198.51.100.7").value();
  sa.natt = esp::Natt{4500, 40001};
  sa.hard.bytes = 12345;
  device.writes.clear();
  for (std::uint32_t word = 0; word < 64; ++word) device.registers[card::reg::kSaEntry.at(word)] = 0;
  REQUIRE(table->update(*index, sa));
  std::array<Byte, card::sa_entry::kSize> sent{};
  std::uint32_t command = 0, at = ~0u;
  for (const auto& [offset, value] : device.writes) {
    if (offset >= card::reg::kSaEntry.at() && offset < card::reg::kSaEntry.at(64)) {
      for (std::size_t i = 0; i < 4; ++i) sent[offset - card::reg::kSaEntry.at() + i] = static_cast<Byte>(value >> (8 * i));
    }
    if (offset == card::reg::kSaIndex.at()) at = value;
    if (offset == card::reg::kSaCommand.at()) command = value;
  }
  CHECK(command == static_cast<std::uint32_t>(card::SaCommand::kUpdate));
  CHECK(at == *index);
  CHECK(to_hex(card::octets(std::span<const Byte>(sent), entry::kDst).first(4)) == "c6336407");
  CHECK(card::get(sent, entry::kUdpDst) == 40001);
  CHECK(card::get(sent, entry::kHardBytes) == 12345);
  CHECK(card::get(sent, entry::kSpi) == 0x1000);
  CHECK(std::ranges::all_of(card::octets(std::span<const Byte>(sent), entry::kEncKey), [](Byte b) { return b == 0; }));
  CHECK(std::ranges::all_of(card::octets(std::span<const Byte>(sent), entry::kAuthKey), [](Byte b) { return b == 0; }));
}

TEST_CASE("SA table: an update that does not fit is refused before anything is sent") {
  StubDevice device;
  auto table = SaTable::create(device);
  const auto index = table->install(sa_params(true, 0x1000));
  REQUIRE(index);
  const std::size_t writes = device.writes.size();
  CHECK(table->update(*index + 1, sa_params(true, 0x1000)).error().code == Errc::kUnknownSpi);
  CHECK(table->update(~0u, sa_params(true, 0x1000)).error().code == Errc::kUnknownSpi);
  CHECK(table->update(*index, sa_params(true, 0x1001)).error().code == Errc::kBadConfig);
  CHECK(table->update(*index, sa_params(false, 0x1000)).error().code == Errc::kBadConfig);
  esp::SaParams mixed = sa_params(true, 0x1000);
  mixed.dst = esp::parse_address("2001:db8::1").value();
  CHECK(table->update(*index, mixed).error().code == Errc::kBadConfig);
  mixed.src = mixed.dst;
  mixed.natt = esp::Natt{};
  CHECK(table->update(*index, mixed).error().code == Errc::kBadConfig);
  device.info_.caps &= ~card::reg::kCapsSaUpdate.mask();
  CHECK(table->update(*index, sa_params(true, 0x1000)).error().code == Errc::kUnsupported);
  CHECK(device.writes.size() == writes);
  device.info_.caps = ~0u;
  device.registers[card::reg::kSaStatus.at()] = card::reg::kSaStatusResult.put(static_cast<std::uint32_t>(card::SaResult::kBadEntry));
  CHECK(table->update(*index, sa_params(true, 0x1000)).error().code == Errc::kState);
}

TEST_CASE("SA table: the view has every field of the format by name") {
  namespace v = card::sa_view;
  StubDevice device;
  auto table = SaTable::create(device);
  std::array<Byte, v::kSize> raw{};
  const std::pair<card::Field, std::uint64_t> fields[] = {
      {v::kValid, 1},       {v::kOutbound, 1},      {v::kExpired, 1},     {v::kPoisoned, 1},         {v::kCipher, 2},     {v::kAuth, 1},
      {v::kSpi, 0xa1b2c3d4}, {v::kSeq, 0x123456789abcdef0}, {v::kPackets, 0x1122334455667788}, {v::kBytes, 0x99aabbccddeeff00}, {v::kAgeSeconds, 77},
      {v::kReplayDrops, 1}, {v::kIcvDrops, 2},      {v::kOtherDrops, 3},  {v::kPaddingDrops, 4},     {v::kNextHeaderDrops, 5}, {v::kInnerDrops, 6},
      {v::kProtocolDrops, 7}, {v::kAddressDrops, 8}, {v::kExpiredDrops, 9}, {v::kSeqDrops, 10},      {v::kLengthDrops, 0xffffffff}};
  for (const auto& [field, value] : fields) card::set(raw, field, value);
  for (std::uint32_t word = 0; word < raw.size() / 4; ++word) {
    std::uint32_t value = 0;
    for (std::uint32_t i = 4; i-- > 0;) value = value << 8 | raw[word * 4 + i];
    device.registers[card::reg::kSaView.at(word)] = value;
  }
  const auto view = table->view(3);
  REQUIRE(view);
  CHECK(view->valid);
  CHECK(view->outbound);
  CHECK(view->expired);
  CHECK(view->poisoned);
  CHECK(view->cipher == card::Cipher::kTripleDesCbc);
  CHECK(view->auth == card::Auth::kHmacMd5_96);
  CHECK(view->spi == 0xa1b2c3d4);
  CHECK(view->seq == 0x123456789abcdef0);
  CHECK(view->packets == 0x1122334455667788);
  CHECK(view->bytes == 0x99aabbccddeeff00);
  CHECK(view->age_seconds == 77);
  const SaView::Drops& d = view->drops;
  CHECK(std::vector<std::uint32_t>{d.replay, d.icv, d.other, d.padding, d.next_header, d.inner, d.protocol, d.address, d.expired, d.seq} ==
        std::vector<std::uint32_t>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
  CHECK(d.length == 0xffffffff);
  CHECK(d.total() == 55 + 0xffffffffull);
}
