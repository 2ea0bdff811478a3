#include "common/esp/replay_window.h"

namespace esplanade::esp {

ReplayWindow::ReplayWindow(std::uint16_t size, bool esn, std::uint64_t top)
    : size_(size), esn_(esn), top_(top), bits_(size / 64 + 2) {
  if (top != 0) set_bit(top);
}

std::uint64_t ReplayWindow::infer(std::uint32_t low) const {
  if (!esn_) return low;
  const auto top_low = static_cast<std::uint32_t>(top_);
  std::uint64_t high = top_ >> 32;
  const std::uint32_t left = top_low - static_cast<std::uint32_t>(size_ - 1);  // modulo 2^32, as RFC 4303 A2.2
  if (top_low >= size_ - 1) {
    if (low < left) ++high;  // case A: the window lies in one subspace
  } else if (low >= left) {
    --high;  // case B: the window spans two; wraps for high 0 and is refused in check()
  }
  return high << 32 | low;
}

std::optional<std::uint64_t> ReplayWindow::check(std::uint32_t low) const {
  const std::uint64_t seq = infer(low);
  if (seq == 0 || (esn_ && seq > top_ && seq - top_ > std::uint64_t{1} << 32)) return std::nullopt;
  if (seq > top_) return seq;
  if (top_ - seq >= size_ || bit(seq)) return std::nullopt;
  return seq;
}

void ReplayWindow::mark(std::uint64_t seq) {
  if (seq > top_) {
    const std::uint64_t span = bits_.size() * 64;
    if (seq - top_ >= span) {
      bits_.assign(bits_.size(), 0);
    } else {
      for (std::uint64_t n = top_ + 1; n < seq; ++n) clear_bit(n);
    }
    top_ = seq;
  }
  set_bit(seq);
}

bool ReplayWindow::marked(std::uint64_t seq) const {
  return seq <= top_ && top_ - seq < size_ && bit(seq);
}

}  // namespace esplanade::esp
