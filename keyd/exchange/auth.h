// Authentication methods of main mode: what differs between pre-shared keys, signatures and GSS-API.
#pragma once

#include <span>

#include "keyd/exchange/steps.h"
#include "keyd/sa/mm_sa.h"

namespace esplanade::ike {

class Authenticator {
 public:
  virtual ~Authenticator() = default;
  /// The messages of main mode under this method.
  virtual std::span<const Step> steps() const = 0;
  virtual Secret skeyid(const MmSa& mm, ByteView g_xy) const = 0;
  /// Appends the payloads that prove our identity to a message that already has the ID payload.
  virtual Status add_proof(const MmSa& mm, ByteView id_b, ChainBuilder& chain) const = 0;
  /// Checks the peer's proof for its ID body. Errors: kMalformed; constant-time in secrets.
  virtual Status check_proof(const MmSa& mm, ByteView id_b, const Payloads& payloads) const = 0;
};

const Authenticator& authenticator(AuthMethod method);

}  // namespace esplanade::ike
