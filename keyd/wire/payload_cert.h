// Certificate and certificate request payloads, RFC 2408 s3.9 and s3.10. Bodies:
//   CERT  encoding(1) data
//   CR    type(1) authority (DER of its Name; empty: any)
#pragma once

#include "common/base/bytes.h"
#include "keyd/wire/doi_numbers.h"

namespace esplanade::ike {

struct CertPayload {
  CertEncoding encoding = CertEncoding::kX509Signature;
  ByteView data;  // into the body that was parsed
};
/// Both kinds of body. Errors: kTruncated.
Result<CertPayload> parse_cert(ByteView body);
/// The body of either payload with encoding X.509 signature (4).
Bytes build_cert(ByteView data);

}  // namespace esplanade::ike
