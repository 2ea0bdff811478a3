#include "keyd/wire/doi_numbers.h"

namespace esplanade::ike {

const char* notify_name(std::uint16_t type) {
  switch (static_cast<NotifyType>(type)) {
    case NotifyType::kInvalidPayloadType:
      return "INVALID-PAYLOAD-TYPE";
    case NotifyType::kSituationNotSupported:
      return "SITUATION-NOT-SUPPORTED";
    case NotifyType::kInvalidCookie:
      return "INVALID-COOKIE";
    case NotifyType::kInvalidMajorVersion:
      return "INVALID-MAJOR-VERSION";
    case NotifyType::kInvalidExchangeType:
      return "INVALID-EXCHANGE-TYPE";
    case NotifyType::kInvalidMessageId:
      return "INVALID-MESSAGE-ID";
    case NotifyType::kNoProposalChosen:
      return "NO-PROPOSAL-CHOSEN";
    case NotifyType::kPayloadMalformed:
      return "PAYLOAD-MALFORMED";
    case NotifyType::kInvalidKeyInformation:
      return "INVALID-KEY-INFORMATION";
    case NotifyType::kInvalidIdInformation:
      return "INVALID-ID-INFORMATION";
    case NotifyType::kInvalidCertEncoding:
      return "INVALID-CERT-ENCODING";
    case NotifyType::kInvalidCertificate:
      return "INVALID-CERTIFICATE";
    case NotifyType::kInvalidCertAuthority:
      return "INVALID-CERT-AUTHORITY";
    case NotifyType::kInvalidHashInformation:
      return "INVALID-HASH-INFORMATION";
    case NotifyType::kAuthenticationFailed:
      return "AUTHENTICATION-FAILED";
    case NotifyType::kInvalidSignature:
      return "INVALID-SIGNATURE";
    case NotifyType::kCertificateUnavailable:
      return "CERTIFICATE-UNAVAILABLE";
    case NotifyType::kUnsupportedExchangeType:
      return "UNSUPPORTED-EXCHANGE-TYPE";
    case NotifyType::kConnected:
      return "CONNECTED";
    case NotifyType::kResponderLifetime:
      return "RESPONDER-LIFETIME";
    case NotifyType::kReplayStatus:
      return "REPLAY-STATUS";
    case NotifyType::kInitialContact:
      return "INITIAL-CONTACT";
    case NotifyType::kRUThere:
      return "R-U-THERE";
    case NotifyType::kRUThereAck:
      return "R-U-THERE-ACK";
    case NotifyType::kDosCookie:
      return "DOS_COOKIE";
  }
  return "notify";
}

}  // namespace esplanade::ike
