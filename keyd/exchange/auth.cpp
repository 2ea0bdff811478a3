#include "keyd/exchange/auth.h"

namespace esplanade::ike {

const Authenticator& authenticator(AuthMethod method) {
  switch (method) {
    case AuthMethod::kPubkey:
      return detail::signature_authenticator();
    case AuthMethod::kGss:
      return detail::gss_authenticator();
    case AuthMethod::kPsk:
      break;
  }
  return detail::psk_authenticator();
}

Bytes hash_of(const MmSa& mm, bool mine, ByteView id_b) {
  const bool of_initiator = mine == mm.initiator;
  const auto& [cky_i, cky_r] = mm.cookies;
  // Empty but for GSS-API.
  Bytes more = mine ? mm.auth.own_name : mm.auth.peer_name;
  put(more, mine ? mm.auth.tokens_sent : mm.auth.tokens_got);
  const ByteView skeyid = mm.keys.skeyid.reveal();
  return of_initiator
             ? auth_hash(mm.suite.hash, skeyid, mm.g_xi, mm.g_xr, cky_i, cky_r, mm.sai_b, id_b, more)
             : auth_hash(mm.suite.hash, skeyid, mm.g_xr, mm.g_xi, cky_r, cky_i, mm.sai_b, id_b, more);
}

}  // namespace esplanade::ike
