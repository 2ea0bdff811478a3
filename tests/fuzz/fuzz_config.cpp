// keyd.toml.
#include "keyd/policy/config.h"
#include "tests/fuzz/fuzz.h"

using namespace esplanade;

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  auto config = ike::parse_config(std::string_view(reinterpret_cast<const char*>(data), size), "fuzz.toml");
  if (!config) {
    fuzz::require(!config.error().detail.empty(), "an error has a text");
    return 0;
  }
  fuzz::require(!config->connections.empty(), "a configuration that is taken has a connection");
  for (const auto& c : config->connections) fuzz::require(!c->suites.empty() && !c->children.empty(), "and suites");
  return 0;
}
