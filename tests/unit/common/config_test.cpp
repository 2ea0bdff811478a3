#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "common/config/toml_reader.h"

using namespace esplanade;

namespace {
// What reading `text` as a file with a string `name`, an integer `n` and tables [[row]] says.
std::string outcome(const std::string& text) {
  const std::string path = "/tmp/esplanade-config-test-" + std::to_string(::getpid());
  std::ofstream(path) << text;
  const Status read = read_toml(path, [](TomlReader& t) {
    t.text("name", true);
    t.integer("n", 1, 10);
    t.array_of_tables("row", [](TomlReader& row) { row.boolean("on"); });
  });
  ::unlink(path.c_str());
  return read ? "ok" : read.error().detail.substr(path.size());
}
}  // namespace

TEST_CASE("config: errors name line, key and reason") {
  CHECK(outcome("name = \"x\"\nn = 3\n[[row]]\non = true\n") == "ok");
  CHECK(outcome("n = 3\n") == ":1: name: is missing");
  CHECK(outcome("name = \"x\"\nn = 11\n") == ":2: n: is not an integer from 1 to 10");
  CHECK(outcome("name = 1\n") == ":1: name: is not a string");
  CHECK(outcome("name = \"x\"\nother = 1\n") == ":2: other: is not a known key here");
  CHECK(outcome("name = \"x\"\n[[row]]\non = 1\n") == ":3: row[0].on: is neither true nor false");
  CHECK(outcome("name = \"secret\nn = 3\n").find("not TOML") != std::string::npos);
  CHECK(outcome("name = \"secret\nn = 3\n").find("secret") == std::string::npos);
  CHECK(read_toml("/nonexistent/x", [](TomlReader&) {}).error().code == Errc::kIo);
}
