// The parent of keyd's processes: reads the configuration, opens what needs privileges, starts the holder of
// secrets and the process that faces the network, watches over them, ends and reloads them. It parses nothing
// that comes from the network.
#pragma once

#include <map>
#include <set>

#include "keyd/policy/config.h"
#include "keyd/shell/child.h"

namespace esplanade::ike {

struct ParentOptions {
  std::string config_path;
  std::string keylog_dir;  // empty: none
};

class Parent {
 public:
  explicit Parent(ParentOptions options) : options_(std::move(options)) {}
  ~Parent();
  Parent(const Parent&) = delete;
  Parent& operator=(const Parent&) = delete;

  /// Reads both files as a start would and says whether they are right. Errors as of reading them.
  Status check();
  /// Starts everything and stays until SIGTERM or SIGINT (ok), or until a process fails. Errors: kBadConfig,
  /// kIo, kPermission, and what a child reports.
  Status run();
  std::size_t num_connections() const { return config_.connections.size(); }
  /// Settings that are allowed but deserve caution.
  const std::vector<std::string>& warnings() const { return config_.warnings; }

 private:
  Status start();
  Status load_config_text();
  Status configure(Child& child);
  Status open_sockets();
  Status open_ports();
  Status open_keylog();
  Status give(std::string_view text, int fd);
  Status wait_for_end();
  Status on_engine_message();
  Status reload();
  Status check_fixed(const Config& next) const;
  /// Errors: a child ended, which no child should: why.
  Status reap();
  void stop_children();
  void stop_child(Child& child, std::chrono::milliseconds patience);

  ParentOptions options_;
  std::string text_;
  Config config_;
  Child holder_;
  Child engine_;
  pfkey::Fd signals_;
  std::optional<pfkey::Listener> control_;
  std::set<std::string> ports_;  // bound already
  bool reload_wanted_ = false;
  bool stopping_ = false;
};

}  // namespace esplanade::ike
