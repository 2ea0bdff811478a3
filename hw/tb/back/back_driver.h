// Drives lane_back, axi_write and cpl_write: plays crypto_lane, lane_front, the SA table, the queues and the
// memory, and holds everything that comes out against what a job says. Throws std::runtime_error at the first
// difference.
#pragma once

#include <Vback_bench.h>

#include <array>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "common/base/bytes.h"
#include "hw/tb/lib/bench.h"

namespace esplanade::tb {

struct Segment {
  std::uint64_t addr = 0;  // set by the driver
  unsigned len = 0;
};

/// One packet: what lane_front left of it, what crypto_lane says, what has to come out.
struct BackJob {
  // record
  unsigned op = 1, src_len = 64, dst_size = 16384, out_len = 0, next_header = 0, ip_len = 0, skip = 0,
           hsum = 0;
  unsigned nh_at = 0, icv_len = 0, ah_status = 0, index = 0xffffffff, spi = 0;
  std::uint64_t seq = 0, cookie = 0;
  bool found = true, epoch = false, encap = true, esp = true, tunnel = true, v6 = false, natt = false;
  bool patch_nh = false, ce = false;
  Bytes header;                    // header words
  Bytes stream;                    // as it stands in M2
  std::vector<unsigned> segments;  // lengths; none: one buffer
  // done
  unsigned status = 0, done_len = 0, done_next_header = 0;
  bool icv_ok = false;
  std::array<Byte, 12> icv{};
  // SA table's answer
  unsigned answer = 0;
  // memory
  bool bus_error = false;
  // expected
  Bytes result;               // empty: nothing is written
  unsigned final_status = 0;  // before the memory has its say
  unsigned found_next_header = 0;
  bool up_auth = false, up_ok = false;
  unsigned up_status = 0;

  // the driver's
  unsigned slot = 0, queue = 0;
  std::uint64_t dst = 0;
  std::uint32_t fetched = 0, started = 0, ciphered = 0, hashed = 0;
  std::uint64_t done_at = 0, last_beat_at = 0, answered_at = 0;
  std::vector<Segment> placed;
  unsigned rows_read = 0;
  bool freed = false, answered = false;
  unsigned octets_left = 0;  // not yet answered by memory
};

/// Percent of cycles in which a side pauses, and fixed times.
struct BackPauses {
  unsigned done = 0, rd = 0, up = 0, aw = 0, w = 0, b = 0;
  unsigned answer_min = 8, answer_max = 8, read_latency = 4, b_latency = 20;
};

class BackDriver {
 public:
  explicit BackDriver(std::uint64_t salt);
  /// Runs jobs to their completions; they come back with their times.
  void run(std::vector<BackJob>& jobs, BackPauses pauses = {});
  std::uint64_t cycle() const { return dut_.cycle(); }
  std::uint64_t bursts() const { return bursts_; }

 private:
  static constexpr unsigned kJumbo = 4, kSmall = 28, kQueues = 2, kRing = 64;
  static constexpr std::uint64_t kBase = 0x123400000000, kSize = 8 << 20,
                                 kRings = kBase + kSize - kQueues * kRing * 64;
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
  };
  void place(BackJob& job);
  void open();
  void drive();
  void sample();
  void sample_memory();
  void complete(std::uint64_t addr, const Beat& beat);
  [[noreturn]] void fail(const std::string& what) const;
  bool pause(unsigned percent) { return percent != 0 && random_.percent(percent); }
  static unsigned first_row(unsigned slot) {
    return slot < kJumbo ? slot * 144 : kJumbo * 144 + (slot - kJumbo) * 32;
  }
  BackJob* owner(std::uint64_t addr);

  Clocked<Vback_bench> dut_;
  Random random_;
  BackPauses pauses_;
  std::vector<BackJob>* jobs_ = nullptr;
  std::size_t opened_ = 0, done_ = 0, updated_ = 0, answered_ = 0, completed_ = 0;
  unsigned open_step_ = 0;
  std::vector<unsigned> free_jumbo_, free_small_;
  std::array<int, kJumbo + kSmall> holder_{};
  std::vector<Bytes> rows_;
  std::deque<std::pair<std::uint64_t, Bytes>> reads_;
  std::deque<std::pair<std::uint64_t, unsigned>> answers_;
  Bytes memory_, image_;
  std::uint64_t next_dst_ = kBase;
  std::deque<Burst> aw_;
  std::deque<Beat> w_;
  std::deque<Answer> b_;
  bool b_on_ = false, done_on_ = false, aw_held_ = false, w_held_ = false;
  bool done_due_ = false;  // a packet's last burst was answered in the cycle before
  std::optional<std::uint64_t> error_due_;  // address of a burst that failed in the cycle before
  Burst aw_last_{};
  Beat w_last_{};
  std::array<unsigned, kQueues> issued_{}, told_{};
  std::uint64_t moved_ = 0, bursts_ = 0;
};

}  // namespace esplanade::tb
