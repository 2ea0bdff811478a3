// Random mixed traffic of whole cards against the reference engine. ESPLANADE_PACKETS sets how many packets (default
// 20,000 over all runs), ESPLANADE_SEED the run.
#include <doctest/doctest.h>

#include <cstdlib>

#include "hw/tb/fullcard/traffic.h"
#include "tests/rtl/fullcard/models.h"

using namespace esplanade;
using namespace esplanade::fullcard;
namespace reg = card::reg;

namespace {

std::uint64_t packets_of_run() {
  const char* text = std::getenv("ESPLANADE_PACKETS");
  return text != nullptr && *text != 0 ? std::strtoull(text, nullptr, 0) : 20'000;
}

struct Run {
  const char* name;
  PortTiming timing;
  unsigned share;  // percent of the packets
  Mix mix;
};

}  // namespace

TEST_CASE("fullcard/scoreboard: mixed traffic equals the reference engine, packet by packet and counter by counter") {
  const std::vector<Run> runs{
      {"near memory", {.read_latency = 2, .write_latency = 2}, 25, {.sas = 112, .churn = 40}},
      {"far memory", {.read_latency = 60, .write_latency = 30, .early_writes = true}, 35, {.sas = 112, .depth = 200, .churn = 40}},
      {"stalls", {.read_latency = 20, .write_latency = 10, .stalls = 30, .long_stalls = 20, .early_writes = true}, 30, {.sas = 8, .churn = 60}},
      {"one SA, small packets", {.read_latency = 10, .write_latency = 10, .stalls = 5}, 10,
       {.sas = 1, .in_order = 0, .depth = 250, .churn = 1'000'000, .most = 300}},
  };
  const auto all = builds();
  const std::uint64_t total = packets_of_run();
  Coverage coverage;
  std::uint64_t done = 0;
  std::unique_ptr<Card> last;
  for (std::size_t b = 0; b < all.size(); ++b)
    for (std::size_t r = 0; r < runs.size(); ++r) {
      // Memory of the last card is kept for the report on what its build offers.
      last.reset();
      const std::uint64_t seed = seed_of_run() * 64 + b * 8 + r;
      last = std::make_unique<Card>(all[b].make(), Options{.seed = seed, .timing = runs[r].timing});
      Traffic traffic(*last, coverage, runs[r].mix, seed);
      traffic.run(std::max<std::uint64_t>(100, total * runs[r].share / 100 / all.size()));
      traffic.finish();
      const std::string name = all[b].name + ", " + runs[r].name;
      MESSAGE(name, ": ", traffic.completed, " packets, ", traffic.accepted, " done, ", traffic.refused,
              " refused, ", last->cycles(), " cycles");
      for (const auto& f : traffic.failures) FAIL_CHECK(name << ": " << f);
      CHECK(traffic.num_failures == 0);
      CHECK(traffic.accepted * 2 > traffic.completed);
      CHECK(traffic.refused > 0);
      done += traffic.completed;
    }
  CHECK(done >= total * 9 / 10);
  coverage.report(*last, done);
}

TEST_CASE("fullcard/scoreboard: a packet sent to all queues at once is accepted exactly once") {
  for (const Build& build : builds()) {
    CAPTURE(build.name);
    Card card(build.make(), {.seed = seed_of_run(), .timing = {.read_latency = 30, .write_latency = 10, .stalls = 10}});
    Generator gen(card, seed_of_run());
    esp::SaParams out;
    do {
      out = gen.sa(9);
    } while (out.replay_window == 0 || out.esn);
    esp::SaParams in = copy_of(out);
    in.outbound = false;
    in.seq = 0;
    REQUIRE(card.install(9, in) == card::SaResult::kOk);
    out.check_outer = false;
    auto sender = esp::SoftSa::create(std::move(out));
    REQUIRE(sender);
    for (unsigned q = 0; q < card.queues; ++q) card.start_queue(q, 6);
    unsigned sent = 0, accepted = 0;
    for (unsigned round = 0; round < 40; ++round) {
      // Some packets in some order, each on every queue twice.
      std::vector<Bytes> wires;
      for (std::uint64_t n = 1 + gen.below(8); n > 0; --n) wires.push_back(sender->encap(gen.packet(sender->params(), 28 + gen.below(200)))->packet);
      sent += static_cast<unsigned>(wires.size());
      std::vector<Bytes> twice = wires;
      twice.insert(twice.end(), wires.begin(), wires.end());
      for (unsigned q = 0; q < card.queues; ++q) {
        std::shuffle(twice.begin(), twice.end(), card.rng);
        for (const Bytes& wire : twice) card.submit(q, {.op = card::Op::kDecap, .source = wire, .dst_size = 512});
      }
      for (unsigned q = 0; q < card.queues; ++q) card.ring(q);
      for (unsigned q = 0; q < card.queues; ++q)
        while (card.outstanding(q) != 0) {
          const auto done = card.reap(q);
          accepted += done.status == card::Status::kOk;
          CHECK((done.status == card::Status::kOk || done.status == card::Status::kReplay));
        }
    }
    CHECK(accepted == sent);
    const Bytes view = card.view(9);
    CHECK(card::get(view, card::sa_view::kPackets) == sent);
    CHECK(card::get(view, card::sa_view::kReplayDrops) == sent * (2 * card.queues - 1));
    for (const auto& v : card.memory.violations) FAIL_CHECK(v);
  }
}

TEST_CASE("fullcard/scoreboard: numbers of one SA on all queues have no gap and no double") {
  for (const Build& build : builds()) {
    CAPTURE(build.name);
    Card card(build.make(), {.seed = seed_of_run(), .timing = {.read_latency = 30, .write_latency = 10, .stalls = 10}});
    Generator gen(card, seed_of_run() + 1);
    esp::SaParams out = gen.sa(9);
    out.seq = 0;
    REQUIRE(card.install(1, out) == card::SaResult::kOk);
    for (unsigned q = 0; q < card.queues; ++q) card.start_queue(q, 6);
    std::set<std::uint64_t> numbers;
    unsigned sent = 0;
    for (unsigned round = 0; round < 12; ++round) {
      for (unsigned q = 0; q < card.queues; ++q)
        for (unsigned i = 0; i < 25; ++i, ++sent)
          card.submit(q, {.source = gen.packet(out, 28 + gen.below(300)), .sa_index = 1, .dst_size = 512});
      for (unsigned q = 0; q < card.queues; ++q) card.ring(q);
      for (unsigned q = 0; q < card.queues; ++q)
        for (std::uint64_t before = 0; card.outstanding(q) != 0;) {
          const auto done = card.reap(q);
          REQUIRE(done.status == card::Status::kOk);
          CHECK(numbers.insert(done.seq).second);
          CHECK(done.seq > before);  // in a queue the order of submission
          before = done.seq;
        }
    }
    CHECK(numbers.size() == sent);
    CHECK(*numbers.begin() == 1);
    CHECK(*numbers.rbegin() == sent);
    for (const auto& v : card.memory.violations) FAIL_CHECK(v);
  }
}

TEST_CASE("[R113] fullcard/scoreboard: lifetimes in seconds end with an event, with and without traffic") {
  Card card(make_card_x1(), {.seed = seed_of_run()});
  if (!card.has(reg::kCapsLifetimes)) return;
  card.start_queue(0, 4);
  Generator gen(card, seed_of_run() + 2);
  std::map<std::uint32_t, esp::SaParams> sas;  // by index
  const auto install = [&](std::uint32_t index, bool outbound, std::uint32_t hard) {
    esp::SaParams p = gen.sa(index);
    p.outbound = outbound;
    if (!outbound) p.ip_id = 0;
    p.seq = 0;
    p.soft.seconds = 2;
    p.hard.seconds = hard;
    REQUIRE(card.install(index, p) == card::SaResult::kOk);
    sas.emplace(index, std::move(p));
  };
  // The card walks over its table all the time, from entry 0 on; what it has yet to come to is seen without traffic.
  const std::uint32_t far = card.sa_entries - 1;
  install(40, true, 0);
  install(41, false, 0);
  install(90, true, 5);
  install(91, false, 5);
  install(far, true, 5);
  std::map<std::pair<card::EventType, std::uint32_t>, unsigned> events;
  const auto collect = [&](std::size_t want) {
    for (const std::uint64_t until = card.cycles() + 400'000; events.size() < want && card.cycles() < until; card.run(500))
      for (const Event& e : card.take_events()) ++events[{e.type, e.sa_index}];
    CHECK(events.size() == want);
  };
  const auto has = [&](card::EventType type, std::uint32_t index) { return events.contains({type, index}); };
  const auto status = [&](std::uint32_t index) {
    return std::string(card::name_of(card.run_one(0, {.source = gen.packet(sas.at(index), 100), .sa_index = index, .dst_size = 512}).status));
  };
  card.run(5'000);
  CHECK(card.take_events().empty());
  REQUIRE(card.skip_seconds(3));
  collect(2);
  CHECK(has(card::EventType::kSoftSeconds, 40));
  CHECK(has(card::EventType::kSoftSeconds, 41));
  REQUIRE(card.skip_seconds(3));
  collect(6);
  for (const std::uint32_t index : {90u, 91u}) {
    CHECK(has(card::EventType::kSoftSeconds, index));
    CHECK(has(card::EventType::kHardSeconds, index));
  }
  CHECK(status(40) == "Ok");
  CHECK(status(90) == "Expired");
  CHECK(status(far) == "Expired");  // the packet itself finds it
  collect(8);
  CHECK(has(card::EventType::kHardSeconds, far));
  CHECK(status(far) == "Expired");
  CHECK(status(90) == "Expired");
  card.run(5'000);
  CHECK(card.take_events().empty());
  for (const auto& [key, n] : events) CHECK(n == 1);
  CHECK(card::get(card.view(90), card::sa_view::kExpired) == 1);
  CHECK(card::get(card.view(40), card::sa_view::kExpired) == 0);
  CHECK(card::get(card.view(40), card::sa_view::kAgeSeconds) >= 6);
  for (const auto& v : card.memory.violations) FAIL_CHECK(v);
}

TEST_CASE("fullcard/scoreboard: IPv4 headers with the largest sums are taken with a good checksum and refused with a bad one") {
  Card card(make_card_x1(), {.seed = seed_of_run()});
  card.start_queue(0, 5);
  esp::SaParams sa;
  sa.spi = 16 * card.sa_entries;
  sa.enc_key = Secret(*from_hex("0123456789abcdeffedcba987654321089abcdef01234567"));
  sa.auth_key = Secret(Bytes(20, 7));
  REQUIRE(card.install(3, sa) == card::SaResult::kOk);
  Generator gen(card, seed_of_run());
  for (std::size_t options = 0; options <= 40; options += 4)
    for (unsigned fill = 0; fill < 6; ++fill) {
      CAPTURE(options);
      CAPTURE(fill);
      Bytes p = gen.ipv4(100, options, false);
      // From words of 0 to words of ff ff: what a sum of 20 or more bits must hold.
      for (std::size_t i = 12; i < 20 + options; ++i) p[i] = fill < 5 ? static_cast<Byte>(fill * 51) : Byte{0xff};
      fix_checksum(p);
      const auto status = [&] { return std::string(card::name_of(card.run_one(0, {.source = p, .sa_index = 3, .dst_size = 512}).status)); };
      CHECK(status() == "Ok");
      for (unsigned bit = 0; bit < 16; ++bit) {
        Bytes good = p;
        p[10 + bit / 8] ^= static_cast<Byte>(1u << (bit % 8));
        CHECK(status() == "BadHeader");
        p = std::move(good);
      }
    }
  for (const auto& v : card.memory.violations) FAIL_CHECK(v);
}
