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
      {"near memory", {.read_latency = 2, .write_latency = 2}, 25, {}},
      {"far memory", {.read_latency = 60, .write_latency = 30, .early_writes = true}, 35, {.sas = 60, .depth = 200, .churn = 80}},
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
