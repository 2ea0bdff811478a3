// Notify and Delete payloads, RFC 2408 s3.14 and s3.15. Bodies:
//   N  DOI(4) protocol(1) SPI size(1) type(2) SPI data
//   D  DOI(4) protocol(1) SPI size(1) number of SPIs(2) SPIs
#pragma once

#include "common/base/bytes.h"
#include "keyd/wire/doi_numbers.h"

namespace esplanade::ike {

struct Notify {
  std::uint8_t protocol = 0;
  std::uint16_t type = 0;
  Bytes spi;
  Bytes data;
};
/// Errors: kTruncated, kUnsupported (DOI neither 0 nor IPsec).
Result<Notify> parse_notify(ByteView body);
Bytes build_notify(const Notify& notify);

struct Delete {
  std::uint8_t protocol = 0;
  std::vector<Bytes> spis;
};
/// All SPIs have the size that the protocol asks for: 16 (both cookies) for ISAKMP, 4 for AH and ESP.
/// Errors: kTruncated, kBadLength, kUnsupported.
Result<Delete> parse_delete(ByteView body);
Bytes build_delete(const Delete& del);

}  // namespace esplanade::ike
