// Pins of an AXI4 master with 512-bit data, as sampled before a rising clock edge, and what its slave drives.
#pragma once

#include <cstdint>

#include "common/base/bytes.h"

namespace esplanade::sim {

inline constexpr std::size_t kBeatBytes = 64;
inline constexpr std::uint8_t kBeatSize = 6;      // AxSIZE of full-width beats: log2(64)
inline constexpr std::uint8_t kBurstIncr = 1;     // AxBURST
inline constexpr std::uint64_t kBoundary = 4096;  // no burst crosses this

enum class AxiResponse : std::uint8_t { kOkay = 0, kSlaveError = 2, kDecodeError = 3 };

struct AxiAddress {
  std::uint64_t address = 0;
  std::uint8_t len = 0;  // beats - 1
  std::uint8_t size = kBeatSize, burst = kBurstIncr;
  std::uint32_t id = 0;
  bool operator==(const AxiAddress&) const = default;
  /// Bytes from the first beat's aligned address to the end of the burst.
  std::size_t bytes() const { return (std::size_t{len} + 1) * kBeatBytes; }
  std::uint64_t aligned() const { return address & ~std::uint64_t{kBeatBytes - 1}; }
};

struct AxiMasterPins {
  bool ar_valid = false, r_ready = false, aw_valid = false, w_valid = false, w_last = false, b_ready = false;
  AxiAddress ar, aw;
  const Byte* w_data = nullptr;  // kBeatBytes octets, lane 0 first; valid while w_valid
  std::uint64_t w_strobes = 0;
};

struct AxiSlavePins {
  bool ar_ready = false, r_valid = false, r_last = false, aw_ready = false, w_ready = false, b_valid = false;
  AxiResponse r_response = AxiResponse::kOkay, b_response = AxiResponse::kOkay;
  std::uint32_t r_id = 0, b_id = 0;
  const Byte* r_data = nullptr;  // kBeatBytes octets while r_valid
};

}  // namespace esplanade::sim
