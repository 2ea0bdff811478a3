// keyd: the IKEv1 daemon.
#include <sys/prctl.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "common/base/log.h"
#include "keyd/shell/daemon.h"

using namespace esplanade;

namespace {

// Neither a core file nor another process of this user may show the keys.
void harden() {
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  ::prctl(PR_SET_DUMPABLE, 0);
}

LogLevel level_of(const std::string& name) {
  return name == "debug"   ? LogLevel::kDebug
         : name == "warn"  ? LogLevel::kWarn
         : name == "error" ? LogLevel::kError
                           : LogLevel::kInfo;
}

int fail(const Error& e) {
  std::fprintf(stderr, "keyd: %s\n", e.detail.c_str());
  return e.code == Errc::kBadConfig ? 2 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"keyd negotiates IPsec SAs with IKEv1 (RFC 2409) and hands them to espd."};
  std::string path = "/etc/esplanade/keyd.toml";
  bool check = false;
  app.add_option("--config", path, "Configuration file")->capture_default_str();
  app.add_flag("--check", check, "Read the configuration, say whether it is right, and end");
  app.footer(
      "Ends with 0 on SIGTERM, 1 on a failure while running, 2 on a wrong configuration or command line.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  harden();
  auto config = ike::load_config(path);
  if (!config) return fail(config.error());
  auto holder = ike::LocalHolder::load(config->secrets_file, *config);
  if (!holder) return fail(holder.error());
  if (check) {
    for (const std::string& warning : config->warnings) std::printf("%s: warning: %s\n", path.c_str(), warning.c_str());
    std::printf("%s: ok, %zu connections\n", path.c_str(), config->connections.size());
    return 0;
  }
  log_setup("keyd", level_of(config->log_level));
  ike::Daemon daemon(std::move(*config), std::move(*holder));
  if (auto status = daemon.open(); !status) return fail(status.error());
  if (auto status = daemon.run(); !status) {
    log_error("{}", status.error().detail);
    return 1;
  }
  return 0;
}
