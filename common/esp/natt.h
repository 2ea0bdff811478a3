// What a datagram on UDP 4500 is: RFC 3948 s2 and s3.4.
#pragma once

#include "common/base/bytes.h"

namespace esplanade::esp {

enum class NattKind : std::uint8_t {
  kKeepalive,  // one octet 0xff: drop silently
  kIke,        // four zero octets (the non-ESP marker), then an IKE message
  kEsp,        // an SPI that is not 0, then ESP
  kInvalid,    // one to three other octets, or none: drop and count
};

inline constexpr std::size_t kNonEspMarkerLen = 4;

constexpr NattKind classify_natt(ByteView payload) {
  if (payload.size() == 1 && payload[0] == 0xff) return NattKind::kKeepalive;
  if (payload.size() < kNonEspMarkerLen) return NattKind::kInvalid;
  return load_be32(payload.data()) == 0 ? NattKind::kIke : NattKind::kEsp;
}

}  // namespace esplanade::esp
