// Dead peer detection, RFC 3706.
#include "dress.h"

using namespace esplanade;
using namespace esplanade::ike;
using namespace esplanade::ike::test;
using namespace std::chrono_literals;

namespace {

Setup watched(const char* action = "clear", const char* start = "start") {
  Setup s = fast();
  s.start = start;
  s.extra = "dpd_delay = 10\ndpd_timeout = 40\n";
  s.child_extra = std::string("dpd_action = \"") + action + "\"\n";
  return s;
}
// The node's espd says that the newest SA of one direction carried another packet.
void carry(Node& n, bool outbound) {
  HeldSa* newest = nullptr;
  for (auto& [key, held] : n.sas)
    if (key.first == outbound) newest = &held;  // SPIs ascend
  if (newest != nullptr) ++newest->packets;
}
std::uint64_t probes(const Node& n) { return n.engine->counters().dpd_probes; }

}  // namespace

TEST_CASE("ike/dpd: a peer that answers is asked only while packets go to it and none come back") {
  World w(1, watched(), watched("clear", "none"));
  w.start();
  REQUIRE(w.run(5s, [&] { return w.up(); }));
  w.run(60s);
  CHECK(probes(w.left()) == 0);  // no traffic: nothing to be sure of
  for (int i = 0; i < 6; ++i) {
    carry(w.left(), true);
    carry(w.left(), false);
    w.run(10s);
  }
  CHECK(probes(w.left()) == 0);  // packets come back: proof enough
  for (int i = 0; i < 6; ++i) {
    carry(w.left(), true);
    w.run(10s);
  }
  CHECK(probes(w.left()) >= 2);
  CHECK(w.left().engine->counters().dead_peers == 0);
  CHECK(w.up());
}

TEST_CASE("ike/dpd: a dead peer's SAs go; clear leaves it at that, restart negotiates at once") {
  for (const char* action : {"clear", "restart"}) {
    CAPTURE(action);
    const bool restart = std::string(action) == "restart";
    World w(2, watched(action, restart ? "start" : "trap"), watched("clear", "none"));
    w.start();
    w.acquire(w.left());
    REQUIRE(w.run(5s, [&] { return w.up(); }));
    std::uint64_t sent_dead = 0;
    w.tap = [&](const Node& from, Bytes&) {
      sent_dead += from.name == "left" ? 1 : 0;
      return false;
    };
    carry(w.left(), true);
    w.run(75s);
    CHECK(w.left().engine->counters().dead_peers == 1);
    CHECK(w.left().sas.empty());
    CHECK(w.left().engine->children().empty());
    CHECK((w.left().engine->num_main_modes() == 1) == restart);
    w.tap = nullptr;
    if (restart) {
      CHECK(w.run(60s, [&] { return w.newest_up(); }));
    } else {
      w.run(60s);
      CHECK(w.left().sas.empty());
      w.acquire(w.left());
      CHECK(w.run(5s, [&] { return w.newest_up(); }));
    }
  }
}

TEST_CASE("ike/dpd: with delay 0 nothing is asked; a peer without the vendor ID is asked by a quick mode") {
  Setup off = watched();
  off.extra = "dpd_delay = 0\n";
  World w(3, off, watched("clear", "none"));
  w.start();
  REQUIRE(w.run(5s, [&] { return w.up(); }));
  w.tap = [](const Node&, Bytes&) { return false; };
  carry(w.left(), true);
  w.run(300s);
  CHECK(probes(w.left()) == 0);
  CHECK(!w.left().sas.empty());

  World v(4, watched(), watched("clear", "none"));
  v.start();
  REQUIRE(v.run(5s, [&] { return v.up(); }));
  mm_of(v.left()).peer_dpd = false;
  v.tap = [](const Node&, Bytes&) { return false; };
  for (int i = 0; i < 30; ++i) {
    carry(v.left(), true);
    v.run(10s);
  }
  CHECK(probes(v.left()) == 0);
  CHECK(v.left().engine->counters().one_way_renewed >= 1);
  CHECK(v.left().engine->counters().dead_peers == 1);
}

TEST_CASE("ike/dpd: R-U-THERE is answered with its number; an older one, foreign cookies and bad lengths are not") {
  World w(5, watched(), watched("clear", "none"));
  w.start();
  REQUIRE(w.run(5s, [&] { return w.up(); }));
  w.run(1s);
  std::vector<std::uint32_t> answers;
  w.tap = [&](const Node& from, Bytes& octets) {
    if (from.name == "right") {
      MmSa& mm = mm_of(w.left());
      const auto h = parse_header(octets);
      auto opened = open(mm.keys, mm.suite.encryption, phase2_iv(mm.suite.hash, mm.iv, h->message_id), *h, octets);
      REQUIRE(opened);
      auto n = parse_notify(opened->payloads[1].body);
      REQUIRE(n);
      CHECK(n->type == 36137);
      answers.push_back(load_be32(n->data.data()));
    }
    return true;
  };
  MmSa& mm = mm_of(w.left());
  std::uint32_t id = 0x5000;
  auto ask = [&](const ChainBuilder& content) {
    w.inject(w.right(), phase2(mm, Exchange::kInformational, ++id, content));
  };
  ask(dpd_notify(mm, NotifyType::kRUThere, 100));
  ask(dpd_notify(mm, NotifyType::kRUThere, 100));  // sent again: its answer was lost
  ask(dpd_notify(mm, NotifyType::kRUThere, 101));
  ask(dpd_notify(mm, NotifyType::kRUThere, 99));  // stale
  MmSa foreign;
  foreign.cookies.first[0] = 1;
  ask(dpd_notify(foreign, NotifyType::kRUThere, 200));
  Notify shorter;
  shorter.protocol = 1;
  shorter.type = 36136;
  put(shorter.spi, mm.cookies.first);
  put(shorter.spi, mm.cookies.second);
  shorter.data = {0, 0, 1};
  ask(one(PayloadType::kNotify, build_notify(shorter)));
  w.run(1s);
  CHECK(answers == std::vector<std::uint32_t>{100, 100, 101});
  CHECK(w.right().engine->counters().unexpected == 3);
}

TEST_CASE("ike/dpd: an ACK with another number proves nothing, a replayed one neither: the peer is dead in the end") {
  World w(6, watched(), watched("clear", "none"));
  w.start();
  REQUIRE(w.run(5s, [&] { return w.up(); }));
  w.run(1s);
  MmSa& mm = mm_of(w.right());
  std::uint32_t id = 0x6000;
  Bytes true_ack;
  bool forging = true;
  w.tap = [&](const Node& from, Bytes& octets) {
    if (from.name == "right" && true_ack.empty()) {
      true_ack = octets;
      return true;
    }
    if (from.name == "right" && forging) {
      w.inject(w.left(), true_ack);
      w.inject(w.left(), phase2(mm, Exchange::kInformational, ++id, dpd_notify(mm, NotifyType::kRUThereAck, 12345)));
    }
    return from.name == "left";
  };
  for (int i = 0; i < 12 && w.left().engine->counters().dead_peers == 0; ++i) {
    carry(w.left(), true);
    w.run(10s);
  }
  CHECK(!true_ack.empty());
  CHECK(probes(w.left()) >= 3);
  CHECK(w.left().engine->counters().dead_peers == 1);
}

TEST_CASE("ike/dpd: a pair that the living peer has lost is renewed, then once under a new main mode, and not for ever") {
  World w(7, watched(), watched("clear", "none"));
  w.start();
  REQUIRE(w.run(5s, [&] { return w.up(); }));
  w.run(1s);
  // The right side's pair goes and its delete is lost.
  w.tap = [](const Node& from, Bytes&) { return from.name == "left"; };
  w.expire(w.right(), w.right().engine->children().begin()->first, true);
  w.run(1s);
  w.tap = nullptr;
  CHECK(!w.newest_up());
  const std::uint32_t lost = w.left().engine->children().begin()->first;
  for (int i = 0; i < 6; ++i) {
    carry(w.left(), true);
    w.run(10s);
  }
  CHECK(w.left().engine->counters().one_way_renewed == 1);
  CHECK(w.newest_up());
  // The lost one is not kept for long, or traffic would go there once the peer deletes the others.
  w.run(20s);
  CHECK(!w.left().engine->children().contains(lost));
  CHECK(w.left().engine->children().size() == 1);
  for (int i = 0; i < 60; ++i) {
    carry(w.left(), true);
    w.run(10s);
  }
  CHECK(w.newest_up());
  CHECK(w.left().engine->counters().dead_peers == 0);
  CHECK(w.left().engine->counters().one_way_renewed == 2);
}
