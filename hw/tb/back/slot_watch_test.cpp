// slot_watch: a slot that stays open is told every time it is looked at, one that is freed in time never, and a soft
// reset forgets all that was open.
#include <Vslot_watch.h>
#include <doctest/doctest.h>

#include <array>
#include <optional>

#include "hw/tb/lib/bench.h"

namespace tb = esplanade::tb;

namespace {

constexpr unsigned kSlots = 8, kLog2Cycles = 6;  // as the model is built
constexpr std::uint64_t kQuarter = 1ull << kLog2Cycles;

class Watch {
 public:
  Watch() { dut_.reset(); }
  /// One cycle; whether the slot looked at in the one before was late.
  bool step(std::optional<unsigned> open = {}, std::optional<unsigned> free = {}) {
    dut_->open_i = open.has_value();
    dut_->open_slot_i = static_cast<std::uint8_t>(open.value_or(kSlots - 1));
    dut_->free_i = free.has_value();
    dut_->free_slot_i = static_cast<std::uint8_t>(free.value_or(0));
    dut_.settle();
    dut_.tick();
    return dut_->late_o != 0;
  }
  unsigned late_in(std::uint64_t cycles) {
    unsigned n = 0;
    while (cycles-- > 0) n += step();
    return n;
  }
  void soft_reset() {
    dut_->rst_ni = 0;
    step();
    dut_->rst_ni = 1;
  }

 private:
  tb::Clocked<Vslot_watch> dut_;
};

}  // namespace

TEST_CASE("watchdog: a slot that stays open is told after twice to four times the time, and again and again") {
  for (std::uint64_t offset = 0; offset < 4 * kQuarter; offset += 13) {
    CAPTURE(offset);
    Watch w;
    CHECK(w.late_in(offset) == 0);
    w.step(3u);
    std::uint64_t waited = 0;
    while (w.late_in(1) == 0) REQUIRE(++waited < 4 * kQuarter);
    CHECK(waited >= 2 * kQuarter);
    CHECK(waited <= 3 * kQuarter + kSlots);
    CHECK(w.late_in(4 * kQuarter) >= kQuarter / kSlots - 1);  // a quarter of the clock's round, once a round of slots
    w.step({}, 3u);
    w.step();
    CHECK(w.late_in(8 * kQuarter) == 0);
  }
}

TEST_CASE("watchdog: slots that are freed in time are never told, however often they are used") {
  tb::Random r(1);
  Watch w;
  std::array<std::optional<std::uint64_t>, kSlots> until{};
  for (std::uint64_t now = 0; now < 60'000; ++now) {
    std::optional<unsigned> open, free;
    for (unsigned s = 0; s < kSlots; ++s) {
      if (until[s] && *until[s] <= now && !free) {
        free = s;
        until[s].reset();
      } else if (!until[s] && !open && r.percent(5)) {
        open = s;
        until[s] = now + r.between(1, 2 * kQuarter - 3 * kSlots);
      }
    }
    REQUIRE(!w.step(open, free));
  }
}

TEST_CASE("watchdog: a soft reset forgets what was open") {
  Watch w;
  for (unsigned s = 0; s < kSlots; ++s) w.step(s);
  w.soft_reset();
  CHECK(w.late_in(8 * kQuarter) == 0);
  w.step(5u);
  CHECK(w.late_in(4 * kQuarter) > 0);
}
