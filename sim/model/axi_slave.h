// The memory side of the kernel's AXI4 master: takes bursts from pins, passes each as one whole access, and
// plays the answers back at the cycle the memory named. Reads are answered in order, writes too; the two are
// independent, as AXI has it. A read sees memory as it is when its address is taken; a write happens when its
// last beat is taken.
#pragma once

#include <deque>
#include <random>

#include "sim/model/axi.h"
#include "sim/platform.h"

namespace esplanade::sim {

/// Where whole bursts go. `now` is the cycle of the request; the result names the cycle of the answer (first
/// data of a read, response of a write).
class BurstMemory {
 public:
  struct Answer {
    AxiResponse response;
    std::uint64_t cycle;
  };
  virtual ~BurstMemory() = default;
  virtual Answer read(std::uint64_t address, MutableBytes to, std::uint64_t now) = 0;
  /// `enables`: one octet a byte, 0xff where it is written.
  virtual Answer write(std::uint64_t address, MutableBytes data, MutableBytes enables, std::uint64_t now) = 0;
};

class AxiSlave {
 public:
  /// All three must outlive it.
  AxiSlave(const AxiShape& shape, BurstMemory& memory, const Timing& timing)
      : shape_(shape), memory_(memory), timing_(timing), random_(timing.stall_seed) {}

  const AxiSlavePins& pins() const { return pins_; }
  /// Nothing outstanding.
  bool quiet() const { return reads_.empty() && writes_.empty() && responses_.empty(); }
  /// Hung: takes nothing and answers nothing.
  void hang(bool hung) { hung_ = hung; }
  /// As out of reset: nothing outstanding.
  void reset();
  /// The rising edge that ends cycle `now`: takes what was handed over in it, sets pins() for the next one.
  void step(const AxiMasterPins& m, std::uint64_t now);

  std::uint64_t bytes_read() const { return bytes_read_; }
  std::uint64_t bytes_written() const { return bytes_written_; }

 private:
  struct Read {
    Bytes data;
    AxiResponse response;
    std::uint32_t id;
    std::uint64_t cycle;   // of its first beat
    std::size_t beat = 0;  // beats taken
    bool last(std::size_t beat_bytes) const { return (beat + 1) * beat_bytes == data.size(); }
  };
  struct Write {
    AxiAddress at;
    Bytes data, enables;
    std::size_t beat = 0;
  };
  struct Response {
    AxiResponse response;
    std::uint32_t id;
    std::uint64_t cycle;
  };
  void take(const AxiMasterPins& m, std::uint64_t now);
  void take_beat(const AxiMasterPins& m, std::uint64_t now);
  void drive(std::uint64_t next);
  bool stall();

  const AxiShape& shape_;
  BurstMemory& memory_;
  const Timing& timing_;
  std::minstd_rand random_;
  AxiSlavePins pins_;
  std::deque<Read> reads_;
  std::deque<Write> writes_;
  std::deque<Response> responses_;
  bool hung_ = false;
  std::uint64_t bytes_read_ = 0, bytes_written_ = 0;
};

}  // namespace esplanade::sim
