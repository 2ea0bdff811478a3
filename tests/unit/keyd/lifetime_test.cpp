// The life of SAs under a virtual clock and an espd that counts: defaults, renewal without loss, limits of the
// master key, deletes, idle pairs.
#include "sniffer.h"

using namespace esplanade;
using namespace esplanade::ike;
using namespace esplanade::ike::test;
using namespace std::chrono_literals;

namespace {

Setup lives(const std::string& connection, const std::string& child) {
  Setup s;
  s.ike = "3des-sha1-modp768";
  s.extra = connection;
  s.child_extra = child;
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
Bytes octets(const Secret& s) { return Bytes(s.reveal().begin(), s.reveal().end()); }
std::uint32_t newest_child(const Node& n) {
  const auto& all = n.engine->children();
  return std::ranges::max_element(all, {}, [](const auto& c) { return c.second.number; })->first;
}
// Renews the newest pair of the left end as if espd had told its soft limit; old pairs end at once.
void renew(World& w) {
  const std::uint32_t old = newest_child(w.left());
  w.expire(w.left(), old, false);
  REQUIRE(w.run(60s, [&] { return newest_child(w.left()) != old && w.newest_up(); }));
  w.run(200ms);
  w.expire(w.left(), old, true);
  w.run(200ms);
}
// One packet a second from each end.
struct Traffic {
  std::vector<std::uint32_t> spis;  // outbound SPIs of the left end, in the order of their use
  std::set<Bytes> keys;
  std::uint64_t lost = 0;
  void run(World& w, int seconds, std::uint64_t bytes = 100) {
    for (int t = 0; t < seconds; ++t) {
      const auto spi = w.packet(w.left(), bytes);
      if (!spi || !w.packet(w.right(), bytes)) ++lost;
      if (spi && (spis.empty() || spis.back() != *spi)) {
        spis.push_back(*spi);
        keys.insert(octets(w.left().sas.at({true, *spi}).sa.enc_key));
        keys.insert(octets(w.left().sas.at({true, *spi}).sa.auth_key));
      }
      w.run(1s);
    }
  }
};
bool has_warning(const Config& c, const std::string& text) {
  return std::ranges::any_of(c.warnings, [&](const std::string& w) { return w.find(text) != std::string::npos; });
}

}  // namespace

TEST_CASE("[R9] with nothing configured: 28,800 s for main mode, 3,600 s and 100,000 KB for quick mode, no limit of quick modes; offered, and the timers set") {
  const Setup s = lives("", "");
  World w(1, starting(s), s);
  Sniffer net(w);
  w.start();
  REQUIRE(w.run(5s, [&] { return w.up(); }));
  const Config c = make_config(true, s);
  CHECK(c.connections[0]->qm_limit == 0);
  CHECK(c.warnings.empty());
  auto life_of = [](const Proposal& p, std::uint16_t type) {
    std::vector<std::pair<std::uint64_t, std::uint64_t>> out;
    for (const Transform& t : p.transforms)
      for (std::size_t i = 0; i + 1 < t.attributes.size(); ++i)
        if (t.attributes[i].type == type && t.attributes[i + 1].type == type + 1)
          out.push_back({*basic_value(t.attributes[i]), *variable_value(t.attributes[i + 1])});
    return out;
  };
  const Heard& first = net.heard.front();
  const auto mm_payloads = *split_payloads(first.header.next, ByteView(first.octets).subspan(kHeaderLen), false);
  using Lives = std::vector<std::pair<std::uint64_t, std::uint64_t>>;
  CHECK(life_of(parse_sa(mm_payloads[0].body)->at(0), 11) == Lives{{1, 28800}});
  const Heard& qm = *std::ranges::find_if(net.heard, &Heard::is_quick_mode);
  CHECK(life_of(parse_sa(qm.payload(PayloadType::kSa)->body)->at(0), 1) == Lives{{1, 3600}, {2, 100000}});
  const auto* mm = w.left().engine->core().find_mm(w.left().engine->core().mm_numbers().front());
  CHECK(mm->life == 28800s);
  for (const auto& [key, held] : w.left().sas) {
    CHECK(held.sa.soft.seconds == 3600);
    CHECK(held.sa.hard.bytes == 102400000);
  }
}

TEST_CASE("[R5][R18][R19][R22] 10,000 s of traffic at a life of 1,000 s take exactly ten keys, each with SPIs of its own, and no packet is lost") {
  const Setup s = lives("", "life_time = 1000");
  World w(2, starting(s), s);
  w.espd_counts = true;
  Sniffer net(w);
  w.start();
  REQUIRE(w.run(5s, [&] { return w.up(); }));
  Traffic t;
  t.run(w, 9999);
  CHECK(t.spis.size() == 10);
  CHECK(std::set<std::uint32_t>(t.spis.begin(), t.spis.end()).size() == 10);
  CHECK(t.keys.size() == 20);
  CHECK(t.lost == 0);
  CHECK(net.main_modes() == 1);
  std::vector<Time> begun;
  std::set<std::uint32_t> ids;
  for (const Heard& h : net.heard)
    if (h.is_quick_mode() && ids.insert(h.header.message_id).second) begun.push_back(h.at);
  REQUIRE(begun.size() == 10);
  for (std::size_t i = 1; i < begun.size(); ++i) CHECK(std::chrono::abs(begun[i] - begun[i - 1] - 1000s) < 1s);
  CHECK(w.left().engine->children().size() <= 2);
}

TEST_CASE("[R8] a foreign peer: the pair is renewed within 5 % before its life ends, and no packet is lost") {
  const Setup s = lives("", "life_time = 1200");
  World w(3, starting(s), s);
  w.espd_counts = true;
  w.tap = [](const Node&, Bytes& octets_of) {  // the vendor ID of keyd becomes an unknown one
    const ByteView id = vendor_id(Vendor::kEsplanade);
    auto at = std::search(octets_of.begin(), octets_of.end(), id.begin(), id.end());
    if (at != octets_of.end()) *at ^= 0xff;
    return true;
  };
  w.start();
  REQUIRE(w.run(5s, [&] { return w.up(); }));
  for (const auto& [key, held] : w.left().sas) {
    CHECK(held.sa.hard.seconds == 1200);
    CHECK(held.sa.soft.seconds < 1200);
    CHECK(held.sa.soft.seconds >= 1200 * 93 / 100);
  }
  Traffic t;
  t.run(w, 6000);
  CHECK(t.lost == 0);
  CHECK(t.spis.size() >= 5);
  CHECK(t.spis.size() <= 6);
}

TEST_CASE("[R8][R23] octets: a key is renewed within 5 % before its limit, and never sees more than 100 MB") {
  const Setup s = lives("", "life_kbytes = 100000");
  World w(4, starting(s), s);
  w.espd_counts = true;
  w.start();
  REQUIRE(w.run(5s, [&] { return w.up(); }));
  const std::uint64_t limit = 100000 * 1024;
  std::map<std::uint32_t, std::uint64_t> by_spi;
  std::uint64_t lost = 0;
  for (int i = 0; i < 5000; ++i) {  // 500 MB at 10 MB a second
    const auto spi = w.packet(w.left(), 100000);
    if (spi)
      by_spi[*spi] += 100000;
    else
      ++lost;
    w.run(10ms);
  }
  CHECK(lost == 0);
  CHECK(by_spi.size() >= 5);
  CHECK(by_spi.size() <= 6);
  std::size_t full = 0;
  for (const auto& [spi, bytes] : by_spi) {
    CHECK(bytes <= limit);
    if (bytes >= limit / 100 * 95) ++full;
  }
  CHECK(full + 1 >= by_spi.size());
}

TEST_CASE("[R21][R108] the lives of master key and session key are set apart from each other") {
  const Setup s = lives("life_time = 600", "life_time = 300");
  World w(5, starting(s), s);
  w.espd_counts = true;
  Sniffer net(w);
  w.start();
  REQUIRE(w.run(5s, [&] { return w.up(); }));
  Traffic t;
  t.run(w, 3000);
  CHECK(t.lost == 0);
  std::vector<Time> mm, qm;
  std::set<std::uint32_t> ids;
  for (const Heard& h : net.heard) {
    if (h.is_message1_of_main_mode() && !h.again) mm.push_back(h.at);
    if (h.is_quick_mode() && ids.insert(h.header.message_id).second) qm.push_back(h.at);
  }
  REQUIRE(mm.size() >= 5);
  for (std::size_t i = 1; i < mm.size(); ++i) {
    CHECK(mm[i] - mm[i - 1] >= 570s);
    CHECK(mm[i] - mm[i - 1] <= 600s);
  }
  REQUIRE(qm.size() >= 10);
  for (std::size_t i = 1; i < qm.size(); ++i) CHECK(std::chrono::abs(qm[i] - qm[i - 1] - 300s) < 1s);
}

TEST_CASE("[R22][R109] a main mode SA is renewed with new cookies and new keys while pairs need it; the old one ends with a delete at its time") {
  const Setup s = lives("life_time = 1000", "");
  World w(6, starting(s), s);
  w.start();
  REQUIRE(w.run(5s, [&] { return w.up(); }));
  const Core& core = w.left().engine->core();
  const MmSa* old = core.find_mm(core.mm_numbers().front());
  const CookiePair old_cookies = old->cookies;
  const Bytes old_key = octets(old->keys.skeyid_d);
  Sniffer net(w);
  w.run(985s);
  REQUIRE(core.mm_numbers().size() == 2);
  const MmSa* renewed = core.find_mm(core.mm_numbers().back());
  CHECK(renewed->cookies.first != old_cookies.first);
  CHECK(renewed->cookies.second != old_cookies.second);
  CHECK(octets(renewed->keys.skeyid_d) != old_key);
  CHECK(net.deletes(ProtocolId::kIsakmp) == 0);
  w.run(20s);
  CHECK(net.deletes(ProtocolId::kIsakmp) >= 1);
  CHECK(core.mm_numbers().size() == 1);
  CHECK(w.right().engine->num_main_modes() == 1);
  CHECK(w.up());
}

TEST_CASE("[R112][R114] main mode made 8 h ago ends, the pair made a minute before lives its 2 h to the end, and traffic goes on") {
  const Setup s = lives("life_time = \"8h\"", "life_time = \"2h\"");
  World w(7, trap(s), s);
  w.espd_counts = true;
  w.start();
  // Main mode alone first: its quick mode is removed, the next comes a minute before the end.
  w.acquire(w.left());
  REQUIRE(w.run(5s, [&] { return w.up(); }));
  w.expire(w.left(), newest_child(w.left()), true);
  w.run(8h - 1min - w.now());
  REQUIRE(w.left().engine->num_main_modes() == 1);
  Sniffer net(w, [](const Heard& h) { return h.header.exchange != Exchange::kMainMode; });  // no other main mode
  w.acquire(w.left());
  REQUIRE(w.run(5s, [&] { return w.up(); }));
  const std::uint32_t spi = newest_child(w.left());
  const Time made = w.now();
  w.run(70s);
  for (Node* n : {&w.left(), &w.right()})
    for (std::uint64_t number : n->engine->core().mm_numbers())
      CHECK_FALSE(n->engine->core().find_mm(number)->established);
  Traffic t;
  t.run(w, static_cast<int>((made + 2h - 1min - w.now()).count() / 1000));
  CHECK(t.lost == 0);
  CHECK(w.left().engine->children().contains(spi));
  w.run(3min);
  CHECK_FALSE(w.left().engine->children().contains(spi));
}

TEST_CASE("[R109] at the hard limit of a pair espd has removed it, and a delete with its SPI goes to the peer") {
  const Setup s = lives("", "life_time = 300");
  World w(8, trap(s), s);
  w.espd_counts = true;
  Sniffer net(w, [](const Heard& h) { return !h.is_quick_mode() || h.at < 10s; });  // no renewal comes through
  w.start();
  w.acquire(w.left());
  REQUIRE(w.run(5s, [&] { return w.up(); }));
  const std::uint32_t spi = newest_child(w.left());
  w.run(400s);
  CHECK(w.left().engine->children().empty());
  CHECK(w.right().engine->children().empty());
  CHECK(w.left().sas.empty());
  bool named = false;
  for (const Heard& h : net.heard) {
    const RawPayload* p = h.payload(PayloadType::kDelete);
    if (p == nullptr || !h.from_left) continue;
    auto del = parse_delete(p->body);
    if (del->protocol != 3) continue;
    REQUIRE(del->spis.size() == 1);
    named = named || load_be32(del->spis[0].data()) == spi;
  }
  CHECK(named);
}

TEST_CASE("[R110][R111] an authenticated delete ends the main mode SA; then it takes no quick mode, and a new need gets a new main mode") {
  const Setup s = lives("", "");
  World w(9, starting(s), s);
  w.start();
  REQUIRE(w.run(5s, [&] { return w.up(); }));
  w.run(1s);
  const Core& core = w.left().engine->core();
  const MmSa* mm = core.find_mm(core.mm_numbers().front());
  Header h;
  h.cky_i = mm->cookies.first;
  h.cky_r = mm->cookies.second;
  h.exchange = Exchange::kInformational;
  h.message_id = 0x11223344;
  Delete d;
  d.protocol = 1;
  Bytes spi(mm->cookies.first.begin(), mm->cookies.first.end());
  put(spi, mm->cookies.second);
  d.spis = {spi};
  ChainBuilder content;
  content.add(PayloadType::kDelete, build_delete(d));
  auto message = [&](bool right_hash) {
    Bytes hash = qm_hash1(mm->suite.hash, mm->keys.skeyid_a.reveal(), h.message_id, content.octets());
    if (!right_hash) hash[0] ^= 1;
    ChainBuilder chain;
    chain.add(PayloadType::kHash, hash);
    chain.append(content);
    Iv iv = phase2_iv(mm->suite.hash, mm->iv, h.message_id);
    return *protect(mm->keys, mm->suite.encryption, iv, h, chain);
  };
  Bytes clear = clear_message(h, content);
  w.inject(w.right(), clear);
  w.inject(w.right(), message(false));
  CHECK(w.right().engine->num_main_modes() == 1);
  w.inject(w.right(), message(true));
  CHECK(w.right().engine->num_main_modes() == 0);
  CHECK(w.right().engine->children().size() == 1);  // R112
  // The left end, which knows nothing of it, is not served any more.
  const auto unknown = w.right().engine->counters().unknown_sa;
  Sniffer net(w);
  w.expire(w.left(), newest_child(w.left()), false);
  w.run(500ms);
  CHECK(w.right().engine->counters().unknown_sa > unknown);
  CHECK(w.right().engine->children().size() == 1);
  w.expire(w.right(), newest_child(w.right()), false);
  REQUIRE(w.run(5s, [&] { return w.right().engine->children().size() == 2; }));
  CHECK(net.main_modes() == 1);
}

TEST_CASE("[R24][R105][R118] a limit of three: quick modes 1 to 3 under one main mode SA, the fourth under another, and no delete because of it") {
  for (bool both : {true, false}) {
    CAPTURE(both);
    const Setup limited = lives("qm_limit = 3", "");
    const Setup free = lives("", "");
    World w(10, starting(limited), both ? limited : free);
    Sniffer net(w);
    w.start();
    REQUIRE(w.run(5s, [&] { return w.up(); }));
    renew(w);
    renew(w);
    CHECK(net.main_modes() == 1);
    CHECK(net.quick_modes() == 3);
    renew(w);
    CHECK(net.main_modes() == 2);
    CHECK(net.quick_modes() == 4);
    CHECK(net.deletes(ProtocolId::kIsakmp) == 0);
  }
}

TEST_CASE("[R24] the responder's limit holds too: it refuses the fourth, and the initiator goes on under a new main mode SA") {
  World w(11, starting(lives("", "")), lives("qm_limit = 3", ""));
  Sniffer net(w);
  w.start();
  REQUIRE(w.run(5s, [&] { return w.up(); }));
  for (int i = 0; i < 3; ++i) renew(w);
  CHECK(net.main_modes() == 2);
  CHECK(net.notifies(NotifyType::kInvalidCookie) == 1);
  CHECK(net.deletes(ProtocolId::kIsakmp) == 0);
}

TEST_CASE("[R26] twenty quick modes take ten main modes at a limit of two, two at a limit of ten") {
  for (auto [limit, want] : {std::pair{2, 10u}, {10, 2u}}) {
    CAPTURE(limit);
    const Setup s = lives(fmt::format("qm_limit = {}", limit), "");
    World w(12, starting(s), s);
    Sniffer net(w);
    w.start();
    REQUIRE(w.run(5s, [&] { return w.up(); }));
    for (int i = 1; i < 20; ++i) renew(w);
    CHECK(net.main_modes() == want);
  }
}

TEST_CASE("[R27][R28] master key PFS makes the limit void, and is the same as a limit of one: equal sequences of exchanges") {
  std::vector<std::vector<int>> traces;
  for (const char* how : {"qm_limit = 1", "master_key_pfs = true", "master_key_pfs = true\nqm_limit = 5"}) {
    const Setup s = lives(how, "");
    World w(13, starting(s), s);
    Sniffer net(w);
    w.start();
    REQUIRE(w.run(5s, [&] { return w.up(); }));
    for (int i = 0; i < 5; ++i) renew(w);
    traces.emplace_back();
    for (const Heard& h : net.heard) traces.back().push_back(static_cast<int>(h.header.exchange));
    CHECK(net.main_modes() == 6);
  }
  CHECK(traces[0] == traces[1]);
  CHECK(traces[1] == traces[2]);
}

TEST_CASE("[R29] of a life and a limit of the master key the one that is reached first counts") {
  for (auto [how, later] :
       {std::pair{"life_time = 100\nqm_limit = 50", true}, {"life_time = 1000\nqm_limit = 3", false}}) {
    CAPTURE(std::string(how));
    const Setup s = lives(how, "");
    World w(14, starting(s), s);
    Sniffer net(w);
    w.start();
    REQUIRE(w.run(5s, [&] { return w.up(); }));
    std::vector<Time> begun;
    for (int i = 0; i < 12; ++i) {
      w.run(Time(10s * (i + 1)) - w.now());
      renew(w);
    }
    for (const Heard& h : net.heard)
      if (h.is_message1_of_main_mode() && !h.again) begun.push_back(h.at);
    if (later) {
      REQUIRE(begun.size() == 2);
      CHECK(begun[1] >= 95s);
      CHECK(begun[1] <= 100s);
    } else {
      REQUIRE(begun.size() == 5);  // 13 quick modes, three each
      CHECK(begun[1] >= 30s);
      CHECK(begun[1] < 31s);
    }
  }
}

TEST_CASE("a master key has a limit of octets as well, also with a peer that acknowledges its end") {
  for (bool microsoft : {false, true}) {
    CAPTURE(microsoft);
    const Setup s = lives("life_kbytes = 4", "");
    World w(15, starting(s), s);
    Sniffer net(w);
    auto sniff = w.tap;
    w.tap = [&](const Node& from, Bytes& octets_of) {
      const ByteView id = vendor_id(Vendor::kEsplanade);
      auto at = std::search(octets_of.begin(), octets_of.end(), id.begin(), id.end());
      if (microsoft && at != octets_of.end()) std::ranges::copy(vendor_id(Vendor::kMicrosoft), at);
      return sniff(from, octets_of);
    };
    w.start();
    REQUIRE(w.run(5s, [&] { return w.up(); }));
    for (int i = 0; i < 20; ++i) renew(w);
    CHECK(net.main_modes() >= 3);
    CHECK(net.deletes(ProtocolId::kIsakmp) >= 2);
    w.run(60s);
    CHECK(w.left().engine->num_main_modes() <= 2);
  }
}

TEST_CASE("a responder with a shorter life says so, and the initiator renews in time") {
  World w(16, starting(lives("", "life_time = 3600")), lives("life_time = 1000", "life_time = 600\nlife_kbytes = 30000"));
  w.espd_counts = true;
  Sniffer net(w);
  w.start();
  REQUIRE(w.run(5s, [&] { return w.up(); }));
  w.run(1s);
  CHECK(net.notifies(NotifyType::kResponderLifetime) == 2);  // of the pair in message 2; of main mode by itself
  for (const auto& [key, held] : w.left().sas) {
    CHECK(held.sa.soft.seconds == 600);
    CHECK(held.sa.hard.bytes == 30000u * 1024);
  }
  Traffic t;
  t.run(w, 3000);
  CHECK(t.lost == 0);
  CHECK(net.main_modes() >= 3);
  for (const Heard& h : net.heard)
    if (h.is_message1_of_main_mode()) CHECK(h.from_left);  // in time: never the responder
}

TEST_CASE("[R120] a pair without traffic for its idle time is removed, with a delete; one with traffic is not") {
  const Setup s = trap(lives("", ""));
  World w(17, s, s);
  w.espd_counts = true;
  Sniffer net(w);
  w.start();
  w.acquire(w.left());
  REQUIRE(w.run(5s, [&] { return w.up(); }));
  CHECK(w.left().engine->children().begin()->second.child->idle == 300s);  // the default
  for (int i = 0; i < 20; ++i) {
    w.run(60s);
    CHECK(w.packet(w.left()).has_value());
  }
  CHECK(net.deletes(ProtocolId::kEsp) == 0);
  w.run(299s);
  CHECK(w.left().engine->children().size() == 1);
  w.run(70s);
  CHECK(w.left().engine->children().empty());
  CHECK(w.right().engine->children().empty());
  CHECK(net.deletes(ProtocolId::kEsp) == 1);
  // Traffic brings it back.
  w.acquire(w.left());
  CHECK(w.run(5s, [&] { return w.up(); }));
}

// Puts Microsoft's vendor id in the place of another: ours in message 1; in message 2, which then does not have it,
// that of dead peer detection.
static void say_microsoft(Bytes& message) {
  for (Vendor v : {Vendor::kEsplanade, Vendor::kDpd}) {
    const ByteView id = vendor_id(v);
    auto at = std::search(message.begin(), message.end(), id.begin(), id.end());
    if (at == message.end()) continue;
    std::ranges::copy(vendor_id(Vendor::kMicrosoft), at);
    return;
  }
}

TEST_CASE("[R119] a Microsoft peer acknowledges deletes: sent again after 1, 2, 4, 8 s until it does; others get one message") {
  for (bool microsoft : {true, false})
    for (bool lose : {false, true}) {
      CAPTURE(microsoft);
      CAPTURE(lose);
      const Setup s = lives("life_time = 100", "");
      World w(18, starting(s), s);
      bool losing = false;
      Sniffer net(w, [&](const Heard& h) { return !(losing && h.header.exchange == Exchange::kInformational); });
      auto sniff = w.tap;
      w.tap = [&](const Node& from, Bytes& octets_of) {
        if (microsoft) say_microsoft(octets_of);
        return sniff(from, octets_of);
      };
      w.start();
      REQUIRE(w.run(5s, [&] { return w.up(); }));
      w.run(1s);
      // Nothing but the end of the pair.
      losing = lose;
      const std::size_t before = net.heard.size();
      w.expire(w.left(), newest_child(w.left()), true);
      w.run(8s);
      std::vector<Time> sent, acks;
      std::uint32_t id = 0;
      for (std::size_t i = before; i < net.heard.size(); ++i) {
        const Heard& h = net.heard[i];
        if (h.header.exchange != Exchange::kInformational) continue;
        if (h.from_left) id = h.header.message_id;
        (h.from_left ? sent : acks).push_back(h.at);
        if (!h.from_left) CHECK(h.header.message_id == id);
        if (!h.from_left) CHECK(h.payload(PayloadType::kNonce) != nullptr);
      }
      if (!microsoft) {
        CHECK(sent.size() == 1);
        CHECK(acks.empty());
      } else if (!lose) {
        CHECK(sent.size() == 1);
        CHECK(acks.size() == 1);
        CHECK(w.right().engine->children().empty());
      } else {
        REQUIRE(sent.size() == 4);
        CHECK(sent[1] - sent[0] == 1s);
        CHECK(sent[2] - sent[1] == 2s);
        CHECK(sent[3] - sent[2] == 4s);
      }
      CHECK((net.deletes(ProtocolId::kEsp) >= 1));
    }
}

TEST_CASE("[R119] the main mode SA waits for the acknowledgement of its own delete, and for no longer than the attempts") {
  for (bool lose : {false, true}) {
    const Setup s = trap(lives("life_time = 100", ""));
    World w(19, s, s);
    w.tap = [&](const Node& from, Bytes& octets_of) {
      say_microsoft(octets_of);
      return !lose || from.name == "left" || octets_of[18] != 5;
    };
    w.start();
    w.acquire(w.left());
    REQUIRE(w.run(5s, [&] { return w.up(); }));
    w.expire(w.left(), newest_child(w.left()), true);
    w.run(100s - w.now());
    w.run(1s);
    CHECK(w.right().engine->num_main_modes() == 0);
    if (lose) CHECK(w.left().engine->num_main_modes() == 1);
    w.run(60s);
    CHECK(w.left().engine->num_main_modes() == 0);
  }
}

TEST_CASE("[R79] main mode is sent once and again five times, octet for octet, then given up") {
  const Setup s = trap(lives("", ""));
  World w(20, s, s);
  Sniffer net(w, [](const Heard& h) { return h.from_left ? false : true; });
  w.start();
  w.acquire(w.left());
  w.run(120s);
  REQUIRE(net.heard.size() == 6);
  for (const Heard& h : net.heard) CHECK(h.octets == net.heard.front().octets);
  CHECK(w.left().engine->num_main_modes() == 0);
}

TEST_CASE("[R81][R83] espd hears of a silent peer after three seconds, long before the attempts are used up; of one that answers and fails to agree or to authenticate, never that it was silent") {
  const Setup s = trap(lives("", ""));
  {
    World w(21, s, s);
    w.tap = [](const Node& from, Bytes&) { return from.name != "left"; };
    w.start();
    w.acquire(w.left());
    w.run(2900ms);
    CHECK(w.left().acquires_failed.empty());
    w.run(200ms);
    REQUIRE(w.left().acquires_failed.size() == 1);
    CHECK_FALSE(w.left().acquires_failed[0].second.answered);
    CHECK(w.left().engine->num_main_modes() == 1);  // it goes on trying
    w.tap = nullptr;
    CHECK(w.run(60s, [&] { return w.up(); }));
  }
  Setup wrong = s;
  wrong.psk = "another secret";
  Setup no_suite = s;
  no_suite.ike = "des-md5-modp768";
  for (const Setup& other : {wrong, no_suite}) {
    World w(22, s, other);
    w.start();
    w.acquire(w.left());
    w.run(120s);
    CHECK(w.left().sas.empty());
    REQUIRE_FALSE(w.left().acquires_failed.empty());
    for (const auto& [at, failed] : w.left().acquires_failed) CHECK(failed.answered);
  }
}

TEST_CASE("a renewal that fails is tried again before the pair ends") {
  const Setup s = lives("", "life_time = 3600");
  World w(23, starting(s), s);
  w.espd_counts = true;
  w.start();
  REQUIRE(w.run(5s, [&] { return w.up(); }));
  w.right().espd_fails = true;
  w.run(3602s - w.now());
  w.right().espd_fails = false;
  w.run(50s);
  CHECK(w.up());
  Traffic t;
  t.run(w, 100);
  CHECK(t.lost == 0);
}

TEST_CASE("[R23][R106][R115] limits that deserve caution are warned of, and the others are not") {
  const Config fine = make_config(true, lives("life_time = \"2h\"", "life_time = \"1h\""));
  CHECK(fine.warnings.empty());
  CHECK(has_warning(make_config(true, lives("", "life_kbytes = 200000")), "life_kbytes"));
  CHECK(has_warning(make_config(true, lives("", "life_kbytes = 0")), "life_kbytes"));
  CHECK(has_warning(make_config(true, lives("", "life_time = 60")), "qm_limit"));
  CHECK_FALSE(has_warning(make_config(true, lives("qm_limit = 2147483647", "life_time = 60")), "qm_limit"));
  CHECK(has_warning(make_config(true, lives("life_time = \"8h\"", "life_time = \"2h\"")), "far apart"));
  CHECK_FALSE(has_warning(make_config(true, lives("life_time = \"7h\"", "life_time = \"2h\"")), "far apart"));
}
