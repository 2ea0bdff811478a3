#include "sim/model/axi_checker.h"

#include <fmt/format.h>

#include <algorithm>

#include "sim/model/die.h"

namespace esplanade::sim {

namespace {

/// Strobes below byte `first` of a beat.
bool writes_below(const Byte* strobes, std::size_t first) {
  for (std::size_t i = 0; i < first; ++i) {
    if ((strobes[i / 8] >> i % 8 & 1) != 0) return true;
  }
  return false;
}

}  // namespace

void AxiChecker::broken(std::uint64_t cycle, const std::string& rule) const {
  die(fmt::format("{} breaks AXI at cycle {}: {}", shape_->name, cycle, rule));
}

void AxiChecker::check_address(AddressChannel& channel, bool valid, bool ready, const AxiAddress& at,
                               const char* name, std::uint64_t cycle) const {
  if (channel.waits) {
    if (!valid) broken(cycle, fmt::format("{}VALID fell before {}READY", name, name));
    if (!(at == channel.shown))
      broken(cycle, fmt::format("{} payload changed while {}VALID waited", name, name));
  } else if (valid) {
    if (at.burst != kBurstIncr)
      broken(cycle, fmt::format("{}BURST is {}; only INCR (1) is known here", name, at.burst));
    if (at.size != shape_->beat_size()) {
      broken(cycle, fmt::format("{}SIZE is {}; only {}-byte beats ({}) are known here", name, at.size,
                                shape_->beat_bytes, shape_->beat_size()));
    }
    if (at.aligned(*shape_) % kBoundary + at.bytes(*shape_) > kBoundary) {
      broken(cycle,
             fmt::format("{} burst of {} beats at 0x{:x} crosses 4 KiB", name, at.len + 1, at.address));
    }
  }
  channel.waits = valid && !ready;
  channel.shown = at;
}

void AxiChecker::check_data(const AxiMasterPins& m, bool ready, std::uint64_t cycle) {
  if (w_waits_) {
    if (!m.w_valid) broken(cycle, "WVALID fell before WREADY");
    if (m.w_last != w_last_ || !std::equal(m.w_data, m.w_data + shape_->beat_bytes, w_data_.begin()) ||
        !std::equal(m.w_strobes, m.w_strobes + shape_->strobe_bytes(), w_strobes_.begin())) {
      broken(cycle, "W payload changed while WVALID waited");
    }
  }
  w_waits_ = m.w_valid && !ready;
  if (w_waits_) {
    w_last_ = m.w_last;
    std::copy_n(m.w_data, shape_->beat_bytes, w_data_.begin());
    std::copy_n(m.w_strobes, shape_->strobe_bytes(), w_strobes_.begin());
  }
  if (!m.w_valid || !ready) return;
  if (writes_.empty()) broken(cycle, "W beat taken without an address");  // our slave never does
  Write& write = writes_.front();
  if (write.beats == 0 && writes_below(m.w_strobes, write.at.address % shape_->beat_bytes)) {
    broken(cycle, fmt::format("WSTRB writes below the start address 0x{:x}", write.at.address));
  }
  const bool last = write.beats == write.at.len;
  if (m.w_last != last) {
    broken(cycle,
           fmt::format("WLAST is {} on beat {} of {}", int{m.w_last}, write.beats + 1, write.at.len + 1));
  }
  ++write.beats;
  if (last) writes_.pop_front();
}

void AxiChecker::check(const AxiMasterPins& m, const AxiSlavePins& s, std::uint64_t cycle) {
  check_address(ar_, m.ar_valid, s.ar_ready, m.ar, "AR", cycle);
  check_address(aw_, m.aw_valid, s.aw_ready, m.aw, "AW", cycle);
  check_data(m, s.w_ready, cycle);
  if (m.aw_valid && s.aw_ready) writes_.push_back({m.aw});
}

}  // namespace esplanade::sim
