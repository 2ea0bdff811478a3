// What runs over natt.sock between espd, which owns UDP 4500, and keyd: IKE messages with their addresses,
// and requests for NAT keepalives. README.md has the octets.
#pragma once

#include "common/base/bytes.h"
#include "common/esp/sa.h"

namespace esplanade::pfkey {

inline constexpr std::size_t kNattHeader = 40;
inline constexpr std::size_t kMaxNattFrame = kNattHeader + 65507;  // the largest UDP payload over IPv4

struct NattFrame {
  bool keepalive = false;  // ask espd for one; `ike` is empty then
  esp::IpAddress src;      // of the datagram: as received the peer, as sent ours (all 0: the system chooses)
  esp::IpAddress dst;
  std::uint16_t src_port = 0;  // host order
  std::uint16_t dst_port = 0;
  ByteView ike;  // without the non-ESP marker; points into the octets that were parsed
};

/// Errors: kTruncated; kMalformed (version, kind, reserved octets, port 0, an IKE message shorter than its
/// header of 28 octets, a keepalive with a message).
Result<NattFrame> parse_natt_frame(ByteView octets);
Bytes serialize(const NattFrame& frame);

}  // namespace esplanade::pfkey
