// The simulator's inputs that people write: the platform description, overrides, the wave window.
#include <doctest/doctest.h>

#include <unistd.h>
#include <filesystem>
#include <fstream>
#include <string>

#include "sim/platform.h"

using esplanade::Errc;
using esplanade::sim::parse_wave;
using esplanade::sim::read_platform;

namespace {

class File {
 public:
  explicit File(const std::string& text)
      : path_(std::filesystem::temp_directory_path() /
              ("esplanade-test-config-" + std::to_string(::getpid()))) {
    std::ofstream(path_) << text;
  }
  ~File() { std::filesystem::remove(path_); }
  std::string path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// The error of a description or an override, without the file's name.
std::string error_of(const std::string& text, bool override_only) {
  const File file(text);
  const auto result =
      override_only ? read_platform(ESPLANADE_DESCRIPTION, file.path()) : read_platform(file.path(), "");
  if (result) return "none";
  CHECK(result.error().code == Errc::kBadConfig);
  REQUIRE(result.error().detail.starts_with(file.path() + ":"));
  return result.error().detail.substr(file.path().size() + 1);
}

}  // namespace

TEST_CASE("sim/config: the card's own description is understood") {
  const auto platform = read_platform(ESPLANADE_DESCRIPTION, "");
  REQUIRE_MESSAGE(platform, platform.error().detail);
  CHECK(platform.value().kernel == "esp_card");
  CHECK(platform.value().control_range == 0x10000);
  CHECK(platform.value().units == 1);
  REQUIRE(platform.value().memories.size() == 2);
  CHECK(!platform.value().memories[0].host);
  CHECK(platform.value().memories[1].host);
  CHECK(platform.value().memories[1].tag == "HOST[0]");
}

TEST_CASE("sim/config: the boards' presets are understood, and none is left out") {
  const std::filesystem::path folder = std::filesystem::path(ESPLANADE_DESCRIPTION).parent_path() / "presets";
  unsigned found = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const auto platform = read_platform(ESPLANADE_DESCRIPTION, entry.path());
    REQUIRE_MESSAGE(platform, platform.error().detail);
    CHECK(platform.value().timing.ddr_row_miss_latency > 0);
    CHECK(platform.value().timing.ddr_refresh_interval > platform.value().timing.ddr_refresh_cycles);
    ++found;
  }
  CHECK(found == 3);
}

TEST_CASE("sim/config: overrides change what they name and nothing else") {
  const File file("[sim]\nquantum_cycles = 7\n");
  const auto platform = read_platform(ESPLANADE_DESCRIPTION, file.path()),
             plain = read_platform(ESPLANADE_DESCRIPTION, "");
  REQUIRE(platform);
  REQUIRE(plain);
  CHECK(platform.value().timing.quantum_cycles == 7);
  CHECK(platform.value().timing.ddr_read_latency == plain.value().timing.ddr_read_latency);
}

TEST_CASE("sim/config: what is wrong is named with its line") {
  CHECK(error_of("[sim]\n\nquantum_cycle = 64\n", true) == "3: [sim] has no quantum_cycle");
  CHECK(error_of("[sim]\nstall_percent = 100\n", true) == "2: stall_percent must be an integer from 0 to 99");
  CHECK(error_of("[sim]\nstall_percent = \"9\"\n", true) ==
        "2: stall_percent must be an integer from 0 to 99");
  CHECK(error_of("[sim]\nddr_read_latency = -1\n", true) ==
        "2: ddr_read_latency must be an integer from 1 to 1000000");
  CHECK(error_of("sim = 3\n", true) == "1: sim must be a table");
  CHECK(error_of("[sim\n", true).starts_with("1: "));
  CHECK(error_of("[kernel]\nname = \"x\"\n", false).find("control_base") != std::string::npos);
  CHECK(error_of("", false) == " no [kernel]");
  CHECK(error_of("[kernel]\ncontrol_base = 0\ncontrol_range = 4096\nclock_mhz = 0\n", false) ==
        "1: clock_mhz must be from 1 to 10000");
  const std::string bare = "[kernel]\ncontrol_base = 0\ncontrol_range = 4096\nclock_mhz = 300\n";
  CHECK(error_of(bare, false) == "1: [kernel] needs instances, a list of 1 to 16 names");
  CHECK(error_of(bare + "instances = []\n", false) == "1: [kernel] needs instances, a list of 1 to 16 names");
  const std::string kernel = bare + "instances = [\"x_1\"]\n";
  CHECK(error_of(kernel, false) == " no [[memory]]");
  CHECK(error_of(kernel + "[[memory]]\nbase = 1\nsize = 4096\n", false) ==
        "6: base and size must be multiples of 4096");
  CHECK(!read_platform("/nonexistent/esp_card.toml", ""));
}

TEST_CASE("sim/config: wave windows") {
  CHECK(parse_wave("").value().file.empty());
  const auto whole = parse_wave("a.fst");
  REQUIRE(whole);
  CHECK(whole.value().from == 0);
  const auto triggered = parse_wave("/tmp/a.fst:register=SQ_TAIL*2+100:500");
  REQUIRE(triggered);
  REQUIRE(triggered.value().trigger);
  CHECK(triggered.value().trigger->kind == esplanade::sim::Trigger::Kind::kRegister);
  CHECK(triggered.value().trigger->register_name == "SQ_TAIL");
  CHECK(triggered.value().trigger->nth == 2);
  CHECK(triggered.value().trigger->delay == 100);
  CHECK(triggered.value().cycles == 500);
  CHECK(parse_wave("/tmp/a.fst:error").value().cycles == 2000);
  for (const char* wrong : {"a.fst:packet=0", "a.fst:packet=3:0", "a.fst:packet=3:x", "a.fst:sa=", "a.fst:register=x", "a.fst:cycle=1+", "a.fst:sa=1*0"}) {
    CAPTURE(std::string(wrong));
    CHECK_FALSE(parse_wave(wrong));
  }
  const auto window = parse_wave("/tmp/a.fst:100:200");
  REQUIRE(window);
  CHECK(window.value().file == "/tmp/a.fst");
  CHECK(window.value().from == 100);
  CHECK(window.value().to == 200);
  for (const char* bad :
       {":1:2", "a.fst:", "a.fst:x", "a.fst:-1", "a.fst:2:1", "a.fst:1:2:3", "a.fst:1:2x"}) {
    CAPTURE(bad);
    CHECK(!parse_wave(bad));
  }
}
