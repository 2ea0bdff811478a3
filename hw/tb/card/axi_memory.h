// Card memory behind m_axi_gmem, for benches: answers with random delays on every channel, checks the master
// against the AXI rules the card promises, fails addresses on request, and remembers bytes written outside
// the ranges that a test allowed.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "Vesp_card.h"
#include "common/base/bytes.h"

namespace esplanade::tb {

struct Range {
  std::uint64_t first, size;
  bool holds(std::uint64_t at) const { return at >= first && at - first < size; }
};

class AxiMemory {
 public:
  AxiMemory(std::uint64_t base, std::size_t size, std::uint64_t seed);

  /// Memory as the host sees it; aborts the test outside.
  MutableBytes at(std::uint64_t address, std::size_t size);
  /// Likelihood in percent that a channel is not ready, or holds an answer back, in a cycle.
  void set_stalls(unsigned percent) { stalls_ = percent; }
  void set_latency(unsigned cycles) { latency_ = cycles; }
  /// Accesses here are answered with SLVERR, as are those outside memory.
  void fail_reads(std::vector<Range> r) { fail_reads_ = std::move(r); }
  void fail_writes(std::vector<Range> r) { fail_writes_ = std::move(r); }
  /// Bytes that the card may write; all else is a violation. Replaces a range with the same start.
  void allow(Range r);
  void clear_allowed() { allowed_.clear(); }

  /// Once a cycle: sample() sees the settled signals before the clock edge, drive() sets the inputs behind
  /// it.
  void sample(const Vesp_card& card);
  void drive(Vesp_card& card);

  /// Broken rules so far, empty when none; each names the rule and the address.
  const std::vector<std::string>& violations() const { return violations_; }
  std::uint64_t reads() const { return reads_; }
  std::uint64_t writes() const { return writes_; }

 private:
  struct Burst {
    std::uint64_t address;
    unsigned beats;
    std::uint64_t due;
  };
  struct Beat {
    std::array<std::uint32_t, 16> data;
    std::uint64_t strobe;
    bool last;
  };
  bool stall();
  void complain(const std::string& rule, std::uint64_t address);
  void check_burst(const char* channel, std::uint64_t address, unsigned beats, unsigned size, unsigned type,
                   unsigned id);
  bool may_write(std::uint64_t address) const;
  bool inside(std::uint64_t address, std::uint64_t size) const;
  void finish_write();

  std::uint64_t base_;
  Bytes bytes_;
  std::mt19937_64 rng_;
  unsigned stalls_ = 0, latency_ = 0;
  std::vector<Range> fail_reads_, fail_writes_;
  std::map<std::uint64_t, std::uint64_t> allowed_;  // start, size; they do not overlap
  std::vector<std::string> violations_;
  std::uint64_t now_ = 0, reads_ = 0, writes_ = 0;

  std::deque<Burst> ar_, aw_;
  std::deque<Beat> w_;
  unsigned r_beat_ = 0;
  bool r_valid_ = false, b_valid_ = false;
  struct Answer {
    bool error;
    std::uint64_t due;
  };
  std::deque<Answer> b_;
  bool r_took_ = false, b_took_ = false;

  // What stood on a channel that was valid and not ready
  struct Held {
    bool valid = false;
    std::uint64_t address = 0;
    unsigned beats = 0;
    Beat beat{};
  };
  Held ar_held_, aw_held_, w_held_;
};

}  // namespace esplanade::tb
