// Drives crypto_lane: plays lane_front (writes streams, opens slots) and lane_back (reads results, frees
// slots).
#pragma once

#include <Vcrypto_lane.h>

#include <deque>
#include <functional>
#include <optional>

#include "hw/tb/crypto/crypto_reference.h"
#include "hw/tb/lib/bench.h"

namespace esplanade::tb {

struct CryptoResult {
  std::size_t job = 0;
  unsigned slot = 0;
  CryptoExpected got;
  std::uint32_t ciphered = 0, hashed = 0;
  std::uint64_t opened = 0, done = 0;  // cycles of open_valid_i and of the handshake
};

/// Chance in percent that a side pauses in a cycle.
struct CryptoPauses {
  unsigned in = 0, done = 0, rd = 0;
};

class CryptoDriver {
 public:
  static constexpr unsigned kJumboSlots = 64, kSmallSlots = 192, kSlots = kJumboSlots + kSmallSlots;

  explicit CryptoDriver(std::uint64_t salt);

  /// Runs all jobs to the end; results in the order in which they were handed out. Aborts on a broken
  /// handshake or when nothing moves for 100,000 cycles. Without `read` the results' streams are not read
  /// from M2.
  std::vector<CryptoResult> run(const std::vector<CryptoJob>& jobs, CryptoPauses pauses = {},
                                bool read = true);
  /// Runs jobs for `cycles` cycles, then resets the lane and forgets them.
  void run_and_reset(const std::vector<CryptoJob>& jobs, std::uint64_t cycles);
  void wait_idle();
  std::uint64_t cycle() const { return dut_.cycle(); }
  Vcrypto_lane* model() { return dut_.operator->(); }

  // Looks into the model.
  bool word_done();  // a word leaves the pipeline
  std::uint64_t m2_word(unsigned row, unsigned word);
  std::array<std::uint32_t, 5> istate(unsigned slot);
  std::array<std::uint32_t, 5> ostate(unsigned slot);
  static unsigned base(unsigned slot) {
    return slot < kJumboSlots ? 144 * slot : 144 * kJumboSlots + 32 * (slot - kJumboSlots);
  }
  std::function<void()> each_cycle;  // called in every cycle, before the edge

 private:
  struct Write {
    unsigned we, row;
    Octets octets;
  };
  struct Back {
    CryptoResult result;
    unsigned asked = 0, rows = 0;
  };
  void step(CryptoPauses pauses);

  Clocked<Vcrypto_lane> dut_;
  Random random_;
  std::vector<CryptoJob> jobs_;
  std::size_t next_job_ = 0;
  std::deque<std::pair<unsigned, std::size_t>> to_open_;  // slot, job
  std::deque<Write> writes_;
  bool opened_last_ = false;
  bool read_ = true;
  std::vector<CryptoResult> results_;
  std::array<std::size_t, kSlots> job_of_{};
  std::array<std::uint64_t, kSlots> opened_{};
  std::array<bool, kSlots> used_{};
  std::deque<Back> back_;
  std::deque<std::size_t> reading_;  // results index a row, in order
  std::size_t handed_out_ = 0, finished_ = 0;
  std::uint64_t moved_ = 0;
};

}  // namespace esplanade::tb
