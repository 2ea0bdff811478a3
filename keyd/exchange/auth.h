// Authentication methods of main mode: what differs between pre-shared keys, signatures and GSS-API. The long-term
// secrets are with their holder (keyd/sa/credentials.h): a method says what it needs from there, and main mode waits.
#pragma once

#include <optional>
#include <span>

#include "keyd/exchange/steps.h"
#include "keyd/sa/mm_sa.h"

namespace esplanade::ike {

/// Index in the step table of our next message. Main mode keeps `expect` at the answer to it.
inline std::size_t next_to_send(const MmSa& mm) { return mm.expect - 1; }

class Authenticator {
 public:
  using Request = decltype(CredentialRequest::what);

  virtual ~Authenticator() = default;
  /// The messages of main mode under this method.
  virtual std::span<const Step> steps() const = 0;
  /// What the holder has to give before main mode can go on, noted in mm.auth.wait; nothing when all is there.
  virtual std::optional<Request> need(MmSa& mm) const = 0;
  /// Takes what need() asked for, but for GssUnwrap. Errors end the negotiation.
  virtual Status take(MmSa& mm, const Credential& credential) const = 0;
  /// SKEYID from g^xy; need() has nothing left to ask for it.
  virtual Secret skeyid(MmSa& mm) const = 0;

  /// The method's own payloads of messages 3 and 4.
  virtual void add_public(MmSa&, ChainBuilder&) const {}
  virtual Status take_public(MmSa&, const Payloads&) const { return ok(); }

  /// Appends what proves our identity, or leads to it, to a message from the fifth on.
  virtual void add_proof(MmSa& mm, ChainBuilder& chain) const = 0;
  /// Checks the peer's message from the fifth on, whose ID is `claim.id_b`, at `wall_s` (seconds since 1970).
  /// Returns the identity that it proves; nothing when that takes more: the holder's help for a claim that is now
  /// kept in `mm`, or more messages. Errors: kBadAuth, kBadId, kBadCertificate, kUnknownAuthority, kBadSignature,
  /// kMalformed; `mm` is then as before.
  virtual Result<std::optional<Id>> check_proof(MmSa& mm, const AuthState::Claim& claim, const Payloads& payloads,
                                                std::int64_t wall_s) const = 0;
};

const Authenticator& authenticator(AuthMethod method);

/// HASH_I or HASH_R (RFC 2409 s5), `mine` or the peer's, for an ID body.
Bytes hash_of(const MmSa& mm, bool mine, ByteView id_b);

namespace detail {
const Authenticator& psk_authenticator();
const Authenticator& signature_authenticator();
const Authenticator& gss_authenticator();
}  // namespace detail

}  // namespace esplanade::ike
