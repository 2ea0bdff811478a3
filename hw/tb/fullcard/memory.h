// The memory that all ports of a card share, and what the card may do to it: windows for reads and writes, and
// for writes every single octet. Pages that nobody touched cost nothing.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/bytes.h"

namespace esplanade::fullcard {

struct Range {
  std::uint64_t first = 0, size = 0;
  bool holds(std::uint64_t at) const { return at >= first && at - first < size; }
  bool holds(std::uint64_t at, std::uint64_t n) const { return holds(at) && n <= size - (at - first); }
};

class Memory {
 public:
  static constexpr std::uint64_t kBase = 0x1'0000'0000;
  static constexpr std::uint64_t kSize = std::uint64_t{512} << 20;

  Memory();
  ~Memory();
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  static bool inside(std::uint64_t address, std::uint64_t size) {
    return address >= kBase && address - kBase <= kSize && size <= kSize - (address - kBase);
  }
  /// Memory as the host sees it; aborts the program outside.
  MutableBytes at(std::uint64_t address, std::size_t size);
  const Byte* line(std::uint64_t address) const { return bytes_ + (address - kBase); }
  /// Octets that the card may, or may no longer, write.
  void allow(std::uint64_t address, std::size_t size) { set_mask(address, size, true); }
  void forbid(std::uint64_t address, std::size_t size) { set_mask(address, size, false); }

  /// One beat of a write burst; takes effect where memory is. `address` is aligned.
  void write_line(std::uint64_t address, const std::uint32_t* data, std::uint64_t strobe);
  std::uint64_t forbidden(std::uint64_t address, std::uint64_t strobe) const {
    return strobe & ~mask_[(address - kBase) / 64];
  }

  /// The windows that the card was told; accesses elsewhere are violations.
  std::vector<Range> windows;
  bool in_window(std::uint64_t address, std::uint64_t size) const;
  /// Accesses here are answered with SLVERR, as are those outside memory.
  std::vector<Range> fail_reads, fail_writes;

  /// Where `needle` stands in memory that was ever touched; 0 when nowhere.
  std::uint64_t find(ByteView needle) const;

  /// Broken rules, of memory and of the ports; each names the rule, the place and the cycle.
  void complain(const std::string& what);
  std::vector<std::string> violations;
  std::uint64_t num_violations = 0;
  std::uint64_t now = 0;  // cycle, for the text

 private:
  void set_mask(std::uint64_t address, std::size_t size, bool value);
  Byte* bytes_ = nullptr;
  std::uint64_t* mask_ = nullptr;  // a bit an octet
  std::vector<bool> touched_;      // a bit a page of 4 KiB
};

}  // namespace esplanade::fullcard
