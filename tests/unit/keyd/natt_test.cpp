// NAT traversal: drafts, keepalives, and peers that move.
#include "dress.h"

using namespace esplanade;
using namespace esplanade::ike;
using namespace esplanade::ike::test;
using namespace std::chrono_literals;

namespace {

LinkSettings nat() {
  LinkSettings link;
  link.fake_nat = true;
  return link;
}
// Makes a side show other vendor IDs than it has.
void hide(Bytes& octets, std::initializer_list<Vendor> vendors) {
  for (Vendor v : vendors) {
    const ByteView id = vendor_id(v);
    auto at = std::ranges::search(octets, id);
    if (!at.empty()) at.front() ^= 0xff;
  }
}

}  // namespace

TEST_CASE("ike/natt: peers that know only draft 02 or 03 use payload 130 and the drafts' encapsulation mode") {
  for (Vendor known : {Vendor::kNattDraft02n, Vendor::kNattDraft03}) {
    World w(1, fast_start(), fast(), nat());
    std::size_t with_130 = 0, with_20 = 0;
    w.tap = [&](const Node&, Bytes& octets) {
      const auto h = parse_header(octets);
      if (h->exchange != Exchange::kMainMode || h->encrypted()) return true;
      if (octets.size() > 28 && h->next == PayloadType::kSa)
        hide(octets, known == Vendor::kNattDraft03 ? std::initializer_list<Vendor>{Vendor::kRfc3947}
                                                   : std::initializer_list<Vendor>{Vendor::kRfc3947, Vendor::kNattDraft03});
      auto payloads = split_payloads(h->next, ByteView(octets).subspan(kHeaderLen), false);
      with_130 += count(*payloads, PayloadType::kNatDDraft);
      with_20 += count(*payloads, PayloadType::kNatD);
      return true;
    };
    w.start();
    CHECK(w.run(5s, [&] { return w.up(); }));
    CHECK(with_130 == 4);
    CHECK(with_20 == 0);
    CHECK(mm_of(w.left()).encap() == Encap::kUdpDraft);
    for (const auto& [key, held] : w.left().sas) CHECK(held.sa.natt.has_value());
  }
  const auto config = make_config(true, {});
  const auto offer = qm_offer(config.connections.front()->children.front(), {0x1000, 0}, Encap::kUdpDraft, 0);
  CHECK(load_be16(offer.front().transforms.front().attributes.front().value.data()) == 61443);
}

TEST_CASE("ike/natt: a NAT that was only forged into message 3 keeps AH away for a minute or so, not for the life of main mode") {
  Setup s = fast();
  s.esp = "";
  s.child_extra = "ah_proposals = \"sha1\"\n";
  Setup l = s;
  l.start = "trap";
  World w(3, l, s);
  bool forge = true;
  w.tap = [&](const Node&, Bytes& octets) {
    const auto h = parse_header(octets);
    if (!forge || h->exchange != Exchange::kMainMode || h->encrypted() || h->next != PayloadType::kKe) return true;
    octets.back() ^= 1;  // the last NAT-D
    return true;
  };
  w.start();
  w.acquire(w.left());
  w.run(5s);
  CHECK(mm_of(w.left()).nat());
  CHECK(w.left().sas.empty());
  forge = false;
  const auto before = w.left().engine->counters().main_modes;
  w.run(50s);
  w.acquire(w.left());
  CHECK(w.left().engine->counters().main_modes == before);  // where there is a NAT, traffic may not ask so often
  w.run(10s);
  w.acquire(w.left());
  CHECK(w.run(5s, [&] { return w.up(); }));
}

TEST_CASE("ike/natt: a responder takes message 1 on port 4500") {
  World w(2, {}, fast());
  w.inject(w.right(), message1(7), 4500);
  CHECK(w.right().engine->num_main_modes() == 1);
  CHECK(w.right().sent == 1);
}

TEST_CASE("ike/natt: keepalives come from the side behind NAT alone, and only when it is silent") {
  World w(3, fast_start(), fast(), nat());
  w.start();
  REQUIRE(w.run(5s, [&] { return w.up(); }));
  const Time up = w.now();
  w.run(95s);
  CHECK(w.right().keepalives.empty());
  CHECK(w.left().keepalives.size() == 4);
  CHECK(w.left().keepalives.front() >= up + 19s);
  w.left().keepalives.clear();
  MmSa& mm = mm_of(w.right());
  for (std::uint32_t i = 0; i < 20; ++i) {  // each of these makes the left side answer
    w.inject(w.left(), phase2(mm, Exchange::kInformational, 0x7000 + i, dpd_notify(mm, NotifyType::kRUThere, i)), 4500);
    w.run(10s);
  }
  CHECK(w.left().keepalives.empty());
}

TEST_CASE("ike/natt: a peer whose port changes is followed by its next authentic message, and its SAs move") {
  World w(4, fast_start(), fast(), nat());
  w.start();
  REQUIRE(w.run(5s, [&] { return w.up(); }));
  w.run(1s);
  CHECK(w.right().sas.rbegin()->second.sa.natt->dst_port == 24500);
  w.link().nat_shift = 30000;
  MmSa& left = mm_of(w.left());
  MmSa& right = mm_of(w.right());
  const Path from_new{{w.right().address, 4500}, {w.left().address, 34500}};
  auto send_by = [&](const Path& path, const Bytes& octets) {
    w.right().engine->on_datagram(path, octets, w.now());
    w.expire(w.right(), 1, false);  // of no SA: lets the engine's outputs out
  };
  auto send = [&](const Bytes& octets) { send_by(from_new, octets); };
  // Not on garbage, not on a wrong hash, not on a replay.
  Bytes old = phase2(left, Exchange::kInformational, 0x8000, dpd_notify(left, NotifyType::kRUThere, 5));
  w.inject(w.right(), old, 4500);
  CHECK(right.path.remote.port == 4500);  // inject() comes from the bare port
  send_by({{w.right().address, 4500}, {w.left().address, 24500}},
          phase2(left, Exchange::kInformational, 0x8001, dpd_notify(left, NotifyType::kRUThere, 6)));
  CHECK(right.path.remote.port == 24500);
  send(Bytes(100, 1));
  send(phase2(left, Exchange::kInformational, 0x8002, dpd_notify(left, NotifyType::kRUThere, 7), true));
  send(old);
  CHECK(right.path.remote.port == 24500);
  CHECK(w.right().sas.rbegin()->second.sa.natt->dst_port == 24500);
  send(phase2(left, Exchange::kInformational, 0x8003, dpd_notify(left, NotifyType::kRUThere, 8)));
  w.run(1s);
  CHECK(right.path.remote.port == 34500);
  w.expire(w.left(), w.left().engine->children().begin()->first, false);  // and what follows goes there
  w.run(2s);
  CHECK(w.left().engine->children().size() == 2);
  for (const auto& [key, held] : w.right().sas)
    CHECK((key.first ? held.sa.natt->dst_port : held.sa.natt->src_port) == 34500);
}

TEST_CASE("ike/natt: an address is followed only where the configuration takes any") {
  for (const bool any : {false, true}) {
    CAPTURE(any);
    Setup r = fast();
    r.any = any;
    World w(5, fast_start(), r, nat());
    w.start();
    REQUIRE(w.run(5s, [&] { return w.up(); }));
    w.run(1s);
    MmSa& left = mm_of(w.left());
    const Path from_new{{w.right().address, 4500}, {address("198.51.100.9"), 4500}};
    w.right().engine->on_datagram(
        from_new, phase2(left, Exchange::kInformational, 0x9000, dpd_notify(left, NotifyType::kRUThere, 5)), w.now());
    w.expire(w.right(), 1, false);  // of no SA: lets the engine's outputs out
    w.run(1s);
    CHECK((mm_of(w.right()).path.remote.address == address("198.51.100.9")) == any);
    for (const auto& [key, held] : w.right().sas)
      CHECK(((key.first ? held.sa.dst : held.sa.src) == address("198.51.100.9")) == any);
  }
}

TEST_CASE("ike/natt: where the ends disagree over the NAT, the port of message 5 decides") {
  for (int which : {0, 1}) {
    World w(6, fast_start(), fast());
    int seen = 0;
    w.tap = [&](const Node& from, Bytes& octets) {
      const auto h = parse_header(octets);
      if (h->exchange == Exchange::kMainMode && h->next == PayloadType::kKe && from.name == (which == 0 ? "left" : "right")) {
        octets.back() ^= 1;  // the last NAT-D payload, which no hash covers
        ++seen;
      }
      return true;
    };
    w.start();
    CHECK(w.run(5s, [&] { return w.up(); }));
    CHECK(seen == 1);
  }
}
