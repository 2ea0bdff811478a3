// The simulated card through stock XRT: registers, memory, statistics, an idle card's cost.
#include <doctest/doctest.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "common/testing/seed.h"
#include "hw/regs/card_regs.h"
#include "tests/sim/process.h"
#include "tests/sim/xrt_host.h"

namespace reg = esplanade::card::reg;
using namespace esplanade::test;

namespace {

Folder& folder() {
  static Folder one;
  return one;
}

double seconds_of(const std::function<void()>& work) {
  const auto began = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

}  // namespace

TEST_CASE("sim/card: registers answer through stock XRT, again after a second open") {
  folder();
  for (int round = 0; round < 2; ++round) {
    SimCard card;
    CHECK(card.read(reg::kId.at()) == 0x43505345);
    CHECK(card.read(reg::kVersion.at()) == esplanade::card::kFormatVersion);
    std::mt19937 random(static_cast<unsigned>(esplanade::testing::seed()));
    for (std::uint32_t i = 0; i < 100; ++i) {
      const std::uint32_t n = i % 4, value = static_cast<std::uint32_t>(random()) & 0xfffff000;
      card.write(reg::kWindowBaseLo.at(n), value);
      CHECK(card.read(reg::kWindowBaseLo.at(n)) == value);
    }
    CHECK_THROWS(card.read(0x10000));  // XRT refuses: beyond the range in the .xclbin
  }
}

TEST_CASE("sim/card: buffers of up to 4 MiB come back whole, and ranges of them") {
  folder();
  SimCard card;
  const unsigned s = static_cast<unsigned>(esplanade::testing::seed());
  CAPTURE(s);
  std::mt19937 random(s);
  for (const std::size_t size : {std::size_t{4096}, std::size_t{12288}, std::size_t{512 * 1024},
                                 std::size_t{512 * 1024 + 4096}, std::size_t{4 << 20}}) {
    CAPTURE(size);
    xrt::bo buffer(card.device(), size, xrt::bo::flags::normal, 0);
    auto* data = buffer.map<std::uint8_t*>();
    std::vector<std::uint8_t> expected(size);
    for (auto& octet : expected) octet = static_cast<std::uint8_t>(random());
    std::copy(expected.begin(), expected.end(), data);
    sync(buffer, XCL_BO_SYNC_BO_TO_DEVICE, 0, size);
    for (int i = 0; i < 20;
         ++i) {  // ranges: the host's copy changes, and the card's only where it was synced
      const std::size_t at = random() % size, n = 1 + random() % (size - at);
      for (std::size_t k = at; k < at + n; ++k)
        data[k] = expected[k] = static_cast<std::uint8_t>(~expected[k]);
      sync(buffer, XCL_BO_SYNC_BO_TO_DEVICE, at, n);
    }
    data[0] = static_cast<std::uint8_t>(~expected[0]);
    std::fill(data, data + size, std::uint8_t{0x5a});
    sync(buffer, XCL_BO_SYNC_BO_FROM_DEVICE, 0, size);
    CHECK(std::equal(expected.begin(), expected.end(), data));
  }
}

TEST_CASE("sim/card: an idle card costs no processor time") {
  folder();
  SimCard card;
  card.read(reg::kId.at());
  const auto model = find_descendant(::getpid(), "esp-card-model"),
             front = find_descendant(::getpid(), "esp-card-sim");
  REQUIRE(model);
  REQUIRE(front);
  std::this_thread::sleep_for(std::chrono::milliseconds(200));  // what started it may still be under way
  const double before = cpu_seconds(*model) + cpu_seconds(*front);
  std::this_thread::sleep_for(std::chrono::seconds(1));
  CHECK(cpu_seconds(*model) + cpu_seconds(*front) - before <= 0.02);  // two ticks of the kernel's clock
}

TEST_CASE("sim/card: an idle card's time stands still") {
  folder();
  SimCard card;
  while ((card.read(reg::kStatus.at()) & 1) == 0 || (card.read(reg::kSaStatus.at()) & 1) != 0)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));  // the reset wipes tables
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  const auto first = card.read(reg::kCyclesLo.at());
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  const auto second = card.read(reg::kCyclesLo.at());
  std::this_thread::sleep_for(std::chrono::milliseconds(1));
  const auto third = card.read(reg::kCyclesLo.at());
  CHECK(second - first == third - second);
  CHECK(second - first < 1000);
}

TEST_CASE("sim/card: an idle card's time follows the wall clock where that is asked for") {
  const auto config = folder().file("wall.toml");
  std::ofstream(config) << "[sim]\nidle_follows_wall = 1\n";
  ::setenv("ESPLANADE_SIM_CONFIG", config.c_str(), 1);
  {
    SimCard card;
    std::this_thread::sleep_for(std::chrono::milliseconds(1200));
    CHECK(card.read(reg::kSeconds.at()) >= 1);
    CHECK(card.read(reg::kSeconds.at()) < 60);
  }
  ::unsetenv("ESPLANADE_SIM_CONFIG");
}

TEST_CASE("sim/card: statistics are there once the card is closed") {
  std::filesystem::remove(folder().statistics());
  {
    SimCard card;
    for (int i = 0; i < 10; ++i) card.read(reg::kId.at());
    CHECK(!std::filesystem::exists(folder().statistics()));
  }
  const auto statistics = nlohmann::json::parse(read_file(folder().statistics()));
  CHECK(statistics.at("register_accesses") == 10);
  CHECK(statistics.at("cycles").get<std::uint64_t>() > 30);
  for (const char* key : {"busy_cycles", "wall_s", "cycles_per_s", "axi_read_bytes", "axi_write_bytes"})
    CHECK(statistics.contains(key));
}

TEST_CASE("sim/card: an interrupt is enabled by its register, reaches the host's end of the link, once, and can get lost on the way") {
  const auto plan = folder().file("lost.toml");
  std::ofstream(plan) << "[[fault]]\npoint = \"interrupt-lost\"\n";
  for (const char* model : {"rtl", "functional"}) {
    for (const bool lost : {false, true}) {
      CAPTURE(std::string(model));
      CAPTURE(lost);
      std::filesystem::remove(folder().statistics());
      ::setenv("ESPLANADE_SIM_MODEL", model, 1);
      if (lost) ::setenv("ESPLANADE_SIM_FAULTS", plan.c_str(), 1);
      {
        SimCard card;
        card.write(0x0ffc, 1);  // no register: an error, and nobody is told
        CHECK(card.read(reg::kErrorCause.at()) == reg::kErrorCauseAxilUnmapped.mask());
        card.write(reg::kIrqEnable.at(), reg::kIrqStatusError.mask());
        card.read(reg::kId.at());
      }
      ::unsetenv("ESPLANADE_SIM_MODEL");
      ::unsetenv("ESPLANADE_SIM_FAULTS");
      const auto statistics = nlohmann::json::parse(read_file(folder().statistics()));
      CHECK(statistics.at("interrupts_raised") == 1);
      CHECK(statistics.at("interrupts") == (lost ? 0 : 1));
      // 20 cycles of the controller, 100 of the link, at 300 MHz; and 28 bytes on 16 lanes of generation 3.
      if (std::string(model) == "rtl" && !lost) CHECK(statistics.at("interrupt_longest_s").get<double>() == doctest::Approx(120 / 300e6 + 1.8e-9).epsilon(0.001));
    }
  }
}

TEST_CASE("sim/card: speed of the way through XRT (figures, no verdict)") {
  folder();
  SimCard card;
  constexpr int kCount = 500;
  const double read_s = seconds_of([&] {
    for (int i = 0; i < kCount; ++i) card.read(reg::kId.at());
  });
  const double write_s = seconds_of([&] {
    for (int i = 0; i < kCount; ++i) card.write(reg::kWindowBaseLo.at(), 0);
  });
  constexpr std::size_t kBytes = 8 << 20;
  xrt::bo buffer(card.device(), kBytes, xrt::bo::flags::normal, 0);
  const double to_s = seconds_of([&] { sync(buffer, XCL_BO_SYNC_BO_TO_DEVICE, 0, kBytes); });
  const double from_s = seconds_of([&] { sync(buffer, XCL_BO_SYNC_BO_FROM_DEVICE, 0, kBytes); });
  MESSAGE("register read " << read_s / kCount * 1e6 << " us, write " << write_s / kCount * 1e6
                           << " us; sync to card " << double(kBytes) / to_s / 1e6 << " MB/s, from card "
                           << double(kBytes) / from_s / 1e6 << " MB/s");
  CHECK(card.read(reg::kId.at()) == 0x43505345);
}
