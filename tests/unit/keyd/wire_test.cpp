#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <random>

#include "common/testing/seed.h"
#include "keyd/exchange/steps.h"
#include "keyd/wire/payload_id.h"
#include "keyd/wire/payload_notify.h"
#include "keyd/wire/payload_sa.h"
#include "keyd/wire/vendor_id.h"

using namespace esplanade;
using namespace esplanade::ike;

namespace {

Bytes hex(const char* text) { return *from_hex(text); }

std::vector<Proposal> sample_sa() {
  Transform t;
  t.id = kTransformKeyIke;
  t.attributes = {{1, true, {0, 5}}, {12, false, {0, 0, 0x70, 0x80}}};
  return {{1, ProtocolId::kIsakmp, {}, {t, t}}, {2, ProtocolId::kEsp, {1, 2, 3, 4}, {t}}};
}

// What a parser of hostile octets must do with every proper prefix: say no, and not crash. `may_end` are the
// lengths at which a shorter message is whole.
template <class F>
void refuses_prefixes(ByteView whole, F&& parse, std::initializer_list<std::size_t> may_end = {}) {
  for (std::size_t n = 0; n < whole.size(); ++n) {
    CAPTURE(n);
    const Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n));  // its own end, for ASan
    if (std::ranges::find(may_end, n) == may_end.end()) CHECK_FALSE(parse(cut));
  }
  CHECK(parse(whole));
}

}  // namespace

TEST_CASE("ike/wire: a header is built and read back; every prefix and wrong length is refused") {
  Header h;
  h.cky_i = {1, 2, 3, 4, 5, 6, 7, 8};
  h.exchange = Exchange::kQuickMode;
  h.flags = kFlagEncryption;
  h.message_id = 0x01020304;
  h.length = 28;
  Bytes octets;
  put_header(octets, h);
  auto back = parse_header(octets);
  REQUIRE(back);
  CHECK(back->cky_i == h.cky_i);
  CHECK(back->message_id == 0x01020304);
  refuses_prefixes(octets, [](ByteView b) { return bool(parse_header(b)); });
  octets.push_back(0);
  CHECK(parse_header(octets).error().code == Errc::kBadLength);
  octets.pop_back();
  octets[17] = 0x20;
  CHECK(parse_header(octets).error().code == Errc::kUnsupported);
  octets[17] = 0x11;  // a minor version is no obstacle
  CHECK(parse_header(octets));
  std::fill_n(octets.begin(), 8, Byte{0});
  CHECK(parse_header(octets).error().code == Errc::kMalformed);
}

TEST_CASE("ike/wire: a payload chain is split; lengths, reserved octets and leftovers are checked") {
  ChainBuilder chain;
  chain.add(PayloadType::kKe, hex("0102030405"));
  chain.add(PayloadType::kNonce, hex("aabb"));
  auto payloads = split_payloads(chain.first(), chain.octets(), false);
  REQUIRE(payloads);
  REQUIRE(payloads->size() == 2);
  CHECK(to_hex((*payloads)[0].body) == "0102030405");
  CHECK(to_hex((*payloads)[1].whole) == "00000006aabb");
  refuses_prefixes(chain.octets(),
                   [&](ByteView b) { return bool(split_payloads(PayloadType::kKe, b, true)); });
  Bytes padded = chain.octets();
  padded.push_back(0);
  CHECK_FALSE(split_payloads(PayloadType::kKe, padded, false));
  CHECK(split_payloads(PayloadType::kKe, padded, true));
  for (int len : {0, 1, 2, 3, 200}) {
    Bytes bad = chain.octets();
    bad[3] = static_cast<Byte>(len);
    CHECK(split_payloads(PayloadType::kKe, bad, true).error().code == Errc::kBadLength);
  }
  Bytes reserved = chain.octets();
  reserved[1] = 1;
  CHECK(split_payloads(PayloadType::kKe, reserved, false).error().code == Errc::kMalformed);
}

TEST_CASE("ike/wire: a chain of more payloads than any exchange has is refused") {
  ChainBuilder chain;
  for (std::size_t i = 0; i <= kPayloadsMax; ++i) chain.add(PayloadType::kVendorId, {});
  CHECK_FALSE(split_payloads(chain.first(), chain.octets(), false));
}

TEST_CASE("ike/wire: SA payloads survive building and parsing; prefixes are refused") {
  const Bytes body = build_sa(sample_sa());
  auto back = parse_sa(body);
  REQUIRE(back);
  CHECK(build_sa(*back) == body);
  CHECK((*back)[1].spi == Bytes{1, 2, 3, 4});
  CHECK((*back)[0].transforms[0].attributes[1].value.size() == 4);
  refuses_prefixes(body, [](ByteView b) { return bool(parse_sa(b)); });
}

TEST_CASE("ike/wire: an SA payload with a foreign DOI, situation, count or nested type is refused") {
  const Bytes good = build_sa(sample_sa());
  const std::pair<std::size_t, Byte> changes[] = {
      {3, 2},       // DOI
      {7, 2},       // situation: secrecy
      {8, 3},       // the next proposal would be a transform
      {8 + 7, 9},   // number of transforms
      {8 + 8, 2},   // the next transform would be a proposal
      {8 + 14, 1},  // reserved octets of a transform
  };
  for (auto [at, value] : changes) {
    CAPTURE(at);
    Bytes bad = good;
    bad[at] = value;
    CHECK_FALSE(parse_sa(bad));
  }
}

TEST_CASE("ike/wire: attributes are TV or TLV; durations have 1 to 8 octets") {
  auto list =
      parse_attributes(hex("800b0001"
                           "000c0004"
                           "00007080"));
  REQUIRE(list);
  CHECK(*basic_value((*list)[0]) == 1);
  CHECK_FALSE(basic_value((*list)[1]));
  CHECK(*variable_value((*list)[1]) == 28800);
  CHECK(*variable_value((*parse_attributes(hex("800c7080")))[0]) == 28800);
  CHECK_FALSE(variable_value((*parse_attributes(hex("000c0000")))[0]));
  CHECK_FALSE(
      variable_value((*parse_attributes(hex("000c0009"
                                            "000000000000000001")))[0]));
  refuses_prefixes(hex("800b0001"
                       "000c0004"
                       "00007080"),
                   [](ByteView b) { return bool(parse_attributes(b)); }, {0, 4});
}

TEST_CASE("ike/wire: identities have the length of their type") {
  for (const char* text : {"010000"
                           "00c0000201",
                           "04000000"
                           "0a0100"
                           "00ffff0000",
                           "02000000"
                           "61"})
    CHECK(parse_id(hex(text)));
  for (const char* text :
       {"01000000c00002", "01000000c000020101", "040000000a010000ffff00", "050000000a010000"})
    CHECK_FALSE(parse_id(hex(text)));
  CHECK(to_string(id_from_text("192.0.2.1")) == "192.0.2.1");
  CHECK(id_from_text("a@b.example").type == IdType::kUserFqdn);
  CHECK(id_from_text("@b.example").data.size() == 9);
  Id nasty{IdType::kFqdn, 0, 0, hex("610a1b5b")};
  CHECK(to_string(nasty).find('\n') == std::string::npos);
  CHECK(to_string(nasty).find('\x1b') == std::string::npos);
}

TEST_CASE("ike/wire: selectors go to the shortest identity and back") {
  for (const char* text :
       {"10.1.0.0/16", "192.0.2.1", "0.0.0.0/0", "10.1.2.0/23[6/443]", "2001:db8::/33", "2001:db8::1"}) {
    CAPTURE(text);
    auto s = parse_selector(text);
    REQUIRE(s);
    const Bytes wire = build_id(id_from_selector(*s));
    auto back = selector_from_id(*parse_id(wire));
    REQUIRE(back);
    CHECK(*back == *s);
    CHECK(to_string(*back) == text);
  }
  for (const char* text :
       {"", "10.1.0.0/33", "10.1.0.1/16", "10.1.0.0/", "10.1.0.0/16[6", "x", "10.0.0.0/8[300]"})
    CHECK_FALSE(parse_selector(text));
  CHECK_FALSE(selector_from_id(*parse_id(hex("040000000a010000ff00ff00"))));  // a mask with holes
  CHECK_FALSE(selector_from_id(*parse_id(hex("070000000a0100010a010000"))));  // a range backwards
  CHECK(selector_from_id(*parse_id(hex("070000000a0100010a010007"))));
  CHECK_FALSE(selector_from_id(id_from_text("name")));
}

TEST_CASE("ike/wire: notify and delete payloads survive; counts and sizes are checked") {
  Notify n;
  n.protocol = 3;
  n.type = 14;
  n.spi = {1, 2, 3, 4};
  n.data = {9};
  const Bytes nb = build_notify(n);
  CHECK(build_notify(*parse_notify(nb)) == nb);
  refuses_prefixes(nb, [](ByteView b) { return bool(parse_notify(b)); }, {12});
  Delete d;
  d.protocol = 3;
  d.spis = {{1, 2, 3, 4}, {5, 6, 7, 8}};
  const Bytes db = build_delete(d);
  CHECK(build_delete(*parse_delete(db)) == db);
  refuses_prefixes(db, [](ByteView b) { return bool(parse_delete(b)); });
  for (auto [at, value] : {std::pair<std::size_t, Byte>{3, 2}, {4, 1}, {5, 16}, {7, 3}, {7, 1}}) {
    CAPTURE(at);
    Bytes bad = db;
    bad[at] = value;
    CHECK_FALSE(parse_delete(bad));
  }
}

TEST_CASE("ike/wire: a message that breaks its row of the step table is refused") {
  auto check = [](const Step& step, std::initializer_list<PayloadType> types) {
    ChainBuilder chain;
    for (PayloadType t : types) chain.add(t, {});
    return bool(check_step(step, *split_payloads(chain.first(), chain.octets(), false)));
  };
  using enum PayloadType;
  CHECK(check(kMainModePsk[0], {kSa, kVendorId}));
  CHECK_FALSE(check(kMainModePsk[0], {kVendorId, kSa}));
  CHECK_FALSE(check(kMainModePsk[0], {kSa, kSa}));
  CHECK(check(kMainModePsk[2], {kNonce, kKe, kNatD, kNatD}));
  CHECK_FALSE(check(kMainModePsk[2], {kKe}));
  CHECK_FALSE(check(kMainModePsk[2], {kKe, kNonce, kNonce}));
  CHECK_FALSE(check(kMainModePsk[2], {kKe, kNonce, static_cast<PayloadType>(99)}));
  CHECK(check(kMainModePsk[2], {kKe, kNonce, static_cast<PayloadType>(200)}));
  CHECK_FALSE(check(kQuickMode[0], {kSa, kHash, kNonce}));
  CHECK_FALSE(check(kQuickMode[0], {kHash, kSa, kNonce, kTransform}));
}

TEST_CASE("ike/wire: random and mutated octets crash no parser") {
  const std::uint64_t seed = testing::seed(20240501);
  CAPTURE(seed);
  std::mt19937_64 gen(seed);
  const Bytes corpus[] = {build_sa(sample_sa()), build_id(id_from_selector(*parse_selector("10.1.0.0/16"))),
                          hex("00000001030400010102030405060708"), hex("800b0001000c000400007080")};
  std::size_t accepted = 0;
  for (int round = 0; round < 40000; ++round) {
    Bytes b = corpus[gen() % std::size(corpus)];
    for (std::uint64_t flips = gen() % 4; flips != 0 && !b.empty(); --flips)
      b[gen() % b.size()] = static_cast<Byte>(gen());
    if (gen() % 4 == 0) b.resize(gen() % (b.size() + 8));
    accepted += bool(split_payloads(static_cast<PayloadType>(gen() % 16), b, gen() % 2 == 0));
    if (auto sa = parse_sa(b)) CHECK(build_sa(*sa) == b);
    if (auto id = parse_id(b)) {
      (void)to_string(*id);
      if (auto s = selector_from_id(*id)) CHECK(selector_from_id(id_from_selector(*s)));
    }
    if (auto n = parse_notify(b)) CHECK(parse_notify(build_notify(*n)));
    if (auto d = parse_delete(b)) CHECK(build_delete(*d) == b);
    (void)parse_attributes(b);
    (void)parse_header(b);
    (void)vendor_of(b);
  }
  CHECK(accepted > 0);
}
