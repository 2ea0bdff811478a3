// What the fuzz targets share.
#pragma once

#include <cstdio>
#include <cstdlib>

#include "common/base/bytes.h"

namespace esplanade::fuzz {

/// Ends the program, for the fuzzer to see.
inline void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

/// Reads the input as numbers and strings; zeros after its end.
class Input {
 public:
  explicit Input(ByteView octets) : octets_(octets) {}
  bool done() const { return octets_.empty(); }
  std::uint8_t u8() {
    if (octets_.empty()) return 0;
    const std::uint8_t v = octets_.front();
    octets_ = octets_.subspan(1);
    return v;
  }
  std::uint16_t u16() {
    const auto high = u8();
    return static_cast<std::uint16_t>(high << 8 | u8());
  }
  ByteView take(std::size_t n) {
    const ByteView out = octets_.first(std::min(n, octets_.size()));
    octets_ = octets_.subspan(out.size());
    return out;
  }
  ByteView rest() { return take(octets_.size()); }

 private:
  ByteView octets_;
};

}  // namespace esplanade::fuzz
