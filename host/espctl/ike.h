// `espctl ike`: looks at a running keyd and steers it.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "host/espctl/client.h"

namespace esplanade::espctl {

struct IkeCommand {
  CLI::App* app = nullptr;
  std::string socket = "/run/esplanade/keyd.sock";
  std::string what;  // CONNECTION or CONNECTION/CHILD
};

/// Adds the subcommand with its own subcommands. `command` outlives the parsing.
void add_ike(CLI::App& app, IkeCommand& command);
/// Runs the one that was given. Returns the exit code; `log` goes on until keyd ends or espctl is interrupted.
int run_ike(const IkeCommand& command, bool json);

/// keyd's answers as tables for people.
std::string ike_list_table(const Json& sas);
std::string ike_stats_table(const Json& stats);

}  // namespace esplanade::espctl
