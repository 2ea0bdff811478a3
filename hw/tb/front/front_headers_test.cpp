// The front on headers that are wrong in every way: each length one less and one more, cut at every octet, octets changed.
#include <doctest/doctest.h>

#include "hw/tb/front/front_make.h"

using namespace esplanade;
using namespace esplanade::tb;

namespace {

struct Base {
  std::string name;
  esp::SaParams sa;
  Bytes packet;
  bool encap;
};

/// One packet of each shape, both directions.
std::vector<Base> bases(Random& random) {
  std::vector<Base> out;
  for (const int version : {4, 6}) {
    for (const bool ah : {false, true}) {
      for (const bool transport : {false, true}) {
        for (const bool extra : {false, true}) {
          for (const bool natt : {false, true}) {
            if (natt && (ah || version == 6)) continue;
            if (extra && !transport && !natt) continue;
            const auto sa = make_sa(random, ah, transport, version, natt, esp::Cipher::kTripleDesCbc, esp::Auth::kHmacSha1_96);
            Bytes more;
            Byte first = 0;
            if (extra && version == 4) more = {7, 7, 4, 1, 2, 3, 4, 1};
            if (extra && version == 6) {
              more = {60, 0, 1, 4, 0, 0, 0, 0, 6, 1, 0x3e, 8, 9, 9, 9, 9, 9, 9, 9, 9, 0, 1, 0, 0};
            }
            const Bytes plain = make_plain(random, version, 40 + more.size() + 41, 6, more, first);
            auto soft = esp::SoftSa::create(copy(sa));
            REQUIRE(soft);
            const auto made = soft->encap(plain, std::array<Byte, 8>{});
            REQUIRE(made);
            const std::string name = std::string(ah ? "AH" : natt ? "UDP" : "ESP") + (transport ? " transport" : " tunnel") +
                                     (version == 4 ? " IPv4" : " IPv6") + (extra ? " extra" : "");
            out.push_back({name + " encap", copy(sa), plain, true});
            out.push_back({name + " decap", copy(sa), made->packet, false});
          }
        }
      }
    }
  }
  return out;
}

class Cases {
 public:
  explicit Cases(Random& random) : random_(random) {}
  void add(const Base& b, const Bytes& packet, const std::string& what) {
    if (packet.size() < 20) return;  // refused before the front
    Packet p = b.encap ? encap_packet(copy(b.sa), packet, {}, random_) : decap_packet(copy(b.sa), packet, random_);
    p.name = b.name + ": " + what;
    ++seen[p.expected.run ? 0 : p.expected.status];
    packets_.push_back(std::move(p));
  }
  void run() {
    Front front(random_);
    front.run(packets_, {.source = 5, .lookup = 5, .slots = 5, .sa_latency = 6});
  }
  std::map<unsigned, std::size_t> seen;

 private:
  Random& random_;
  std::vector<Packet> packets_;
};

void fix_checksum(Bytes& p) {
  const std::size_t header = std::size_t{p[0] & 15u} * 4;
  if (p[0] >> 4 == 4 && header >= 20 && header <= p.size()) store_be16(&p[10], esp::ipv4_checksum(ByteView(p).first(header)));
}

}  // namespace

TEST_CASE("front/headers: a packet cut at any octet, with and without lengths put right") {
  Random random(11);
  Cases cases(random);
  for (const Base& b : bases(random)) {
    for (std::size_t n = 20; n <= b.packet.size(); ++n) {
      Bytes cut(b.packet.begin(), b.packet.begin() + static_cast<std::ptrdiff_t>(n));
      cases.add(b, cut, "cut at " + std::to_string(n));
      if (b.packet[0] >> 4 == 4 || n >= 40) {
        set_lengths(cut);
        cases.add(b, cut, "cut at " + std::to_string(n) + ", lengths right");
      }
    }
  }
  CHECK(cases.seen[kBadHeader] > 100);
  CHECK(cases.seen[kBadEspLength] > 100);
  CHECK(cases.seen[kOk] > 100);
  cases.run();
}

TEST_CASE("front/headers: every octet of the headers changed, with and without the checksum put right") {
  Random random(12);
  Cases cases(random);
  for (const Base& b : bases(random)) {
    for (std::size_t at = 0; at < std::min<std::size_t>(b.packet.size(), 100); ++at) {
      for (const int change : {1, -1, 0x10, 0x80, 0}) {
        Bytes p = b.packet;
        p[at] = static_cast<Byte>(change == 0 ? random.bits() : p[at] + change);
        const std::string what = "octet " + std::to_string(at) + " is " + std::to_string(p[at]);
        cases.add(b, p, what);
        fix_checksum(p);
        cases.add(b, p, what + ", checksum right");
      }
    }
  }
  for (const unsigned status : {kOk, kNoSa, kBadHeader, kFragment, kWrongProtocol, kBadEspLength}) {
    CAPTURE(status);
    CHECK(cases.seen[status] > 3);
  }
  cases.run();
}

TEST_CASE("front/headers: UDP lengths, keepalives and IKE beside ESP in UDP") {
  Random random(13);
  Cases cases(random);
  for (const Base& b : bases(random)) {
    if (b.encap || !b.sa.natt) continue;
    const std::size_t udp = std::size_t{b.packet[0] & 15u} * 4;
    for (std::size_t len = 0; len <= b.packet.size() - udp + 3; ++len) {
      Bytes p = b.packet;
      store_be16(&p[udp + 4], static_cast<std::uint16_t>(len));
      cases.add(b, p, "UDP length " + std::to_string(len));
    }
    for (std::size_t n = udp; n < udp + 24; ++n) {
      Bytes p(b.packet.begin(), b.packet.begin() + static_cast<std::ptrdiff_t>(n));
      set_lengths(p);
      if (n >= udp + 8) store_be16(&p[udp + 4], static_cast<std::uint16_t>(n - udp));
      cases.add(b, p, "datagram of " + std::to_string(n - udp));
    }
    Bytes ike = b.packet;
    store_be32(&ike[udp + 8], 0);
    cases.add(b, ike, "IKE");
  }
  CHECK(cases.seen[kWrongProtocol] > 3);
  cases.run();
}

TEST_CASE("front/headers: what a tunnel with AH holds is judged by next header, family, version and lengths") {
  Random random(14);
  Cases cases(random);
  std::map<unsigned, int> verdicts;
  for (const int outer : {4, 6}) {
    for (int i = 0; i < 300; ++i) {
      // A transport SA protects anything: it makes what a tunnel SA then has to refuse.
      auto sa = make_sa(random, true, true, outer, false, esp::Cipher::kNull, esp::Auth::kHmacSha1_96);
      const int inner = random.percent(50) ? 4 : 6;
      Bytes in = make_plain(random, inner, 40 + random.between(0, 30));
      const auto next = static_cast<Byte>(random.percent(70) ? (inner == 4 ? 4 : 41) : random.percent(50) ? 4 : random.percent(50) ? 41 : 17);
      if (random.percent(30)) in[0] = static_cast<Byte>(random.bits());
      if (random.percent(30)) {
        const std::size_t at = inner == 4 ? 2 : 4;
        store_be16(&in[at], static_cast<std::uint16_t>(load_be16(&in[at]) + random.between(0, 2) - 1));
      }
      if (random.percent(20)) in.resize(random.between(0, 40));
      Bytes plain = make_plain(random, outer, (outer == 4 ? 20 : 40) + in.size(), next);
      std::ranges::copy(in, plain.begin() + (outer == 4 ? 20 : 40));
      auto soft = esp::SoftSa::create(copy(sa));
      REQUIRE(soft);
      const auto made = soft->encap(plain);
      if (!made) continue;
      sa.mode = esp::Mode::kTunnel;
      sa.inner_v4 = random.percent(90);
      sa.inner_v6 = random.percent(90);
      ++verdicts[decap_packet(copy(sa), made->packet, random).expected.ah_status];
      cases.add({"AH tunnel", copy(sa), made->packet, false}, made->packet, "inner " + std::to_string(i));
    }
  }
  CHECK(verdicts[kOk] > 30);
  CHECK(verdicts[kBadInner] > 30);
  CHECK(verdicts[kBadNextHeader] > 10);
  cases.run();
}

TEST_CASE("front/headers: IPv6 chains up to and over the octets looked at") {
  Random random(15);
  Cases cases(random);
  for (const bool ah : {false, true}) {
    for (std::size_t words = 1; words <= 14; ++words) {
      const auto sa = make_sa(random, ah, true, 6, false, esp::Cipher::kDesCbc, esp::Auth::kHmacSha1_96);
      Bytes extra(8 * words);
      extra[0] = 6;
      extra[1] = static_cast<Byte>(words - 1);
      const Bytes plain = make_plain(random, 6, 40 + extra.size() + 50, 6, extra, 60);
      const std::string what = std::to_string(8 * words) + " octets of options";
      cases.add({"transport", copy(sa), plain, true}, plain, what);
      auto soft = esp::SoftSa::create(copy(sa));
      REQUIRE(soft);
      const auto made = soft->encap(plain, std::array<Byte, 8>{});
      REQUIRE(made);
      cases.add({"transport", copy(sa), made->packet, false}, made->packet, what);
    }
  }
  CHECK(cases.seen[kUnsupported] > 4);
  cases.run();
}
