// Life and death: of the host, of the model, and a model that cannot start.
#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <thread>

#include "tests/sim/process.h"

namespace {

using namespace std::chrono_literals;
using esplanade::test::alive;
using esplanade::test::Process;

constexpr auto kDeath = 5s;  // what everything that dies must take others at most

/// sim_host, running, with the ids that it told.
struct Host {
  Process process{ESPLANADE_SIM_HOST};
  int front = 0, model = 0;
  std::string id;

  Host() {
    const auto line = process.wait_for_line("ready ", 30s);
    REQUIRE_MESSAGE(line, "sim_host said only: " << process.text());
    char octets[16] = {};
    REQUIRE(std::sscanf(line->c_str(), "ready %d %d %8s", &front, &model, octets) == 3);
    id = octets;
  }
};

bool gone_within(int pid, std::chrono::milliseconds patience) {
  const auto until = std::chrono::steady_clock::now() + patience;
  while (alive(pid)) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(10ms);
  }
  return true;
}

/// Sets a variable for the children that start while it lives.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) { ::setenv(name, value.c_str(), 1); }
  ~Variable() { ::unsetenv(name_); }

 private:
  const char* name_;
};

}  // namespace

TEST_CASE("sim/life: a host that is killed takes front and model with it") {
  Host host;
  CHECK(host.id == "43505345");
  REQUIRE(alive(host.front));
  REQUIRE(alive(host.model));
  host.process.kill(SIGKILL);
  CHECK(gone_within(host.front, kDeath));
  CHECK(gone_within(host.model, kDeath));
}

TEST_CASE("sim/life: a front that is killed takes the model with it") {
  Host host;
  ::kill(host.front, SIGKILL);
  CHECK(gone_within(host.model, kDeath));
  host.process.kill(SIGKILL);  // XRT itself waits for ever now
}

TEST_CASE(
    "sim/life: what a terminal or service manager sends to all does not take the card from a living host") {
  Host host;
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    ::kill(host.front, signal);
    ::kill(host.model, signal);
  }
  std::this_thread::sleep_for(200ms);
  CHECK(alive(host.front));
  CHECK(alive(host.model));
  CHECK(!host.process.wait_for_line("lost", 100ms));
  host.process.kill(SIGKILL);
  CHECK(gone_within(host.front, kDeath));
}

TEST_CASE("sim/life: a model that dies leaves a card of all ones, a reason, and a host that can close it") {
  for (const int signal : {SIGKILL, SIGSEGV}) {
    CAPTURE(signal);
    Host host;
    ::kill(host.model, signal);
    CHECK(host.process.wait_for_line("lost", kDeath));
    CHECK(host.process.wait_for_line("closed", kDeath));
    CHECK(host.process.wait(kDeath) == 0);
    CHECK(host.process.text().find(signal == SIGKILL ? "killed by signal 9" : "killed by signal 11") !=
          std::string::npos);
    CHECK(gone_within(host.front, kDeath));
  }
}

TEST_CASE("sim/life: a model that hangs counts as dead") {
  const Variable patience("ESPLANADE_SIM_TIMEOUT", "1");
  Host host;
  ::kill(host.model, SIGSTOP);
  CHECK(host.process.wait_for_line("lost", kDeath));
  CHECK(host.process.wait(kDeath) == 0);
  CHECK(host.process.text().find("did not answer within 1 s") != std::string::npos);
  CHECK(gone_within(host.model, kDeath));
}

TEST_CASE("sim/life: two hosts at once have a card each") {
  Host one, two;
  CHECK(one.id == "43505345");
  CHECK(two.id == "43505345");
  CHECK(one.model != two.model);
  ::kill(one.model, SIGKILL);
  CHECK(one.process.wait(kDeath) == 0);
  CHECK(!two.process.wait_for_line("lost", 200ms));
  two.process.kill(SIGKILL);
  CHECK(gone_within(two.front, kDeath));
}

TEST_CASE("sim/life: a bad configuration is a lost card whose log names file, line and key") {
  const std::filesystem::path file =
      std::filesystem::temp_directory_path() / ("esplanade-test-" + std::to_string(::getpid()) + ".toml");
  std::ofstream(file) << "[sim]\n\nquantum_cycles = 0\n";
  const Variable config("ESPLANADE_SIM_CONFIG", file);
  {
    Process process(ESPLANADE_SIM_HOST);
    CHECK(process.wait_for_line("lost", 30s));
    CHECK(process.wait(kDeath) == 0);
    CHECK(process.text().find(file.string() + ":3: quantum_cycles must be an integer from 1") !=
          std::string::npos);
  }
  std::filesystem::remove(file);
}
