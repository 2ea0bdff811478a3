// Random traffic of several SAs in both directions, with damage, against the reference engine: the same octets, the
// same verdicts, the same counters.
#include <doctest/doctest.h>

#include "common/esp/engine.h"
#include "hw/tb/card/card_bench.h"

using namespace esplanade;
using tb::Bench;
using tb::Job;
using CardStatus = card::Status;

namespace {

class Traffic {
 public:
  Traffic(std::uint64_t seed, unsigned stalls, unsigned latency) : bench(seed, stalls, latency), rng(seed ^ 0x5eed) {
    bench.start_queue(6);
    for (unsigned i = 0; i < kSas; ++i) {
      const std::uint32_t index = 8 + i;
      out.push_back(make(true, index));
      in.push_back(make(false, index));
      peer_in.push_back(make(false, index));
      peer_out.push_back(make(true, index));
      // The card's outbound entry lies anywhere, its inbound one where the SPI says.
      REQUIRE(bench.install(100 + i, out.back().params()) == card::SaResult::kOk);
      REQUIRE(bench.install(index, in.back().params()) == card::SaResult::kOk);
    }
  }

  /// One of: protect and let the peer open; open what the peer sent; open it damaged; open an old one again.
  void step() {
    while (bench.outstanding() >= 1 + rng() % 50) check();
    const auto n = static_cast<unsigned>(rng() % kSas);
    const Bytes plain = packet();
    if (rng() % 2 == 0) {
      const bool host_iv = rng() % 2 == 0;
      Job job{.source = plain, .sa_index = 100 + n};
      Expect e{true, n, plain, {}};
      if (host_iv) {
        job.iv.emplace();
        for (Byte& b : *job.iv) b = static_cast<Byte>(rng());
      }
      auto sent = out[n].encap(plain, job.iv);
      REQUIRE(sent);
      if (host_iv) e.wire = sent->packet;
      bench.submit(job);
      expected.push_back(std::move(e));
      return;
    }
    auto sent = peer_out[n].encap(plain);
    REQUIRE(sent);
    Bytes wire = sent->packet;
    switch (rng() % 6) {
      case 0: wire[28 + rng() % (wire.size() - 28)] ^= static_cast<Byte>(1u << rng() % 8); break;  // behind the number
      case 1: if (!old.empty()) wire = old[rng() % old.size()]; break;
      case 2: wire.insert(wire.end(), rng() % 70, Byte{0x77}); break;
      default: break;
    }
    if (wire.size() > 2048) wire.resize(sent->packet.size());
    old.push_back(sent->packet);
    if (old.size() > 30) old.erase(old.begin());
    bench.submit({.op = card::Op::kDecap, .source = wire});
    expected.push_back({false, 0, plain, wire});
  }
  void finish() {
    while (!expected.empty()) check();
    for (const auto& v : bench.memory.violations()) FAIL_CHECK(v);
    CHECK(bench.read32(card::reg::kErrorCause.at()) == 0);
    for (unsigned i = 0; i < kSas; ++i) {
      CAPTURE(i);
      namespace v = card::sa_view;
      const auto sent = bench.view(100 + i), got = bench.view(8 + i);
      CHECK(card::get(sent, v::kSeq) == out[i].seq());
      CHECK(card::get(sent, v::kPackets) == out[i].counters().packets);
      CHECK(card::get(sent, v::kBytes) == out[i].counters().bytes);
      CHECK(card::get(got, v::kSeq) == in[i].seq());
      CHECK(card::get(got, v::kPackets) == in[i].counters().packets);
      CHECK(card::get(got, v::kBytes) == in[i].counters().bytes);
    }
  }

  std::size_t opened = 0, refused = 0, sent_by_card = 0;
  Bench bench;

 private:
  static constexpr unsigned kSas = 5;
  struct Expect {
    bool encap;
    unsigned sa;
    Bytes plain, wire;
  };

  static esp::SoftSa make(bool outbound, std::uint32_t index) {
    esp::SaParams sa;
    sa.outbound = outbound;
    sa.spi = 0x7000'0000 + 4096 * index + index;
    Bytes enc(24), auth(20);
    for (std::size_t i = 0; i < 24; ++i) enc[i] = static_cast<Byte>(17 * i + 3 * index + 1);
    for (std::size_t i = 0; i < 20; ++i) auth[i] = static_cast<Byte>(29 * i + 5 * index + 2);
    sa.enc_key = Secret(std::move(enc));
    sa.auth_key = Secret(std::move(auth));
    sa.src = *esp::parse_address("198.51.100.7");
    sa.dst = *esp::parse_address("203.0.113.9");
    if (index % 2 == 1) sa.natt.emplace();
    sa.df = static_cast<esp::DfPolicy>(index % 3);
    if (index % 4 == 2) sa.dscp = std::uint8_t{46};
    sa.ecn_copy = index % 5 != 0;
    sa.ttl = static_cast<std::uint8_t>(60 + index);
    sa.ip_id = static_cast<std::uint16_t>(0xfff8 + index);
    sa.replay_window = index % 3 == 0 ? 32 : 64;
    auto made = esp::SoftSa::create(std::move(sa));
    REQUIRE_MESSAGE(made, (made ? "" : made.error().detail));
    return std::move(made).value();
  }

  Bytes packet() {
    const std::size_t sizes[] = {20, 21, 64, 128, 576, 1500, 1900};
    const std::size_t size = rng() % 3 == 0 ? sizes[rng() % 7] : 20 + rng() % 500;
    Bytes p(size);
    for (Byte& b : p) b = static_cast<Byte>(rng());
    p[0] = 0x45;
    store_be16(&p[2], static_cast<std::uint16_t>(size));
    p[6] &= 0x40;
    p[7] = 0;
    tb::fix_checksum(p);
    return p;
  }

  void check() {
    const Expect e = std::move(expected.front());
    expected.pop_front();
    const auto done = bench.reap();
    CAPTURE(done.cookie);
    CHECK(done.canary_ok);
    if (e.encap) {
      ++sent_by_card;
      REQUIRE(std::string(card::name_of(done.status)) == "Ok");
      if (!e.wire.empty()) CHECK(to_hex(done.packet) == to_hex(e.wire));
      auto opened_by_peer = peer_in[e.sa].decap(done.packet);
      REQUIRE_MESSAGE(opened_by_peer, (opened_by_peer ? "" : opened_by_peer.error().detail));
      CHECK(opened_by_peer->packet == e.plain);
      return;
    }
    // The reference sees the packets in the order of completion. Trailing octets are the card's affair.
    Bytes wire = e.wire;
    wire.resize(load_be16(&wire[2]));
    const std::uint32_t spi = load_be32(&wire[wire[9] == 17 ? 28 : 20]);
    const std::uint32_t index = spi & (bench.sa_entries() - 1);
    if (index < 8 || index >= 8 + kSas || spi != in[index - 8].params().spi) {
      CHECK(done.status == CardStatus::kNoSa);
      ++refused;
      return;
    }
    auto want = in[index - 8].decap(wire);
    const std::string got = card::name_of(done.status);
    if (want) {
      CHECK(got == "Ok");
      CHECK(done.packet == want->packet);
      ++opened;
    } else {
      CAPTURE(want.error().detail);
      const bool same = (want.error().code == Errc::kReplayed && (got == "Replay" || got == "BadIcv")) ||
                        (want.error().code == Errc::kBadIcv && got == "BadIcv") ||
                        (want.error().code != Errc::kReplayed && want.error().code != Errc::kBadIcv && got != "Ok");
      CHECK_MESSAGE(same, got);
      ++refused;
    }
  }

  std::mt19937_64 rng;
  std::vector<esp::SoftSa> out, in, peer_in, peer_out;
  std::vector<Bytes> old;
  std::deque<Expect> expected;
};

void run(unsigned stalls, unsigned latency, unsigned packets) {
  CAPTURE(stalls);
  Traffic t(tb::seed_of_run() * 1000 + stalls, stalls, latency);
  for (unsigned i = 0; i < packets; ++i) t.step();
  t.finish();
  CHECK(t.opened > packets / 6);
  CHECK(t.refused > packets / 40);
  CHECK(t.sent_by_card > packets / 4);
}

}  // namespace

TEST_CASE("card/traffic: random packets without stalls") { run(0, 0, 1500); }
TEST_CASE("card/traffic: random packets, memory 80 cycles away") { run(5, 80, 1000); }
TEST_CASE("card/traffic: random packets, stalls on every channel") { run(50, 10, 600); }

TEST_CASE("card/traffic: idle time left out changes nothing but time") {
  Bench a(tb::seed_of_run());
  a.run(10'000);
  REQUIRE(card_model::idle(a.card));
  card_model::skip(a.card, 1'000'000, 300'000'000);
  a.start_queue(4);
  CHECK(a.run_one({.op = card::Op::kNop}).status == CardStatus::kOk);
}

TEST_CASE("card/traffic: cycles per packet, reported") {
  for (const std::size_t size : {64u, 256u, 576u, 1500u}) {
    Bench b(tb::seed_of_run(), 0, 40);
    b.start_queue(6);
    auto sa = esp::SaParams{};
    sa.spi = 0x10001;
    sa.enc_key = Secret(*from_hex("0123456789abcdeffedcba987654321089abcdef01234567"));
    sa.auth_key = Secret(*from_hex("000102030405060708090a0b0c0d0e0f10111213"));
    REQUIRE(b.install(1, sa) == card::SaResult::kOk);
    constexpr unsigned kPackets = 62;
    std::uint32_t first = 0, last = 0;
    b.write32(card::reg::kControl.at(), 2);
    for (unsigned i = 0; i < kPackets; ++i) b.submit({.source = tb::ipv4_packet(size), .sa_index = 1});
    b.write32(card::reg::kControl.at(), 3);
    for (unsigned i = 0; i < kPackets; ++i) {
      const auto done = b.reap();
      REQUIRE(done.status == CardStatus::kOk);
      if (i == 15) first = done.stamps[4];
      last = done.stamps[4];
    }
    const double each = (last - first) / double{kPackets - 16};
    MESSAGE("encap ", size, " bytes: ", each, " cycles a packet, ", static_cast<double>(size) / each, " bytes a cycle");
    CHECK(each < 500);
  }
}
