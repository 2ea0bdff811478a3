// GSS-API payload and identity attribute, draft-ietf-ipsec-isakmp-gss-auth-07 s3. Body of payload 129:
//   vendor encoding(1) token
// Names travel as UTF-16LE without terminator.
#pragma once

#include <string>
#include <string_view>

#include "common/base/bytes.h"

namespace esplanade::ike {

inline constexpr std::size_t kGssTokenMax = 48 * 1024;  // octets; a ticket with authorization data may be large
inline constexpr std::size_t kGssNameMax = 255;         // characters

/// The token of a body. Some peers leave the vendor octet out: a body that is one whole GSS token (RFC 2743 s3.1,
/// tag 0x60 and a length that fits) by itself is taken as such. Errors: kTruncated (no token), kBadLength.
Result<ByteView> parse_gss(ByteView body);
Bytes build_gss(ByteView token);

/// A principal's name as attribute octets. `name` is printable ASCII.
Bytes build_gss_name(std::string_view name);
/// Errors: kBadLength, kMalformed (not UTF-16LE of printable ASCII, which is all that names of hosts need).
Result<std::string> parse_gss_name(ByteView octets);

}  // namespace esplanade::ike
