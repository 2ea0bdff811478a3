#include "world.h"

using namespace esplanade;
using namespace esplanade::ike;
using namespace esplanade::ike::test;
using namespace std::chrono_literals;

namespace {

bool has_event(const Node& n, Event::Kind kind) {
  return std::ranges::any_of(n.events, [&](const Event& e) { return e.kind == kind; });
}
Setup starting(Setup s = {}) {
  s.start = "start";
  return s;
}

}  // namespace

TEST_CASE("ike/engine: every suite and group comes up, with equal keys at both ends") {
  for (const char* ike :
       {"des-md5-modp768", "des-sha1-modp1024", "3des-md5-modp1024", "3des-sha1-modp2048", "3des-sha1-high"})
    for (const char* esp :
         {"3des-sha1", "3des-md5", "des-sha1-modp768", "des-md5", "null-sha1", "null-md5-modp2048"})
      for (const char* mode : {"tunnel", "transport"}) {
        CAPTURE(ike);
        CAPTURE(esp);
        CAPTURE(mode);
        Setup s;
        s.ike = ike;
        s.esp = esp;
        s.mode = mode;
        World w(1, starting(s), s);
        w.start();
        CHECK(w.run(5s, [&] { return w.up(); }));

        w.run(1s);
        CHECK(w.left().sas.size() == 2);
        CHECK(w.right().sas.size() == 2);
        CHECK(w.left().sas.begin()->second.reqid == 7);
      }
}

TEST_CASE("ike/engine: over a bad link the pair comes up in the end, for every seed") {
  const std::uint64_t base = base_seed(1000);
  const int seeds = 600;
  for (int i = 0; i < seeds; ++i) {
    const std::uint64_t seed = base + static_cast<std::uint64_t>(i);
    CAPTURE(seed);
    Setup s;
    s.ike = "3des-sha1-modp768";
    LinkSettings link{0.25, 0.2, 0.0, 1ms, 900ms, seed % 2 == 1};
    World w(seed, starting(s), s, link);
    w.start();
    CHECK(w.run(3600s, [&] { return w.newest_up(); }));
  }
}

TEST_CASE("ike/engine: flipped bits on the way never give a pair with unequal keys") {
  const std::uint64_t base = base_seed(9000);
  for (int i = 0; i < 200; ++i) {
    const std::uint64_t seed = base + static_cast<std::uint64_t>(i);
    CAPTURE(seed);
    Setup s;
    s.ike = "3des-sha1-modp768";
    World w(seed, starting(s), s, {0, 0.1, 0.2, 1ms, 200ms, false});
    w.start();
    w.run(300s);
    CHECK(w.no_unequal_keys());
    w.link().corrupt = 0;
    CHECK(w.run(3600s, [&] { return w.newest_up() || !w.left().engine->children().empty(); }));
    CHECK(w.no_unequal_keys());
  }
}

TEST_CASE("ike/engine: both ends starting at once over a bad link settle with equal keys") {
  const std::uint64_t base = base_seed(5000);
  for (int i = 0; i < 60; ++i) {
    const std::uint64_t seed = base + static_cast<std::uint64_t>(i);
    CAPTURE(seed);
    Setup s;
    s.ike = "des-md5-modp768";
    World w(seed, starting(s), starting(s), {0.2, 0.2, 0, 1ms, 500ms, false});
    w.start();
    CHECK(w.run(3600s, [&] { return w.newest_up(); }));
    w.link() = {};
    w.run(300s);
    CHECK(w.newest_up());
  }
}

TEST_CASE("ike/engine: the initiator sends at 0, 1, 3, 7, 15 and 31 s and gives up at 47 s") {
  World w(3, starting(), {});
  std::vector<Time> at;
  w.tap = [&](const Node& from, Bytes&) {
    if (from.name == "left") at.push_back(w.now());
    return false;
  };
  w.start();
  CHECK(w.run(60s, [&] { return has_event(w.left(), Event::Kind::kFailed); }));
  CHECK(w.now() == 47s);
  CHECK(at == std::vector<Time>{0s, 1s, 3s, 7s, 15s, 31s});
  CHECK(w.left().engine->num_main_modes() == 0);
  w.run(10500ms);
  CHECK(at.size() == 7);  // start_action start: tried again after the restart delay
}

TEST_CASE("ike/engine: a lost answer is sent again octet for octet, and nothing is negotiated twice") {
  World w(4, starting(), {});
  std::vector<Bytes> right_sent;
  w.tap = [&](const Node& from, Bytes& octets) {
    if (from.name == "left") return true;
    right_sent.push_back(octets);
    return right_sent.size() % 2 == 0;  // every first answer is lost
  };
  w.start();
  CHECK(w.run(60s, [&] { return w.up(); }));
  for (std::size_t i = 0; i + 1 < right_sent.size(); i += 2) CHECK(right_sent[i] == right_sent[i + 1]);
  CHECK(w.right().engine->counters().main_modes == 1);
  CHECK(w.right().engine->counters().quick_modes == 1);
}

TEST_CASE("ike/engine: a wrong pre-shared key gives no SA, and the responder forgets the attempt") {
  Setup wrong;
  wrong.psk = "correct horse battery stable";
  World w(5, starting(), wrong);
  w.start();
  w.run(40s);
  CHECK(w.left().sas.empty());
  CHECK(w.right().sas.empty());
  CHECK_FALSE(has_event(w.left(), Event::Kind::kMainModeUp));
  CHECK_FALSE(has_event(w.right(), Event::Kind::kMainModeUp));
  w.run(20s);
  w.tap = [](const Node&, Bytes&) { return false; };
  w.run(120s);
  CHECK(w.right().engine->num_main_modes() == 0);
}

TEST_CASE("ike/engine: no common suite is refused without state") {
  Setup s;
  s.ike = "3des-sha1-modp2048";
  World w(6, starting(), s);
  w.start();
  w.run(1s);
  CHECK(w.right().engine->num_main_modes() == 0);
  CHECK(w.right().sent >= 1);  // NO-PROPOSAL-CHOSEN
  CHECK_FALSE(has_event(w.left(), Event::Kind::kMainModeUp));
}

TEST_CASE("ike/engine: PFS is accepted by one who does not ask for it and required by one who does") {
  Setup with, without;
  with.esp = "3des-sha1-modp1024";
  World accepted(7, starting(with), without);
  accepted.start();
  CHECK(accepted.run(5s, [&] { return accepted.up(); }));
  World refused(8, starting(without), with);
  refused.start();
  refused.run(8s);
  CHECK_FALSE(refused.up());
  CHECK(has_event(refused.left(), Event::Kind::kFailed));
  CHECK(refused.right().sas.empty());
}

TEST_CASE("ike/engine: NAT is found, the initiator moves to port 4500, the SAs are UDP-encapsulated") {
  Setup s;
  World w(9, starting(s), s, {0, 0, 0, 1ms, 1ms, true});
  w.start();
  CHECK(w.run(5s, [&] { return w.up(); }));
  for (const Node* n : {&w.left(), &w.right()})
    for (const auto& [key, held] : n->sas) CHECK(held.sa.natt.has_value());
  CHECK(w.right().sas.rbegin()->second.sa.natt->dst_port == 24500);
}

TEST_CASE("ike/engine: without NAT the SAs are plain ESP") {
  World w(10, starting(), {});
  w.start();
  CHECK(w.run(5s, [&] { return w.up(); }));
  for (const auto& [key, held] : w.left().sas) CHECK_FALSE(held.sa.natt.has_value());
}

TEST_CASE("ike/engine: shutdown removes the SAs at both ends") {
  World w(11, starting(), {});
  w.start();
  REQUIRE(w.run(5s, [&] { return w.up(); }));
  w.shutdown(w.left());
  w.run(1s);
  CHECK(w.left().sas.empty());
  CHECK(w.right().sas.empty());
  CHECK(w.left().engine->num_main_modes() == 0);
  CHECK(w.right().engine->num_main_modes() == 0);
  CHECK(w.right().engine->children().empty());
}

TEST_CASE("ike/engine: an acquire starts a negotiation once") {
  Setup s;
  s.start = "trap";
  World w(12, s, s);
  w.start();
  CHECK(w.left().sent == 0);
  for (int i = 0; i < 5; ++i) w.acquire(w.left());
  CHECK(w.run(5s, [&] { return w.up(); }));
  w.run(2s);
  CHECK(w.right().engine->counters().main_modes == 1);
  CHECK(w.right().engine->counters().quick_modes == 1);
}

TEST_CASE(
    "ike/engine: a soft expiry renews the pair under the same main mode, a hard one ends the old pair") {
  World w(13, starting(), {});
  w.start();
  REQUIRE(w.run(5s, [&] { return w.up(); }));
  const std::uint32_t old_spi = w.left().engine->children().begin()->first;
  const Bytes old_key(w.left().sas.begin()->second.sa.enc_key.reveal().begin(),
                      w.left().sas.begin()->second.sa.enc_key.reveal().end());
  w.expire(w.left(), old_spi, false);
  w.expire(w.left(), old_spi, false);
  w.run(2s);
  CHECK(w.left().engine->children().size() == 2);
  CHECK(w.right().engine->counters().main_modes == 1);
  CHECK(w.matched());
  w.expire(w.left(), old_spi, true);
  w.run(2s);
  CHECK(w.left().engine->children().size() == 1);
  CHECK(w.right().engine->children().size() == 1);
  CHECK(w.left().sas.size() == 2);
  CHECK(w.right().sas.size() == 2);
  CHECK_FALSE(std::ranges::equal(w.left().sas.begin()->second.sa.enc_key.reveal(), old_key));
}

TEST_CASE("[R112] the main mode SA ends by its lifetime with a delete, the pair stays") {
  Setup s;
  s.extra = "life_time = 100";
  World w(14, starting(s), s);
  w.start();
  REQUIRE(w.run(5s, [&] { return w.up(); }));
  w.run(90s);
  w.tap = [](const Node&, Bytes& octets) { return octets[18] != 2; };  // no other main mode comes through
  w.run(120s);
  CHECK(w.left().engine->num_main_modes() == 0);
  CHECK(w.right().engine->num_main_modes() == 0);
  CHECK(w.up());
}

TEST_CASE("ike/engine: an espd that refuses makes the negotiation fail at both ends without leftovers") {
  World w(15, starting(), {});
  w.right().espd_fails = true;
  w.start();
  w.run(90s);
  CHECK(w.left().sas.empty());
  CHECK(w.right().sas.empty());
  CHECK(has_event(w.left(), Event::Kind::kFailed));
  w.right().espd_fails = false;
  CHECK(w.run(120s, [&] { return w.up(); }));
}

TEST_CASE("ike/engine: a peer that starts afresh replaces its old SAs") {
  World w(16, starting(), {});
  w.start();
  REQUIRE(w.run(5s, [&] { return w.up(); }));
  w.left().engine =
      std::make_unique<Engine>(std::make_shared<const Config>(make_config(true, starting())), *w.left().rng);
  w.left().engine->set_wall_clock([] { return kWallClock; });
  w.left().sas.clear();
  w.start();
  CHECK(w.run(5s, [&] { return w.up(); }));
  w.run(1s);
  CHECK(w.right().engine->children().size() == 1);
  CHECK(w.right().engine->num_main_modes() == 1);
  CHECK(w.right().sas.size() == 2);
}
