// Quick mode on the wire and in espd: protocols, identities, retries, the commit bit, the limits of main mode.
#include "sniffer.h"

using namespace esplanade;
using namespace esplanade::ike;
using namespace esplanade::ike::test;
using namespace std::chrono_literals;

namespace {

Setup with(const std::string& child_extra, const std::string& mode = "tunnel") {
  Setup s;
  s.ike = "3des-sha1-modp768";
  s.mode = mode;
  s.child_extra = child_extra;
  return s;
}
Setup starting(Setup s) {
  s.start = "start";
  return s;
}
Setup trap(Setup s) {
  s.start = "trap";
  return s;
}
bool has_event(const Node& n, Event::Kind kind, const std::string& text = "") {
  return std::ranges::any_of(n.events, [&](const Event& e) {
    return e.kind == kind && e.text.find(text) != std::string::npos;
  });
}
Bytes octets(const Secret& s) { return Bytes(s.reveal().begin(), s.reveal().end()); }

// A message of quick mode under the SA that both ends have, with any content and any hash.
Bytes forged_quick_mode(World& w, std::uint32_t message_id, const Bytes& hash, const ChainBuilder& content) {
  const Core& core = w.left().engine->core();
  const MmSa* mm = core.find_mm(core.mm_numbers().front());
  Header h;
  h.cky_i = mm->cookies.first;
  h.cky_r = mm->cookies.second;
  h.exchange = Exchange::kQuickMode;
  h.message_id = message_id;
  ChainBuilder chain;
  chain.add(PayloadType::kHash, hash);
  chain.append(content);
  Iv iv = phase2_iv(mm->suite.hash, mm->iv, message_id);
  return *protect(mm->keys, mm->suite.encryption, iv, h, chain);
}

}  // namespace

TEST_CASE("[R10][R88][R89][R90][R91][R98] ESP, AH and both come up in either mode: two SAs a protocol, with keys of their algorithms' lengths") {
  struct Case {
    const char* child;
    std::size_t sas;
    std::size_t enc;
    std::size_t auth;
    bool ah;
  } const cases[] = {
      {"esp_proposals = \"3des-sha1\"", 2, 24, 20, false}, {"esp_proposals = \"des-md5\"", 2, 8, 16, false},
      {"esp_proposals = \"null-sha1\"", 2, 0, 20, false},  {"esp_proposals = \"3des-none\"", 2, 24, 0, false},
      {"ah_proposals = \"md5\"", 2, 0, 16, true},          {"ah_proposals = \"sha1\"", 2, 0, 20, true},
  };
  for (const Case& c : cases)
    for (const char* mode : {"tunnel", "transport"}) {
      CAPTURE(std::string(c.child));
      CAPTURE(mode);
      Setup s = with(c.child, mode);
      s.esp = "";
      World w(1, starting(s), s);
      w.start();
      REQUIRE(w.run(5s, [&] { return w.up(); }));
      w.run(1s);
      for (Node* n : {&w.left(), &w.right()}) {
        REQUIRE(n->sas.size() == c.sas);
        std::set<std::uint32_t> spis;
        std::set<Bytes> keys;
        int outbound = 0;
        for (const auto& [key, held] : n->sas) {
          spis.insert(held.sa.spi);
          keys.insert(octets(held.sa.enc_key));
          keys.insert(octets(held.sa.auth_key));
          outbound += held.sa.outbound ? 1 : 0;
          CHECK(held.sa.enc_key.size() == c.enc);
          CHECK(held.sa.auth_key.size() == c.auth);
          CHECK((held.sa.protocol == esp::Protocol::kAh) == c.ah);
          CHECK((held.sa.mode == esp::Mode::kTransport) == (std::string(mode) == "transport"));
          CHECK(held.reqid == 7);
        }
        CHECK(spis.size() == 2);
        CHECK(keys.size() >= (c.enc != 0 && c.auth != 0 ? 4u : 2u));  // every direction and use its own
        CHECK(outbound == 1);
      }
    }
}

TEST_CASE("[R88][R91] AH and ESP as a bundle: four SAs at each end, all from one quick mode, and all end together") {
  for (const char* mode : {"tunnel", "transport"})
    for (bool pfs : {false, true}) {
      CAPTURE(mode);
      Setup s = with("ah_proposals = [\"md5\", \"sha1\"]\nbundle = true\n" + std::string(pfs ? "pfs = true" : ""), mode);
      World w(2, starting(s), s);
      Sniffer net(w);
      w.start();
      REQUIRE(w.run(5s, [&] { return w.up(); }));
      w.run(1s);
      CHECK(net.quick_modes() == 1);
      for (Node* n : {&w.left(), &w.right()}) {
        CHECK(n->sas.size() == 4);
        CHECK(n->engine->children().size() == 1);
        std::set<Bytes> keys;
        for (const auto& [key, held] : n->sas) {
          keys.insert(octets(held.sa.auth_key));
          // AH stands around the packet that ESP made: never a second tunnel.
          if (held.sa.protocol == esp::Protocol::kAh) CHECK(held.sa.mode == esp::Mode::kTransport);
        }
        CHECK(keys.size() == 4);
      }
      const Heard& first = *std::ranges::find_if(net.heard, &Heard::is_quick_mode);
      auto offer = parse_sa(first.payload(PayloadType::kSa)->body);
      REQUIRE(offer->size() == 2);
      CHECK(offer->at(0).number == offer->at(1).number);
      CHECK(offer->at(0).spi != offer->at(1).spi);
      w.expire(w.right(), w.right().engine->children().begin()->second.ah->in, true);
      w.run(1s);
      CHECK(w.left().sas.empty());
      CHECK(w.right().sas.empty());
      CHECK(net.deletes(ProtocolId::kEsp) == 1);
      CHECK(net.deletes(ProtocolId::kAh) == 1);
    }
}

TEST_CASE("[R88] a responder without AH refuses a bundle whole, and takes ESP of an offer of either") {
  const Setup bundle = with("ah_proposals = \"sha1\"\nbundle = true");
  World refused(3, starting(bundle), with(""));
  Sniffer net(refused);
  refused.start();
  refused.run(2s);
  CHECK(net.notifies(NotifyType::kNoProposalChosen) == 1);
  CHECK(refused.left().sas.empty());
  CHECK(refused.right().sas.empty());

  Setup either = with("ah_proposals = \"sha1\"");
  World esp(3, starting(either), with(""));
  esp.start();
  REQUIRE(esp.run(5s, [&] { return esp.up(); }));
  Setup only_ah = with("ah_proposals = \"sha1\"");
  only_ah.esp = "";
  World ah(3, starting(either), only_ah);
  ah.start();
  REQUIRE(ah.run(5s, [&] { return ah.up(); }));
  ah.run(1s);
  for (const auto& [key, held] : ah.left().sas) CHECK(held.sa.protocol == esp::Protocol::kAh);
  CHECK(ah.left().sas.size() == 2);  // the SPI for ESP went back
}

TEST_CASE("[R88] AH is not offered across NAT, where it cannot pass; ESP is encapsulated in UDP") {
  Setup either = with("ah_proposals = \"sha1\"");
  World w(4, starting(either), either, {0, 0, 0, 1ms, 1ms, true});
  w.start();
  REQUIRE(w.run(5s, [&] { return w.up(); }));
  for (const auto& [key, held] : w.left().sas) CHECK(held.sa.natt.has_value());
  Setup ah = with("ah_proposals = \"sha1\"");
  ah.esp = "";
  World none(4, starting(ah), ah, {0, 0, 0, 1ms, 1ms, true});
  none.start();
  none.run(5s);
  CHECK(none.left().sas.empty());
  CHECK(has_event(none.left(), Event::Kind::kFailed, "NAT"));
}

TEST_CASE("transport mode behind NAT: identities are the addresses that each end knows, and NAT-OA tells them") {
  const Setup s = with("", "transport");
  World w(5, starting(s), s, {0, 0, 0, 1ms, 1ms, true});
  Sniffer net(w);
  w.start();
  REQUIRE(w.run(5s, [&] { return w.up(); }));
  int with_oa = 0;
  for (const Heard& h : net.heard)
    if (h.is_quick_mode() && count(h.opened.payloads, PayloadType::kNatOa) == 2) ++with_oa;
  CHECK(with_oa == 2);
}

TEST_CASE("transport mode behind NAT: a responder may answer with the addresses that it sees, and with no others") {
  // What the responder's identities become, and whether the initiator, which alone is behind NAT, takes that.
  struct Case {
    const char* idci;
    const char* idcr;
    bool good;
  } const cases[] = {{"198.51.100.7", "192.0.2.2", true}, {"198.51.100.7", "192.0.2.3", false}, {"198.51.100.0/24", "192.0.2.2", false},
                     {"198.51.100.7[6]", "192.0.2.2", false}, {"198.51.100.7", "192.0.2.2[6/80]", false}};
  for (const bool nat : {true, false})
    for (const Case& c : cases) {
      CAPTURE(nat);
      CAPTURE(std::string(c.idci));
      CAPTURE(std::string(c.idcr));
      const Setup s = with("", "transport");
      World w(29, starting(s), s, {0, 0, 0, 1ms, 1ms, nat});
      w.start();
      // Right waits for its SPI: message 2 is not made yet.
      REQUIRE(w.run(5s, [&] {
        for (const std::uint64_t number : w.right().engine->core().mm_numbers())
          for (auto& [id, qm] : EngineProbe::core(*w.right().engine).find_mm(number)->exchanges) {
            qm.idci_b = build_id(id_from_selector(*parse_selector(c.idci)));
            qm.idcr_b = build_id(id_from_selector(*parse_selector(c.idcr)));
            return true;
          }
        return false;
      }));
      CHECK(w.run(5s, [&] { return w.up(); }) == (nat && c.good));
    }
}

TEST_CASE("transport mode behind NAT: who has the traffic keeps it from another behind the same NAT, until it is gone (RFC 3948 s5.2)") {
  Setup first = with("", "transport"), second = first;
  first.local = "id = \"first.example\"";
  second.local = "id = \"second.example\"";
  World w(30, starting(first), trap(with("", "transport")), {0, 0, 0, 1ms, 1ms, true});
  const auto begin_again = [&](const Setup& s) {
    w.left().sas.clear();
    w.left().events.clear();
    w.left().engine = std::make_unique<Engine>(std::make_shared<const Config>(make_config(true, trap(s))), *w.left().rng);
    w.acquire(w.left());
    w.run(1s);
  };
  w.start();
  REQUIRE(w.run(5s, [&] { return w.up(); }));
  const std::uint32_t spi = w.right().engine->children().begin()->first;
  begin_again(second);
  CHECK(has_event(w.left(), Event::Kind::kMainModeUp));
  CHECK(has_event(w.left(), Event::Kind::kFailed, "INVALID-ID-INFORMATION"));
  CHECK(w.right().engine->children().size() == 1);
  CHECK(w.right().engine->children().contains(spi));
  // Nor is the first one's pair renewed with the second, whose main mode is the newer one.
  w.expire(w.right(), spi, false);
  w.run(1s);
  CHECK(w.left().engine->children().empty());
  CHECK(w.right().engine->children().contains(spi));
  // The first one itself, from elsewhere or after it has lost all: no conflict.
  w.right().events.clear();
  begin_again(first);
  CHECK(w.left().engine->children().size() == 1);
  // When the first one's pairs are gone the second is served.
  while (!w.right().engine->children().empty()) w.expire(w.right(), w.right().engine->children().begin()->first, true);
  begin_again(second);
  CHECK(w.left().engine->children().size() == 1);
  CHECK(w.right().engine->children().size() == 1);
  // Without transport mode nothing of this holds: the networks behind are told apart.
  first.mode = second.mode = "tunnel";
  World tunnel(31, starting(first), with(""), {0, 0, 0, 1ms, 1ms, true});
  tunnel.start();
  REQUIRE(tunnel.run(5s, [&] { return tunnel.up(); }));
  tunnel.left().sas.clear();
  tunnel.left().engine = std::make_unique<Engine>(std::make_shared<const Config>(make_config(true, trap(second))), *tunnel.left().rng);
  tunnel.acquire(tunnel.left());
  tunnel.run(1s);
  CHECK(tunnel.left().engine->children().size() == 1);
}

namespace {

constexpr std::size_t kChildren = 40;

// A connection of so many children, each with traffic of its own.
Setup with_children(bool left, const char* start) {
  Setup s = with("");
  s.start = start;
  for (std::size_t i = 1; i < kChildren; ++i) {
    const std::string ts_l = fmt::format("10.3.{}.0/24", i), ts_r = fmt::format("10.4.{}.0/24", i);
    s.more += fmt::format("[connections.peer.children.c{}]\nlocal_ts = \"{}\"\nremote_ts = \"{}\"\nreqid = {}\nesp_proposals = \"3des-sha1\"\nstart_action = \"{}\"\n", i,
                          left ? ts_l : ts_r, left ? ts_r : ts_l, 100 + i, start);
  }
  return s;
}
bool all_up(World& w, std::size_t count = kChildren) {
  return w.left().engine->children().size() == count && w.right().engine->children().size() == count && w.matched();
}
// Neither end knows the other for a keyd.
bool hide_keyd(const Node&, Bytes& octets) {
  const auto at = std::ranges::search(octets, vendor_id(Vendor::kEsplanade));
  if (!at.empty()) at.front() ^= 0xff;
  return true;
}

}  // namespace

TEST_CASE("transport mode behind NAT: a neighbour that lives does not keep the dead peer's pair, whose place it takes then") {
  Setup first = with("", "transport"), second = first, right = with("", "transport");
  first.local = "id = \"first.example\"";
  second.local = "id = \"second.example\"";
  right.extra = "dpd_delay = \"5s\"\ndpd_timeout = \"20s\"";
  World w(36, starting(first), right, {0, 0, 0, 1ms, 1ms, true});
  w.start();
  REQUIRE(w.run(5s, [&] { return w.up(); }));
  const std::uint32_t spi = w.right().engine->children().begin()->first;
  // The first one is gone without a word. The other asks again and again; meanwhile packets to the first one find no answer.
  w.left().sas.clear();
  w.left().engine = std::make_unique<Engine>(std::make_shared<const Config>(make_config(true, trap(second))), *w.left().rng);
  for (int i = 0; i < 30 && w.left().engine->children().empty(); ++i) {
    for (auto& [key, held] : w.right().sas) held.packets += key.first ? 1 : 0;
    w.acquire(w.left());
    w.run(2s);
  }
  CHECK(w.right().engine->counters().dead_peers == 1);
  CHECK_FALSE(w.right().engine->children().contains(spi));
  CHECK(w.left().engine->children().size() == 1);
  CHECK(w.left().engine->counters().main_modes == 1);  // its main mode SA was not the dead one's
}

TEST_CASE("of many quick modes one runs at a time, with another keyd sixteen, and the others follow without a retransmission") {
  for (const bool keyd : {true, false})
    for (const bool at_start : {true, false}) {
      CAPTURE(keyd);
      CAPTURE(at_start);
      World w(32, with_children(true, at_start ? "start" : "trap"), with_children(false, "none"));
      if (!keyd) w.tap = hide_keyd;
      const std::size_t at_once = keyd ? 16 : 1;
      w.start();
      if (!at_start) {  // traffic of all policies comes at once, when main mode is up
        w.acquire(w.left());
        REQUIRE(w.run(5s, [&] { return w.up(); }));
        w.run(1s);
        for (int twice = 0; twice < 2; ++twice)  // the second time changes nothing
          for (std::uint32_t i = 1; i < kChildren; ++i) w.left().engine->on_acquire(100 + i, w.right().address, w.now());
        CHECK(w.left().engine->sizes().pending == kChildren - 1 - at_once);
        w.expire(w.left(), 0, false);  // of no SA: has the outputs taken
      }
      std::size_t most = 0;
      REQUIRE(w.run(10s, [&] {
        for (const std::uint64_t number : w.left().engine->core().mm_numbers())
          most = std::max(most, static_cast<std::size_t>(std::ranges::count_if(w.left().engine->core().find_mm(number)->exchanges, [](const auto& e) {
                            return e.second.initiator && e.second.phase != QmExchange::Phase::kDone;
                          })));
        return all_up(w);
      }));
      CHECK(most == at_once);
      CHECK(w.left().engine->counters().retransmits == 0);
      CHECK(w.left().engine->sizes().pending == 0);
      CHECK(w.left().acquires_failed.empty());
      CHECK(w.left().engine->num_main_modes() == 1);
    }
}

TEST_CASE("a quick mode that the peer leaves unanswered holds the others up for one retransmission alone") {
  World w(37, with_children(true, "start"), with_children(false, "none"));
  std::optional<std::uint32_t> dropped;  // the first quick mode's message id
  w.tap = [&](const Node& from, Bytes& octets) {
    hide_keyd(from, octets);
    const auto header = parse_header(octets);
    if (&from != &w.left() || !header || header->exchange != Exchange::kQuickMode) return true;
    if (!dropped) dropped = header->message_id;
    return header->message_id != *dropped;
  };
  w.start();
  REQUIRE(w.run(2 * IkeLimits().retransmit_base, [&] { return all_up(w, kChildren - 1); }));
  CHECK(w.left().engine->num_main_modes() == 1);
}

TEST_CASE("quick modes that wait go on under another main mode SA when theirs ends") {
  World w(33, with_children(true, "start"), with_children(false, "none"));
  w.start();
  REQUIRE(w.run(5s, [&] { return !w.left().engine->children().empty(); }));
  REQUIRE(w.left().engine->sizes().pending > 5);
  auto& core = EngineProbe::core(*w.right().engine);
  MmSa& mm = *core.find_mm(core.mm_numbers().front());
  Informational(core).send_delete_mm(mm);
  core.remove_mm(mm, "the test");
  w.expire(w.right(), 0, false);  // has the delete taken
  w.run(60s);
  CHECK(all_up(w));
  CHECK(w.left().engine->sizes().pending == 0);
}

TEST_CASE("where a main mode SA serves one quick mode alone, each of many gets its own") {
  Setup l = with_children(true, "start"), r = with_children(false, "none");
  l.extra = r.extra = "qm_limit = 1";
  World w(34, l, r);
  w.start();
  REQUIRE(w.run(60s, [&] { return all_up(w); }));
  CHECK(w.left().engine->counters().main_modes == kChildren);
  CHECK(w.left().engine->sizes().pending == 0);
}

TEST_CASE("a refused quick mode gives way to the next, and harms none that runs beside it") {
  Setup r = with_children(false, "none");
  r.more = r.more.substr(r.more.find("[connections.peer.children.c11]"));  // right lacks c1 to c10
  World w(35, with_children(true, "start"), r);
  w.start();
  REQUIRE(w.run(5s, [&] { return all_up(w, kChildren - 10); }));
  CHECK(w.left().engine->counters().retransmits == 0);
  CHECK(w.left().acquires_failed.size() == 10);
}

TEST_CASE("a peer gets its own traffic exactly: identities that no child has are refused") {
  auto with_child = [](const char* local, const char* remote) {
    Setup s = with("");
    s.start = "none";
    s.child_extra = fmt::format(
        "\n[connections.peer.children.other]\nlocal_ts = \"{}\"\nremote_ts = \"{}\"\nreqid = 8\n"
        "start_action = \"start\"\n",
        local, remote);
    return s;
  };
  const Setup right = with("");
  for (const char* greedy : {"0.0.0.0/0", "10.2.0.0/15", "10.2.0.0/17", "10.2.0.0/16[6/443]", "192.0.2.2"}) {
    CAPTURE(greedy);
    World w(6, with_child("10.1.0.0/16", greedy), right);
    Sniffer net(w);
    w.start();
    w.run(2s);
    CHECK(w.right().sas.empty());
    CHECK(net.notifies(NotifyType::kInvalidIdInformation) == 1);
  }
  World w(6, with_child("10.1.0.0/16", "10.2.0.0-10.2.255.255"), right);  // the same subnet in other words
  w.start();
  CHECK(w.run(2s, [&] { return w.up(); }));
}

TEST_CASE("[R55] a gateway negotiates for the networks behind it: the identities are theirs, the SAs join the gateways") {
  const Setup s = with("");
  World w(7, starting(s), s);
  Sniffer net(w);
  w.start();
  REQUIRE(w.run(5s, [&] { return w.up(); }));
  for (const Heard& h : net.heard) {
    if (!h.is_quick_mode() || h.payload(PayloadType::kSa) == nullptr) continue;
    std::vector<std::string> ids;
    for (const RawPayload& p : h.opened.payloads)
      if (p.type == PayloadType::kId) ids.push_back(to_string(*parse_id(p.body)));
    CHECK(ids == std::vector<std::string>{"10.1.0.0/16", "10.2.0.0/16"});  // in both messages in this order
  }
  for (const auto& [key, held] : w.left().sas)
    CHECK((held.sa.src == w.left().address || held.sa.src == w.right().address));
}

TEST_CASE("[R7][R87] traffic without an SA brings main mode, then quick mode for its policy; a failure goes back to who asked") {
  const Setup s = trap(with(""));
  World w(8, s, s);
  Sniffer net(w);
  w.start();
  CHECK(net.heard.empty());
  w.acquire(w.left());
  REQUIRE(w.run(5s, [&] { return w.up(); }));
  CHECK(net.main_modes() == 1);
  CHECK(net.quick_modes() == 1);
  CHECK(w.left().acquires_failed.empty());
  Setup other = trap(with(""));
  other.esp = "des-md5";
  World refused(8, s, other);
  refused.start();
  refused.acquire(refused.left());
  refused.run(2s);
  REQUIRE(refused.left().acquires_failed.size() == 1);
  CHECK(refused.left().acquires_failed[0].second.reqid == 7);
  CHECK(refused.left().acquires_failed[0].second.answered);
}

TEST_CASE("[R2][R95][R60] main mode is whole before quick mode begins, and everything after it is encrypted under its keys") {
  const Setup s = with("");
  World w(9, starting(s), s);
  Sniffer net(w);
  w.start();
  REQUIRE(w.run(5s, [&] { return w.up(); }));
  w.shutdown(w.left());
  w.run(1s);
  std::vector<int> exchanges;
  for (const Heard& h : net.heard) {
    exchanges.push_back(static_cast<int>(h.header.exchange));
    if (exchanges.size() >= 5) CHECK(h.header.encrypted());
    if (exchanges.size() > 6) CHECK(h.opened.payloads.front().type == PayloadType::kHash);
  }
  const std::vector<int> want{2, 2, 2, 2, 2, 2, 32, 32, 32, 32, 5, 5};
  CHECK(exchanges == want);
}

TEST_CASE("[R95] a quick mode with a wrong hash gives no SA; with the right one it does") {
  const Setup s = with("");
  World w(10, starting(s), s);
  Sniffer net(w);
  w.start();
  REQUIRE(w.run(5s, [&] { return w.up(); }));
  w.run(1s);
  const Heard& first = *std::ranges::find_if(net.heard, &Heard::is_quick_mode);
  ChainBuilder content;
  for (const RawPayload& p : first.opened.payloads)
    if (p.type != PayloadType::kHash) content.add(p.type, p.body);
  const Core& core = w.left().engine->core();
  const MmSa* mm = core.find_mm(core.mm_numbers().front());
  const std::uint32_t id = 0x01020304;
  Bytes hash = qm_hash1(mm->suite.hash, mm->keys.skeyid_a.reveal(), id, content.octets());
  hash[5] ^= 1;
  w.tap = nullptr;
  const auto bad_before = w.right().engine->counters().bad_crypto;
  const auto sent_before = w.right().sent;
  w.inject(w.right(), forged_quick_mode(w, id, hash, content));
  w.run(1s);
  CHECK(w.right().engine->counters().bad_crypto == bad_before + 1);
  CHECK(w.right().sent == sent_before);
  CHECK(w.right().sas.size() == 2);
  hash[5] ^= 1;
  w.inject(w.right(), forged_quick_mode(w, id, hash, content));
  w.run(100ms);
  CHECK(w.right().sent == sent_before + 1);  // message 2
  CHECK(w.right().sas.size() == 3);
}

TEST_CASE("[R102] quick mode without an established main mode SA is dropped: unknown cookies, half-open, in clear") {
  const Setup s = with("");
  World donor(11, starting(s), s);
  Sniffer net(donor);
  donor.start();
  REQUIRE(donor.run(5s, [&] { return donor.up(); }));
  const Bytes qm1 = std::ranges::find_if(net.heard, &Heard::is_quick_mode)->octets;
  World w(12, starting(s), s);
  w.start();
  w.inject(w.right(), qm1);  // cookies of elsewhere
  CHECK(w.right().engine->counters().unknown_sa == 1);
  Bytes half = qm1;
  REQUIRE(w.run(1s, [&] { return w.right().engine->num_main_modes() == 1; }));
  const Core& core = w.right().engine->core();
  const CookiePair cookies = core.find_mm(core.mm_numbers().front())->cookies;
  std::ranges::copy(cookies.first, half.begin());
  std::ranges::copy(cookies.second, half.begin() + 8);
  REQUIRE_FALSE(core.find_mm(core.mm_numbers().front())->established);
  w.inject(w.right(), half);
  CHECK(w.right().engine->counters().unknown_sa == 2);
  REQUIRE(w.run(5s, [&] { return w.up(); }));
  Bytes clear = qm1;
  std::ranges::copy(cookies.first, clear.begin());
  std::ranges::copy(cookies.second, clear.begin() + 8);
  clear[19] = 0;
  const auto before = w.right().engine->counters().unexpected;
  w.inject(w.right(), clear);
  CHECK(w.right().engine->counters().unexpected == before + 1);
  w.run(1s);
  CHECK(w.right().engine->children().size() == 1);
}

TEST_CASE("[R99][R101] quick mode is sent once and again five times, octet for octet; the first one that fails does not start main mode anew") {
  const Setup s = trap(with(""));
  World w(13, s, s);
  Sniffer net(w, [](const Heard& h) { return !h.is_quick_mode() || h.from_left; });  // no answers
  w.start();
  w.acquire(w.left());
  w.run(120s);
  CHECK(net.main_modes() == 1);
  std::vector<const Heard*> sent;
  for (const Heard& h : net.heard)
    if (h.is_quick_mode() && h.from_left) sent.push_back(&h);
  REQUIRE(sent.size() == 6);
  for (const Heard* h : sent) CHECK(h->octets == sent.front()->octets);
  CHECK(has_event(w.left(), Event::Kind::kFailed, "no answer"));
  REQUIRE(w.left().acquires_failed.size() == 1);
  CHECK(w.left().acquires_failed[0].second.answered);
  CHECK(w.left().sas.empty());
}

TEST_CASE("[R80] an answer after any retransmission resumes the negotiation and stops the timer") {
  for (int k = 1; k <= 5; ++k)
    for (Exchange lost : {Exchange::kMainMode, Exchange::kQuickMode}) {
      CAPTURE(k);
      const Setup s = with("");
      World w(14, starting(s), s);
      int dropped = 0;
      Sniffer net(w, [&](const Heard& h) {
        if (h.header.exchange != lost || !h.from_left || dropped >= k) return true;
        ++dropped;
        return false;
      });
      w.start();
      REQUIRE(w.run(60s, [&] { return w.up(); }));
      w.run(1s);
      const auto sent = net.heard.size();
      w.run(60s);
      CHECK(net.heard.size() == sent);
      CHECK(w.left().engine->counters().retransmits == static_cast<std::uint64_t>(k));
    }
}

TEST_CASE("[R116] the responder never sends by a timer: it answers the initiator's repetition with the same octets") {
  const Setup s = with("");
  World w(15, starting(s), s);
  bool lose = true;
  Sniffer net(w, [&](const Heard& h) {
    if (h.from_left || !lose) return true;
    lose = false;
    return false;  // message 2, once
  });
  w.start();
  w.run(900ms);
  CHECK(net.heard.size() == 2);  // nothing but message 1 and its lost answer
  REQUIRE(w.run(5s, [&] { return w.up(); }));
  CHECK(net.heard[2].octets == net.heard[0].octets);
  CHECK(net.heard[3].octets == net.heard[1].octets);
  CHECK(w.right().engine->counters().retransmits == 0);
}

TEST_CASE("[R100] a later quick mode without answer: a new main mode with new cookies, then quick mode again") {
  const Setup s = with("");
  World w(16, starting(s), s);
  w.start();
  REQUIRE(w.run(5s, [&] { return w.up(); }));
  // The peer loses its state.
  w.right().engine = std::make_unique<Engine>(std::make_shared<const Config>(make_config(false, s)), *w.right().rng);
  w.right().sas.clear();
  const Core& core = w.left().engine->core();
  const CookiePair old = core.find_mm(core.mm_numbers().front())->cookies;
  Sniffer net(w);
  const auto spi = w.left().engine->children().begin()->first;
  w.expire(w.left(), spi, false);
  REQUIRE(w.run(120s, [&] { return w.newest_up(); }));
  CHECK(net.main_modes() == 1);
  CHECK(net.quick_modes() == 2);
  CHECK(core.find_mm(core.mm_numbers().back())->cookies != old);
  CHECK(w.left().engine->num_main_modes() == 1);
}

TEST_CASE("[R25][R30][R52][R104] a thousand quick modes under one main mode SA: no main mode message, no key exchange, fresh keys and Message-IDs") {
  const Setup s = with("");
  World w(17, starting(s), s);
  w.start();
  REQUIRE(w.run(5s, [&] { return w.up(); }));
  w.run(1s);
  std::set<Bytes> keys;
  std::set<std::uint32_t> ids;
  std::size_t foreign = 0, ke = 0;
  Sniffer net(w, [&](const Heard& h) {
    if (!h.is_quick_mode() && h.header.exchange != Exchange::kInformational) ++foreign;
    if (h.payload(PayloadType::kKe) != nullptr) ++ke;
    if (h.is_quick_mode()) ids.insert(h.header.message_id);
    return true;
  });
  const auto wait_for = [&](std::uint32_t old) {
    return w.run(2s, [&] { return w.left().engine->children().size() == 2 && w.right().engine->children().size() == 2; }) &&
           w.left().engine->children().contains(old);
  };
  for (int i = 0; i < 1000; ++i) {
    const auto old = w.left().engine->children().begin()->first;
    keys.insert(octets(w.left().sas.at({false, old}).sa.enc_key));
    w.expire(w.left(), old, false);
    REQUIRE(wait_for(old));
    w.expire(w.left(), old, true);
    REQUIRE(w.run(1s, [&] { return w.right().engine->children().size() == 1; }));
    net.heard.clear();
  }
  CHECK(foreign == 0);
  CHECK(ke == 0);
  CHECK(keys.size() == 1000);
  CHECK(ids.size() == 1000);
  CHECK(w.left().engine->num_main_modes() == 1);
  CHECK(w.right().engine->counters().main_modes == 1);
}

TEST_CASE("[R103] fifty children, each with its own traffic, under one main mode SA") {
  auto side = [](bool left) {
    Setup s = with("");
    s.start = left ? "start" : "none";
    for (int i = 0; i < 49; ++i)
      s.child_extra += fmt::format(
          "\n[connections.peer.children.c{}]\nlocal_ts = \"10.{}.{}.0/24\"\nremote_ts = \"10.{}.{}.0/24\"\n"
          "reqid = {}\nstart_action = \"{}\"\n",
          i, left ? 101 : 102, i, left ? 102 : 101, i, 100 + i, s.start);
    return s;
  };
  World w(18, side(true), side(false));
  w.start();
  REQUIRE(w.run(10s, [&] { return w.right().engine->children().size() == 50 && w.left().engine->children().size() == 50 && w.up(); }));
  CHECK(w.right().engine->counters().main_modes == 1);
  CHECK(w.left().sas.size() == 100);
  std::set<std::uint32_t> reqids;
  for (const auto& [key, held] : w.right().sas) reqids.insert(held.reqid);
  CHECK(reqids.size() == 50);
}

TEST_CASE("[R47] quick mode takes four messages when the responder asks for CONNECTED, three with a peer that knows the RFC alone") {
  const Setup s = with("pfs = true");
  World w(19, starting(s), s);
  Sniffer net(w);
  w.start();
  REQUIRE(w.run(5s, [&] { return w.up(); }));
  w.run(1s);
  std::vector<const Heard*> qm;
  for (const Heard& h : net.heard)
    if (h.is_quick_mode()) qm.push_back(&h);
  REQUIRE(qm.size() == 4);
  CHECK((qm[1]->header.flags & kFlagCommit) != 0);
  CHECK(net.notifies(NotifyType::kConnected) == 1);
  CHECK(net.heard.size() == 6 + 4);

  World plain(19, starting(s), s);
  plain.tap = [](const Node&, Bytes& octets) {  // the vendor ID of keyd becomes an unknown one
    const ByteView id = vendor_id(Vendor::kEsplanade);
    auto at = std::search(octets.begin(), octets.end(), id.begin(), id.end());
    if (at != octets.end()) *at ^= 0xff;
    return true;
  };
  plain.start();
  REQUIRE(plain.run(5s, [&] { return plain.up(); }));
  plain.run(1s);
  CHECK(plain.left().sent + plain.right().sent == 6 + 3);
}

TEST_CASE("[R96] with CONNECTED the initiator's outbound SA comes last: nothing can be sent that cannot be received") {
  const Setup s = with("");
  World w(20, starting(s), s);
  Sniffer net(w, [](const Heard& h) {
    const bool commit = (h.header.flags & kFlagCommit) != 0;  // message 2 has it, CONNECTED does not
    return !h.is_quick_mode() || h.from_left || commit;
  });
  w.start();
  w.run(3s);  // CONNECTED is lost each time
  for (const auto& [key, held] : w.left().sas) CHECK_FALSE(held.sa.outbound);
  w.tap = nullptr;
  REQUIRE(w.run(20s, [&] { return w.up(); }));
}

TEST_CASE("[R11][R70] no key crosses the network: neither in clear nor inside what is encrypted") {
  const Setup s = with("pfs = true");
  World w(21, starting(s), s);
  Sniffer net(w);
  w.start();
  REQUIRE(w.run(5s, [&] { return w.up(); }));
  const Core& core = w.left().engine->core();
  const MmSa* mm = core.find_mm(core.mm_numbers().front());
  std::vector<Bytes> secrets;
  for (const Secret* k : {&mm->keys.skeyid_d, &mm->keys.skeyid_a, &mm->keys.cipher}) secrets.push_back(octets(*k));
  for (const auto& [key, held] : w.left().sas) {
    secrets.push_back(octets(held.sa.enc_key));
    secrets.push_back(octets(held.sa.auth_key));
  }
  std::size_t looked = 0;
  for (const Heard& h : net.heard)
    for (const Bytes& secret : secrets) {
      REQUIRE(secret.size() >= 8);
      for (const Bytes* where : {&h.octets, &h.opened.plain}) {
        CHECK(std::search(where->begin(), where->end(), secret.begin(), secret.begin() + 8) == where->end());
        ++looked;
      }
    }
  CHECK(looked > 100);
}

TEST_CASE("[R94] what reaches espd is the agreed SA: SPI, protocol, mode, algorithms, keys, lives, policy") {
  const Setup s = with("life_time = 1200\nlife_kbytes = 50000");
  World w(22, starting(s), s);
  w.start();
  REQUIRE(w.run(5s, [&] { return w.up(); }));
  for (Node* n : {&w.left(), &w.right()})
    for (const auto& [key, held] : n->sas) {
      CHECK(held.sa.spi == key.second);
      CHECK(held.sa.protocol == esp::Protocol::kEsp);
      CHECK(held.sa.mode == esp::Mode::kTunnel);
      CHECK(held.sa.cipher == esp::Cipher::kTripleDesCbc);
      CHECK(held.sa.auth == esp::Auth::kHmacSha1_96);
      CHECK(held.sa.hard.bytes == 50000u * 1024);
      CHECK(held.sa.hard.seconds >= 1200);
      CHECK(held.sa.soft.seconds <= held.sa.hard.seconds);
      CHECK(held.reqid == 7);
    }
}

TEST_CASE("[R117] a transform with an unknown attribute is skipped, the next one taken") {
  const Config config = make_config(true, with(""));
  const ChildConfig& child = config.connections[0]->children[0];
  auto offer = qm_offer(child, {0x1234, 0}, Encap::kPlain, 0);
  Transform strange = offer[0].transforms[0];
  strange.attributes.push_back({16400, true, {0, 1}});
  Transform plain = offer[0].transforms[0];
  plain.number = 2;
  offer[0].transforms = {strange, plain};
  auto choice = choose_qm(offer, child, 2, Encap::kPlain);
  REQUIRE(choice);
  CHECK(choice->parts[0].reply.transforms[0].number == 2);
  offer[0].transforms = {strange};
  CHECK_FALSE(choose_qm(offer, child, 2, Encap::kPlain));
}

TEST_CASE("[R77] the initiator refuses a reply that is not one of its offers, whole") {
  const Config config = make_config(true, with("ah_proposals = \"sha1\"\nbundle = true"));
  const ChildConfig& child = config.connections[0]->children[0];
  const auto offer = qm_offer(child, {0x1234, 0x5678}, Encap::kPlain, 2);
  CHECK(accept_qm(offer, offer, Encap::kPlain));
  auto changed = [&](auto&& change) {
    auto reply = offer;
    change(reply);
    return static_cast<bool>(accept_qm(reply, offer, Encap::kPlain));
  };
  CHECK_FALSE(changed([](auto& r) { r.pop_back(); }));  // half of a bundle
  CHECK_FALSE(changed([](auto& r) { r[1] = r[0]; }));
  CHECK_FALSE(changed([](auto& r) { r.push_back(r[0]); }));
  CHECK_FALSE(changed([](auto& r) { r[0].number = 2; }));
  CHECK_FALSE(changed([](auto& r) { r[0].transforms.push_back(r[0].transforms[0]); }));
  CHECK_FALSE(changed([](auto& r) { r[0].transforms[0].number = 9; }));
  CHECK_FALSE(changed([](auto& r) { r[1].transforms[0].attributes.pop_back(); }));
  CHECK_FALSE(changed([](auto& r) { r[1].transforms[0].attributes.push_back({16400, true, {0, 1}}); }));
  CHECK_FALSE(changed([](auto& r) { store_be32(r[1].spi.data(), 255); }));
}

TEST_CASE("\"dynamic\" stands for the address of its end: a responder for any peer") {
  const Setup s = with("", "transport");
  World w(23, starting(s), s);
  Config right = make_config(false, s);
  auto connection = std::make_shared<Connection>();
  const Connection& was = *right.connections[0];
  connection->name = was.name;
  connection->local = was.local;
  connection->suites = was.suites;
  connection->local_id = was.local_id;
  connection->children = was.children;
  connection->children[0].local_ts.reset();
  connection->children[0].remote_ts.reset();
  right.connections = {connection};
  w.right().engine = std::make_unique<Engine>(std::make_shared<const Config>(std::move(right)), *w.right().rng);
  w.start();
  REQUIRE(w.run(5s, [&] { return w.up(); }));
  const ChildSa& child = w.right().engine->children().begin()->second;
  CHECK(to_string(child.remote_ts) == "192.0.2.1");
  CHECK(to_string(child.local_ts) == "192.0.2.2");
}

TEST_CASE("two ends that begin at once: both quick modes complete, and later renewals leave one pair") {
  const std::uint64_t base = base_seed(24000);
  for (std::uint64_t i = 0; i < 20; ++i) {
    const std::uint64_t seed = base + i;
    CAPTURE(seed);
    Setup s = starting(with("life_time = 600"));
    World w(seed, s, s, {0, 0, 0, 1ms, 30ms});
    w.espd_counts = true;
    w.start();
    REQUIRE(w.run(5s, [&] { return w.up(); }));
    w.run(2s);
    CHECK(w.matched());
    std::uint64_t lost = 0;
    for (int t = 0; t < 3000; t += 5) {
      w.run(5s);
      if (!w.packet(w.left())) ++lost;
      if (!w.packet(w.right())) ++lost;
    }
    CHECK(lost == 0);
    CHECK(w.left().engine->children().size() <= 2);
    CHECK(w.right().engine->children().size() <= 2);
  }
}
