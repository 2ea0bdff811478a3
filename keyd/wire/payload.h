// The chain of payloads after the header, RFC 2408 s3.2:
//   0  next payload  1  reserved, 0  2  length (2), of this payload with these 4 octets
#pragma once

#include "keyd/wire/isakmp_header.h"

namespace esplanade::ike {

/// A view of one payload; valid as long as the octets that it was split from.
struct RawPayload {
  PayloadType type = PayloadType::kNone;
  ByteView body;   // without the generic header
  ByteView whole;  // with it
};
using Payloads = std::vector<RawPayload>;

inline constexpr std::size_t kPayloadsMax = 64;  // of one message: more is an attack

/// Splits `octets` into the chain that starts with a payload of type `first`. Octets after the last payload
/// are encryption padding and allowed only with `padded`. Errors: kTruncated, kBadLength, kMalformed
/// (reserved octet not 0, too many, octets left), Error::at from the start of `octets`.
Result<Payloads> split_payloads(PayloadType first, ByteView octets, bool padded);

/// The first payload of a type, or null.
const RawPayload* find(const Payloads& payloads, PayloadType type);
std::size_t count(const Payloads& payloads, PayloadType type);

/// Builds a chain in order of calls. Bodies longer than 65,531 octets are a bug of the caller and abort.
class ChainBuilder {
 public:
  void add(PayloadType type, ByteView body);
  /// Appends a whole chain.
  void append(const ChainBuilder& chain);
  PayloadType first() const { return first_; }
  /// The chain so far; the last payload's next is 0.
  const Bytes& octets() const { return out_; }

 private:
  PayloadType first_ = PayloadType::kNone;
  std::size_t last_at_ = 0;
  Bytes out_;
};

/// A message in clear: header (its next and length set here) and chain.
Bytes clear_message(Header header, const ChainBuilder& chain);

}  // namespace esplanade::ike
