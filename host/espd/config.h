// The configuration of espd: a TOML file. docs/examples/espd.toml is a commented example. Reading is strict:
// an unknown key, a wrong type or a value out of range is refused with file, line and column.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/base/log.h"
#include "host/espd/policy.h"

namespace esplanade::espd {

struct Config {
  std::vector<std::string> cards{"sim"};  // the first ones are in use, the others stand in for them
  std::size_t cards_in_use = 1;
  bool recover = true;                    // after a loss: open a card anew; else drop everything
  std::string run_dir = "/run/esplanade";  // of the sockets
  LogLevel log_level = LogLevel::kInfo;
  std::string tun_name = "espl0";
  int tun_mtu = 1400;  // room for outer headers, UDP, ESP and padding under 1500
  std::size_t tun_threads = 0;  // each with a queue of the TUN device; 0: one thread does all, with one queue
  std::uint32_t table = 4500;  // routing table, priority of its rule and firewall mark: routes.h
  bool guard = true;           // guard.h
  bool block_on_stop = true;   // what is protected stays blocked when espd is not running
  std::vector<Policy> policies;

  std::string status_socket() const { return run_dir + "/espd.sock"; }
  std::string pfkey_socket() const { return run_dir + "/pfkey.sock"; }
  std::string natt_socket() const { return run_dir + "/natt.sock"; }
};

/// Parses the text; `file` is for messages. kBadConfig: "FILE:LINE:COLUMN: what".
Result<Config> parse_config(std::string_view text, const std::string& file);

/// What a running espd cannot take over from `next`, which it would have to be started anew for; nullopt: nothing.
std::optional<std::string> needs_restart(const Config& now, const Config& next);

/// Reads and parses a file of at most 1 MiB. Errors: kIo, kPermission, kBadConfig.
Result<Config> load_config(const std::string& path);

}  // namespace esplanade::espd
