// SA payload with its proposals and transforms, RFC 2408 s3.4 to s3.6, RFC 2407 s4.6.1. Bodies (after the
// generic header):
//   SA         DOI(4) situation(4) proposals
//   Proposal   number(1) protocol(1) SPI size(1) transforms(1) SPI transforms
//   Transform  number(1) id(1) reserved(2) attributes
#pragma once

#include "keyd/wire/attribute.h"
#include "keyd/wire/payload.h"

namespace esplanade::ike {

struct Transform {
  std::uint8_t number = 1;
  std::uint8_t id = 0;
  Attributes attributes;
};

struct Proposal {
  std::uint8_t number = 1;
  ProtocolId protocol = ProtocolId::kIsakmp;
  Bytes spi;
  std::vector<Transform> transforms;
};

/// Parses the body of an SA payload: DOI IPsec and situation identity-only, everything well formed, the count
/// of transforms right. Meaning is judged elsewhere. Errors: kTruncated, kBadLength, kMalformed,
/// kUnsupported.
Result<std::vector<Proposal>> parse_sa(ByteView body);

/// The body of an SA payload.
Bytes build_sa(const std::vector<Proposal>& proposals);

}  // namespace esplanade::ike
