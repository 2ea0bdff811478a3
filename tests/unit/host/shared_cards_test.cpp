// Several cards that share the SAs: who carries what, what a loss moves, and that no number is used twice nor accepted twice, whatever happens in whatever order.
#include <algorithm>
#include <functional>
#include <random>
#include <thread>

#include "common/esp/engine.h"
#include "common/testing/seed.h"
#include "tests/unit/host/mortal_backend.h"

using namespace esplanade;
using namespace esplanade::host;

namespace {

const std::vector<std::string> kFour{"a", "b", "c", "d"};
constexpr std::chrono::milliseconds kNow{0};  // do not wait

esp::SaParams of_policy(bool outbound, std::uint32_t spi, std::uint32_t reqid) {
  esp::SaParams sa = sa_params(outbound, spi);
  sa.reqid = reqid;
  return sa;
}

/// A policy with both its SAs, and the peer's end of them.
struct Tunnel {
  std::uint32_t reqid;
  SaHandle out, in;
  std::uint32_t spi_in;
  esp::SoftSa peer_in, peer_out;
  std::set<std::uint64_t> sent, accepted;

  /// Nothing where no card is left.
  static std::optional<Tunnel> try_make(Backend& backend, std::uint32_t reqid) {
    const std::uint32_t far = 0x10000 + reqid;
    const auto spi = backend.allocate_spi(reqid);
    if (!spi) return std::nullopt;
    const auto in = backend.install(of_policy(false, *spi, reqid));
    if (!in) backend.release_spi(*spi);
    const auto out = in ? backend.install(of_policy(true, far, reqid)) : in;
    if (in && !out) CHECK((backend.remove(*in) || backend.name() == "none"));
    if (!out) return std::nullopt;
    return Tunnel{reqid, *out, *in, *spi, esp::SoftSa::create(sa_params(false, far)).value(), esp::SoftSa::create(sa_params(true, *spi)).value(), {}, {}};
  }
  static Tunnel make(Backend& backend, std::uint32_t reqid) { return std::move(try_make(backend, reqid)).value(); }
};

Status keep_trying(const std::function<Status()>& submit) {
  Status handed = submit();
  for (int i = 0; i < 10 && !handed && handed.error().code == Errc::kRingFull; ++i) handed = submit();
  return handed;
}

std::vector<std::size_t> sas_of(Backend& backend) {
  std::vector<std::size_t> out;
  for (const CardView& c : backend.cards()) out.push_back(c.sas);
  return out;
}

/// One packet each way through each tunnel; all must arrive.
void all_work(Bench& b, std::vector<Tunnel>& tunnels) {
  for (Tunnel& t : tunnels) {
    CAPTURE(t.reqid);
    CHECK(keep_trying([&] { return b.backend->submit_encap(t.out, packet(), 0); }));
    const auto went = b.poll();
    REQUIRE(went.size() == 1);
    REQUIRE(went[0].status == card::Status::kOk);
    CHECK(*went[0].sa == t.out);
    CHECK(t.sent.insert(went[0].seq).second);
    CHECK(t.peer_in.decap(went[0].packet));
    // The last number of a window that a new card began with counts as seen: the one behind it does not.
    for (int i = 0; i < 2; ++i) {
      CHECK(keep_trying([&] { return b.backend->submit_decap(t.peer_out.encap(packet())->packet, 0); }));
      const auto came = b.poll();
      REQUIRE(came.size() == 1);
      if (i == 0 && came[0].status == card::Status::kReplay) continue;
      REQUIRE(came[0].status == card::Status::kOk);
      CHECK(*came[0].sa == t.in);
      CHECK(t.accepted.insert(came[0].seq).second);
      break;
    }
  }
}

}  // namespace

TEST_CASE("shared cards: the SAs of a policy are on one card, policies spread evenly, and a loss moves its own alone") {
  Bench b(kFour, 4);
  CHECK(b.backend->name() == "4 of 4 cards: a, b, c, d");
  std::vector<Tunnel> tunnels;
  for (std::uint32_t reqid = 1; reqid <= 100; ++reqid) {
    const auto before = sas_of(*b.backend);
    tunnels.push_back(Tunnel::make(*b.backend, reqid));
    const auto after = sas_of(*b.backend);
    std::size_t grew = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      if (after[i] == before[i]) continue;
      CHECK(after[i] == before[i] + 2);
      ++grew;
    }
    CHECK(grew == 1);
  }
  for (const std::size_t sas : sas_of(*b.backend)) CHECK(sas >= 30);  // of 200
  all_work(b, tunnels);

  const auto before = sas_of(*b.backend);
  b.kill("b");
  CHECK(b.backend->totals());
  const auto after = sas_of(*b.backend);
  CHECK(after[1] == 0);
  CHECK(after[0] + after[2] + after[3] == 200);
  for (const std::size_t i : {0u, 2u, 3u}) CHECK(after[i] > before[i]);  // it is not one that takes all
  CHECK(b.backend->losses() == 1);
  CHECK(b.backend->cards()[1].state == CardView::State::kLost);
  CHECK(b.fate.opened == kFour);  // no other was touched
  all_work(b, tunnels);

  // It comes back when an operator says so, and takes what it had.
  b.fate.broken.clear();
  b.fate.calls_left.clear();
  CHECK(b.backend->reset(2));
  CHECK(sas_of(*b.backend) == before);
  all_work(b, tunnels);
}

TEST_CASE("shared cards: an SA finds its entry on whatever card it comes to, however full that is") {
  Bench b({"a", "b"}, 2, 32);
  std::vector<Tunnel> tunnels;
  for (std::uint32_t reqid = 1; reqid <= 14; ++reqid) tunnels.push_back(Tunnel::make(*b.backend, reqid));
  std::vector<std::uint32_t> larval;
  for (std::uint32_t reqid = 15; reqid <= 18; ++reqid) larval.push_back(b.backend->allocate_spi(reqid).value());
  for (const char* lost : {"a", "b", "a", "b"}) {
    CAPTURE(lost);
    b.kill(lost);
    CHECK(b.backend->totals());
    all_work(b, tunnels);  // one card has 14 pairs and 4 reservations, in 32 entries
    CHECK(b.backend->allocate_spi(1).error().code == Errc::kTableFull);
    b.fate.broken.clear();
    b.fate.calls_left.clear();
    CHECK(b.backend->reset(lost[0] == 'a' ? 1 : 2));
    for (const std::size_t number : {1u, 2u}) {
      CHECK(b.backend->drain(number, true));
      all_work(b, tunnels);
      CHECK(b.backend->drain(number, false));
    }
    all_work(b, tunnels);
  }
  for (std::size_t i = 0; i < larval.size(); ++i) CHECK(b.backend->install(of_policy(false, larval[i], 15 + static_cast<std::uint32_t>(i))));
  CHECK(b.backend->install(of_policy(false, larval[0], 15)).error().code == Errc::kTableFull);
}

TEST_CASE("shared cards: what stands in for a lost card carries just what that one did") {
  Bench b({"a", "b", "spare"}, 2);
  std::vector<Tunnel> tunnels;
  for (std::uint32_t reqid = 1; reqid <= 10; ++reqid) tunnels.push_back(Tunnel::make(*b.backend, reqid));
  const auto before = sas_of(*b.backend);
  b.kill("a");
  CHECK(b.backend->totals());
  CHECK(sas_of(*b.backend) == before);
  CHECK(b.backend->cards()[0].card == "spare");
  all_work(b, tunnels);
  // With the first one mended, a reset puts it into its place again.
  b.fate.broken.clear();
  b.fate.calls_left.clear();
  CHECK(b.backend->reset(1));
  CHECK(b.backend->cards()[0].card == "a");
  CHECK(sas_of(*b.backend) == before);
  all_work(b, tunnels);
}

TEST_CASE("shared cards: one is drained and taken into use again; the last that is left cannot be, and does not fail for it") {
  Bench b({"a", "b"}, 2);
  std::vector<Tunnel> tunnels;
  for (std::uint32_t reqid = 1; reqid <= 10; ++reqid) tunnels.push_back(Tunnel::make(*b.backend, reqid));
  const auto before = sas_of(*b.backend);
  // Packets inside come out as if nothing had happened.
  for (Tunnel& t : tunnels) CHECK(b.backend->submit_encap(t.out, packet(), 0));
  CHECK(b.backend->drain(1, true));
  const auto out = b.poll();
  CHECK(out.size() == 10);
  for (const Outcome& o : out) {
    CHECK(o.status == card::Status::kOk);
    CHECK(o.sa);
  }
  CHECK(sas_of(*b.backend) == std::vector<std::size_t>{0, 20});
  CHECK(b.backend->cards()[0].state == CardView::State::kDrained);
  all_work(b, tunnels);
  CHECK(b.backend->drain(2, true).error().code == Errc::kState);
  CHECK(b.backend->drain(3, true).error().code == Errc::kBadConfig);
  CHECK(b.backend->drain(0, true).error().code == Errc::kBadConfig);
  CHECK(b.backend->reset(3).error().code == Errc::kBadConfig);
  CHECK(b.backend->drain(1, false));
  CHECK(sas_of(*b.backend) == before);
  all_work(b, tunnels);
  CHECK(b.backend->drain(1, true));
  b.kill("b");
  CHECK(b.backend->totals());
  CHECK(sas_of(*b.backend) == std::vector<std::size_t>{20, 0});
  all_work(b, tunnels);
  CHECK(b.backend->drain(2, true).error().code == Errc::kState);  // it is lost
  b.kill("a");
  CHECK(b.backend->totals().error().code == Errc::kDeviceLost);
  CHECK(b.backend->name() == "none");
  CHECK(Bench({"a", "b"}).backend->drain(1, true).error().code == Errc::kUnsupported);
}

TEST_CASE("shared cards: events, views and totals are those of the card that has the SA") {
  Bench b(kFour, 4);
  std::vector<SaHandle> sas;
  for (std::uint32_t reqid = 1; reqid <= 20; ++reqid) {
    esp::SaParams p = of_policy(true, 0x10000 + reqid, reqid);
    p.soft.packets = reqid % 2 == 0 ? 2 : 0;
    sas.push_back(b.backend->install(std::move(p)).value());
  }
  for (int i = 0; i < 2; ++i) {
    for (const SaHandle sa : sas) CHECK(b.backend->submit_encap(sa, packet(), 0));
  }
  CHECK(b.poll().size() == 40);
  std::vector<SaEvent> events;
  CHECK(b.backend->poll_events(events));
  std::set<SaHandle> told;
  for (const SaEvent& e : events) CHECK(told.insert(e.sa).second);
  CHECK(told.size() == 10);
  for (std::size_t i = 1; i < sas.size(); i += 2) CHECK(told.contains(sas[i]));
  for (const SaHandle sa : sas) CHECK(b.backend->view(sa)->packets == 2);
  CHECK(b.backend->totals()->encap_packets == 40);
  b.kill("c");
  CHECK(b.backend->poll_events(events));
  CHECK(b.backend->totals()->encap_packets == 40);
  for (const SaHandle sa : sas) CHECK(b.backend->view(sa)->packets == 2);
  // A packet of no SA is counted by a card.
  CHECK(b.backend->submit_decap(esp::SoftSa::create(sa_params(true, 0x7777))->encap(packet())->packet, 0));
  CHECK(b.poll().at(0).status == card::Status::kNoSa);
}

TEST_CASE("shared cards: one that takes packets and finishes none does not stop the others") {
  Bench b({"a", "b"}, 2);
  std::vector<Tunnel> tunnels;
  for (std::uint32_t reqid = 1; reqid <= 10; ++reqid) tunnels.push_back(Tunnel::make(*b.backend, reqid));
  b.fate.swallow.insert("a");
  std::size_t refused = 0, taken = 0, passed = 0, ended = 0;
  const auto round = [&] {
    for (Tunnel& t : tunnels) {
      for (int i = 0; i < 5; ++i) {
        const Status handed = b.backend->submit_encap(t.out, packet(), 0);
        if (!handed) CHECK(handed.error().code == Errc::kRingFull);
        ++(handed ? taken : refused);
      }
    }
    for (const Outcome& o : b.poll()) ++(o.status == card::Status::kOk ? passed : ended);
  };
  while (refused == 0) round();
  CHECK(b.backend->in_flight() == 112);  // half of what several may have inside
  std::this_thread::sleep_for(std::chrono::milliseconds(150));
  refused = 0;
  round();
  CHECK(refused > 0);  // it may be us who were away: the card gets a few more looks
  for (int i = 0; i < 8; ++i) round();
  const std::size_t before = passed;
  refused = 0;
  for (int i = 0; i < 5; ++i) round();
  CHECK(refused == 0);
  CHECK(passed > before);
  CHECK(ended > 0);
  CHECK(taken == passed + ended + 112);
}

TEST_CASE("shared cards: whatever happens in whatever order, no number twice, none accepted twice, no packet without an end") {
  std::mt19937_64 rng(esplanade::testing::seed());
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(rng() % n); };
  for (int turn = 0; turn < 30; ++turn) {
    CAPTURE(turn);
    const std::size_t in_use = 1 + below(4);
    Bench b(kFour, in_use);
    std::vector<Tunnel> tunnels;
    std::uint32_t next = 1;
    std::vector<std::uint32_t> larval;
    std::size_t submitted = 0, ended = 0;
    std::vector<std::pair<std::uint32_t, Bytes>> seen;  // what an attacker may send again
    const auto take = [&] {
      Outcomes out;
      static_cast<void>(b.backend->poll(out, kNow));  // an error: no card is left, which is seen to below
      for (const Outcome& o : out) {
        ++ended;
        if (o.status != card::Status::kOk) {
          const bool known = o.status == card::Status::kBusError || o.status == card::Status::kReplay || o.status == card::Status::kNoSa;
          CHECK(known);
          continue;
        }
        if (!o.sa) continue;
        const auto t = std::ranges::find_if(tunnels, [&](const Tunnel& x) { return x.out == *o.sa || x.in == *o.sa; });
        REQUIRE(t != tunnels.end());
        CHECK((o.op == card::Op::kEncap ? t->sent : t->accepted).insert(o.seq).second);
        if (o.op == card::Op::kEncap) CHECK(t->peer_in.decap(o.packet));
      }
    };
    for (int step = 0; step < 400; ++step) {
      CAPTURE(step);
      const std::string card = kFour[below(4)];
      switch (below(14)) {
        case 0:
          if (auto made = tunnels.size() < 10 ? Tunnel::try_make(*b.backend, next++) : std::nullopt) tunnels.push_back(std::move(*made));
          break;
        case 1:
          if (!tunnels.empty() && below(4) == 0) {
            take();  // what is inside ends before its SA does
            const auto t = tunnels.begin() + static_cast<std::ptrdiff_t>(below(tunnels.size()));
            CHECK((b.backend->remove(t->out) || b.backend->name() == "none"));
            CHECK((b.backend->remove(t->in) || b.backend->name() == "none"));
            std::erase_if(seen, [&](const auto& s) { return s.first == t->reqid; });
            tunnels.erase(t);
          }
          break;
        case 2:
          b.fate.calls_left[card] = 1 + static_cast<int>(below(20));  // it dies, perhaps in the middle of being filled
          break;
        case 3:
          if (below(2) == 0) b.fate.broken.insert(card);
          break;
        case 4:
          b.fate.calls_left.erase(card);
          b.fate.broken.erase(card);
          static_cast<void>(b.backend->reset(1 + below(in_use)));
          break;
        case 5:
          static_cast<void>(b.backend->drain(1 + below(in_use), below(2) == 0));
          break;
        case 6:
          if (const auto spi = b.backend->allocate_spi(next); spi && larval.size() < 8) {
            larval.push_back(*spi);
          } else if (spi) {
            b.backend->release_spi(*spi);
          }
          break;
        case 7:
          if (!larval.empty()) {
            b.backend->release_spi(larval.back());
            larval.pop_back();
          }
          break;
        case 8:
          if (!seen.empty()) submitted += static_cast<bool>(keep_trying([&, n = below(seen.size())] { return b.backend->submit_decap(seen[n].second, 0); }));
          break;
        default:
          for (std::size_t i = 0; i < 1 + below(3) && !tunnels.empty(); ++i) {
            Tunnel& t = tunnels[below(tunnels.size())];
            if (below(2) == 0) {
              submitted += static_cast<bool>(keep_trying([&] { return b.backend->submit_encap(t.out, packet(), 0); }));
            } else {
              seen.emplace_back(t.reqid, t.peer_out.encap(packet())->packet);
              submitted += static_cast<bool>(keep_trying([&] { return b.backend->submit_decap(seen.back().second, 0); }));
            }
          }
          break;
      }
      if (below(3) == 0) take();
      if (b.backend->name() == "none") {  // all are gone: an operator mends them
        b.fate.calls_left.clear();
        b.fate.broken.clear();
        CHECK(b.backend->reset(0));
      }
    }
    b.fate.calls_left.clear();
    b.fate.broken.clear();
    take();
    CHECK(b.backend->in_flight() == 0);
    CHECK(ended == submitted);
    for (std::size_t number = 1; number <= in_use; ++number) CHECK(b.backend->reset(number));
    std::size_t carried = 0;
    for (const std::size_t sas : sas_of(*b.backend)) carried += sas;
    CHECK(carried == 2 * tunnels.size());
    all_work(b, tunnels);
  }
}
