// What the engine asks of the holder of the long-term secrets. Pre-shared keys, private keys and Kerberos
// credentials live in a process of their own that never sees the network; the engine gets what was made from
// them, for one negotiation at a time.
#pragma once

#include <string>
#include <variant>

#include "common/base/secret.h"
#include "common/crypto/hash.h"

namespace esplanade::ike {

/// Names a request to espd or to the holder of the secrets until its reply comes back.
using Ticket = std::uint32_t;

/// SKEYID = prf(pre-shared key of the connection, Ni_b | Nr_b), RFC 2409 s5. Reply: SKEYID.
struct PskSkeyid {
  crypto::Hash hash = crypto::Hash::kSha1;
  Bytes ni_b;
  Bytes nr_b;
};
/// PKCS #1 block type 1 over `hash` itself, without DigestInfo (RFC 2409 s5.1), with the private key that
/// belongs to the certificate `certificate` (DER). Reply: the signature, as long as the modulus.
struct RsaSign {
  Bytes certificate;
  Bytes hash;
};
/// gss_init_sec_context or gss_accept_sec_context. `context` is a number that the engine has chosen, unique
/// while the context lives. Reply: the token for the peer (may be empty), whether the context is complete, and
/// once it is, the peer's name.
struct GssStep {
  std::uint64_t context = 0;
  bool initiator = true;
  std::string target;  // initiator: the service's principal, such as "host/gw.example@REALM"
  Bytes token;         // of the peer; empty: the initiator's first call
};
/// gss_wrap with confidentiality, and gss_unwrap. Reply: the octets wrapped or unwrapped.
struct GssWrap {
  std::uint64_t context = 0;
  Bytes octets;
};
struct GssUnwrap {
  std::uint64_t context = 0;
  Bytes octets;
};
/// The context is not needed any more. No reply.
struct GssEnd {
  std::uint64_t context = 0;
};

/// Answered with Engine::on_credential, except GssEnd.
struct CredentialRequest {
  Ticket ticket = 0;
  std::string connection;  // whose secret
  std::variant<PskSkeyid, RsaSign, GssStep, GssWrap, GssUnwrap, GssEnd> what;
};

struct Credential {
  Secret octets;         // see the request
  bool complete = true;  // GssStep
  std::string peer;      // GssStep when complete: the authenticated principal
};

}  // namespace esplanade::ike
