// One piece of an IKE message that is too long for a datagram, as Microsoft and Cisco cut them (MS-IKEE
// 2.2.3.1). The datagram is an ISAKMP header with next payload 132 and the encryption flag clear, then the one
// payload:
//   0  next payload 0  1  reserved  2  length (2)
//   4  fragment id (2), the same for all pieces  6  number (1), from 1  7  flags (1): 1, the last piece
//   8  octets of the message, its own ISAKMP header included in front of the first piece's
#pragma once

#include "keyd/wire/payload.h"

namespace esplanade::ike {

inline constexpr std::size_t kFragmentOverhead = kHeaderLen + kGenericHeaderLen + 4;  // octets a datagram

struct Fragment {
  std::uint16_t id = 0;
  std::uint8_t number = 1;
  bool last = false;
  ByteView data;  // points into the datagram that was parsed
};

/// Reads what follows the header of a datagram whose next payload is 132. Errors: kTruncated, kBadLength,
/// kMalformed (another payload follows, number 0, unknown flag, no data).
Result<Fragment> parse_fragment(ByteView after_header);

/// Cuts `message` (header included) into datagrams of at most `datagram_max` octets, at least 64. Their headers
/// repeat the message's exchange type and Message-ID; or, with `as_main_mode`, say main mode and 0 for any message,
/// as strongSwan does: it takes a quick mode's piece that comes again for a malformed quick mode otherwise. Empty
/// when it would take more than 255.
std::vector<Bytes> cut_message(ByteView message, std::size_t datagram_max, std::uint16_t id,
                               bool as_main_mode = false);

}  // namespace esplanade::ike
