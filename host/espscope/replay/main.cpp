// The half of `espscope replay` that drives the card: reads a plan (plan.h) from standard input, runs it on the simulated card, and tells what came of it in JSON. Started by
// espscope; nobody runs it by hand.
#include <fmt/format.h>

#include <charconv>
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>

#include "host/espscope/replay/replay.h"

using namespace esplanade;
using namespace esplanade::replay;
using Json = nlohmann::json;

namespace {

constexpr std::size_t kLineMax = 1024;
constexpr const char* kUsage = "Usage: esp-replay SEED [--sound] [--watch QUEUE:NUMBER] < PLAN\n";

template <class T>
std::optional<T> number(std::string_view text) {
  T out{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(out) : std::nullopt;
}

Json span(const std::optional<std::array<std::uint64_t, 2>>& cycles) { return cycles ? Json(*cycles) : Json(); }

Result<Json> run(std::uint64_t seed, bool sound, std::optional<std::pair<std::uint32_t, std::uint64_t>> watch) {
  ESPLANADE_TRY(device, Device::open({"sim", "", false}));
  ESPLANADE_TRY(replay, Replay::create(*device, seed, sound, watch));
  std::string line(kLineMax, '\0');
  for (std::size_t n = 1; std::cin.getline(line.data(), static_cast<std::streamsize>(line.size())); ++n) {
    const auto step = parse_step(line.c_str());
    if (!step) return Error{Errc::kMalformed, fmt::format("line {} of the plan: {}", n, step.error().detail)};
    if (const Status done = replay->step(*step); !done) return Error{done.error().code, fmt::format("line {} of the plan: {}", n, done.error().detail)};
  }
  if (!std::cin.eof()) return Error{Errc::kMalformed, "a line of the plan is too long"};
  ESPLANADE_CHECK(replay->finish());
  const Replay::Figures& f = replay->figures();
  Json out{{"packets", f.packets}, {"compared", f.compared}, {"events", f.events}, {"made_so", Json::object()}, {"cycles_then", f.cycles_then}, {"cycles_now", f.cycles_now},
           {"watched", span(f.watched)}, {"stopped", replay->stopped()}, {"divergence", nullptr}};
  for (const auto& [status, count] : f.made_so) out["made_so"][name_of(status)] = count;
  if (const auto& d = replay->divergence()) {
    out["divergence"] = {{"record", d->record}, {"where", d->where}, {"field", d->field}, {"recorded", d->was}, {"replayed", d->is}, {"cycles", span(d->cycles)}};
  }
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string_view> arguments(argv + 1, argv + argc);
  std::optional<std::uint64_t> seed;
  std::optional<std::pair<std::uint32_t, std::uint64_t>> watch;
  bool sound = false, good = !arguments.empty();
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (i == 0) {
      seed = number<std::uint64_t>(arguments[0]);
    } else if (arguments[i] == "--sound") {
      sound = true;
    } else if (arguments[i] == "--watch" && i + 1 < arguments.size()) {
      const std::string_view text = arguments[++i];
      const std::size_t colon = std::min(text.find(':'), text.size());
      const auto queue = number<std::uint32_t>(text.substr(0, colon));
      const auto packet = number<std::uint64_t>(text.substr(std::min(colon + 1, text.size())));
      good = good && queue && packet;
      if (good) watch = {*queue, *packet};
    } else {
      good = false;
    }
  }
  if (!good || !seed) {
    std::fputs(kUsage, stderr);
    return 2;
  }
  const auto told = run(*seed, sound, watch);
  if (!told) {
    std::fprintf(stderr, "esp-replay: %s\n", told.error().detail.c_str());
    return 2;
  }
  std::puts(told->dump(-1, ' ', false, Json::error_handler_t::replace).c_str());
  return (*told)["divergence"].is_null() ? 0 : 1;
}
