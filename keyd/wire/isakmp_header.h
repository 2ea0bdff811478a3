// The ISAKMP header, RFC 2408 s3.1:
//   0  initiator cookie (8)   8  responder cookie (8)
//   16 next payload  17 version  18 exchange type  19 flags
//   20 message id (4)         24 length (4), of the whole message with the header and encryption padding
#pragma once

#include <array>

#include "common/base/bytes.h"
#include "keyd/wire/doi_numbers.h"

namespace esplanade::ike {

using Cookie = std::array<Byte, 8>;
inline constexpr Cookie kNoCookie{};

struct Header {
  Cookie cky_i{};
  Cookie cky_r{};
  PayloadType next = PayloadType::kNone;
  std::uint8_t version = kVersion;
  Exchange exchange = Exchange::kNone;
  std::uint8_t flags = 0;
  std::uint32_t message_id = 0;
  std::uint32_t length = 0;
  bool encrypted() const { return (flags & kFlagEncryption) != 0; }
};

/// Reads the header and checks what holds for any message: both lengths agree exactly, major version 1,
/// an initiator cookie that is not zero. Errors: kTruncated, kBadLength, kUnsupported, kMalformed.
Result<Header> parse_header(ByteView datagram);

/// Appends the 28 octets; `length` is written as given.
void put_header(Bytes& out, const Header& header);

}  // namespace esplanade::ike
