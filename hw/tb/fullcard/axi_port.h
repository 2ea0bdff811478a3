// One memory port of the card: latency, one beat a cycle or less, stalls on every channel, and the AXI4 rules that
// a master must keep (AMBA AXI IHI 0022: A3.2.1 valid and payload stay until ready, A3.4.1 bursts inside 4 KiB).
//
// A write becomes visible when its answer is sent, or, with `early_writes`, for some bursts as soon as it is
// complete: a completion may be seen before the data of its packet unless the card waited for their answer.
#pragma once

#include <array>
#include <deque>

#include "hw/tb/fullcard/memory.h"
#include "hw/tb/fullcard/model.h"

namespace esplanade::fullcard {

/// How a port answers. Percentages are a cycle's chance.
struct PortTiming {
  unsigned read_latency = 0, write_latency = 0;  // cycles from the address (the last beat) to the answer
  unsigned stalls = 0;                           // percent: a channel is not ready, or holds an answer back
  unsigned long_stalls = 0;                      // per 10,000: all channels rest for up to 200 cycles
  bool early_writes = false;
  bool no_write_data = false;                    // W is never ready
};

class AxiPort {
 public:
  AxiPort(unsigned number, const AxiPins& pins, Memory& memory, std::uint64_t seed);
  PortTiming timing;

  /// Once a cycle: sample() sees the settled pins before the clock edge, drive() sets the inputs behind it.
  void sample();
  void drive();
  /// All transactions are over.
  bool quiet() const { return ar_.empty() && aw_.empty() && w_.empty() && b_.empty(); }
  /// During reset valids must be low (A3.1.2).
  void check_reset();

  std::uint64_t read_beats() const { return read_beats_; }
  std::uint64_t write_beats() const { return write_beats_; }

 private:
  struct Burst {
    std::uint64_t address, due;
    unsigned beats;
  };
  struct Beat {
    std::array<std::uint32_t, 16> data;
    std::uint64_t strobe;
    bool last;
  };
  struct Answer {
    std::uint64_t address, due;
    std::vector<Beat> beats;  // to be written when the answer goes out
    bool error;
  };
  bool stall() { return timing.stalls != 0 && random() % 100 < timing.stalls; }
  std::uint32_t random();
  void complain(const char* rule, std::uint64_t address);
  void take_address(const char* channel, std::uint64_t address, unsigned len, unsigned size, unsigned burst, unsigned id);
  void finish_write();
  void apply(std::uint64_t address, const Beat& beat);

  unsigned number_;
  AxiPins p_;
  Memory& memory_;
  std::uint64_t rng_, now_ = 0, resting_until_ = 0;
  std::uint64_t read_beats_ = 0, write_beats_ = 0;
  std::deque<Burst> ar_, aw_;
  std::deque<Beat> w_;
  std::deque<Answer> b_;
  unsigned r_beat_ = 0, lasts_ = 0;
  bool r_valid_ = false, b_valid_ = false, r_took_ = false, b_took_ = false;

  struct HeldAddress {
    bool valid = false;
    std::uint64_t address = 0;
    unsigned len = 0;
  };
  HeldAddress ar_held_, aw_held_;
  bool w_held_ = false;
  Beat w_held_beat_{};
};

}  // namespace esplanade::fullcard
