// Drives esp_lane from a list of jobs and collects the results, with pauses on every handshake.
#pragma once

#include <Vesp_lane.h>

#include <deque>
#include <optional>

#include "hw/tb/lane/esp_reference.h"
#include "hw/tb/lib/bench.h"

namespace esplanade::tb {

/// One packet for the lane.
struct LaneJob {
  bool encap = true;
  EspKeys keys;
  EspShape shape;  // encap: all of it; decap: spi and seq
  Octets source;
  std::uint8_t esp_off = 20;
  bool inner_v4 = true;
  bool inner_v6 = true;
  unsigned cipher = 2;   // card_pkg::Cipher*; overruled by keys.single_des
  unsigned auth = 2;     // card_pkg::Auth*
  int err_beat = -1;     // beat that reports a bus error
  bool discard = false;  // ask for no payload
};

/// What the lane said about it.
struct LaneResult {
  std::uint16_t tag = 0;
  unsigned status = 0;
  unsigned out_len = 0;
  unsigned next_header = 0;
  std::uint32_t cycle_ciphered = 0;
  std::uint32_t cycle_hashed = 0;
  Octets packet;                  // out_len octets where payload was sent
  std::uint64_t cycle_taken = 0;  // job handshake
  std::uint64_t cycle_done = 0;   // last beat, or the header where there is no payload
};

/// Chance in percent that a side pauses in a cycle.
struct Pauses {
  unsigned job = 0, in = 0, res = 0, out = 0;
};

class LaneDriver {
 public:
  explicit LaneDriver(std::uint64_t salt) : random_(salt) { dut_.reset(); }

  /// Runs all jobs to the end and returns their results in order. Aborts the test on a broken handshake,
  /// payload that was not asked for, garbage past the end, or when nothing moves for 20,000 cycles.
  std::vector<LaneResult> run(const std::vector<LaneJob>& jobs, Pauses pauses = {});

  /// Offers jobs for `cycles` cycles, then flushes the lane and forgets them.
  void run_and_flush(const std::vector<LaneJob>& jobs, std::uint64_t cycles);

  std::uint64_t cycle() const { return dut_.cycle(); }
  bool busy() { return dut_->busy_o != 0; }

 private:
  struct Beat {
    Octets octets;  // 64, past the packet's end random
    bool last;
    bool err;
  };
  void set_job(const LaneJob& job, std::uint16_t tag);
  void step(Pauses pauses);
  void drive(Pauses pauses);
  void collect();

  Clocked<Vesp_lane> dut_;
  Random random_;
  std::vector<LaneJob> jobs_;
  std::size_t next_job_ = 0;
  bool job_on_ = false;
  std::deque<Beat> beats_;
  bool beat_on_ = false;
  std::vector<LaneResult> results_;
  bool payload_ = false;  // result payload is due
  std::deque<std::uint64_t> taken_;
  std::uint64_t moved_ = 0;  // cycle in which something last moved
};

}  // namespace esplanade::tb
