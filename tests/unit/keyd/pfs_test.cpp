// Perfect forward secrecy of session keys (a Diffie-Hellman exchange in quick mode) and of the master key (a main
// mode for every quick mode).
#include "sniffer.h"

using namespace esplanade;
using namespace esplanade::ike;
using namespace esplanade::ike::test;
using namespace std::chrono_literals;

namespace {

Setup pfs(bool on, const std::string& ike = "3des-sha1-modp768") {
  Setup s;
  s.ike = ike;
  s.child_extra = on ? "pfs = true" : "";
  return s;
}
Setup starting(Setup s) {
  s.start = "start";
  return s;
}
Bytes octets(const Secret& s) { return Bytes(s.reveal().begin(), s.reveal().end()); }
std::vector<const Heard*> quick_modes(const Sniffer& net) {
  std::vector<const Heard*> out;
  for (const Heard& h : net.heard)
    if (h.is_quick_mode()) out.push_back(&h);
  return out;
}
std::size_t num_ke(const Sniffer& net) {
  return net.count([](const Heard& h) { return h.is_quick_mode() && h.payload(PayloadType::kKe) != nullptr; });
}
std::uint32_t only_child(const Node& n) { return n.engine->children().begin()->first; }
// Renews the left end's pair and ends the old one.
void renew(World& w, Node& n) {
  const std::uint32_t old = only_child(n);
  w.expire(n, old, false);
  REQUIRE(w.run(60s, [&] { return n.engine->children().size() == 2 && w.matched() && w.newest_up(); }));
  w.run(500ms);
  w.expire(n, old, true);
  w.run(500ms);
  REQUIRE(n.engine->children().size() == 1);
}
// The keys of the inbound SA that quick mode would give with `g_xy` as its Diffie-Hellman secret.
Secret keymat_in(World& w, const Sniffer& net, ByteView g_xy) {
  const auto qm = quick_modes(net);
  const MmSa* mm = mm_of(w, qm[0]->header);
  return derive_keymat(mm->suite.hash, mm->keys.skeyid_d.reveal(), g_xy, ProtocolId::kEsp, only_child(w.left()),
                       qm[0]->payload(PayloadType::kNonce)->body, qm[1]->payload(PayloadType::kNonce)->body, 44);
}
Bytes keys_of(const HeldSa& held) {
  Bytes out = octets(held.sa.enc_key);
  put(out, held.sa.auth_key.reveal());
  return out;
}

}  // namespace

TEST_CASE("[R34][R36][R48][R97] an initiator that wants PFS brings a key exchange in the very first quick mode, and a responder that does not require it answers with one") {
  World w(1, starting(pfs(true)), pfs(false));
  Sniffer net(w);
  w.start();
  REQUIRE(w.run(5s, [&] { return w.up(); }));
  const auto qm = quick_modes(net);
  REQUIRE(qm[0]->payload(PayloadType::kKe) != nullptr);
  REQUIRE(qm[1]->payload(PayloadType::kKe) != nullptr);
  CHECK(qm[0]->payload(PayloadType::kKe)->body.size() == 96);
  // And the keys depend on it: SKEYID_d, nonces and SPIs alone do not give them.
  const HeldSa& in = w.left().sas.at({false, only_child(w.left())});
  CHECK(octets(keymat_in(w, net, {})) != keys_of(in));
}

TEST_CASE("[R37] a responder that requires PFS refuses a quick mode without, and no SA is installed at either end") {
  World w(2, starting(pfs(false)), pfs(true));
  Sniffer net(w);
  w.start();
  w.run(5s);
  CHECK(net.notifies(NotifyType::kNoProposalChosen) == 1);
  CHECK(w.left().sas.empty());
  CHECK(w.right().sas.empty());
  CHECK(net.main_modes() == 1);
  CHECK(num_ke(net) == 0);
}

TEST_CASE("[R35][R41] without PFS the session keys follow from SKEYID_d and what is on the wire; with PFS they do not") {
  for (bool on : {false, true}) {
    World w(3, starting(pfs(on)), pfs(on));
    Sniffer net(w);
    w.start();
    REQUIRE(w.run(5s, [&] { return w.up(); }));
    const HeldSa& in = w.left().sas.at({false, only_child(w.left())});
    CHECK((octets(keymat_in(w, net, {})) == keys_of(in)) == !on);
  }
}

TEST_CASE("[R38][R39] the group of quick mode is that of main mode, also after it changes") {
  struct Case {
    const char* ike;
    std::uint16_t group;
    std::size_t len;
  } const cases[] = {{"3des-sha1-modp768", 1, 96}, {"3des-sha1-modp1024", 2, 128}, {"3des-sha1-modp2048", 14, 256}};
  for (const Case& c : cases) {
    CAPTURE(std::string(c.ike));
    World w(4, starting(pfs(true, c.ike)), pfs(true, c.ike));
    Sniffer net(w);
    w.start();
    REQUIRE(w.run(5s, [&] { return w.up(); }));
    renew(w, w.left());
    CHECK(num_ke(net) == 4);
    for (const Heard* h : quick_modes(net)) {
      if (h->payload(PayloadType::kKe) == nullptr) continue;
      CHECK(h->payload(PayloadType::kKe)->body.size() == c.len);
      auto offer = parse_sa(h->payload(PayloadType::kSa)->body);
      for (const Transform& t : offer->at(0).transforms) {
        auto group = std::ranges::find(t.attributes, std::uint16_t{3}, &Attribute::type);
        REQUIRE(group != t.attributes.end());
        CHECK(*basic_value(*group) == c.group);
      }
    }
  }
}

TEST_CASE("[R38] an offer of another group than main mode's is refused, with or without PFS of our own") {
  for (bool required : {false, true}) {
    const Config config = make_config(true, pfs(required));
    const ChildConfig& child = config.connections[0]->children[0];
    CHECK(choose_qm(qm_offer(child, {0x1234, 0}, Encap::kPlain, 2), child, 2, Encap::kPlain));
    CHECK_FALSE(choose_qm(qm_offer(child, {0x1234, 0}, Encap::kPlain, 14), child, 2, Encap::kPlain));
    CHECK_FALSE(choose_qm(qm_offer(child, {0x1234, 0}, Encap::kPlain, 1), child, 2, Encap::kPlain));
    CHECK(static_cast<bool>(choose_qm(qm_offer(child, {0x1234, 0}, Encap::kPlain, 0), child, 2, Encap::kPlain)) ==
          !required);
  }
}

TEST_CASE("[R43] two quick modes with PFS never share a public value, and none uses that of main mode") {
  World w(5, starting(pfs(true)), pfs(true));
  std::set<Bytes> values;
  std::size_t seen = 0;
  Sniffer net(w, [&](const Heard& h) {
    const Opened& o = h.opened;
    Payloads clear;
    if (h.header.exchange == Exchange::kMainMode && !h.header.encrypted())
      clear = *split_payloads(h.header.next, ByteView(h.octets).subspan(kHeaderLen), false);
    for (const Payloads* list : {&o.payloads, static_cast<const Payloads*>(&clear)})
      if (const RawPayload* ke = find(*list, PayloadType::kKe)) {
        ++seen;
        values.insert(Bytes(ke->body.begin(), ke->body.end()));
      }
    return true;
  });
  w.start();
  REQUIRE(w.run(5s, [&] { return w.up(); }));
  for (int i = 0; i < 5; ++i) renew(w, w.left());
  CHECK(seen == 2 + 2 * 6);
  CHECK(values.size() == seen);
}

TEST_CASE("[R46][R93] session key PFS renews without main mode; each renewal has its key exchange, without PFS only nonces") {
  for (bool on : {true, false}) {
    World w(6, starting(pfs(on)), pfs(on));
    Sniffer net(w);
    w.start();
    REQUIRE(w.run(5s, [&] { return w.up(); }));
    std::set<CookiePair> cookies;
    for (int i = 0; i < 3; ++i) renew(w, w.left());
    for (const Heard* h : quick_modes(net)) cookies.insert({h->header.cky_i, h->header.cky_r});
    CHECK(cookies.size() == 1);
    CHECK(net.main_modes() == 1);
    CHECK(num_ke(net) == (on ? 8u : 0u));
  }
}

TEST_CASE("[R44] master key PFS: a main mode of its own, with new cookies, nonces and values, for every quick mode") {
  Setup s = pfs(false);
  s.extra = "master_key_pfs = true";
  World w(7, starting(s), s);
  std::set<Bytes> kes;
  Sniffer net(w, [&](const Heard& h) {
    if (h.header.exchange == Exchange::kMainMode && !h.header.encrypted()) {
      auto clear = *split_payloads(h.header.next, ByteView(h.octets).subspan(kHeaderLen), false);
      if (const RawPayload* ke = find(clear, PayloadType::kKe)) kes.insert(Bytes(ke->body.begin(), ke->body.end()));
    }
    return true;
  });
  w.start();
  REQUIRE(w.run(5s, [&] { return w.up(); }));
  for (int i = 0; i < 9; ++i) renew(w, w.left());
  CHECK(net.main_modes() == 10);
  CHECK(net.quick_modes() == 10);
  CHECK(kes.size() == 20);
  CHECK(w.right().engine->counters().main_modes == 10);
  std::set<CookiePair> cookies;
  for (const Heard* h : quick_modes(net)) cookies.insert({h->header.cky_i, h->header.cky_r});
  CHECK(cookies.size() == 10);
}

TEST_CASE("[R51][R107] session key PFS and master key PFS are set apart from each other: all four ways do what each says") {
  for (bool session : {false, true})
    for (bool master : {false, true}) {
      CAPTURE(session);
      CAPTURE(master);
      Setup s = pfs(session);
      if (master) s.extra = "master_key_pfs = true";
      World w(8, starting(s), s);
      Sniffer net(w);
      w.start();
      REQUIRE(w.run(5s, [&] { return w.up(); }));
      for (int i = 0; i < 3; ++i) renew(w, w.left());
      CHECK(net.main_modes() == (master ? 4u : 1u));
      CHECK(num_ke(net) == (session ? 8u : 0u));
    }
}

TEST_CASE("[R49][R50] a renewal without PFS at a responder that requires it is refused; the sender expires its main mode SA and negotiates anew") {
  // The first pair was begun by the end that wants PFS, so it came up; then the other end renews it.
  World w(9, pfs(false), starting(pfs(true)));
  Sniffer net(w);
  w.start();
  REQUIRE(w.run(5s, [&] { return w.up(); }));
  w.run(1s);
  const CookiePair old = w.left().engine->core().find_mm(w.left().engine->core().mm_numbers().front())->cookies;
  const auto before = net.heard.size();
  const auto old_right = w.right().sas.size();
  w.expire(w.left(), only_child(w.left()), false);
  REQUIRE(w.run(10s, [&] { return net.notifies(NotifyType::kNoProposalChosen) == 1; }));
  CHECK(w.right().sas.size() == old_right);  // no change to what is there
  CHECK(w.right().engine->children().size() == 1);
  REQUIRE(w.run(10s, [&] { return w.left().engine->children().size() == 2 && w.newest_up(); }));
  std::vector<CookiePair> main_modes;
  for (std::size_t i = before; i < net.heard.size(); ++i)
    if (net.heard[i].is_message1_of_main_mode()) main_modes.push_back({net.heard[i].header.cky_i, kNoCookie});
  REQUIRE(main_modes.size() == 1);
  CHECK(main_modes[0].first != old.first);
  CHECK(net.deletes(ProtocolId::kIsakmp) == 1);
  // The next quick mode brings what the peer wants.
  CHECK(quick_modes(net).back()->header.cky_i == main_modes[0].first);
  CHECK(num_ke(net) == 4);
}

TEST_CASE("[R50] a renewal that is refused again under the new main mode SA is given up for a while, not begun without end") {
  World w(10, starting(pfs(false)), pfs(false));
  w.start();
  REQUIRE(w.run(5s, [&] { return w.up(); }));
  // The responder takes nothing any more.
  Setup other = pfs(false);
  other.esp = "des-md5";
  const Core& core = w.left().engine->core();
  w.expire(w.left(), only_child(w.left()), false);
  Sniffer net(w, [&](const Heard& h) { return h.from_left || !h.is_quick_mode(); });  // no message 2 gets through
  w.run(100s);
  CHECK(net.main_modes() <= 2);
  CHECK(core.children.size() == 1);
  w.tap = nullptr;
  CHECK(w.run(300s, [&] { return core.children.size() == 2; }));
}

TEST_CASE("[R40] PFS does not move the times of renewal") {
  std::vector<std::vector<Time>> renewals;
  for (bool on : {false, true}) {
    Setup s = pfs(on);
    s.child_extra += "\nlife_time = 600";
    World w(11, starting(s), s);
    w.espd_counts = true;
    Sniffer net(w);
    w.start();
    w.run(3000s);
    renewals.emplace_back();
    std::set<std::uint32_t> ids;
    for (const Heard* h : quick_modes(net))
      if (ids.insert(h->header.message_id).second) renewals.back().push_back(h->at);
  }
  CHECK(renewals[0].size() >= 5);
  CHECK(renewals[0] == renewals[1]);
}

TEST_CASE("[R6][R42][R92] session keys follow from SKEYID_d, nonces and SPIs alone, for each direction cut into encryption and authentication key; keys that protect messages are no input, nor is anything of the pair before") {
  World w(12, starting(pfs(false)), pfs(false));
  Sniffer net(w);
  w.start();
  REQUIRE(w.run(5s, [&] { return w.up(); }));
  for (int round = 0; round < 3; ++round) {
    const auto all = quick_modes(net);
    REQUIRE(all.size() == 4 * static_cast<std::size_t>(round + 1));
    const auto qm = std::span(all).last(4);
    const MmSa* mm = mm_of(w, qm[0]->header);
    const ChildSa& child = w.left().engine->children().begin()->second;
    for (const auto& [outbound, spi] : {std::pair{false, child.spi_in}, {true, child.spi_out}}) {
      const Bytes held = keys_of(w.left().sas.at({outbound, spi}));
      auto with_key = [&, spi = spi](const Secret& key) {
        return octets(derive_keymat(mm->suite.hash, key.reveal(), {}, ProtocolId::kEsp, spi,
                                    qm[0]->payload(PayloadType::kNonce)->body,
                                    qm[1]->payload(PayloadType::kNonce)->body, 44));
      };
      CHECK(with_key(mm->keys.skeyid_d) == held);
      CHECK(with_key(mm->keys.skeyid_a) != held);
      CHECK(with_key(mm->keys.cipher) != held);
    }
    renew(w, w.left());
  }
}
