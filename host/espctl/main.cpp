// espctl: looks at a running espd, and at a running keyd.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "host/espctl/ike.h"
#include "host/espctl/tables.h"

int main(int argc, char** argv) {
  using namespace esplanade;
  CLI::App app{"espctl shows what espd does: its state, its SAs, its counters; and steers the IKE daemon."};
  std::string socket = "/run/esplanade/espd.sock";
  bool json = false;
  app.add_option("--socket", socket, "status socket of espd")->capture_default_str();
  app.add_flag("--json", json, "JSON instead of tables");
  app.require_subcommand(1);
  app.fallthrough();  // options may follow the command
  const CLI::App* status = app.add_subcommand("status", "card, IKE daemon, policies");
  const CLI::App* sa = app.add_subcommand("sa", "security associations, without keys");
  app.add_subcommand("stats", "packets, bytes, cycles, drops by reason");
  espctl::IkeCommand ike;
  espctl::add_ike(app, ike);
  CLI11_PARSE(app, argc, argv);
  if (ike.app->parsed()) return espctl::run_ike(ike, json);

  const bool want_status = status->parsed();
  const bool want_sas = sa->parsed();
  const auto answer = want_sas ? espctl::ask_sas(socket)
                               : espctl::ask(socket, {{"command", want_status ? "status" : "stats"}});
  if (!answer) {
    fmt::print(stderr, "espctl: {}\n", answer.error().detail);
    return 1;
  }
  if (json) {
    fmt::print("{}\n", answer->dump(2, ' ', false, espctl::Json::error_handler_t::replace));
  } else {
    fmt::print("{}", want_sas      ? espctl::sa_table(*answer)
                     : want_status ? espctl::status_table(*answer)
                                   : espctl::stats_table(*answer));
  }
  return 0;
}
