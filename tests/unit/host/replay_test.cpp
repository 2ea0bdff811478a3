// Stand-ins against the reference engine: what was made to end with a status ends with it there.
#include <doctest/doctest.h>

#include "common/esp/engine.h"
#include "common/esp/ip.h"
#include "common/testing/seed.h"
#include "host/espscope/replay/stand_in.h"

using namespace esplanade;
using namespace esplanade::replay;
using Outcome = card::Status;

namespace {

/// An SA of a kind that `random` chooses, without keys.
esp::SaParams any_sa(Random& random, bool outbound) {
  esp::SaParams sa;
  sa.outbound = outbound;
  sa.spi = static_cast<std::uint32_t>(256 + random() % 0xffff'0000);
  sa.protocol = random() % 3 == 0 ? esp::Protocol::kAh : esp::Protocol::kEsp;
  sa.mode = random() % 2 == 0 ? esp::Mode::kTunnel : esp::Mode::kTransport;
  sa.cipher = sa.protocol == esp::Protocol::kAh ? esp::Cipher::kNull : static_cast<esp::Cipher>(random() % 3);
  sa.auth = static_cast<esp::Auth>(sa.cipher == esp::Cipher::kNull ? 1 + random() % 2 : random() % 3);
  const bool v6 = random() % 2 == 0;
  sa.src = esp::parse_address(v6 ? "2001:db8::1" : "192.0.2.1").value();
  sa.dst = esp::parse_address(v6 ? "2001:db8::2" : "192.0.2.2").value();
  if (!v6 && sa.protocol == esp::Protocol::kEsp && random() % 3 == 0) sa.natt = esp::Natt{};
  sa.esn = random() % 3 == 0;
  if (sa.esn) sa.seq = 0x1'0000'0000;
  return sa;
}

/// A packet as the peer would send it for that SA, whose result has `len` octets where it is let in.
PacketStep step_for(const esp::SaParams& sa, Random& random, Outcome outcome) {
  PacketStep step{};
  step.op = card::Op::kDecap;
  step.outcome = static_cast<int>(outcome);
  Shape& shape = step.shape;
  shape.version = sa.src.version;
  shape.sound = true;
  shape.protocol = sa.natt ? esp::kProtoUdp : static_cast<std::uint8_t>(sa.protocol);
  const std::size_t options = random() % 3 == 0 ? 8 * (1 + random() % 4) : 0;
  shape.header_len = static_cast<std::uint32_t>((shape.version == 4 ? 20 : 40) + options);
  shape.spi = sa.spi;
  shape.seq = sa.seq + 1 + random() % 1000;
  const bool tunnel = sa.mode == esp::Mode::kTunnel;
  const std::uint32_t inside = static_cast<std::uint32_t>((tunnel ? 40 : 2) + random() % 1400);
  if (sa.protocol == esp::Protocol::kAh) {
    shape.total_len = shape.header_len + 24 + inside;
    step.out_len = tunnel ? static_cast<std::uint32_t>(inside - (inside > 40 ? random() % (inside - 40) : 0)) : shape.header_len + inside;  // in a tunnel with padding of the flow
  } else {
    const auto align = static_cast<std::uint32_t>(sa.cipher == esp::Cipher::kNull ? 4 : 8);
    const std::uint32_t more = random() % 4 == 0 ? align * static_cast<std::uint32_t>(random() % 20) : 0;  // padding beyond what is needed
    const std::uint32_t body = (inside + 2 + align - 1) / align * align + more;
    shape.total_len = static_cast<std::uint32_t>(shape.header_len + (sa.natt ? 8 : 0) + 8 + esp::iv_len(sa.cipher) + body + esp::icv_len(sa.auth));
    step.out_len = tunnel ? inside : shape.header_len + inside;
  }
  step.next_header = tunnel ? (random() % 2 == 0 ? esp::kProtoIpv4 : esp::kProtoIpv6) : 17;
  if (outcome == Outcome::kBadNextHeader) step.next_header = 17;
  step.len = shape.total_len + static_cast<std::uint32_t>(random() % 2 == 0 ? 0 : random() % 40);  // what a link appends
  return step;
}

}  // namespace

TEST_CASE("stand-ins: packets to be decapsulated end as recorded in the reference engine") {
  Random random(testing::seed());
  for (int turn = 0; turn < 3000; ++turn) {
    CAPTURE(turn);
    const esp::SaParams params = any_sa(random, false);
    struct Case {
      Outcome status;
      Errc code;
    };
    for (const Case& c : {Case{Outcome::kOk, Errc{}}, {Outcome::kWrongAddress, Errc::kWrongAddress}, {Outcome::kBadIcv, Errc::kBadIcv}, {Outcome::kBadPadding, Errc::kBadPadding},
                          {Outcome::kBadNextHeader, Errc::kBadNextHeader}, {Outcome::kDummy, Errc::kDummy}, {Outcome::kBadInner, Errc::kBadInner}}) {
      const bool tunnel = params.mode == esp::Mode::kTunnel, ah = params.protocol == esp::Protocol::kAh;
      if ((c.status == Outcome::kWrongAddress || c.status == Outcome::kBadNextHeader || c.status == Outcome::kBadInner) && !tunnel) continue;
      if (c.status == Outcome::kBadIcv && params.auth == esp::Auth::kNone) continue;
      if ((c.status == Outcome::kBadPadding || c.status == Outcome::kDummy) && ah) continue;
      CAPTURE(name_of(c.status));
      auto sa = StandInSa::create(params.without_keys(), random);
      REQUIRE(sa);
      auto engine = esp::SoftSa::create(sa->params().clone());
      REQUIRE(engine);
      PacketStep step = step_for(params, random, c.status);
      if (params.esn && params.auth == esp::Auth::kNone) step.shape.seq &= 0xffffffff;  // nobody tells its high word
      const Bytes packet = make_packet(step, &*sa, true, random);
      REQUIRE(packet.size() == step.len);
      const auto got = engine->decap(packet);
      if (c.status == Outcome::kOk) {
        REQUIRE_MESSAGE(got, got.error().detail);
        CHECK(got->packet.size() == step.out_len);
        CHECK(got->next_header == step.next_header);
        if (params.auth != esp::Auth::kNone) CHECK(got->seq == step.shape.seq);
        continue;
      }
      REQUIRE_FALSE(got);
      CHECK(got.error().code == c.code);
      auto anew = esp::SoftSa::create(sa->params().clone());  // the first may count the number as received
      REQUIRE(anew);
      const auto sound = anew->decap(make_packet(step, &*sa, false, random));
      CHECK_MESSAGE(sound, sound.error().detail);
    }
  }
}

TEST_CASE("stand-ins: packets to be encapsulated have the recorded headers") {
  Random random(testing::seed());
  for (int turn = 0; turn < 3000; ++turn) {
    CAPTURE(turn);
    PacketStep step{};
    step.op = card::Op::kEncap;
    step.outcome = kUnknown;
    Shape& s = step.shape;
    s.version = random() % 2 == 0 ? 4 : 6;
    s.sound = random() % 4 != 0;
    s.protocol = 17;
    s.fragment = s.version == 4 && random() % 4 == 0;
    s.header_len = static_cast<std::uint32_t>(s.version == 4 ? 20 + 4 * (random() % 11) : 40 + 8 * (random() % 300));
    s.total_len = s.header_len + static_cast<std::uint32_t>(random() % 500);
    step.len = s.total_len + static_cast<std::uint32_t>(random() % 3);
    if (!s.sound && random() % 2 == 0) step.len = 1 + static_cast<std::uint32_t>(random() % 100);
    const Bytes packet = make_packet(step, nullptr, true, random);
    REQUIRE(packet.size() == step.len);
    const auto ip = esp::parse_ip(packet);
    REQUIRE(bool(ip) == s.sound);
    if (!ip) continue;
    CHECK(ip->version == s.version);
    CHECK(ip->upper_at == s.header_len);
    CHECK(ip->total_len == s.total_len);
    CHECK(ip->protocol == s.protocol);
    CHECK(ip->fragment == s.fragment);
  }
}

TEST_CASE("plan: a line is read whole or refused with what is wrong") {
  const std::string packet = "packet 0 17 99 2 0 120 9216 4 1 50 20 120 4097 5 0 1 62 5 4 0 300";
  const auto step = parse_step(packet);
  REQUIRE(step);
  const auto& p = std::get<PacketStep>(*step);
  CHECK(p.number == 17);
  CHECK(p.shape.spi == 4097);
  CHECK(p.shape.sound);
  CHECK(p.out_len == 62);
  CHECK(p.cycles == 300);
  for (const auto& [line, says] : {std::pair<std::string, std::string>{"", "word 1 is missing"}, {"fly 1", "is no step"}, {packet + " 1", "is one too many"}, {packet.substr(0, 60), "is missing"},
                                   {"packet 0 17 99 2 0 100 9216 4 1 50 20 120 4097 5 0 1 62 5 4 0 300", "lengths are not those of a sound header"}, {"ring 16", "word 2 is no number from 0 to 15"},
                                   {"ring -1", "is no number"}, {"ring 1x", "is no number"}, {"queue 0 16 1 0", "word 3"}, {"sa 1 3 00", "is neither 1 (install) nor 5 (update)"},
                                   {"sa 1 1 00", "is no keyless SA entry"}, {"await 0 18446744073709551616", "word 3"}, {"event 1 10 0 0", "word 3"}, {"remove  1", "word 2 is"}}) {
    CAPTURE(line);
    const auto bad = parse_step(line);
    REQUIRE_FALSE(bad);
    CHECK(bad.error().detail.find(says) != std::string::npos);
  }
}
