#include "sim/model/axi_checker.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "sim/model/die.h"

namespace esplanade::sim {

namespace {

[[noreturn]] void broken(std::uint64_t cycle, const std::string& rule) {
  die(fmt::format("m_axi_gmem breaks AXI at cycle {}: {}", cycle, rule));
}

}  // namespace

void AxiChecker::check_address(AddressChannel& channel, bool valid, bool ready, const AxiAddress& at,
                               const char* name, std::uint64_t cycle) {
  if (channel.waits) {
    if (!valid) broken(cycle, fmt::format("{}VALID fell before {}READY", name, name));
    if (!(at == channel.shown))
      broken(cycle, fmt::format("{} payload changed while {}VALID waited", name, name));
  } else if (valid) {
    if (at.burst != kBurstIncr)
      broken(cycle, fmt::format("{}BURST is {}; only INCR (1) is known here", name, at.burst));
    if (at.size != kBeatSize)
      broken(cycle, fmt::format("{}SIZE is {}; only 64-byte beats (6) are known here", name, at.size));
    if (at.aligned() % kBoundary + at.bytes() > kBoundary) {
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
    if (m.w_strobes != w_strobes_ || m.w_last != w_last_ ||
        !std::ranges::equal(std::span(m.w_data, kBeatBytes), w_data_)) {
      broken(cycle, "W payload changed while WVALID waited");
    }
  }
  w_waits_ = m.w_valid && !ready;
  if (w_waits_) {
    w_strobes_ = m.w_strobes;
    w_last_ = m.w_last;
    std::copy_n(m.w_data, kBeatBytes, w_data_.begin());
  }
  if (!m.w_valid || !ready) return;
  if (writes_.empty()) broken(cycle, "W beat taken without an address");  // our slave never does
  Write& write = writes_.front();
  const auto below = static_cast<unsigned>(write.at.address % kBeatBytes);
  if (write.beats == 0 && below != 0 && (m.w_strobes & ((std::uint64_t{1} << below) - 1)) != 0) {
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
