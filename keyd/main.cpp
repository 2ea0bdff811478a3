// keyd: the IKEv1 daemon. One program, three processes: the parent starts it anew with the role of the holder
// of secrets and with that of the process that faces the network.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "common/base/log.h"
#include "keyd/holder/process.h"
#include "keyd/shell/daemon.h"
#include "keyd/shell/parent.h"

using namespace esplanade;

namespace {

int end_with(const Error& e) {
  log_error("{}", e.detail);
  return e.code == Errc::kBadConfig ? 2 : 1;
}

int run_role(const std::string& role) {
  ike::enter_child_process();
  if (role == "holder") return ike::run_holder_process();
  return ike::Daemon().run();
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"keyd negotiates IPsec SAs with IKEv1 (RFC 2409) and hands them to espd."};
  ike::ParentOptions options;
  options.config_path = "/etc/esplanade/keyd.toml";
  bool check = false;
  std::string role;
  app.add_option("--config", options.config_path, "Configuration file")->capture_default_str();
  app.add_flag("--check", check, "Read configuration and secrets, say whether they are right, and end");
  app.add_option("--insecure-keylog", options.keylog_dir,
                 "Write all keys into this folder, as Wireshark reads them: whoever has them reads the traffic");
  app.add_option("--role", role)->group("")->check(CLI::IsMember({"holder", "ike"}));  // for its own children
  app.footer(
      "Ends with 0 on SIGTERM, 1 on a failure while running, 2 on a wrong configuration or command line. SIGHUP "
      "reads the configuration and the secrets anew.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  if (!role.empty()) return run_role(role);
  ike::forbid_dumps();
  log_setup("keyd", LogLevel::kInfo);  // until the configuration says more
  ike::Parent parent(options);
  if (check) {
    if (auto checked = parent.check(); !checked) return end_with(checked.error());
    for (const std::string& warning : parent.warnings())
      std::printf("%s: warning: %s\n", options.config_path.c_str(), warning.c_str());
    std::printf("%s: ok, %zu connections\n", options.config_path.c_str(), parent.num_connections());
    return 0;
  }
  if (auto status = parent.run(); !status) return end_with(status.error());
  return 0;
}
