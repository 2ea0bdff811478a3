// IKE fragments of Microsoft and Cisco.
#include "dress.h"
#include "keyd/exchange/fragment.h"

using namespace esplanade;
using namespace esplanade::ike;
using namespace esplanade::ike::test;
using namespace std::chrono_literals;

namespace {

Setup cutting() {
  Setup s = fast();
  s.esp = "3des-sha1-modp768";
  s.ike_table = "fragment_size = 256\n";
  s.local = "id = \"" + std::string(200, 'a') + "\"\n";
  return s;
}
Setup cutting_start() {
  Setup s = cutting();
  s.start = "start";
  return s;
}
bool is_fragment(const Bytes& octets) { return octets[16] == 132; }

Bytes message(std::size_t len) {
  Header h;
  h.cky_i.fill(1);
  h.cky_r.fill(2);
  h.exchange = Exchange::kMainMode;
  h.next = PayloadType::kId;
  h.flags = kFlagEncryption;
  h.length = static_cast<std::uint32_t>(len);
  Bytes out;
  put_header(out, h);
  while (out.size() < len) out.push_back(static_cast<Byte>(out.size() * 7));
  return out;
}
struct Piece {
  Header header;
  Fragment fragment;
};
Piece piece(const Bytes& datagram) {
  auto h = parse_header(datagram);
  REQUIRE(h);
  CHECK(h->next == PayloadType::kFragment);
  CHECK_FALSE(h->encrypted());
  auto f = parse_fragment(ByteView(datagram).subspan(kHeaderLen));
  REQUIRE(f);
  return {*h, *f};
}
using Taken = Reassembly::Taken;

}  // namespace

TEST_CASE("ike/fragment: what is cut at any size is put together again in any order, octet for octet") {
  const std::uint64_t seed = base_seed(77);
  CAPTURE(seed);
  std::mt19937_64 gen(seed);
  for (std::size_t len : {60u, 100u, 500u, 1300u, 4000u})
    for (std::size_t most : {64u, 200u, 548u, 1252u}) {
      CAPTURE(len);
      CAPTURE(most);
      const Bytes whole = message(len);
      auto pieces = cut_message(whole, most, 9);
      const std::size_t want = (len + most - 37) / (most - 36);
      REQUIRE(pieces.size() == want);
      for (const Bytes& p : pieces) CHECK(p.size() <= most);
      if (want > 64) continue;
      IkeLimits limits;
      Reassembly r(limits);
      std::shuffle(pieces.begin(), pieces.end(), gen);
      for (std::size_t i = 0; i < pieces.size(); ++i) {
        const Piece p = piece(pieces[i]);
        auto got = r.add(1, p.header, p.fragment, 0ms);
        CHECK(got.taken == (i + 1 == pieces.size() ? Taken::kWhole : Taken::kKept));
        if (got.taken == Taken::kWhole) CHECK(got.message == whole);
        if (i + 1 < pieces.size()) CHECK(r.add(1, p.header, p.fragment, 0ms).taken == Taken::kDuplicate);
      }
      CHECK(r.messages() == 0);
      CHECK(r.octets() == 0);
    }
  CHECK(cut_message(message(60000), 64, 1).empty());  // more than 255 pieces
}

TEST_CASE("ike/fragment: malformed fragments do not parse") {
  const Bytes good = cut_message(message(60), 100, 1).front();
  const ByteView body = ByteView(good).subspan(kHeaderLen);
  REQUIRE(parse_fragment(body));
  for (std::size_t n = 0; n < body.size(); ++n) CHECK_FALSE(parse_fragment(body.first(n)));
  Bytes bad(body.begin(), body.end());
  bad[6] = 0;  // number
  CHECK_FALSE(parse_fragment(bad));
  bad[6] = 1;
  bad[7] = 2;  // unknown flag
  CHECK_FALSE(parse_fragment(bad));
  bad[7] = 1;
  bad[0] = 8;  // a payload follows
  CHECK_FALSE(parse_fragment(bad));
  Bytes empty{0, 0, 0, 8, 0, 1, 1, 1};
  CHECK_FALSE(parse_fragment(empty));
}

TEST_CASE("ike/fragment: a second last piece, a number above the last and too much are refused; time frees") {
  IkeLimits limits;
  limits.fragments_per_message_max = 8;
  limits.fragment_message_max = 1000;
  limits.fragment_messages_per_peer_max = 2;
  limits.fragment_octets_max = 3000;
  Reassembly r(limits);
  const Bytes data(100, 7);
  Header h;
  h.exchange = Exchange::kMainMode;
  auto add = [&](std::uint8_t number, bool last, std::uint16_t id = 1, std::uint64_t owner = 1, std::size_t len = 100,
                 Time now = 0ms) {
    const Bytes octets(len, 7);
    return r.add(owner, h, Fragment{id, number, last, octets}, now).taken;
  };
  CHECK(add(4, true) == Taken::kKept);
  CHECK(add(3, true) == Taken::kRefused);
  CHECK(add(5, false) == Taken::kRefused);
  CHECK(add(5, true) == Taken::kRefused);
  CHECK(add(4, true) == Taken::kDuplicate);
  CHECK(add(1, false) == Taken::kKept);
  CHECK(add(2, false) == Taken::kKept);
  CHECK(add(3, false) == Taken::kWhole);
  CHECK(add(3, false, 2) == Taken::kKept);
  CHECK(add(2, true, 2) == Taken::kRefused);  // last, but a higher number is there
  CHECK(add(9, false, 2) == Taken::kRefused);
  CHECK(add(1, false, 2, 1, 901) == Taken::kRefused);
  CHECK(add(1, false, 3, 1, 1001) == Taken::kRefused);
  CHECK(r.octets() == 100);
  // A peer's oldest message gives way to its newest, and not another peer's.
  CHECK(add(1, false, 1, 2) == Taken::kKept);
  for (std::uint16_t id = 10; id < 40; ++id) CHECK(add(1, false, id) == Taken::kKept);
  CHECK(r.messages() <= 4);
  CHECK(add(2, true, 1, 2) == Taken::kWhole);
  // In all, too: no more octets than allowed, whoever sends.
  for (std::uint64_t owner = 10; owner < 60; ++owner) {
    CHECK(add(1, false, 1, owner, 900) == Taken::kKept);
    CHECK(r.octets() <= 3000);
  }
  REQUIRE(r.next());
  CHECK(*r.next() == 70s);
  r.sweep(69999ms);
  CHECK(r.messages() > 0);
  r.sweep(70s);
  CHECK(r.messages() == 0);
  CHECK(r.octets() == 0);
}

TEST_CASE("ike/fragment: long messages with an identity travel in pieces to a peer that takes them, over a bad link too") {
  for (const bool bad : {false, true}) {
    World w(base_seed(81), cutting_start(), cutting(), bad ? LinkSettings{0.2, 0.2, 0, 1ms, 300ms, false} : LinkSettings{});
    std::size_t pieces = 0, too_long = 0;
    w.tap = [&](const Node&, Bytes& octets) {
      pieces += is_fragment(octets) ? 1 : 0;
      too_long += octets.size() > 228 && (octets[19] & kFlagEncryption) != 0 ? 1 : 0;
      return true;
    };
    w.start();
    CHECK(w.run(600s, [&] { return w.newest_up(); }));
    CHECK(pieces >= 8);  // messages 5 and 6, quick mode 1 and 2
    CHECK(too_long == 0);
    CHECK(w.left().engine->counters().fragmented_sent >= 2);
    w.run(100s);
    CHECK(w.left().engine->sizes().fragment_messages == 0);
  }
}

TEST_CASE("ike/fragment: whole messages go to a peer without the vendor ID, and to Microsoft's at first") {
  for (const bool microsoft : {false, true}) {
    CAPTURE(microsoft);
    World w(82, cutting_start(), cutting());
    std::vector<bool> encrypted_whole;
    std::size_t pieces = 0;
    w.tap = [&](const Node& from, Bytes& octets) {
      if (from.name != "left") return true;
      MmSa& mm = mm_of(w.left());
      mm.peer_microsoft = microsoft;
      if (!microsoft) mm.peer_fragments = false;
      pieces += is_fragment(octets) ? 1 : 0;
      // As if whole datagrams of this length never arrived.
      return octets.size() <= 228 || (octets[19] & kFlagEncryption) == 0;
    };
    w.start();
    w.run(20s);
    CHECK(w.newest_up() == microsoft);
    CHECK((pieces > 0) == microsoft);
  }
}

TEST_CASE("ike/fragment: a flood of fragments takes bounded memory and does not stop the negotiation") {
  World w(83, cutting_start(), cutting());
  std::mt19937_64 gen(base_seed(84));
  std::uint64_t flood = 0;
  w.tap = [&](const Node& from, Bytes& octets) {
    if (from.name == "left" && is_fragment(octets) && flood < 4000) {
      const auto h = parse_header(octets);
      for (int i = 0; i < 1000; ++i, ++flood) {
        Bytes body;
        put_be16(body, static_cast<std::uint16_t>(1000 + gen() % 5000));  // an attacker who sees ids can do worse
        body.push_back(static_cast<Byte>(1 + gen() % 60));
        body.push_back(0);
        body.resize(1000, 1);
        Header forged = *h;
        w.inject(w.right(), clear_message(forged, one(PayloadType::kFragment, body)));
        forged.cky_r[0] ^= 1;  // unknown cookies: nothing is kept at all
        w.inject(w.right(), clear_message(forged, one(PayloadType::kFragment, body)));
        const auto s = w.right().engine->sizes();
        if (s.fragment_messages > 5 || s.fragment_octets > 5u * 65535u) FAIL("unbounded");
      }
    }
    return true;
  };
  w.start();
  CHECK(w.run(60s, [&] { return w.up(); }));
  CHECK(flood >= 4000);
  CHECK(w.right().engine->counters().unknown_sa >= 4000);
  w.run(80s);
  CHECK(w.right().engine->sizes().fragment_messages == 0);
  CHECK(w.right().engine->counters().fragments_expired > 0);
}
