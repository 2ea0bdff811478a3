// The AXI4-Lite face and the global registers of the card.
#include <doctest/doctest.h>

#include "hw/tb/card/card_bench.h"

using namespace esplanade;
using tb::Bench;
namespace reg = card::reg;

TEST_CASE("card/registers: the card says who it is and what it can do") {
  Bench b(tb::seed_of_run());
  CHECK(b.read32(reg::kId.at()) == 0x43505345);
  CHECK(b.read32(reg::kVersion.at()) == card::kFormatVersion);
  const auto caps = b.read32(reg::kCaps.at());
  CHECK(reg::kCapsTripleDes.get(caps) == 1);
  CHECK(reg::kCapsHmacSha1.get(caps) == 1);
  CHECK(reg::kCapsTunnel.get(caps) == 1);
  CHECK(reg::kCapsEsn.get(caps) == 1);
  CHECK(b.read32(reg::kSaEntries.at()) == 4096);
  CHECK(b.read32(reg::kMaxPacket.at()) == 9216);
  CHECK(b.read32(reg::kReplayMax.at()) == 1024);
  CHECK(b.read32(reg::kClockHz.at()) == 300'000'000);
  CHECK(reg::kSizesLanes.get(b.read32(reg::kSizes.at())) == 1);
}

TEST_CASE("card/registers: every register of the map answers, and no read changes anything") {
  Bench b(tb::seed_of_run());
  REQUIRE(b.settle());
  for (const card::Reg& r : reg::kAll)
    for (std::uint32_t n = 0; n < r.count; ++n) {
      CAPTURE(r.name);
      const auto first = b.read32(r.at(n));
      const auto second = b.read32(r.at(n));
      const std::string_view name = r.name;
      if (name.find("CYCLES") == std::string_view::npos && name != "SECONDS" && name != "STATUS") CHECK(first == second);
      if (r.access == card::Access::kWo) CHECK(first == 0);
    }
  CHECK(b.read32(reg::kErrorCause.at()) == 0);
}

TEST_CASE("card/registers: an access outside the map reads 0 and is reported once cleared by a 1") {
  Bench b(tb::seed_of_run());
  CHECK(b.read32(0x00f0) == 0);
  const auto unmapped = reg::kErrorCauseAxilUnmapped.mask();
  CHECK(b.read32(reg::kErrorCause.at()) == unmapped);
  CHECK(reg::kStatusFault.get(b.read32(reg::kStatus.at())) == 1);
  b.write32(reg::kErrorCause.at(), ~unmapped);
  CHECK(b.read32(reg::kErrorCause.at()) == unmapped);
  b.write32(reg::kErrorCause.at(), unmapped);
  CHECK(b.read32(reg::kErrorCause.at()) == 0);
  for (std::uint32_t at : {0x0054u, 0x0200u, 0x0410u, 0x0714u, 0x0ffcu, 0x1028u, 0x103cu, 0x1400u, 0x2080u, 0x2118u, 0x8000u, 0xfffcu}) {
    CAPTURE(at);
    b.write32(at, 0xffffffff);
    CHECK(b.read32(reg::kErrorCause.at()) == unmapped);
    b.write32(reg::kErrorCause.at(), unmapped);
  }
}

TEST_CASE("card/registers: the interrupt line is the enabled pending causes") {
  Bench b(tb::seed_of_run());
  REQUIRE(b.settle());
  b.write32(reg::kIrqStatus.at(), 7);
  CHECK(!card_model::interrupt(b.card));
  (void)b.read32(0x00f0);
  b.run(200);
  CHECK(b.read32(reg::kIrqStatus.at()) == (reg::kIrqStatusError.mask() | reg::kIrqStatusEvent.mask()));
  CHECK(!card_model::interrupt(b.card));
  b.write32(reg::kIrqEnable.at(), reg::kIrqEnableError.mask());
  b.tick();
  CHECK(card_model::interrupt(b.card));
  b.write32(reg::kIrqStatus.at(), reg::kIrqStatusError.mask());
  b.tick();
  CHECK(!card_model::interrupt(b.card));
}

TEST_CASE("card/registers: an error writes an event with the cause bits") {
  Bench b(tb::seed_of_run(), 30, 20);
  (void)b.read32(0x00f0);
  b.run(2000);
  const auto events = b.take_events();
  REQUIRE(events.size() == 1);
  CHECK(card::get(events[0], card::event::kPhase) == 1);
  CHECK(card::get(events[0], card::event::kType) == static_cast<unsigned>(card::EventType::kError));
  CHECK(card::get(events[0], card::event::kSaIndex) == 0xffffffff);
  CHECK(card::get(events[0], card::event::kArg) == reg::kErrorCauseAxilUnmapped.mask());
  CHECK(b.memory.violations().empty());
}

TEST_CASE("card/registers: a full event ring drops events, says so, and goes on when there is room") {
  Bench b(tb::seed_of_run());
  for (unsigned i = 0; i < 80; ++i) {
    (void)b.read32(0x00f0);
    b.write32(reg::kErrorCause.at(), reg::kErrorCauseAxilUnmapped.mask());
    b.run(20);
  }
  CHECK(b.read32(reg::kEventTail.at()) == 64);
  CHECK(reg::kErrorCauseEventLost.get(b.read32(reg::kErrorCause.at())) == 1);
  CHECK(b.take_events().size() == 64);
  b.write32(reg::kErrorCause.at(), 0x3ff);
  (void)b.read32(0x00f0);
  b.run(100);
  const auto events = b.take_events();
  REQUIRE(events.size() == 1);
  CHECK(card::get(events[0], card::event::kPhase) == 0);  // second lap
  CHECK(b.memory.violations().empty());
}

TEST_CASE("card/registers: windows keep their place while enabled") {
  Bench b(tb::seed_of_run());
  b.write32(reg::kWindowBaseLo.at(0), 0x1234000);
  CHECK(b.read32(reg::kWindowBaseLo.at(0)) == static_cast<std::uint32_t>(Bench::kBase));
  b.write32(reg::kWindowBaseLo.at(3), 0x1234000);
  b.write32(reg::kWindowSize.at(3), 77);
  CHECK(b.read32(reg::kWindowBaseLo.at(3)) == 0x1234000);
  CHECK(b.read32(reg::kWindowSize.at(3)) == 77);
  CHECK(b.read32(reg::kWindowSize.at(2)) == 0);
}

TEST_CASE("card/registers: time runs, and left-out time is added") {
  Bench b(tb::seed_of_run());
  b.run(10'000);  // the wiping of the SA table after reset is work, too
  REQUIRE(card_model::idle(b.card));
  const auto before = b.read32(reg::kCyclesLo.at());
  b.run(64);
  REQUIRE(card_model::idle(b.card));
  card_model::skip(b.card, 3'000'000'005, 300'000'000);
  const auto hi = b.read32(reg::kCyclesHi.at());
  const auto lo = b.read32(reg::kCyclesLo.at());
  const auto passed = ((std::uint64_t{hi} << 32) | lo) - before;
  CHECK(passed > 3'000'000'005);
  CHECK(passed < 3'000'000'305);
  CHECK(b.read32(reg::kSeconds.at()) == 10);
}

TEST_CASE("card/registers: the generator is seeded by the fifth word, and a reset forgets the seed") {
  Bench b(tb::seed_of_run());
  b.run(50);
  CHECK(reg::kStatusSeeded.get(b.read32(reg::kStatus.at())) == 1);
  b.card.ap_rst_n = 0;
  b.run(10);
  b.card.ap_rst_n = 1;
  b.run(50);
  CHECK(reg::kStatusSeeded.get(b.read32(reg::kStatus.at())) == 0);
  CHECK(b.read32(reg::kControl.at()) == 0);
}
