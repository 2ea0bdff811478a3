// Floods and forgeries: every bound of Limits, and the honest peer who gets through all the same.
#include "dress.h"

using namespace esplanade;
using namespace esplanade::ike;
using namespace esplanade::ike::test;
using namespace std::chrono_literals;

namespace {

esp::IpAddress forged(std::uint32_t i) {
  esp::IpAddress a;
  a.version = 4;
  store_be32(a.octets.data(), 0x0a000000u + i);
  return a;
}
Setup any_peer(std::string ike_table = "") {
  Setup s = fast();
  s.any = true;
  s.ike_table = std::move(ike_table);
  return s;
}
struct Reply {
  std::size_t datagrams = 0;
  std::size_t octets = 0;
  Bytes last;
};
Reply hit(Node& n, const Path& path, ByteView octets, Time now) {
  n.engine->on_datagram(path, octets, now);
  Reply r;
  for (Output& o : n.engine->take_outputs())
    if (auto* d = std::get_if<SendDatagram>(&o)) {
      ++r.datagrams;
      r.octets += d->octets.size();
      r.last = d->octets;
    }
  return r;
}

}  // namespace

TEST_CASE("ike/flood: message 1 from a hundred thousand forged sources leaves bounded state, and the honest peer gets in") {
  Setup left = fast_start();
  World w(base_seed(1), left, any_peer());
  std::size_t back = 0, brought = 0;
  for (std::uint32_t i = 0; i < 100000; ++i) {
    const Path path{{w.right().address, 500}, {forged(i), 500}};
    const Bytes m = message1(0x0100000000000000ull + i);
    if (i == 0) brought = m.size();
    const Reply r = hit(w.right(), path, m, w.now() + Time(i / 100));
    if (r.octets > m.size() || r.datagrams > 1) FAIL("amplified");
    back += r.octets;
    if (i % 1000 == 999) {
      const auto s = w.right().engine->sizes();
      REQUIRE(s.main_modes <= 100);
      REQUIRE(s.waiting <= 2048);
      REQUIRE(s.sources <= 4096);
    }
  }
  CHECK(back <= brought * 100000);
  CHECK(w.right().engine->counters().cookies_asked >= 99000);
  w.run(1s);
  w.start();
  CHECK(w.run(10s, [&] { return w.up(); }));
  CHECK(w.right().engine->counters().cookies_proved >= 1);
}

TEST_CASE("ike/flood: a peer without DOS_COOKIE is let in by message 3, and there is no Diffie-Hellman before") {
  Setup left = fast_start();
  World w(2, left, any_peer("cookie_threshold = 0\n"));
  std::size_t mms_before_3 = 99;
  int seen = 0;
  w.tap = [&](const Node& from, Bytes& octets) {
    const auto h = parse_header(octets);
    if (from.name == "left" && h->exchange == Exchange::kMainMode && h->next == PayloadType::kSa) {
      auto at = std::ranges::search(octets, vendor_id(Vendor::kEsplanade));
      REQUIRE(!at.empty());
      at.front() ^= 0xff;  // a stranger among daemons
    }
    if (from.name == "left" && h->next == PayloadType::kKe && seen++ == 0)
      mms_before_3 = w.right().engine->num_main_modes();
    return true;
  };
  w.start();
  CHECK(w.run(10s, [&] { return w.up(); }));
  CHECK(mms_before_3 == 0);
  CHECK(w.right().engine->counters().cookies_asked == 1);
  CHECK(w.right().engine->counters().cookies_proved == 1);
  CHECK(w.right().engine->sizes().waiting == 0);
}

TEST_CASE("ike/flood: with DOS_COOKIE message 1 comes again with the cookie, and nothing at all is kept till then") {
  World w(3, fast_start(), any_peer("cookie_threshold = 0\n"));
  std::vector<Bytes> firsts;
  w.tap = [&](const Node& from, Bytes& octets) {
    const auto h = parse_header(octets);
    if (from.name == "left" && h->next == PayloadType::kSa) {
      if (h->cky_r == kNoCookie) CHECK(w.right().engine->sizes().waiting == 0);
      firsts.push_back(octets);
    }
    return true;
  };
  w.start();
  CHECK(w.run(10s, [&] { return w.up(); }));
  REQUIRE(firsts.size() == 2);
  CHECK(std::ranges::equal(ByteView(firsts[0]).subspan(16), ByteView(firsts[1]).subspan(16)));
  CHECK_FALSE(std::ranges::equal(ByteView(firsts[1]).subspan(8, 8), kNoCookie));
}

TEST_CASE("ike/flood: a cookie is good for its own addresses, ports and initiator, and for its time") {
  SeededRng rng(5);
  Admission a(rng, 4);
  const Path path{{address("192.0.2.2"), 500}, {address("198.51.100.1"), 500}};
  Cookie cky_i{1, 2, 3};
  const Cookie c = a.cookie(path, cky_i, 1000s);
  CHECK(a.proves(path, cky_i, c, 1001s));
  CHECK(a.cookie(path, cky_i, 1001s) == c);
  for (int i = 0; i < 4; ++i) {
    Path other = path;
    Cookie other_i = cky_i;
    if (i == 0) other.remote.address = address("198.51.100.2");
    if (i == 1) other.remote.port = 501;
    if (i == 2) other.local.port = 4500;
    if (i == 3) other_i[7] = 9;
    CHECK_FALSE(a.proves(other, other_i, c, 1001s));
  }
  Cookie wrong = c;
  wrong[7] ^= 1;
  CHECK_FALSE(a.proves(path, cky_i, wrong, 1001s));
  CHECK(a.proves(path, cky_i, c, 1000s + 239s));  // under the secret before
  CHECK_FALSE(a.proves(path, cky_i, c, 1000s + 2 * 239s));
  Admission old(rng, 4);
  const Cookie d = old.cookie(path, cky_i, 0s);
  CHECK_FALSE(old.proves(path, cky_i, d, 241s));
  CHECK(d != c);
  for (Byte i = 0; i < 10; ++i) a.wait({Cookie{i, 1}, c}, {Bytes{i}, {}});
  CHECK(a.waiting() == 4);
  CHECK(a.find({Cookie{5, 1}, c}) == nullptr);
  CHECK(a.find({Cookie{9, 1}, c}) != nullptr);
}

TEST_CASE("ike/flood: one source's message 1s are limited by rate; another source is not") {
  World w(4, {}, any_peer("half_open_per_source_max = 1000\ncookie_threshold = 1000\n"));
  for (std::uint32_t i = 0; i < 300; ++i)
    (void)hit(w.right(), {{w.right().address, 500}, {forged(1), 500}}, message1(1000 + i), 0s);
  CHECK(w.right().engine->num_main_modes() == 50);
  CHECK(w.right().engine->counters().rate_limited == 250);
  CHECK(hit(w.right(), {{w.right().address, 500}, {forged(2), 500}}, message1(5000), 0s).datagrams == 1);
  for (std::uint32_t i = 0; i < 300; ++i)
    (void)hit(w.right(), {{w.right().address, 500}, {forged(1), 500}}, message1(9000 + i), 1s);
  CHECK(w.right().engine->num_main_modes() == 71);  // 20 more a second
  SourceRates rates(1, 1, 100);
  for (std::uint32_t i = 0; i < 10000; ++i) CHECK(rates.allow(forged(i), Time(i)));
  CHECK(rates.size() == 100);
}

TEST_CASE("ike/flood: no datagram of a stranger brings more octets back than it has") {
  World w(5, {}, any_peer());
  const std::initializer_list<Vendor> all = {Vendor::kRfc3947, Vendor::kDpd,       Vendor::kFragmentation,
                                             Vendor::kGssApi,  Vendor::kMicrosoft, Vendor::kEsplanade};
  std::uint64_t n = 100;
  for (int round = 0; round < 40; ++round) {
    for (const bool with : {false, true}) {
      const Bytes m = message1(++n, with ? all : std::initializer_list<Vendor>{});
      const Path path{{w.right().address, 500}, {forged(static_cast<std::uint32_t>(n)), 500}};
      for (int again = 0; again < 3; ++again) {
        const Reply r = hit(w.right(), path, m, 0s);
        CHECK(r.octets <= m.size());
        CHECK(r.datagrams <= 1);
      }
    }
    Bytes refused = message1(++n);
    refused[kHeaderLen + 4 + 8 + 8 + 4 + 4 + 3] = 9;  // an unknown cipher: NO-PROPOSAL-CHOSEN
    const Reply r = hit(w.right(), {{w.right().address, 500}, {forged(77), 500}}, refused, 0s);
    CHECK(r.octets <= refused.size());
    for (Byte exchange : Bytes{4, 5, 6, 32, 33, 243}) {
      Bytes other = message1(++n);
      other[18] = exchange;
      CHECK(hit(w.right(), {{w.right().address, 500}, {forged(78), 500}}, other, 0s).datagrams == 0);
    }
  }
  // Errors are told to strangers twenty times a second at most.
  CHECK(w.right().engine->counters().unanswered >= 20);
}

TEST_CASE("[R102] a quick mode message without an established main mode SA is dropped and leaves nothing") {
  World w(6, fast_start(), fast());
  std::optional<Bytes> quick;
  w.tap = [&](const Node& from, Bytes& octets) {
    if (from.name == "left" && octets[18] == 32 && !quick) quick = octets;
    return true;
  };
  w.start();
  REQUIRE(w.run(5s, [&] { return w.up(); }));
  // Unknown cookies.
  World fresh(7, {}, fast());
  fresh.inject(fresh.right(), *quick);
  CHECK(fresh.right().engine->counters().unknown_sa == 1);
  CHECK(fresh.right().sent == 0);
  CHECK(fresh.right().sas.empty());
  CHECK(fresh.right().engine->sizes().exchanges == 0);
  // A half-open main mode SA, before and after its keys are there.
  for (int stop : {1, 3}) {
    World half(8, fast_start(), fast());
    int carried = 0;
    half.tap = [&](const Node&, Bytes&) { return ++carried <= stop; };
    half.start();
    half.run(100ms);
    REQUIRE(half.right().engine->num_main_modes() == 1);
    MmSa& mm = mm_of(half.right());
    Bytes m = *quick;
    std::ranges::copy(mm.cookies.first, m.begin());
    std::ranges::copy(mm.cookies.second, m.begin() + 8);
    half.inject(half.right(), m);
    if (stop == 3) {  // even under the right keys
      ChainBuilder c;
      c.add(PayloadType::kSa, Bytes(40));
      c.add(PayloadType::kNonce, Bytes(20));
      half.inject(half.right(), phase2(mm, Exchange::kQuickMode, 5, c));
    }
    CHECK(half.right().engine->sizes().exchanges == 0);
    CHECK(half.right().sas.empty());
  }
}

TEST_CASE("[R110][R111] an authentic delete ends the main mode SA for new quick modes; a false one is ignored") {
  World w(9, fast_start(), fast());
  w.start();
  REQUIRE(w.run(5s, [&] { return w.up(); }));
  w.run(1s);
  MmSa& left = mm_of(w.left());
  const CookiePair cookies = left.cookies;
  ChainBuilder quick;  // what a quick mode looks like under the SA while it lives
  quick.add(PayloadType::kSa, Bytes(40));
  quick.add(PayloadType::kNonce, Bytes(20));
  const Bytes qm_after = phase2(left, Exchange::kQuickMode, 0xa001, quick);
  const Bytes before = phase2(left, Exchange::kQuickMode, 0xa002, quick);

  w.inject(w.right(), phase2(left, Exchange::kInformational, 0xa003, delete_of_mm(left), true));  // wrong HASH
  w.inject(w.right(), clear_message(header_of(left, Exchange::kInformational, 0xa004), delete_of_mm(left)));
  CHECK(w.right().engine->num_main_modes() == 1);
  w.inject(w.right(), before);
  CHECK(w.right().engine->counters().unknown_sa == 1);  // only the delete in clear was not of a known negotiation

  w.inject(w.right(), phase2(left, Exchange::kInformational, 0xa005, delete_of_mm(left)));
  CHECK(w.right().engine->num_main_modes() == 0);
  CHECK(w.right().engine->children().size() == 1);  // the pair lives on
  w.inject(w.right(), qm_after);
  CHECK(w.right().engine->counters().unknown_sa == 2);
  CHECK(w.right().engine->sizes().exchanges == 0);
  // Own need: a new main mode.
  const std::uint32_t spi = w.right().engine->children().begin()->first;
  w.expire(w.right(), spi, false);
  CHECK(w.run(5s, [&] { return w.right().engine->children().size() == 2; }));
  CHECK(mm_of(w.right()).cookies != cookies);
}

TEST_CASE("ike/flood: delete, then notify, in one message: the notify of an SA that is gone harms nothing") {
  World w(10, fast_start(), fast());
  w.start();
  REQUIRE(w.run(5s, [&] { return w.up(); }));
  w.run(1s);
  MmSa& left = mm_of(w.left());
  for (const bool twice : {true, false}) {
    ChainBuilder c = delete_of_mm(left);
    if (twice) c.append(delete_of_mm(left));
    c.append(dpd_notify(left, NotifyType::kRUThere, 1));
    const Bytes m = phase2(left, Exchange::kInformational, 0xb000 + (twice ? 1 : 0), c);
    w.inject(w.right(), m);
    CHECK(w.right().engine->num_main_modes() == 0);
  }
  w.run(1s);
  CHECK(w.right().engine->children().size() == 1);
}

TEST_CASE("ike/flood: informational messages with a wrong hash, or old ones again, do nothing however many") {
  World w(11, fast_start(), fast());
  w.start();
  REQUIRE(w.run(5s, [&] { return w.up(); }));
  w.run(1s);
  MmSa& left = mm_of(w.left());
  Delete d{3, {}};
  Bytes spi;
  put_be32(spi, w.left().engine->children().begin()->first);
  d.spis.push_back(spi);
  const auto content = one(PayloadType::kDelete, build_delete(d));
  const std::uint64_t sent = w.right().sent;
  for (std::uint32_t i = 0; i < 2000; ++i)
    w.inject(w.right(), phase2(left, Exchange::kInformational, 0xc000 + i, content, true));
  CHECK(w.up());
  CHECK(w.right().sent == sent);
  CHECK(w.right().engine->counters().bad_crypto == 2000);
  const Bytes probe = phase2(left, Exchange::kInformational, 0xd000, dpd_notify(left, NotifyType::kRUThere, 1));
  for (int i = 0; i < 2000; ++i) w.inject(w.right(), probe);
  CHECK(w.right().sent == sent + 1);  // the first is answered
  CHECK(w.right().engine->counters().duplicates == 1999);
  w.inject(w.right(), phase2(left, Exchange::kInformational, 0xd001, content));
  CHECK(w.right().engine->children().empty());  // and a true delete works
}

TEST_CASE("ike/flood: quick modes that one peer begins and never ends are bounded, and the next real one works") {
  World w(12, fast_start(), fast());
  w.start();
  REQUIRE(w.run(5s, [&] { return w.up(); }));
  w.run(1s);
  MmSa& left = mm_of(w.left());
  const ChildConfig& child = left.connection->children.front();
  for (std::uint32_t i = 0; i < 500; ++i) {
    ChainBuilder c;
    c.add(PayloadType::kSa, build_sa(qm_offer(child, {0x5000 + i, 0}, Encap::kPlain, 0)));
    c.add(PayloadType::kNonce, Bytes(20, static_cast<Byte>(i)));
    c.add(PayloadType::kId, build_id(id_from_selector(*child.local_ts)));
    c.add(PayloadType::kId, build_id(id_from_selector(*child.remote_ts)));
    w.inject(w.right(), phase2(left, Exchange::kQuickMode, 0x10000 + i, c));
  }
  CHECK(w.right().engine->sizes().exchanges <= 64 + 32);
  CHECK(w.right().engine->counters().peer_limit == 500 - 64);
  w.run(70s);  // a responder's wait for message 3
  CHECK(w.right().engine->sizes().exchanges <= 32);
  CHECK(w.right().sas.size() == 2);
  w.expire(w.left(), w.left().engine->children().begin()->first, false);
  w.run(5s);
  CHECK(w.left().engine->children().size() == 2);
}

TEST_CASE("ike/flood: a peer may not hold more established main mode SAs than its limit") {
  Setup r = fast();
  r.ike_table = "main_modes_per_peer_max = 3\n";
  World w(13, fast_start(), r);
  w.start();
  REQUIRE(w.run(5s, [&] { return w.up(); }));
  for (int i = 0; i < 8; ++i) {
    Core& core = EngineProbe::core(*w.left().engine);
    MainMode extra(core);
    extra.start(core.configured.front().connection, w.right().address, {});
    w.run(1s, [] { return false; });
    w.left().engine->on_timer(w.now());
    w.run(3s);
    CHECK(w.right().engine->num_main_modes() <= 3);
  }
  CHECK(w.right().engine->counters().main_modes >= 5);
  CHECK(w.right().engine->counters().peer_limit >= 2);
  CHECK(w.up());
}

TEST_CASE("[R61] after message 6 both ends hold the same SKEYIDs under the same cookies, established") {
  for (const char* ike : {"des-md5-modp768", "3des-sha1-modp1024", "3des-md5-modp2048"}) {
    CAPTURE(ike);
    Setup s;
    s.ike = ike;
    Setup l = s;
    l.start = "start";
    World w(14, l, s);
    std::size_t established_early = 0;
    w.tap = [&](const Node& from, Bytes& octets) {
      const auto h = parse_header(octets);
      if (h->exchange == Exchange::kMainMode && from.name == "left")
        established_early += w.right().engine->num_main_modes() != 0 && mm_of(w.right()).established ? 1 : 0;
      return true;
    };
    w.start();
    REQUIRE(w.run(5s, [&] { return w.up(); }));
    const MmSa& a = mm_of(w.left());
    const MmSa& b = mm_of(w.right());
    CHECK(established_early == 0);
    CHECK(a.established);
    CHECK(b.established);
    CHECK(a.cookies == b.cookies);
    CHECK(!a.keys.skeyid.empty());
    for (auto key : {&MmKeys::skeyid, &MmKeys::skeyid_d, &MmKeys::skeyid_a, &MmKeys::skeyid_e, &MmKeys::cipher})
      CHECK(constant_time_equal((a.keys.*key).reveal(), (b.keys.*key).reveal()));
  }
}

TEST_CASE("[R85] a hundred thousand exchanges under way exhaust no counter, and no Message-ID comes twice") {
  Setup s = fast();
  s.extra = "life_time = \"30d\"\n";
  Setup l = s;
  l.start = "start";
  World w(15, l, s);
  std::set<std::uint32_t> ids;
  std::size_t twice = 0, exchanges = 0;
  std::uint32_t latest = 0;
  w.tap = [&](const Node& from, Bytes& octets) {
    const std::uint32_t id = load_be32(octets.data() + 20);
    if (id == 0 || octets[18] == 2 || from.name != "left" || id == latest) return true;
    latest = id;
    ++exchanges;
    twice += ids.insert(id).second ? 0 : 1;
    return true;
  };
  w.start();
  REQUIRE(w.run(5s, [&] { return w.up(); }));
  MmSa& left = mm_of(w.left());
  Informational info(EngineProbe::core(*w.left().engine));
  // Quick modes are the dearer ones: some thousands of them among informational exchanges.
  for (int round = 0; round < 1000; ++round) {
    const std::uint32_t spi = w.left().engine->children().begin()->first;
    w.expire(w.left(), spi, false);
    w.run(50ms, [&] { return w.left().engine->children().size() == 2 && w.right().engine->children().size() == 2; });
    w.expire(w.left(), spi, true);
    w.run(10ms);
    REQUIRE(w.left().engine->children().size() == 1);
    for (std::uint32_t i = 0; i < 100; ++i) {
      Notify n;
      n.protocol = 1;
      n.type = 24577;  // REPLAY-STATUS: a status that is ignored
      info.send_notify(left, n);
    }
    w.expire(w.left(), 1, false);  // pumps
    w.run(2ms);
  }
  CHECK(exchanges >= 100000);
  CHECK(twice == 0);
  CHECK(w.up());
  const auto sizes = w.right().engine->sizes();
  CHECK(sizes.main_modes == 1);
  CHECK(sizes.exchanges <= 33);
  CHECK(sizes.tickets <= 2);  // questions of dead peer detection
}

TEST_CASE("[R86] the store of SAs grows as asked; when espd has no more, new ones are refused and none is harmed") {
  World w(16, fast_start(), fast());
  w.start();
  REQUIRE(w.run(5s, [&] { return w.up(); }));
  const std::uint32_t first = w.left().engine->children().begin()->first;
  Core& core = EngineProbe::core(*w.left().engine);
  QuickMode quick(core);
  auto more = [&](int n) {
    for (int i = 0; i < n; ++i) {
      quick.start(mm_of(w.left()), {&core.configured.front().connection->children.front(), std::nullopt});
      w.expire(w.left(), 1, false);  // pumps
      w.run(20ms);
    }
  };
  more(1500);
  CHECK(w.left().engine->children().size() == 1501);
  CHECK(w.left().sas.size() == 3002);
  CHECK(w.matched());
  w.right().espd_fails = true;
  more(20);
  w.run(120s);
  CHECK(w.left().engine->children().size() == 1501);
  CHECK(w.right().engine->children().size() == 1501);
  CHECK(w.matched());
  CHECK(w.left().engine->children().contains(first));
  w.right().espd_fails = false;
  const auto& children = w.left().engine->children();
  const auto newest = std::ranges::max_element(children, {}, [](const auto& c) { return c.second.number; })->first;
  w.expire(w.left(), newest, false);  // the others have a successor
  w.run(30s);
  CHECK(w.left().engine->children().size() == 1502);
}

TEST_CASE("[R116] the responder sends on no timer of its own; a duplicate brings its last answer again, unchanged") {
  World w(17, fast_start(), fast());
  std::vector<Bytes> answers, asked;
  w.tap = [&](const Node& from, Bytes& octets) {
    (from.name == "left" ? asked : answers).push_back(octets);
    return from.name == "left" || answers.size() > 1;  // message 2 is lost once
  };
  w.start();
  w.run(900ms);
  CHECK(asked.size() == 1);
  CHECK(answers.size() == 1);
  CHECK(w.run(10s, [&] { return w.up(); }));
  CHECK(asked[0] == asked[1]);
  CHECK(answers[0] == answers[1]);
  // An initiator that falls silent hears nothing, at any stage.
  for (int stop : {1, 2, 3}) {
    World v(18, fast_start(), fast());
    int from_left = 0;
    std::size_t from_right = 0;
    v.tap = [&](const Node& from, Bytes&) {
      if (from.name == "left") return ++from_left <= stop;
      ++from_right;
      return true;
    };
    v.start();
    v.run(100ms);
    const std::size_t then = from_right;
    v.run(120s);
    CHECK(from_right == then);
  }
}

TEST_CASE("[R117] a transform with an unknown attribute is passed over, and the next one taken") {
  Setup s = fast();
  const Config config = make_config(false, s);
  auto offer = mm_offer(*config.connections.front());
  Transform odd = offer.front().transforms.front();
  odd.attributes.push_back({16400, true, {0, 1}});
  Transform plain = offer.front().transforms.front();
  plain.number = 2;
  offer.front().transforms = {odd, plain};
  World w(19, {}, s);
  const Reply r = hit(w.right(), {{w.right().address, 500}, {w.left().address, 500}},
                      message1(5, {}, kNoCookie, &offer), 0s);
  REQUIRE(r.datagrams == 1);
  const auto h = parse_header(r.last);
  auto payloads = split_payloads(h->next, ByteView(r.last).subspan(kHeaderLen), false);
  auto reply = parse_sa(find(*payloads, PayloadType::kSa)->body);
  REQUIRE(reply);
  CHECK(reply->front().transforms.front().number == 2);
  // The same in quick mode.
  const ChildConfig& child = config.connections.front()->children.front();
  auto qm = qm_offer(child, {0x1000, 0}, Encap::kPlain, 0);
  Transform qm_odd = qm.front().transforms.front();
  qm_odd.attributes.push_back({16400, true, {0, 1}});
  Transform qm_plain = qm.front().transforms.front();
  qm_plain.number = 2;
  qm.front().transforms = {qm_odd, qm_plain};
  auto choice = choose_qm(qm, child, 2, Encap::kPlain);
  REQUIRE(choice);
  CHECK(choice->parts.front().reply.transforms.front().number == 2);
}
