// axi_write against a memory that checks every rule it promises: pages, order, strobes, answers, the end on
// stop.
#include <Vaxi_write.h>
#include <doctest/doctest.h>

#include <array>
#include <cstdio>
#include <deque>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "hw/tb/lib/bench.h"

namespace tb = esplanade::tb;

namespace {

struct Request {  // of a packet; data are made from the address
  std::uint64_t addr;
  unsigned len;
  bool last;
};
struct Single {
  std::uint64_t addr, strobe;
  unsigned tag;
};
struct Pauses {
  unsigned wr = 0, wd = 0, one = 0, aw = 0, w = 0, b = 0, latency = 10;
};

class Bench {
 public:
  explicit Bench(std::uint64_t salt) : random_(salt) { dut_.reset(); }
  std::deque<Request> requests;
  std::deque<Single> singles;
  std::map<std::uint64_t, bool> fail_pages;  // page number
  std::map<std::uint64_t, std::uint8_t> memory;
  std::uint64_t packets_done = 0, packets_failed = 0, singles_done = 0, beats = 0, unstrobed = 0, bursts = 0;
  std::size_t most_outstanding = 0;
  bool stop = false;

  /// What the octet at an address of a packet has to be; never 0.
  static std::uint8_t value(std::uint64_t at) {
    return static_cast<std::uint8_t>((at * 0x9e3779b97f4a7c15ull) >> 56 | 1);
  }

  void step(Pauses p) {
    auto& d = *dut_.operator->();
    d.stop_i = stop;
    wr_on_ = !requests.empty() && (wr_on_ || !pause(p.wr));
    d.wr_valid_i = wr_on_;
    if (wr_on_) {
      d.wr_addr_i = requests.front().addr;
      d.wr_len_i = static_cast<std::uint16_t>(requests.front().len);
      d.wr_last_i = requests.front().last;
    }
    wd_on_ = !data_.empty() && (wd_on_ || !pause(p.wd));
    d.wd_valid_i = wd_on_;
    for (unsigned i = 0; i < 16; ++i) d.wd_data_i[i] = wd_on_ ? data_.front()[i] : 0xeeeeeeee;
    one_on_ = !singles.empty() && (one_on_ || !pause(p.one));
    d.one_valid_i = one_on_;
    if (one_on_) {
      d.one_addr_i = singles.front().addr;
      d.one_strb_i = singles.front().strobe;
      d.one_tag_i = static_cast<std::uint8_t>(singles.front().tag);
      for (unsigned i = 0; i < 16; ++i) d.one_data_i[i] = word(singles.front().addr + 4 * i);
    }
    d.awready_i = !pause(p.aw);
    d.wready_i = !pause(p.w);
    b_on_ = !b_.empty() && (b_on_ || (b_.front().due <= dut_.cycle() && !pause(p.b)));
    d.bvalid_i = b_on_;
    d.bresp_i = b_on_ && b_.front().error ? 2 : 0;
    dut_.settle();
    sample(p);
    dut_.tick();
  }
  void run(Pauses p, unsigned limit = 20000) {
    for (unsigned i = 0; i < limit; ++i) {
      step(p);
      if (requests.empty() && singles.empty() && data_.empty() && b_.empty() && dut_->idle_o) return;
    }
    fail("does not end");
  }
  bool idle() { return dut_->idle_o != 0; }
  std::uint64_t cycle() const { return dut_.cycle(); }
  /// The soft reset of everything in front: what was asked is forgotten.
  void forget() {
    requests.clear();
    singles.clear();
    data_.clear();
    packets_.clear();
    one_order_.clear();
    wr_on_ = wd_on_ = one_on_ = false;
  }
  std::uint64_t last_w = 0;

 private:
  struct Burst {
    std::uint64_t addr;
    unsigned beats;
  };
  struct Beat {
    std::array<std::uint32_t, 16> data;
    std::uint64_t strobe;
    bool last;
    bool operator==(const Beat&) const = default;
  };
  struct Answer {
    bool error;
    std::uint64_t due, addr;
    unsigned octets;
    bool one;
  };
  struct Packet {
    unsigned left = 0;  // octets not answered
    bool whole = false, error = false;
  };
  static std::uint32_t word(std::uint64_t at) {
    return value(at) | value(at + 1) << 8 | value(at + 2) << 16 |
           static_cast<std::uint32_t>(value(at + 3)) << 24;
  }
  bool pause(unsigned percent) { return percent != 0 && random_.percent(percent); }
  [[noreturn]] void fail(const std::string& what) const {
    throw std::runtime_error("cycle " + std::to_string(dut_.cycle()) + ": " + what);
  }

  void sample(Pauses p) {
    auto& d = *dut_.operator->();
    if (d.wr_valid_i && d.wr_ready_o) {
      const Request r = requests.front();
      requests.pop_front();
      wr_on_ = false;
      for (unsigned at = 0; at < r.len; at += 64) {
        std::array<std::uint32_t, 16> beat{};
        for (unsigned i = 0; i < 16; ++i) beat[i] = word(r.addr + at + 4 * i);
        data_.push_back(beat);
      }
      if (packets_.empty() || packets_.back().whole) packets_.emplace_back();
      packets_.back().left += r.len;
      packets_.back().whole = r.last;
    }
    if (d.wd_valid_i && d.wd_ready_o) {
      data_.pop_front();
      wd_on_ = false;
    }
    if (d.one_valid_i && d.one_ready_o) {
      one_order_.push_back(singles.front());
      singles.pop_front();
      one_on_ = false;
    }
    const Burst burst{d.awaddr_o, d.awlen_o + 1u};
    if (aw_held_ && (!d.awvalid_o || burst.addr != aw_last_.addr || burst.beats != aw_last_.beats))
      fail("AW changed");
    aw_held_ = d.awvalid_o && !d.awready_i;
    aw_last_ = burst;
    Beat beat{{}, d.wstrb_o, d.wlast_o != 0};
    for (unsigned i = 0; i < 16; ++i) beat.data[i] = d.wdata_o[i];
    if (w_held_ && (!d.wvalid_o || !(beat == w_last_))) fail("W changed");
    w_held_ = d.wvalid_o && !d.wready_i;
    w_last_ = beat;
    if (d.awvalid_o && d.awready_i) {
      if (burst.addr % 64 != 0 || burst.addr / 4096 != (burst.addr + 64 * burst.beats - 1) / 4096)
        fail("page crossed");
      aw_.push_back(burst);
      ++bursts;
    }
    if (d.wvalid_o && d.wready_i) {
      w_.push_back(beat);
      ++beats;
      last_w = dut_.cycle();
    }
    while (!aw_.empty() && w_.size() >= aw_.front().beats) {
      const Burst b = aw_.front();
      aw_.pop_front();
      const bool error = fail_pages.contains(b.addr / 4096);
      unsigned octets = 0;
      for (unsigned i = 0; i < b.beats; ++i) {
        if (w_.front().last != (i + 1 == b.beats)) fail("last beat misplaced");
        if (w_.front().strobe == 0) ++unstrobed;
        for (unsigned o = 0; o < 64; ++o) {
          if ((w_.front().strobe >> o & 1) == 0) continue;
          ++octets;
          const std::uint64_t at = b.addr + 64 * i + o;
          if (memory.contains(at)) fail("octet written twice");
          memory[at] = static_cast<std::uint8_t>(w_.front().data[o / 4] >> (8 * (o % 4)));
        }
        w_.pop_front();
      }
      b_.push_back({error, dut_.cycle() + p.latency, b.addr, octets, b.addr >= kSingles});
      most_outstanding = std::max(most_outstanding, b_.size());
    }
    const bool answer = d.bvalid_i && d.bready_o;
    check_report();
    due_ = Report{};
    if (answer) {
      const Answer a = b_.front();
      b_.pop_front();
      b_on_ = false;
      due_.failed = a.error;
      due_.addr = a.addr;
      if (stop) {
        due_.any = true;
        return;
      }
      if (a.one) {
        if (a.addr != one_order_.front().addr) fail("single beats out of order");
        due_.one = true;
        due_.tag = one_order_.front().tag;
        due_.error = a.error;
        one_order_.pop_front();
        ++singles_done;
      } else if (!packets_.empty()) {
        Packet& packet = packets_.front();
        packet.left -= a.octets;
        packet.error = packet.error || a.error;
        const bool done = packet.left == 0 && packet.whole;
        if (done) {
          due_.packet = true;
          due_.error = packet.error;
          ++packets_done;
          packets_failed += packet.error ? 1 : 0;
          packets_.pop_front();
        }
      }
    }
  }

  // What the cycle after an answer must report.
  struct Report {
    bool packet = false, one = false, error = false, any = false;
    bool failed = false;  // its burst, at
    std::uint64_t addr = 0;
    unsigned tag = 0;
  };
  void check_report() {
    const auto& d = *dut_.operator->();
    if ((d.err_o != 0) != due_.failed || (due_.failed && d.err_addr_o != due_.addr)) fail("error report");
    if (due_.any) return;
    if ((d.pkt_done_o != 0) != due_.packet || (d.one_done_o != 0) != due_.one) fail("reports are not those of the answer before");
    if ((due_.packet || due_.one) && (d.done_err_o != 0) != due_.error) fail("error of a packet or single beat");
    if (due_.one && d.one_done_tag_o != due_.tag) fail("single beats out of order");
  }
  Report due_;

 public:
  static constexpr std::uint64_t kSingles = 1ull << 60;

 private:
  tb::Clocked<Vaxi_write> dut_;
  tb::Random random_;
  std::deque<std::array<std::uint32_t, 16>> data_;
  std::deque<Packet> packets_;
  std::deque<Single> one_order_;
  std::deque<Burst> aw_;
  std::deque<Beat> w_;
  std::deque<Answer> b_;
  bool wr_on_ = false, wd_on_ = false, one_on_ = false, b_on_ = false, aw_held_ = false, w_held_ = false;
  Burst aw_last_{};
  Beat w_last_{};
};

}  // namespace

TEST_CASE("axi_write: every length and place around a page is written whole, with nothing behind it") {
  tb::Random r(1);
  for (int round = 0; round < 4; ++round) {
    Bench bench(static_cast<std::uint64_t>(10 + round));
    std::vector<Request> all;
    std::vector<Single> ones;
    std::uint64_t page = 0x100000;
    std::uint64_t packets = 0, failed = 0;
    bool error = false;
    for (int i = 0; i < 400; ++i) {
      const std::uint64_t addr = page * 4096 + 64 * r.between(0, 63);
      const unsigned len = static_cast<unsigned>(r.percent(80) ? r.between(1, 300) : r.between(1, 9216));
      const bool last = i == 399 || r.percent(60);
      all.push_back({addr, last ? len : (len + 63) / 64 * 64, last});
      for (std::uint64_t n = addr / 4096; n <= (addr + all.back().len - 1) / 4096; ++n) {
        if (!r.percent(6)) continue;
        bench.fail_pages[n] = true;
        error = true;
      }
      if (last) {
        ++packets;
        failed += error ? 1 : 0;
        error = false;
      }
      page += 4;
      if (r.percent(70)) {
        ones.push_back({Bench::kSingles + 64 * static_cast<std::uint64_t>(i),
                        r.percent(50) ? ~0ull : r.bits() | 1, static_cast<unsigned>(r.between(0, 31))});
        if (r.percent(5)) bench.fail_pages[ones.back().addr / 4096] = true;
      }
    }
    bench.requests.assign(all.begin(), all.end());
    bench.singles.assign(ones.begin(), ones.end());
    const Pauses pauses = round == 0   ? Pauses{}
                          : round == 1 ? Pauses{.wr = 60, .wd = 60, .one = 60, .aw = 60, .w = 60, .b = 60}
                          : round == 2 ? Pauses{.one = 80, .latency = 300}
                                       : Pauses{.wd = 30, .aw = 90, .w = 5};
    CAPTURE(round);
    REQUIRE_NOTHROW(bench.run(pauses, 100000));
    CHECK(bench.packets_done == packets);
    CHECK(bench.packets_failed == failed);
    CHECK(bench.singles_done == ones.size());
    if (round == 2) CHECK(bench.most_outstanding > 24);
    std::size_t octets = 0;
    for (const auto& q : all) octets += q.len;
    for (const auto& s : ones) octets += static_cast<std::size_t>(__builtin_popcountll(s.strobe));
    REQUIRE(bench.memory.size() == octets);
    bool right = true;
    for (const auto& [at, v] : bench.memory) right = right && v == Bench::value(at);
    CHECK(right);
    for (const auto& q : all) {
      REQUIRE(bench.memory.contains(q.addr + q.len - 1));
      REQUIRE_FALSE(bench.memory.contains(q.addr + q.len));
    }
    for (const auto& s : ones) {
      for (unsigned o = 0; o < 64; ++o) REQUIRE(bench.memory.contains(s.addr + o) == (s.strobe >> o & 1));
    }
  }
}

TEST_CASE("axi_write: packets of two beats with a completion each take 3 beats in at most 4 cycles") {
  Bench bench(2);
  for (std::uint64_t i = 0; i < 300; ++i) {
    bench.requests.push_back({(1 << 20) + 256 * i, 120, true});
    bench.singles.push_back({Bench::kSingles + 64 * i, ~0ull, 1});
  }
  while (bench.packets_done < 50) bench.step({});
  const auto from = bench.cycle();
  const auto beats = bench.beats;
  while (bench.packets_done < 250) bench.step({});
  const double per_beat =
      static_cast<double>(bench.cycle() - from) / static_cast<double>(bench.beats - beats);
  std::printf("axi_write: %.3f cycles a beat\n", per_beat);
  CHECK(per_beat * 3 <= 4.0);

  Bench packets(3);
  for (std::uint64_t i = 0; i < 300; ++i) packets.requests.push_back({(1 << 20) + 256 * i, 100, true});
  while (packets.packets_done < 50) packets.step({});
  const auto since = packets.cycle();
  while (packets.packets_done < 250) packets.step({});
  CHECK(packets.cycle() - since <= 200 * 2 + 4);
}

TEST_CASE("axi_write: stop ends the burst under way with nothing strobed and leaves nothing behind") {
  for (unsigned at = 1; at < 60; ++at) {
    CAPTURE(at);
    Bench bench(100 + at);
    const Pauses pauses{.wd = 20, .aw = 20, .w = 20, .latency = 5};
    bench.fail_pages[0x100] = true;  // the error of a packet that stops must not stick to the next
    bench.requests.push_back({0x100000, 9000, true});
    bench.requests.push_back({0x200000, 100, true});
    bench.singles.push_back({Bench::kSingles, ~0ull, 3});
    REQUIRE_NOTHROW([&] {
      for (unsigned i = 0; i < 2 * at; ++i) bench.step(pauses);
    }());
    bench.stop = true;
    unsigned cycles = 0;
    REQUIRE_NOTHROW([&] {
      do {
        bench.step(pauses);
      } while (!bench.idle() && ++cycles < 400);
    }());
    CHECK(cycles < 400);
    REQUIRE_NOTHROW(bench.step(pauses));
    bool right = true;
    for (const auto& [a, v] : bench.memory) right = right && v == Bench::value(a);
    CHECK(right);
    bench.forget();
    bench.stop = false;
    bench.memory.clear();
    bench.packets_failed = bench.packets_done = 0;
    bench.requests.push_back({0x300000, 200, true});
    REQUIRE_NOTHROW(bench.run(pauses));
    CHECK(bench.packets_done == 1);
    CHECK(bench.packets_failed == 0);
    CHECK(bench.memory.size() == 200);
  }
}
