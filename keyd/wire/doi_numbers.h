// Numbers on the wire of IKEv1. ISAKMP: RFC 2408; IPsec DOI: RFC 2407; IKE: RFC 2409; NAT-T: RFC 3947.
#pragma once

#include <cstddef>
#include <cstdint>

namespace esplanade::ike {

inline constexpr std::size_t kHeaderLen = 28;         // RFC 2408 s3.1
inline constexpr std::size_t kGenericHeaderLen = 4;   // RFC 2408 s3.2
inline constexpr std::uint8_t kVersion = 0x10;        // major 1, minor 0
inline constexpr std::uint32_t kDoiIpsec = 1;         // RFC 2407 s4.1
inline constexpr std::uint32_t kSitIdentityOnly = 1;  // RFC 2407 s4.2.1
inline constexpr std::size_t kNonceLenMin = 8;        // RFC 2409 s5
inline constexpr std::size_t kNonceLenMax = 256;

enum class Exchange : std::uint8_t {  // RFC 2408 s3.1, RFC 2409 App. A
  kNone = 0,
  kMainMode = 2,  // "Identity Protection"
  kAggressive = 4,
  kInformational = 5,
  kTransaction = 6,
  kQuickMode = 32,
  kNewGroup = 33,
};

inline constexpr std::uint8_t kFlagEncryption = 0x01;  // RFC 2408 s3.1
inline constexpr std::uint8_t kFlagCommit = 0x02;
inline constexpr std::uint8_t kFlagAuthOnly = 0x04;

enum class PayloadType : std::uint8_t {  // RFC 2408 s3.1, RFC 3947 s3.2
  kNone = 0,
  kSa = 1,
  kProposal = 2,
  kTransform = 3,
  kKe = 4,
  kId = 5,
  kCert = 6,
  kCertRequest = 7,
  kHash = 8,
  kSignature = 9,
  kNonce = 10,
  kNotify = 11,
  kDelete = 12,
  kVendorId = 13,
  kNatD = 20,
  kNatOa = 21,
  kNatDDraft = 130,  // draft-ietf-ipsec-nat-t-ike-02 and -03
  kGss = 129,  // draft-ietf-ipsec-isakmp-gss-auth-07
  kNatOaDraft = 131,  // drafts 00 to 03 of RFC 3947
  kFragment = 132,
};

// Phase 1 attribute classes and values: RFC 2409 App. A.
enum class MmAttribute : std::uint16_t {
  kEncryption = 1,
  kHash = 2,
  kAuthMethod = 3,
  kGroup = 4,
  kLifeType = 11,
  kLifeDuration = 12,
  kKeyLength = 14,
  kGssName = 16384,
};
inline constexpr std::uint16_t kMmDesCbc = 1;
inline constexpr std::uint16_t kMmTripleDesCbc = 5;
inline constexpr std::uint16_t kMmMd5 = 1;
inline constexpr std::uint16_t kMmSha1 = 2;
inline constexpr std::uint16_t kAuthPsk = 1;
inline constexpr std::uint16_t kAuthRsaSig = 3;
inline constexpr std::uint16_t kAuthGssKerberos = 65001;
inline constexpr std::uint8_t kTransformKeyIke = 1;  // RFC 2407 s4.4.2

// Phase 2: RFC 2407 s4.4.1, s4.4.3, s4.4.4, s4.5; encapsulation modes 3, 4: RFC 3947 s5.1.
enum class ProtocolId : std::uint8_t { kIsakmp = 1, kAh = 2, kEsp = 3 };
inline constexpr std::uint8_t kEspDes = 2;
inline constexpr std::uint8_t kEspTripleDes = 3;
inline constexpr std::uint8_t kEspNull = 11;
inline constexpr std::uint8_t kAhMd5 = 2;
inline constexpr std::uint8_t kAhSha = 3;
enum class QmAttribute : std::uint16_t {
  kLifeType = 1,
  kLifeDuration = 2,
  kGroup = 3,
  kEncapsulation = 4,
  kAuth = 5,
  kKeyLength = 6,
};
inline constexpr std::uint16_t kLifeSeconds = 1;
inline constexpr std::uint16_t kLifeKilobytes = 2;  // of 1,024 octets
inline constexpr std::uint16_t kEncapTunnel = 1;
inline constexpr std::uint16_t kEncapTransport = 2;
inline constexpr std::uint16_t kEncapUdpTunnel = 3;
inline constexpr std::uint16_t kEncapUdpTransport = 4;
inline constexpr std::uint16_t kEncapUdpTunnelDraft = 61443;  // NAT-T drafts 00..03
inline constexpr std::uint16_t kEncapUdpTransportDraft = 61444;
inline constexpr std::uint16_t kQmHmacMd5 = 1;
inline constexpr std::uint16_t kQmHmacSha1 = 2;

enum class IdType : std::uint8_t {  // RFC 2407 s4.6.2.1
  kIpv4Addr = 1,
  kFqdn = 2,
  kUserFqdn = 3,
  kIpv4Subnet = 4,
  kIpv6Addr = 5,
  kIpv6Subnet = 6,
  kIpv4Range = 7,
  kIpv6Range = 8,
  kDerDn = 9,
  kDerGn = 10,
  kKeyId = 11,
};

enum class CertEncoding : std::uint8_t {  // RFC 2408 s3.9
  kPkcs7 = 1,
  kX509Signature = 4,
};

enum class NotifyType : std::uint16_t {  // RFC 2408 s3.14.1, RFC 2407 s4.6.3
  kInvalidPayloadType = 1,
  kSituationNotSupported = 3,
  kInvalidCookie = 4,
  kInvalidMajorVersion = 5,
  kInvalidExchangeType = 7,
  kInvalidMessageId = 9,
  kNoProposalChosen = 14,
  kPayloadMalformed = 16,
  kInvalidKeyInformation = 17,
  kInvalidIdInformation = 18,
  kInvalidCertEncoding = 19,
  kInvalidCertificate = 20,
  kInvalidCertAuthority = 22,
  kInvalidHashInformation = 23,
  kAuthenticationFailed = 24,
  kInvalidSignature = 25,
  kCertificateUnavailable = 28,
  kUnsupportedExchangeType = 29,
  kConnected = 16384,
  kResponderLifetime = 24576,
  kReplayStatus = 24577,
  kInitialContact = 24578,
  kRUThere = 36136,  // RFC 3706 s5.3
  kRUThereAck = 36137,
  kDosCookie = 40004,  // MS-IKEE 2.2.6
};

/// The RFC's name of a notify type, or "notify" for one without.
const char* notify_name(std::uint16_t type);

}  // namespace esplanade::ike
