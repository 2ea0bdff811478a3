// Passive checker of one AXI4 master of the kernel. It drives nothing; a broken rule ends the model with a
// sentence that names rule and cycle. Checked: valid and payload hold until ready; full-width INCR bursts; no
// burst across 4 KiB; WLAST on the last beat and only there; no strobe below the start address. Not checked:
// liveness of RREADY and BREADY.
#pragma once

#include <array>
#include <deque>
#include <string>

#include "sim/model/axi.h"

namespace esplanade::sim {

class AxiChecker {
 public:
  /// `shape` must outlive it.
  explicit AxiChecker(const AxiShape& shape) : shape_(&shape) {}
  /// One clock cycle: what both sides show before the rising edge.
  void check(const AxiMasterPins& m, const AxiSlavePins& s, std::uint64_t cycle);
  /// A valid that has not been taken yet: check() must see the next cycle too.
  bool waiting() const { return ar_.waits || aw_.waits || w_waits_; }

 private:
  struct AddressChannel {
    bool waits = false;
    AxiAddress shown;
  };
  struct Write {
    AxiAddress at;
    unsigned beats = 0;
  };
  void check_address(AddressChannel& channel, bool valid, bool ready, const AxiAddress& at, const char* name,
                     std::uint64_t cycle) const;
  [[noreturn]] void broken(std::uint64_t cycle, const std::string& rule) const;
  void check_data(const AxiMasterPins& m, bool ready, std::uint64_t cycle);

  const AxiShape* shape_;
  AddressChannel ar_, aw_;
  bool w_waits_ = false, w_last_ = false;
  std::array<Byte, kBeatBytesMax> w_data_{};  // as shown while it waits
  std::array<Byte, kBeatBytesMax / 8> w_strobes_{};
  std::deque<Write> writes_;  // addresses taken, data not complete
};

}  // namespace esplanade::sim
