// Counters of a lane against plain arrays.
#include <Vlane_counters.h>
#include <doctest/doctest.h>

#include <array>

#include "hw/tb/lib/bench.h"

namespace tb = esplanade::tb;

TEST_CASE(
    "counters equal plain counts, also back to back, after a reset in between, and from the first cycle on") {
  tb::Clocked<Vlane_counters> dut;
  tb::Random rng(70);
  for (unsigned run = 0; run < 3; ++run) {
    std::array<std::array<std::uint32_t, 32>, 4> by_queue{};
    std::array<std::uint32_t, 32> total{};
    std::uint32_t packets[2] = {};
    std::uint64_t bytes[2] = {};
    dut->count_i = 0;
    dut.reset();
    const auto count = [&](unsigned q, unsigned op, unsigned status) {
      dut->count_i = 1;
      dut->count_queue_i = static_cast<std::uint8_t>(q);
      dut->count_op_i = static_cast<std::uint8_t>(op);
      dut->count_status_i = static_cast<std::uint8_t>(status);
      dut->count_src_len_i = static_cast<std::uint16_t>(rng.bits());
      dut->count_out_len_i = static_cast<std::uint16_t>(rng.bits());
      if (status < 32) ++by_queue[q][status], ++total[status];
      if (status == 0 && op == 1) ++packets[0], bytes[0] += dut->count_src_len_i;
      if (status == 0 && op == 2) ++packets[1], bytes[1] += dut->count_out_len_i;
      dut.tick();
      dut->count_i = 0;
    };
    for (unsigned i = 0; i < 16; ++i) count(i % 4, 1, i % 3);  // while the RAM is wiped
    for (unsigned i = 0; i < 200; ++i) dut.tick();
    for (unsigned i = 0; i < 20000; ++i) {
      const bool few = rng.percent(50);
      if (rng.percent(80))
        count(static_cast<unsigned>(rng.between(0, few ? 1 : 3)), static_cast<unsigned>(rng.between(0, 3)),
              static_cast<unsigned>(few ? rng.between(0, 1) : rng.between(0, 40)));
      else
        dut.tick();
    }
    for (unsigned i = 0; i < 8; ++i) dut.tick();
    for (unsigned q = 0; q < 4; ++q) {
      for (unsigned s = 0; s < 32; ++s) {
        dut->rd_queue_i = static_cast<std::uint8_t>(q);
        dut->rd_status_i = static_cast<std::uint8_t>(s);
        dut.tick();
        dut.tick();
        CHECK(dut->rd_queue_count_o == by_queue[q][s]);
        CHECK(dut->rd_total_o == total[s]);
      }
    }
    CHECK(dut->encap_packets_o == packets[0]);
    CHECK(dut->encap_bytes_o == bytes[0]);
    CHECK(dut->decap_packets_o == packets[1]);
    CHECK(dut->decap_bytes_o == bytes[1]);
  }
}
