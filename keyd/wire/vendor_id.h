// Vendor IDs that say what a peer can do. Unknown ones are ignored.
#pragma once

#include "common/base/bytes.h"

namespace esplanade::ike {

enum class Vendor : std::uint8_t {
  kUnknown,
  kRfc3947,  // NAT traversal, RFC 3947 s3.1
  kNattDraft02,   // draft-ietf-ipsec-nat-t-ike-02
  kNattDraft02n,  // the same, hashed with a line feed
  kNattDraft03,
  kDpd,           // RFC 3706 s5.1
  kFragmentation,  // then 4 octets that say for which exchanges, or nothing
  kMicrosoft,  // MS NT5 ISAKMPOAKLEY, then 4 octets of version
  kGssApi,      // MD5("GSSAPI")
  kGssApiLong,  // MD5 of "A GSS-API Authentication Method for IKE" and a newline
  kGssApiRacoon,  // the same without the newline
  kEsplanade,  // another keyd: honours the commit bit
};

Vendor vendor_of(ByteView body);
/// The octets to send for a vendor ID of ours.
ByteView vendor_id(Vendor vendor);

}  // namespace esplanade::ike
