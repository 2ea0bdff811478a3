#include "keyd/exchange/steps.h"

namespace esplanade::ike {

Status check_step(const Step& step, const Payloads& payloads) {
  for (PayloadType must : step.must)
    if (must != PayloadType::kNone && find(payloads, must) == nullptr)
      return Error{Errc::kMalformed, "a payload that this message must have is missing"};
  if (step.first != PayloadType::kNone && payloads.front().type != step.first)
    return Error{Errc::kMalformed, "the payloads are not in the order of RFC 2409"};
  for (PayloadType once : {PayloadType::kSa, PayloadType::kKe, PayloadType::kNonce, PayloadType::kHash,
                           PayloadType::kSignature, PayloadType::kGss})
    if (count(payloads, once) > 1)
      return Error{Errc::kMalformed, "a payload that may stand once stands twice"};
  for (const RawPayload& p : payloads) {
    const auto type = static_cast<std::uint8_t>(p.type);
    const bool nested = p.type == PayloadType::kProposal || p.type == PayloadType::kTransform;
    const bool known =
        (type >= 1 && type <= 14) || p.type == PayloadType::kNatD || p.type == PayloadType::kNatOa;
    if (nested || (!known && type < 128)) return Error{Errc::kMalformed, "unknown payload type"};
  }
  return ok();
}

}  // namespace esplanade::ike
