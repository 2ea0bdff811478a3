// espd: the data-plane daemon. Parses flags, reads the configuration, runs.
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>

#include "host/espd/daemon.h"

namespace {

// ESP keys pass through this process: no core dump, no other process of the user that reads its memory.
void forbid_dumps() {
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  ::prctl(PR_SET_DUMPABLE, 0);
}

int fail(const esplanade::Error& error) {
  fmt::print(stderr, "espd: {}\n", error.detail);
  return error.code == esplanade::Errc::kBadConfig ? 2 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"espd moves packets between a TUN device, an ESP card and the network. SAs come by PF_KEYv2."};
  std::string path = "/etc/esplanade/espd.toml";
  bool check = false, release = false;
  app.add_option("--config", path, "configuration file")->capture_default_str();
  app.add_flag("--check", check, "check the configuration, start nothing");
  app.add_flag("--release", release, "let pass what an espd that does not run any more left blocked");
  CLI11_PARSE(app, argc, argv);

  forbid_dumps();
  const auto config = esplanade::espd::load_config(path);
  if (!config) return fail(config.error());
  if (check) {
    fmt::print("{}: correct, {} policies\n", path, config->policies.size());
    return 0;
  }
  if (release) {
    const esplanade::Status released = esplanade::espd::release(*config);
    return released ? 0 : fail(released.error());
  }
  esplanade::log_setup("espd", config->log_level);
  const esplanade::Status ran = esplanade::espd::run_daemon(path, *config);
  return ran ? 0 : fail(ran.error());
}
