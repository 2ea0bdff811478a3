// cpl_write: order, waiting for packets, what an error makes of a completion, queues that are off, rate.
#include <Vcpl_write.h>
#include <doctest/doctest.h>

#include <deque>
#include <stdexcept>
#include <string>
#include <vector>

#include "hw/tb/lib/bench.h"

namespace tb = esplanade::tb;

namespace {

struct Completion {
  unsigned queue, op, status, src_len, out_len;
  bool wait, error;  // error: of its packet
  std::uint64_t cookie;
};

class Bench {
 public:
  explicit Bench(std::uint64_t salt) : random_(salt) { dut_.reset(); }
  unsigned live = 15;
  bool fail_ring = false;
  unsigned pause = 0;
  std::uint64_t written = 0, dropped = 0, counted = 0, errors = 0;
  unsigned packet_delay = 20;

  void run(const std::vector<Completion>& all) {
    std::size_t next = 0, head = 0, count = 0;
    bool on = false;
    std::uint64_t last_packet = 0;
    std::uint64_t moved = dut_.cycle();
    auto& d = *dut_.operator->();
    while (written + dropped < all.size() || !d.idle_o || !answers_.empty()) {
      if (dut_.cycle() > moved + 2000) fail("nothing moves");
      on = next < all.size() && (on || !random_.percent(pause));
      d.cycle_i = static_cast<std::uint32_t>(dut_.cycle());
      d.in_valid_i = on;
      if (on) {
        const Completion& c = all[next];
        d.in_wait_i = c.wait;
        d.in_queue_i = static_cast<std::uint8_t>(c.queue);
        d.in_src_len_i = static_cast<std::uint16_t>(c.src_len);
        for (unsigned i = 0; i < 16; ++i) d.in_data_i[i] = 0x1000 + i;
        d.in_data_i[0] = c.op << 8 | c.status << 16;
        d.in_data_i[2] = static_cast<std::uint32_t>(c.cookie);
        d.in_data_i[3] = static_cast<std::uint32_t>(c.cookie >> 32);
        d.in_data_i[4] = c.out_len;
      }
      d.pkt_done_i = !packets_.empty() && packets_.front().first <= dut_.cycle();
      d.pkt_err_i = d.pkt_done_i && packets_.front().second;
      if (d.pkt_done_i) {
        stamps_.push_back(static_cast<std::uint32_t>(dut_.cycle()));
        packets_.pop_front();
      }
      d.live_i = static_cast<std::uint8_t>(live);
      unsigned phases = 0;
      for (unsigned q = 0; q < 4; ++q) {
        d.addr_i[2 * q] = static_cast<std::uint32_t>(64 * issued_[q]);
        d.addr_i[2 * q + 1] = 0x100 + q;
        phases |= (issued_[q] / 8 % 2 == 0 ? 1u : 0u) << q;
      }
      d.phase_i = static_cast<std::uint8_t>(phases);
      d.wr_ready_i = !random_.percent(pause);
      d.wr_done_i = !answers_.empty() && answers_.front().first <= dut_.cycle();
      d.wr_done_queue_i = d.wr_done_i ? static_cast<std::uint8_t>(answers_.front().second) : 0;
      d.wr_done_err_i = fail_ring;
      if (d.wr_done_i) answers_.pop_front();
      dut_.settle();

      unsigned want_done = d.wr_done_i ? 1u << d.wr_done_queue_i : 0, want_issue = 0;
      if (d.in_valid_i && d.in_ready_o) {
        if (all[next].wait) {
          last_packet = std::max(last_packet + 1, dut_.cycle() + random_.between(1, packet_delay));
          packets_.emplace_back(last_packet, all[next].error);
        }
        ++next;
        on = false;
        moved = dut_.cycle();
      }
      if (d.count_o) {
        const Completion& c = all.at(count++);
        const bool bad = c.wait && c.error;
        if (d.count_queue_o != c.queue || d.count_op_o != c.op || d.count_src_len_o != c.src_len ||
            d.count_status_o != (bad ? 6 : c.status) || d.count_out_len_o != (bad ? 0 : c.out_len)) {
          fail("counted wrongly");
        }
        ++counted;
      }
      if (d.wr_valid_o && d.wr_ready_i) {
        const Completion& c = all.at(head++);
        const bool bad = c.wait && c.error;
        if (d.wr_queue_o != c.queue ||
            d.wr_addr_o != (std::uint64_t{0x100 + c.queue} << 32 | 64 * issued_[c.queue]))
          fail("place");
        const unsigned first =
            (bad ? 6u : c.status) << 16 | c.op << 8 | (issued_[c.queue] / 8 % 2 == 0 ? 1u : 0u);
        if (d.wr_data_o[0] != first) fail("first word");
        if (d.wr_data_o[2] != static_cast<std::uint32_t>(c.cookie)) fail("cookie");
        if (d.wr_data_o[4] != (bad ? 0 : c.out_len)) fail("length");
        for (unsigned i : {1u, 5u, 6u, 7u, 8u, 9u, 10u, 11u}) {
          if (d.wr_data_o[i] != 0x1000 + i) fail("word " + std::to_string(i));
        }
        if (c.wait) {
          if (stamps_.empty()) fail("sent before its packet was in memory");
          if (d.wr_data_o[12] != stamps_.front()) fail("stamp");
          stamps_.pop_front();
        }
        if (d.wr_data_o[13] != 0 || d.wr_data_o[14] != 0 || d.wr_data_o[15] != 0) fail("rest");
        want_issue = 1u << c.queue;
        issued_[c.queue]++;
        answers_.emplace_back(dut_.cycle() + 7, c.queue);
        ++written;
      }
      const unsigned extra = d.done_o & ~want_done;
      if ((d.done_o & want_done) != want_done) fail("done missing");
      if (extra != 0) {  // a dropped one
        const Completion& c = all.at(head++);
        if (extra != 1u << c.queue || (live >> c.queue & 1) != 0) fail("dropped wrongly");
        if (c.wait) stamps_.pop_front();
        ++dropped;
      }
      if (d.issue_o != want_issue) fail("issue");
      if (d.error_o != (d.wr_done_i && fail_ring ? want_done : 0)) fail("error");
      errors += d.error_o != 0 ? 1 : 0;
      dut_.tick();
    }
    if (head != all.size() || counted != all.size()) fail("not all");
  }
  std::uint64_t cycle() const { return dut_.cycle(); }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw std::runtime_error("cycle " + std::to_string(dut_.cycle()) + ": " + what);
  }
  tb::Clocked<Vcpl_write> dut_;
  tb::Random random_;
  std::deque<std::pair<std::uint64_t, bool>> packets_;
  std::deque<std::pair<std::uint64_t, unsigned>> answers_;
  std::deque<std::uint32_t> stamps_;
  std::uint64_t issued_[4] = {};
};

std::vector<Completion> random_completions(tb::Random& r, std::size_t n) {
  std::vector<Completion> all(n);
  for (auto& c : all) {
    c = {static_cast<unsigned>(r.between(0, 3)),
         static_cast<unsigned>(r.between(0, 2)),
         static_cast<unsigned>(r.between(0, 26)),
         static_cast<unsigned>(r.between(0, 65535)),
         static_cast<unsigned>(r.between(0, 9216)),
         r.percent(60),
         r.percent(10),
         r.bits()};
  }
  return all;
}

}  // namespace

TEST_CASE("cpl_write: completions leave in order, each after its packet, and say what became of it") {
  tb::Random r(1);
  for (const unsigned pause : {0u, 40u, 80u}) {
    for (const unsigned delay : {1u, 20u, 300u}) {
      Bench bench(pause + delay);
      bench.pause = pause;
      bench.packet_delay = delay;
      CAPTURE(pause);
      CAPTURE(delay);
      REQUIRE_NOTHROW(bench.run(random_completions(r, 200)));
      CHECK(bench.written == 200);
    }
  }
}

TEST_CASE("cpl_write: completions of queues that are off are dropped and still end") {
  tb::Random r(2);
  Bench bench(2);
  bench.live = 5;
  bench.pause = 30;
  REQUIRE_NOTHROW(bench.run(random_completions(r, 300)));
  CHECK(bench.dropped > 50);
  CHECK(bench.written > 50);
  CHECK(bench.counted == 300);
}

TEST_CASE("cpl_write: a failed ring write is told to its queue") {
  tb::Random r(3);
  Bench bench(3);
  bench.fail_ring = true;
  REQUIRE_NOTHROW(bench.run(random_completions(r, 50)));
  CHECK(bench.errors == 50);
}

TEST_CASE("cpl_write: one completion in 4 cycles") {
  tb::Random r(4);
  Bench bench(4);
  bench.packet_delay = 2;
  REQUIRE_NOTHROW(bench.run(random_completions(r, 400)));
  CHECK(bench.cycle() < 400 * 4);
}
