// Identities of phase 1 and what proves them: RFC 2407 s4.6.2, RFC 4945 s3.1.
#pragma once

#include <string_view>

#include "common/crypto/x509.h"
#include "keyd/wire/payload_id.h"

namespace esplanade::ike {

/// Whether an ID may stand in phase 1: a name, a single address, a DER_ASN1_DN or a KEY_ID, with protocol and port
/// both 0, or UDP and 0, 500 or 4500. Errors: kBadId.
Status check_phase1_id(const Id& id);

/// Equal types and data. Names of hosts and users are compared without regard to case, distinguished names as
/// RFC 5280 s7.1 does.
bool same_identity(const Id& a, const Id& b);

/// Whether a certificate speaks for the ID: subject for DER_ASN1_DN, subjectAltName for the others.
bool certificate_has(const crypto::Certificate& certificate, const Id& id);

/// Whether a Kerberos principal fits a pattern, in which '*' stands for any characters but '@'.
bool principal_fits(std::string_view pattern, std::string_view principal);

/// The identity that a principal is, for policy and logs: a USER_FQDN with its octets.
Id id_from_principal(std::string_view principal);

}  // namespace esplanade::ike
