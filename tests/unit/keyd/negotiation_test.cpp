// What is offered, chosen and refused, and that every negotiation ends with keys of its own.
#include "common/esp/engine.h"
#include "common/esp/ip.h"
#include "dress.h"
#include "keyd/exchange/negotiate.h"
#include "sniffer.h"

using namespace esplanade;
using namespace esplanade::ike;
using namespace esplanade::ike::test;
using namespace std::chrono_literals;

namespace {

Setup suites(const std::string& list, bool start = false) {
  Setup s;
  s.ike = list;  // stands between quotes: a", "b makes two
  s.start = start ? "start" : "none";
  return s;
}

/// The SA payload of a message in clear.
std::vector<Proposal> proposals_of(ByteView message) {
  auto header = parse_header(message);
  REQUIRE(header);
  auto chain = split_payloads(header->next, message.subspan(kHeaderLen), false);
  REQUIRE(chain);
  const RawPayload* sa = find(*chain, PayloadType::kSa);
  REQUIRE(sa != nullptr);
  auto proposals = parse_sa(sa->body);
  REQUIRE(proposals);
  return *proposals;
}

std::uint16_t value_of(const Transform& t, MmAttribute type) {
  for (const Attribute& a : t.attributes)
    if (a.type == static_cast<std::uint16_t>(type)) return basic_value(a).value();
  return 0;
}

/// The transform of 3DES, SHA-1 and group 1 with one attribute changed, as the only offer of a message 1.
std::vector<Proposal> offer_with(MmAttribute type, std::uint16_t value) {
  const Config config = make_config(true, suites("3des-sha1-modp768"));
  auto offer = mm_offer(*config.connections.front());
  for (Attribute& a : offer[0].transforms[0].attributes)
    if (a.type == static_cast<std::uint16_t>(type)) {
      a.value = Bytes(2);
      store_be16(a.value.data(), value);
    }
  return offer;
}

Bytes octets(const Secret& s) { return Bytes(s.reveal().begin(), s.reveal().end()); }

esp::SaParams copy(const esp::SaParams& sa) {
  esp::SaParams c;
  c.outbound = sa.outbound;
  c.spi = sa.spi;
  c.cipher = sa.cipher;
  c.auth = sa.auth;
  c.mode = sa.mode;
  c.src = sa.src;
  c.dst = sa.dst;
  c.enc_key = Secret(octets(sa.enc_key));
  c.auth_key = Secret(octets(sa.auth_key));
  return c;
}

Bytes inner_packet() {
  Bytes p(84, 0);
  p[0] = 0x45;
  store_be16(&p[2], static_cast<std::uint16_t>(p.size()));
  p[8] = 64;
  p[9] = 17;
  store_be32(&p[12], 0x0a010001);
  store_be32(&p[16], 0x0a020001);
  store_be16(&p[10], esp::ipv4_checksum(ByteView(p).first(20)));
  return p;
}

}  // namespace

TEST_CASE("[R3] policy and a credential suffice for keys, and no two runs, directions or renewals share one") {
  std::set<Bytes> keys;
  std::size_t held = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    World w(seed, suites("3des-sha1-modp768", true), suites("3des-sha1-modp768"));
    w.start();
    REQUIRE(w.run(5s, [&] { return w.up(); }));
    const std::uint32_t first = w.left().engine->children().begin()->first;
    w.expire(w.left(), first, false);
    REQUIRE(w.run(60s, [&] { return w.left().engine->children().size() == 2 && w.newest_up(); }));
    for (const auto& [key, sa] : w.left().sas) {
      keys.insert(octets(sa.sa.enc_key));
      keys.insert(octets(sa.sa.auth_key));
      held += 2;
    }
  }
  CHECK(held == 20 * 2 * 2 * 2);  // runs, pairs, directions, keys of an SA
  CHECK(keys.size() == held);
}

TEST_CASE("[R4] nothing but DES, 3DES, MD5, SHA1 and groups 1, 2, 14 is offered") {
  std::string all;
  for (const char* cipher : {"des", "3des"})
    for (const char* hash : {"md5", "sha1"})
      for (const char* group : {"low", "medium", "high", "modp768", "modp1024", "modp2048"})
        all += (all.empty() ? "" : "\", \"") + fmt::format("{}-{}-{}", cipher, hash, group);
  World w(1, suites(all, true), suites("3des-sha1-modp2048"));
  Sniffer net(w);
  w.start();
  REQUIRE(w.run(10s, [&] { return w.up(); }));
  std::set<std::array<std::uint16_t, 3>> seen;
  const auto offered = proposals_of(net.heard.front().octets);
  for (const Transform& t : offered[0].transforms)
    seen.insert({value_of(t, MmAttribute::kEncryption), value_of(t, MmAttribute::kHash), value_of(t, MmAttribute::kGroup)});
  std::set<std::array<std::uint16_t, 3>> wanted;
  for (std::uint16_t cipher : {kMmDesCbc, kMmTripleDesCbc})
    for (std::uint16_t hash : {kMmMd5, kMmSha1})
      for (std::uint16_t group : std::array<std::uint16_t, 3>{1, 2, 14}) wanted.insert({cipher, hash, group});
  CHECK(seen == wanted);
}

TEST_CASE("[R4] an offer of AES, SHA-256 or an elliptic curve alone gets NO-PROPOSAL-CHOSEN, one of 3DES an answer") {
  struct Offer {
    MmAttribute type;
    std::uint16_t value;
    bool taken;
  };
  for (const Offer& o : {Offer{MmAttribute::kEncryption, 7, false},   // AES-CBC, RFC 3602
                         Offer{MmAttribute::kHash, 4, false},         // SHA2-256
                         Offer{MmAttribute::kGroup, 19, false},       // ECP 256, RFC 5903
                         Offer{MmAttribute::kGroup, 5, false},        // MODP 1536
                         Offer{MmAttribute::kEncryption, kMmTripleDesCbc, true}}) {
    World w(2, suites("3des-sha1-modp768"), suites("3des-sha1-modp768"));
    Sniffer net(w);
    w.start();
    const auto offer = offer_with(o.type, o.value);
    w.inject(w.right(), message1(0x1234, {}, kNoCookie, &offer));
    w.run(100ms);
    CHECK(w.right().engine->num_main_modes() == (o.taken ? 1 : 0));
    REQUIRE(net.heard.size() == 1);
    const Heard& answer = net.heard.front();
    if (o.taken) {
      CHECK(answer.header.exchange == Exchange::kMainMode);
    } else {
      CHECK(answer.header.exchange == Exchange::kInformational);
      auto chain = split_payloads(answer.header.next, ByteView(answer.octets).subspan(kHeaderLen), false);
      REQUIRE(chain);
      auto notify = parse_notify(find(*chain, PayloadType::kNotify)->body);
      REQUIRE(notify);
      CHECK(notify->type == static_cast<std::uint16_t>(NotifyType::kNoProposalChosen));
    }
  }
}

TEST_CASE("[R4] quick mode takes no AES-CBC (12) and no HMAC-SHA2-256 (5), and takes 3DES with SHA1") {
  const Config config = make_config(false, suites("3des-sha1-modp768"));
  const ChildConfig& child = config.connections[0]->children[0];
  const auto good = qm_offer(child, {0x1234, 0}, Encap::kPlain, 0);
  CHECK(choose_qm(good, child, 2, Encap::kPlain));
  auto aes = good;
  aes[0].transforms[0].id = 12;
  CHECK_FALSE(choose_qm(aes, child, 2, Encap::kPlain));
  auto sha2 = good;
  for (Attribute& a : sha2[0].transforms[0].attributes)
    if (a.type == static_cast<std::uint16_t>(QmAttribute::kAuth)) a.value = {0, 5};
  CHECK_FALSE(choose_qm(sha2, child, 2, Encap::kPlain));
}

TEST_CASE("[R33] of three groups offered the one that the responder allows is taken, whichever it is; without a common one none") {
  const std::string three = "3des-sha1-modp2048\", \"3des-sha1-modp1024\", \"3des-sha1-modp768";
  for (const auto& [name, group] : {std::pair("modp768", 1), std::pair("modp1024", 2), std::pair("modp2048", 14)}) {
    World w(3, suites(three, true), suites(fmt::format("3des-sha1-{}", name)));
    Sniffer net(w);
    w.start();
    REQUIRE(w.run(10s, [&] { return w.up(); }));
    const auto offered = proposals_of(net.heard[0].octets), chosen = proposals_of(net.heard[1].octets);
    CHECK(offered.size() == 1);  // one proposal, three transforms
    CHECK(offered[0].transforms.size() == 3);
    CHECK(value_of(chosen[0].transforms[0], MmAttribute::kGroup) == group);
  }
  World apart(4, suites("3des-sha1-modp2048\", \"3des-sha1-modp1024", true), suites("3des-sha1-modp768"));
  Sniffer net(apart);
  apart.start();
  apart.run(1s);
  CHECK(apart.right().engine->num_main_modes() == 0);
  REQUIRE(net.heard.size() >= 2);
  CHECK(net.heard[1].header.exchange == Exchange::kInformational);
}

TEST_CASE("[R78] an acceptance is one proposal with one transform, as it was offered; a refusal leaves the initiator free to offer again") {
  const std::string many = "des-md5-modp768\", \"3des-md5-modp768\", \"3des-sha1-modp768";
  World w(5, suites(many, true), suites("3des-md5-modp768"));
  Sniffer net(w);
  w.start();
  REQUIRE(w.run(10s, [&] { return w.up(); }));
  const auto offered = proposals_of(net.heard[0].octets), chosen = proposals_of(net.heard[1].octets);
  REQUIRE(chosen.size() == 1);
  REQUIRE(chosen[0].transforms.size() == 1);
  CHECK(chosen[0].number == offered[0].number);
  CHECK(chosen[0].transforms[0].number == 2);
  CHECK(chosen[0].transforms[0].attributes == offered[0].transforms[1].attributes);

  World refused(6, suites("des-md5-modp768", true), suites("3des-sha1-modp768"));
  Sniffer words(refused);
  refused.start();
  refused.run(100ms);
  CHECK(refused.right().engine->num_main_modes() == 0);
  const auto offer = offer_with(MmAttribute::kEncryption, kMmTripleDesCbc);
  refused.inject(refused.right(), message1(0x5678, {}, kNoCookie, &offer));  // new cookies, another offer
  CHECK(refused.right().engine->num_main_modes() == 1);
}

TEST_CASE("[R20] the keys of one interval open nothing of another: a packet of each pair, each with each pair's keys") {
  World w(7, suites("3des-sha1-modp768", true), suites("3des-sha1-modp768"));
  w.start();
  REQUIRE(w.run(5s, [&] { return w.up(); }));
  struct Interval {
    std::uint32_t spi;
    esp::SaParams out, in;  // at the left, at the right
  };
  std::vector<Interval> intervals;
  for (int i = 0; i < 3; ++i) {
    const auto& children = w.left().engine->children();
    const auto newest = std::ranges::max_element(children, {}, [](const auto& c) { return c.second.number; });
    const std::uint32_t in = newest->first, out = newest->second.spi_out;
    intervals.push_back({out, copy(w.left().sas.at({true, out}).sa), copy(w.right().sas.at({false, out}).sa)});
    w.expire(w.left(), in, false);
    REQUIRE(w.run(60s, [&] { return w.left().engine->children().size() == 2 && w.newest_up(); }));
    w.expire(w.left(), in, true);
    w.run(1s);
  }
  for (const Interval& sent : intervals)
    for (const Interval& with : intervals) {
      esp::SaParams opener = copy(with.in);
      opener.spi = sent.spi;  // so that the key alone decides
      auto out = esp::SoftSa::create(copy(sent.out)), in = esp::SoftSa::create(std::move(opener));
      REQUIRE(out);
      REQUIRE(in);
      const auto wire = out->encap(inner_packet());
      REQUIRE(wire);
      const auto opened = in->decap(wire->packet);
      CHECK(static_cast<bool>(opened) == (sent.spi == with.spi));
      if (sent.spi != with.spi) CHECK(opened.error().code == Errc::kBadIcv);
    }
}

TEST_CASE("[R53] keys are made, installed, renewed and erased by the daemon: nothing is left of a pair that ended") {
  World w(8, suites("3des-sha1-modp768", true), suites("3des-sha1-modp768"));
  w.start();
  CHECK(w.left().sas.empty());
  REQUIRE(w.run(5s, [&] { return w.up(); }));
  CHECK(w.left().sas.size() == 2);  // made and installed
  const std::uint32_t first = w.left().engine->children().begin()->first;
  w.expire(w.left(), first, false);
  REQUIRE(w.run(60s, [&] { return w.left().engine->children().size() == 2 && w.newest_up(); }));
  CHECK(w.left().sas.size() == 4);  // renewed
  w.shutdown(w.left());
  w.run(5s);
  for (Node* n : {&w.left(), &w.right()}) {
    CHECK(n->sas.empty());  // erased in espd
    CHECK(n->engine->children().empty());
    CHECK(n->engine->num_main_modes() == 0);
  }
}
