// espctl: looks at a running espd, and at a running keyd.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <chrono>
#include <thread>

#include "host/espctl/ike.h"
#include "host/espctl/tables.h"
#include "host/espctl/top.h"

int main(int argc, char** argv) {
  using namespace esplanade;
  CLI::App app{"espctl shows what espd does: its state, its SAs, its counters; and steers the IKE daemon."};
  std::string socket = "/run/esplanade/espd.sock";
  bool json = false;
  app.add_option("--socket", socket, "status socket of espd")->capture_default_str();
  app.add_flag("--json", json, "JSON instead of tables");
  app.require_subcommand(1);
  app.fallthrough();  // options may follow the command
  struct Command {
    const char* name;
    const char* help;
    std::string (*table)(const espctl::Json&);
  };
  static constexpr Command kCommands[] = {
      {"status", "card, IKE daemon, policies", espctl::status_table},
      {"sa", "security associations, without keys", espctl::sa_table},
      {"policy", "policies, and whether each has an SA", espctl::policy_table},
      {"card", "the card: which, its clock, losses, results", espctl::card_table},
      {"stats", "packets, bytes, cycles, drops by reason", espctl::stats_table},
      {"health", "what should be seen to; exit status 1 when there is anything", espctl::health_table},
      {"events", "the newest lines of the log", espctl::event_lines},
      {"drain", "no packet goes to the card any more; those inside finish", nullptr},
      {"resume", "the end of drain", nullptr},
      {"reset", "resets the card; every SA is put back", nullptr},
      {"reload", "espd reads its configuration anew; a wrong one changes nothing", nullptr},
  };
  unsigned card = 0;
  for (const Command& c : kCommands) {
    CLI::App* added = app.add_subcommand(c.name, c.help);
    if (c.table == nullptr && std::string_view(c.name) != "reload") added->add_option("card", card, "of several cards, the one with this number (espctl card); its SAs go to the others meanwhile")->check(CLI::Range(1, 64));
  }
  CLI::App* top = app.add_subcommand("top", "rates, live");
  double interval = 1;
  unsigned count = 0;
  top->add_option("--interval", interval, "seconds between two looks")->check(CLI::Range(0.1, 60.0))->capture_default_str();
  top->add_option("--count", count, "looks; 0: until interrupted");
  espctl::IkeCommand ike;
  espctl::add_ike(app, ike);
  CLI11_PARSE(app, argc, argv);
  if (ike.app->parsed()) return espctl::run_ike(ike, json);

  const auto complain = [](const Error& error) {
    fmt::print(stderr, "espctl: {}\n", error.detail);
    return 1;
  };
  const auto show_json = [](const espctl::Json& answer) { fmt::print("{}\n", answer.dump(2, ' ', false, espctl::Json::error_handler_t::replace)); };
  if (top->parsed()) return espctl::run_top(socket, interval, count, json, complain, show_json);

  const auto parsed = [&app](const Command& c) { return app.got_subcommand(c.name); };
  const Command& command = *std::ranges::find_if(kCommands, parsed);
  const std::string_view name = command.name;
  auto answer = name == "sa" ? espctl::ask_sas(socket) : espctl::ask(socket, card == 0 ? espctl::Json{{"command", name}} : espctl::Json{{"command", name}, {"card", card}});
  if (!answer) return complain(answer.error());
  if (name == "drain" && card == 0) {
    // Those inside finish within a moment; a card that hangs is told of.
    for (int turn = 0; turn < 50 && espctl::number(*answer, "packets_inside") != 0; ++turn) {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      if (answer = espctl::ask(socket, {{"command", "card"}}); !answer) return complain(answer.error());
    }
  }
  if (json) {
    show_json(*answer);
  } else if (command.table != nullptr) {
    fmt::print("{}", command.table(*answer));
  } else if (card != 0) {
    fmt::print("{}", espctl::cards_table(*answer));
  } else if (name == "drain") {
    fmt::print("drained; {} packets inside\n", espctl::number(*answer, "packets_inside"));
  } else if (name == "resume") {
    fmt::print("packets pass again\n");
  } else if (name == "reload") {
    fmt::print("{} policies; {} SAs of changed ones removed\n", espctl::number(*answer, "policies"), espctl::number(*answer, "sas_removed"));
  } else {
    fmt::print("{} SAs are on {}\n", espctl::number(*answer, "sas"), espctl::text(*answer, "card"));
  }
  if (name == "health") return espctl::yes_no(*answer, "healthy") == "yes" ? 0 : 1;
  if (name == "drain") return espctl::number(*answer, "packets_inside") == 0 ? 0 : 1;
  return 0;
}
