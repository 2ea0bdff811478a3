// Anti-replay window of one inbound SA: RFC 4303 s3.4.3, extended numbers by its appendix A2. Check before the ICV,
// mark after it. Not thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace esplanade::esp {

class ReplayWindow {
 public:
  /// `size` in packets, a multiple of 32. `top` is the highest number taken as seen (0: none).
  ReplayWindow(std::uint16_t size, bool esn, std::uint64_t top);

  /// The full sequence number of a received low word, or nothing when it is 0, left of the window or already
  /// marked. Without ESN the high word is 0; with ESN it is inferred (RFC 4303 A2.2).
  std::optional<std::uint64_t> check(std::uint32_t low) const;
  /// Marks a number that check() gave and whose ICV was good; moves the window where it is the highest.
  void mark(std::uint64_t seq);

  std::uint64_t top() const { return top_; }
  /// True where `seq` is inside the window and marked.
  bool marked(std::uint64_t seq) const;

 private:
  std::uint64_t infer(std::uint32_t low) const;
  void clear_bit(std::uint64_t seq) { bits_[(seq / 64) % bits_.size()] &= ~(std::uint64_t{1} << (seq % 64)); }
  void set_bit(std::uint64_t seq) { bits_[(seq / 64) % bits_.size()] |= std::uint64_t{1} << (seq % 64); }
  bool bit(std::uint64_t seq) const { return (bits_[(seq / 64) % bits_.size()] >> (seq % 64) & 1) != 0; }

  std::uint64_t size_;
  bool esn_;
  std::uint64_t top_;
  // A ring of words that covers the window and one word more, so that a word is free to be cleared as the window
  // moves into it (RFC 6479). Bit n of the ring stands for numbers n modulo its size.
  std::vector<std::uint64_t> bits_;
};

}  // namespace esplanade::esp
