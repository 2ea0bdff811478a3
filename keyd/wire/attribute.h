// SA attributes, RFC 2408 s3.3:
//   TV   1|type(15)  value(16)
//   TLV  0|type(15)  length(16)  value(length)
#pragma once

#include "common/base/bytes.h"

namespace esplanade::ike {

/// One attribute. A basic one (TV) has its 16-bit value as two octets of `value`.
struct Attribute {
  std::uint16_t type = 0;  // without the format bit
  bool basic = true;
  Bytes value;
  bool operator==(const Attribute&) const = default;
};
using Attributes = std::vector<Attribute>;

/// Reads attributes to the end of `octets`. Errors: kTruncated.
Result<Attributes> parse_attributes(ByteView octets);

void put_basic(Bytes& out, std::uint16_t type, std::uint16_t value);
/// A 32-bit value as TLV of 4 octets: the form that every implementation takes for durations.
void put_u32(Bytes& out, std::uint16_t type, std::uint32_t value);

/// The value of a basic attribute; one sent as TLV is an error (RFC 2409 App. A).
Result<std::uint16_t> basic_value(const Attribute& attribute);
/// A value of variable size, TV or TLV of 1 to 8 octets (RFC 2407 s4.5). Errors: kBadLength.
Result<std::uint64_t> variable_value(const Attribute& attribute);

}  // namespace esplanade::ike
