// replay.json through the card: windows up to 64, without ESN; one packet at a time, and many in flight.
#include <doctest/doctest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "common/esp/engine.h"
#include "hw/tb/card/card_bench.h"

using namespace esplanade;
using tb::Bench;
using nlohmann::json;

namespace {

constexpr std::uint32_t kSpi = 0x5a5a0007;
constexpr std::size_t kSeqAt = 20 + 4;  // behind outer IPv4 header and SPI

esp::SaParams params(bool outbound, std::uint64_t seq, std::uint16_t window) {
  esp::SaParams sa;
  sa.outbound = outbound;
  sa.spi = kSpi;
  sa.seq = seq;
  sa.replay_window = window;
  sa.enc_key = Secret(*from_hex("0123456789abcdeffedcba987654321089abcdef01234567"));
  sa.auth_key = Secret(*from_hex("000102030405060708090a0b0c0d0e0f10111213"));
  sa.src = *esp::parse_address("192.0.2.1");
  sa.dst = *esp::parse_address("192.0.2.2");
  return sa;
}

/// A packet with this number. 0 cannot be sent, so it is written over: the check comes before the ICV.
Bytes packet(std::uint32_t seq, bool icv_ok) {
  const Bytes inner = *from_hex("450200145d1b40003ffd666f0ad112860aef4f1b");
  auto sa = esp::SoftSa::create(params(true, seq == 0 ? 0 : seq - 1, 0));
  REQUIRE(sa);
  auto sent = sa->encap(inner);
  REQUIRE_MESSAGE(sent, (sent ? "" : sent.error().detail));
  Bytes wire = sent->packet;
  if (seq == 0) store_be32(&wire[kSeqAt], 0);
  if (!icv_ok) wire.back() ^= 0x10;
  return wire;
}

void replay(unsigned in_flight) {
  CAPTURE(in_flight);
  std::ifstream in(std::string(ESPLANADE_VECTORS) + "/replay.json");
  REQUIRE(in);
  const json all = json::parse(in);
  std::size_t cases = 0;
  Bench b(tb::seed_of_run(), in_flight > 1 ? 15 : 0, 8);
  b.start_queue(6);
  for (const json& c : all.at("cases")) {
    const auto window = c.at("window").get<unsigned>();
    if (c.at("esn").get<bool>() || window > 64) continue;
    const auto id = c.at("id").get<std::string>();
    CAPTURE(id);
    ++cases;
    REQUIRE(b.install(kSpi & (b.sa_entries() - 1), params(false, 0, static_cast<std::uint16_t>(window))) == card::SaResult::kOk);
    std::deque<const json*> sent;
    const auto check = [&] {
      const json& e = *sent.front();
      sent.pop_front();
      const auto done = b.reap();
      const auto seq = e.at(0).get<std::uint32_t>();
      CAPTURE(seq);
      const auto verdict = e.at(2).get<std::string>();
      CHECK(done.seq == seq);
      if (verdict == "accept") CHECK(done.status == card::Status::kOk);
      else if (verdict == "reject-icv") CHECK(done.status == card::Status::kBadIcv);
      // A forged number may pass the early check while an authentic packet with it is still under way.
      else CHECK((done.status == card::Status::kReplay || (e.at(1) == 0 && done.status == card::Status::kBadIcv)));
      CHECK(done.canary_ok);
    };
    for (const json& e : c.at("events")) {
      while (b.outstanding() >= in_flight) check();
      b.submit({.op = card::Op::kDecap, .source = packet(e.at(0).get<std::uint32_t>(), e.at(1) == 1)});
      sent.push_back(&e);
    }
    while (!sent.empty()) check();
    CHECK(card::get(b.view(kSpi & (b.sa_entries() - 1)), card::sa_view::kSeq) == c.at("final_top").get<std::uint64_t>());
    REQUIRE(b.sa_command(card::SaCommand::kRemove, kSpi & (b.sa_entries() - 1)) == card::SaResult::kOk);
  }
  CHECK(cases == 16);
  for (const auto& v : b.memory.violations()) FAIL_CHECK(v);
}

}  // namespace

TEST_CASE("card/replay: verdicts of replay.json, one packet at a time") { replay(1); }
TEST_CASE("card/replay: verdicts of replay.json, 40 packets of the SA in flight") { replay(40); }
