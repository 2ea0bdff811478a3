// X.509 certificates (RFC 5280) as IKEv1 uses them (RFC 2409 s5.1, RFC 4945). Everything that is parsed here may
// come from an attacker: sizes, nesting and lengths of chains are bounded before OpenSSL sees an octet. Certificates
// and names travel as DER. No clock is read: callers say what time it is.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/bytes.h"

namespace esplanade::crypto {

inline constexpr std::size_t kCertificateMax = 16 * 1024;  // octets
inline constexpr std::size_t kCertificatesMax = 8;         // of one peer: a leaf and its intermediates

/// One parsed certificate. Copies share it.
class Certificate {
 public:
  /// Errors: kBadLength (longer than kCertificateMax, or octets after it), kMalformed.
  static Result<Certificate> parse(ByteView der);

  const Bytes& der() const;
  Bytes subject() const;  // Name, DER
  /// Checks a signature of IKEv1 over `hash` by the certificate's key, as common/crypto/rsa.h describes it. Errors: those
  /// there, kMalformed when the key does not parse.
  Status verify_raw(ByteView hash, ByteView signature) const;
  /// Whether the certificate speaks for a name: the subject (compared as RFC 5280 s7.1 does), or a subjectAltName
  /// of type dNSName or rfc822Name (letters of either case), or iPAddress (4 or 16 octets): RFC 4945 s3.1.
  bool has_subject(ByteView name) const;
  bool has_dns_name(std::string_view name) const;
  bool has_email(std::string_view name) const;
  bool has_address(ByteView address) const;

 private:
  friend class TrustStore;
  struct State;
  explicit Certificate(std::shared_ptr<const State> state) : state_(std::move(state)) {}
  std::shared_ptr<const State> state_;
};

/// What a certificate needs besides a chain, in swanctl's words.
enum class Revocation : std::uint8_t {
  kRelaxed,  // refused only when a CRL at hand lists it
  kIfUri,    // a certificate that names where its CRL is needs a valid CRL at hand
  kStrict,   // every certificate of the chain needs a valid CRL at hand
};

/// The authorities that a connection believes, certificates that it pins, and revocation lists.
class TrustStore {
 public:
  /// All in DER. With `pinned` the peer's own certificate must be one of these, and is believed for that.
  /// Errors: kMalformed, kBadLength.
  static Result<TrustStore> create(const std::vector<Bytes>& authorities, const std::vector<Bytes>& pinned,
                                   const std::vector<Bytes>& crls);

  /// Checks a peer's certificate at `now` (seconds since 1970): a chain to an authority over `others` (at most
  /// kCertificatesMax), validity times, basicConstraints, keyUsage digitalSignature where there is a keyUsage, RSA
  /// with kRsaBitsMin bits or more, no MD5 signatures, revocation. Errors: kUnknownAuthority, kBadCertificate; the detail
  /// names what and whom, made printable.
  Status verify(const Certificate& leaf, const std::vector<Certificate>& others, std::int64_t now,
                Revocation revocation) const;

  /// The names (DER) of the authorities: what a certificate request asks for.
  const std::vector<Bytes>& authority_names() const;

 private:
  struct State;
  explicit TrustStore(std::shared_ptr<const State> state) : state_(std::move(state)) {}
  std::shared_ptr<const State> state_;
};

/// The certificates (or CRLs) of a file in PEM, any number of them, or of one in DER. Errors: kMalformed.
Result<std::vector<Bytes>> certificates_of_file(ByteView text);
Result<std::vector<Bytes>> crls_of_file(ByteView text);
/// The certificates inside a PKCS #7 SignedData (CERT encoding 1, RFC 2408 s3.9), at most kCertificatesMax.
/// Errors: kMalformed.
Result<std::vector<Bytes>> certificates_of_pkcs7(ByteView der);

/// "C=CH, O=Example, CN=gw.example" as a Name in DER, in the order written. Errors: kBadConfig.
Result<Bytes> name_from_text(std::string_view text);
/// The same backwards, for people: printable and of bounded length whatever the octets are.
std::string name_to_text(ByteView name);
/// Whether two Names are equal by RFC 5280 s7.1 (case, spaces and string types do not count).
bool same_name(ByteView a, ByteView b);

}  // namespace esplanade::crypto
