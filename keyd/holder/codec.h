// Requests to the holder of secrets and its replies as packets. Both ends treat the other as hostile: every
// length is bounded, every packet is consumed to its last octet.
//
//   request   version(1)=1 ticket(4) kind(1) connection(2+n) then by kind:
//             1 PSK    hash(1) ni_b(2+n) nr_b(2+n)
//             2 RSA    hash(2+n) certificate(4+n)
//             3 STEP   context(8) initiator(1) target(2+n) token(4+n)
//             4 WRAP   context(8) octets(4+n)
//             5 UNWRAP context(8) octets(4+n)
//             6 END    context(8)
//   reply     version(1)=1 ticket(4) status(1), then
//             0        octets(4+n) complete(1) peer(2+n)
//             1        code(1) detail(2+n)
#pragma once

#include "keyd/sa/credentials.h"

namespace esplanade::ike {

inline constexpr std::size_t kNonceMin = 8;  // RFC 2409 s5
inline constexpr std::size_t kNonceMax = 256;
inline constexpr std::size_t kGssTokenMax = 65000;  // what a datagram can carry
inline constexpr std::size_t kGssNameMax = 1024;
inline constexpr std::size_t kHolderPacketMax = 72 * 1024;

/// Errors: kBadLength when a field is longer than the receiver would take.
Result<Secret> encode_request(const CredentialRequest& request);
/// Errors: kTruncated, kMalformed, kBadLength.
Result<CredentialRequest> decode_request(ByteView packet);

struct HolderReply {
  Ticket ticket = 0;
  Result<Credential> credential;
};
/// An error's detail is cut to 500 octets; a credential that is too long becomes an error.
Secret encode_reply(Ticket ticket, const Result<Credential>& credential);
/// Errors: kTruncated, kMalformed, kBadLength.
Result<HolderReply> decode_reply(ByteView packet);

}  // namespace esplanade::ike
