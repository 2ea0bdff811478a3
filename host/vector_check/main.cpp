// vector-check: runs the JSON vector files of tests/vectors through a card or the reference engine.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "host/vector_check/cases.h"

int main(int argc, char** argv) {
  using namespace esplanade;
  CLI::App app{"Runs test vectors through a card or the reference engine. The last line is `N passed, N failed, N skipped`; "
               "the exit status is 0 when something passed and nothing failed."};
  std::vector<std::string> files;
  host::BackendOptions options;
  options.test_mode = true;  // vectors bring their own IVs
  app.add_option("FILE", files, "JSON vector files")->required();
  app.add_option("--card", options.card, "soft (reference engine), sim (simulated card), or an XRT device")->capture_default_str();
  CLI11_PARSE(app, argc, argv);

  auto backend = host::open_backend(options);
  if (!backend) {
    std::fprintf(stderr, "vector-check: %s\n", backend.error().detail.c_str());
    return 1;
  }
  host::Report report;
  for (const std::string& file : files) {
    const auto ran = host::run_file(file, **backend, report);
    if (!ran) {
      std::fprintf(stderr, "vector-check: %s: %s\n", file.c_str(), printable(ran.error().detail, 1000).c_str());
      report.fail(file, ran.error().detail);
      // What is still inside would answer for the packets of the next file.
      if (ran.error().code == Errc::kDeviceLost || ran.error().code == Errc::kTimeout) break;
    }
  }
  backend->reset();  // XRT has its say before the closing line
  return report.close() ? 0 : 1;
}
