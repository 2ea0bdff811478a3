// Pins of an AXI4 master as sampled before a rising clock edge, and what its slave drives.
#pragma once

#include <bit>
#include <cstdint>

#include "common/base/bytes.h"

namespace esplanade::sim {

inline constexpr std::size_t kBeatBytesMax = 128;  // 1,024 bits
inline constexpr std::uint8_t kBurstIncr = 1;      // AxBURST
inline constexpr std::uint64_t kBoundary = 4096;   // no burst crosses this

enum class AxiResponse : std::uint8_t { kOkay = 0, kSlaveError = 2, kDecodeError = 3 };

/// What does not change of a port.
struct AxiShape {
  const char* name;        // prefix of its signals, for messages
  std::size_t beat_bytes;  // width of its data: a power of two up to kBeatBytesMax

  /// AxSIZE of full-width beats.
  std::uint8_t beat_size() const { return static_cast<std::uint8_t>(std::countr_zero(beat_bytes)); }
  /// Octets that hold one strobe bit a byte.
  std::size_t strobe_bytes() const { return (beat_bytes + 7) / 8; }
};

struct AxiAddress {
  std::uint64_t address = 0;
  std::uint8_t len = 0;  // beats - 1
  std::uint8_t size = 0, burst = kBurstIncr;
  std::uint32_t id = 0;
  bool operator==(const AxiAddress&) const = default;
  /// Bytes from the first beat's aligned address to the end of the burst.
  std::size_t bytes(const AxiShape& shape) const { return (std::size_t{len} + 1) * shape.beat_bytes; }
  std::uint64_t aligned(const AxiShape& shape) const {
    return address & ~std::uint64_t{shape.beat_bytes - 1};
  }
};

struct AxiMasterPins {
  bool ar_valid = false, r_ready = false, aw_valid = false, w_valid = false, w_last = false, b_ready = false;
  AxiAddress ar, aw;
  const Byte* w_data = nullptr;     // a beat, lane 0 first; valid while w_valid
  const Byte* w_strobes = nullptr;  // a bit a byte of the beat, lane 0 in the lowest; valid while w_valid
};

struct AxiSlavePins {
  bool ar_ready = false, r_valid = false, r_last = false, aw_ready = false, w_ready = false, b_valid = false;
  AxiResponse r_response = AxiResponse::kOkay, b_response = AxiResponse::kOkay;
  std::uint32_t r_id = 0, b_id = 0;
  const Byte* r_data = nullptr;  // a beat while r_valid
};

}  // namespace esplanade::sim
