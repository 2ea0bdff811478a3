// The exchanges as tables, to be read beside RFC 2409 s5. A row is one message: who sends it, whether it is
// encrypted, which payloads it must carry, and which other payloads count as part of it. Vendor ID and notify
// payloads may stand anywhere; other known payloads are ignored (RFC 2408 s5.4).
#pragma once

#include <array>

#include "keyd/wire/payload.h"

namespace esplanade::ike {

struct Step {
  bool from_initiator = true;
  bool encrypted = false;
  std::array<PayloadType, 3> must{};       // kNone fills up
  PayloadType first = PayloadType::kNone;  // must be the first payload, kNone: any order
};

inline constexpr std::array<Step, 6> kMainModePsk{{
    // RFC 2409 s5.4; the SA payload is first in messages 1 and 2 (s5)
    {true, false, {PayloadType::kSa}, PayloadType::kSa},
    {false, false, {PayloadType::kSa}, PayloadType::kSa},
    {true, false, {PayloadType::kKe, PayloadType::kNonce}, PayloadType::kNone},
    {false, false, {PayloadType::kKe, PayloadType::kNonce}, PayloadType::kNone},
    {true, true, {PayloadType::kId, PayloadType::kHash}, PayloadType::kNone},
    {false, true, {PayloadType::kId, PayloadType::kHash}, PayloadType::kNone},
}};

inline constexpr std::array<Step, 6> kMainModeSignature{{
    // RFC 2409 s5.1; certificates and requests for them are optional
    {true, false, {PayloadType::kSa}, PayloadType::kSa},
    {false, false, {PayloadType::kSa}, PayloadType::kSa},
    {true, false, {PayloadType::kKe, PayloadType::kNonce}, PayloadType::kNone},
    {false, false, {PayloadType::kKe, PayloadType::kNonce}, PayloadType::kNone},
    {true, true, {PayloadType::kId, PayloadType::kSignature}, PayloadType::kNone},
    {false, true, {PayloadType::kId, PayloadType::kSignature}, PayloadType::kNone},
}};

inline constexpr std::array<Step, 8> kMainModeGss{{
    // draft-ietf-ipsec-isakmp-gss-auth-07 s3.2: a token or, when the context stands, HASH ends messages 5 and on;
    // the last two rows repeat while tokens are left to exchange
    {true, false, {PayloadType::kSa}, PayloadType::kSa},
    {false, false, {PayloadType::kSa}, PayloadType::kSa},
    {true, false, {PayloadType::kKe, PayloadType::kNonce, PayloadType::kGss}, PayloadType::kNone},
    {false, false, {PayloadType::kKe, PayloadType::kNonce, PayloadType::kGss}, PayloadType::kNone},
    {true, true, {PayloadType::kId}, PayloadType::kNone},
    {false, true, {PayloadType::kId}, PayloadType::kNone},
    {true, true, {}, PayloadType::kNone},
    {false, true, {}, PayloadType::kNone},
}};

inline constexpr std::array<Step, 4> kQuickMode{{
    // RFC 2409 s5.5; message 4 only when the responder set the commit bit (RFC 2408 s3.1)
    {true, true, {PayloadType::kHash, PayloadType::kSa, PayloadType::kNonce}, PayloadType::kHash},
    {false, true, {PayloadType::kHash, PayloadType::kSa, PayloadType::kNonce}, PayloadType::kHash},
    {true, true, {PayloadType::kHash}, PayloadType::kHash},
    {false, true, {PayloadType::kHash, PayloadType::kNotify}, PayloadType::kHash},
}};

/// Checks a message against its row: what must be there is, exactly once; the first payload is right; no
/// second SA, KE, NONCE, HASH, SIG or GSS token; no unknown payload type below 128 (RFC 2408 s5.4).
Status check_step(const Step& step, const Payloads& payloads);

}  // namespace esplanade::ike
