// Ports of other widths than the card's: compiled for each.
#include "tests/sim/copy_bench.h"

#include <algorithm>

using namespace esplanade;
using namespace esplanade::sim;

namespace {
constexpr std::uint32_t kBeat = std::tuple_element_t<0, KernelPins::Ports>::kShape.beat_bytes;
constexpr std::uint32_t kBeatsMax = std::min(64U, 4096 / kBeat);
}  // namespace

TEST_CASE("sim/port_width: bursts of every length arrive whole, with and without pauses of the memory") {
  const unsigned s = static_cast<unsigned>(testing::seed());
  CAPTURE(s);
  CAPTURE(kBeat);
  std::mt19937 random(s);
  for (const std::uint32_t stall : {0U, 50U}) {
    CAPTURE(stall);
    Timing timing;
    timing.stall_percent = stall;
    timing.stall_seed = static_cast<std::uint32_t>(random() | 1);
    Bench bench(timing);
    for (std::uint32_t beats = 1; beats <= kBeatsMax; ++beats) {
      CAPTURE(beats);
      const Bytes data = random_octets(random, 4096), canary = random_octets(random, 8192);
      const auto skip = static_cast<std::uint32_t>(random() % kBeat);
      bench.card().write_memory(kDdr, data);
      bench.card().write_memory(kDdr + 0x8000, canary);
      REQUIRE((bench.copy(kDdr, kDdr + 0x9000 - kBeat * beats, beats, skip) & 0xfff) == 0);
      Bytes expected = canary;
      std::copy(data.begin() + skip, data.begin() + kBeat * beats,
                expected.begin() + 0x1000 - kBeat * beats + skip);
      CHECK(bench.card().read_memory(kDdr + 0x8000, expected.size()) == expected);
    }
  }
}

TEST_CASE("sim/port_width: the checker knows the width") {
  {
    Bench bench;
    bench.write(kFault, 6);
    CHECK(bench.copy(kDdr, kDdr + 4096, 2) == 0xffffffff);
    const std::string said = bench.card().take_messages();
    CHECK_MESSAGE(said.find("only " + std::to_string(kBeat) + "-byte beats") != std::string::npos, said);
  }
  {
    Bench bench;
    CHECK(bench.copy(kDdr + 4096 - kBeat, kDdr, 2) == 0xffffffff);
    CHECK(bench.card().take_messages().find("crosses 4 KiB") != std::string::npos);
  }
  Bench bench;
  bench.write(kFault, 7);
  CHECK(bench.copy(kDdr, kDdr + 4096 + kBeat - 1, 1) == 0xffffffff);
  CHECK(bench.card().take_messages().find("WSTRB writes below") != std::string::npos);
}
