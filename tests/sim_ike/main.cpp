// ike_sim: runs seeds of the simulation. Exit 0: every check held (or, with --mutants, every mutant was found);
// 1: a fault, printed with its trace and the command that replays it; 2: wrong command line.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "common/base/log.h"
#include "tests/sim_ike/sim.h"

using namespace esplanade;
using namespace esplanade::ike::sim;

namespace {

constexpr std::size_t kTraceLines = 80;  // of a fault, the last ones

void show(std::uint64_t seed, Mutant mutant, bool whole) {
  const Outcome o = run(seed, mutant, true);
  fmt::print("seed {}: {}\n", seed, o.scenario);
  const std::size_t from = whole || o.trace.size() < kTraceLines ? 0 : o.trace.size() - kTraceLines;
  if (from != 0) fmt::print("  ({} lines before)\n", from);
  for (std::size_t i = from; i < o.trace.size(); ++i) fmt::print("  {}\n", o.trace[i]);
  if (o.fault.empty()) {
    fmt::print("  ok; traffic ran both ways {} ms after the network healed\n", o.heal_time.count());
    return;
  }
  fmt::print("  {:.3f} s  FAULT: {}\n", static_cast<double>(o.at.count()) / 1000, o.fault);
  fmt::print("replay: ike_sim --seed {}{} --trace\n", seed,
             mutant == Mutant::kNone ? "" : fmt::format(" --mutant {}", name(mutant)));
}

int find_mutants(std::uint64_t first, std::uint64_t seeds) {
  int missed = 0;
  for (Mutant m : kMutants) {
    std::uint64_t tried = 0;
    std::string fault;
    while (fault.empty() && tried < seeds) fault = run(first + tried++, m, false).fault;
    fmt::print("{:<15} {}\n", name(m),
               fault.empty() ? "NOT FOUND" : fmt::format("found after {} seeds: {}", tried, fault));
    missed += fault.empty() ? 1 : 0;
  }
  return missed == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Simulates two IKE engines over a hostile network, a seed at a time."};
  std::uint64_t first = 1, seeds = 1000, one = 0;
  double seconds = 0;
  bool trace = false, mutants = false;
  std::string mutant_name = "none";
  app.add_option("--first", first, "First seed (default: ESPLANADE_SEED, or 1)");
  app.add_option("--seeds", seeds, "How many seeds")->capture_default_str();
  app.add_option("--seconds", seconds, "Go on for so long instead of counting seeds");
  auto* seed = app.add_option("--seed", one, "This seed alone");
  app.add_flag("--trace", trace, "With --seed: print everything that happens");
  app.add_flag("--mutants", mutants, "Check that each mutant is found within --seeds seeds");
  app.add_option("--mutant", mutant_name, "Run with this fault of the harness");
  if (const char* text = std::getenv("ESPLANADE_SEED")) first = std::strtoull(text, nullptr, 0);
  CLI11_PARSE(app, argc, argv);
  log_setup("ike_sim", LogLevel::kError);
  Mutant mutant = Mutant::kNone;
  for (Mutant m : kMutants)
    if (name(m) == mutant_name) mutant = m;
  if (name(mutant) != mutant_name) {
    fmt::print(stderr, "ike_sim: no mutant {}\n", mutant_name);
    return 2;
  }
  if (mutants) return find_mutants(first, seeds);
  if (seed->count() != 0) {
    if (trace) {
      show(one, mutant, true);
      return run(one, mutant, false).fault.empty() ? 0 : 1;
    }
    first = one;
    seeds = 1;
  }
  const auto begin = std::chrono::steady_clock::now();
  auto spent = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count(); };
  Coverage all;
  std::chrono::milliseconds slowest{0}, sum{0};
  std::uint64_t done = 0;
  for (; seconds > 0 ? spent() < seconds : done < seeds; ++done) {
    const Outcome o = run(first + done, mutant, false);
    if (!o.fault.empty()) {
      show(first + done, mutant, false);
      return 1;
    }
    all.add(o.coverage);
    slowest = std::max(slowest, o.heal_time);
    sum += o.heal_time;
  }
  fmt::print("{} seeds from {} in {:.1f} s, no fault\n", done, first, spent());
  fmt::print("healed after {:.1f} s on average, {:.1f} s at most (virtual)\n",
             static_cast<double>(sum.count()) / 1000 / static_cast<double>(std::max<std::uint64_t>(done, 1)),
             static_cast<double>(slowest.count()) / 1000);
  fmt::print(
      "steps {} datagrams {} lost {} doubled {} corrupted {} replayed {} partitions {} rebindings {}\n"
      "clock jumps {} restarts {} espd errors {} expiries {} main modes {} quick modes {} packets {}\n"
      "fragments {} SAs moved {} dead peers {} runs with a wrong secret {}\n",
      all.steps, all.datagrams, all.lost, all.doubled, all.corrupted, all.replayed, all.partitions,
      all.rebindings, all.clock_jumps, all.restarts, all.espd_errors, all.expiries, all.main_modes,
      all.quick_modes, all.packets, all.fragments, all.moved, all.dead_peers, all.wrong_secret);
  return 0;
}
