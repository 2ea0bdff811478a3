#include <fmt/format.h>

#include <algorithm>

#include "common/crypto/x509.h"
#include "keyd/exchange/auth.h"
#include "keyd/policy/identity.h"
#include "keyd/wire/payload_cert.h"

namespace esplanade::ike {
namespace {

constexpr std::size_t kRequestsMax = 8;  // certificate requests in one message of ours

// The peer's certificates, in the order sent. Those that do not parse are skipped as long as another is there.
Result<std::vector<crypto::Certificate>> certificates_of(const Payloads& payloads) {
  std::vector<crypto::Certificate> out;
  std::optional<Error> wrong;
  auto add = [&](ByteView der) {
    auto certificate = crypto::Certificate::parse(der);
    if (certificate)
      out.push_back(std::move(*certificate));
    else
      wrong = Error{Errc::kBadCertificate, certificate.error().detail};
  };
  if (count(payloads, PayloadType::kCert) > crypto::kCertificatesMax)
    return Error{Errc::kBadCertificate, "more than 8 certificates"};
  for (const RawPayload& p : payloads) {
    if (p.type != PayloadType::kCert) continue;
    ESPLANADE_TRY(cert, parse_cert(p.body));
    if (cert.encoding == CertEncoding::kX509Signature) {
      add(cert.data);
    } else if (cert.encoding == CertEncoding::kPkcs7) {
      auto inner = crypto::certificates_of_pkcs7(cert.data);
      if (inner)
        for (const Bytes& der : *inner) add(der);
      else
        wrong = Error{Errc::kBadCertificate, inner.error().detail};
    } else {
      wrong = Error{Errc::kBadCertificate,
                    fmt::format("certificate encoding {} is not one of ours", static_cast<int>(cert.encoding))};
    }
  }
  if (out.size() > crypto::kCertificatesMax) return Error{Errc::kBadCertificate, "more than 8 certificates"};
  if (out.empty() && wrong) return *wrong;
  return out;
}

/// RSA signatures, RFC 2409 s5.1.
class SignatureAuthenticator final : public Authenticator {
 public:
  std::span<const Step> steps() const override { return kMainModeSignature; }

  std::optional<Request> need(MmSa& mm) const override {
    AuthState& a = mm.auth;
    if (!a.g_xy.empty() || next_to_send(mm) < 4 || !a.proof.empty() || a.proof_sent) return std::nullopt;
    a.wait = AuthState::Wait::kProof;
    return RsaSign{mm.connection->certs.front(), hash_of(mm, true, build_id(mm.connection->local_id))};
  }

  Status take(MmSa& mm, const Credential& credential) const override {
    if (credential.octets.empty()) return Error{Errc::kBadLength, "the holder's signature is empty"};
    mm.auth.proof.assign(credential.octets.reveal().begin(), credential.octets.reveal().end());
    return ok();
  }

  Secret skeyid(MmSa& mm) const override {
    return skeyid_signature(mm.suite.hash, mm.ni_b, mm.nr_b, mm.auth.g_xy.reveal());
  }

  void add_public(MmSa& mm, ChainBuilder& chain) const override {
    const auto& names = mm.connection->trust->authority_names();
    for (std::size_t i = 0; i < std::min(names.size(), kRequestsMax); ++i)
      chain.add(PayloadType::kCertRequest, build_cert(names[i]));
  }

  void add_proof(MmSa& mm, ChainBuilder& chain) const override {
    // Requested or not: Windows wants them always, and a peer that pins ours just skips them.
    for (const Bytes& der : mm.connection->certs) chain.add(PayloadType::kCert, build_cert(der));
    chain.add(PayloadType::kSignature, mm.auth.proof);
    mm.auth.proof.clear();
    mm.auth.proof_sent = true;
  }

  Result<std::optional<Id>> check_proof(MmSa& mm, const AuthState::Claim& claim, const Payloads& payloads,
                                        std::int64_t wall_s) const override {
    const Connection& c = *mm.connection;
    auto id = parse_id(claim.id_b);
    if (!id) return Error{Errc::kBadId, id.error().detail};
    ESPLANADE_TRY(certificates, certificates_of(payloads));
    if (certificates.empty()) certificates = c.remote_certs;  // a peer that sends none may be pinned
    if (certificates.empty()) return Error{Errc::kBadCertificate, "the peer sent no certificate"};
    const auto leaf =
        std::ranges::find_if(certificates, [&](const auto& one) { return certificate_has(one, *id); });
    if (leaf == certificates.end())
      return Error{Errc::kBadId, fmt::format("no certificate of the peer is for {}", to_string(*id))};
    ESPLANADE_CHECK(c.trust->verify(*leaf, certificates, wall_s, c.revocation));
    const Bytes hash = hash_of(mm, false, claim.id_b);
    if (auto s = leaf->verify_raw(hash, find(payloads, PayloadType::kSignature)->body); !s)
      return Error{Errc::kBadSignature, s.error().detail};
    return std::optional<Id>(std::move(*id));
  }
};

}  // namespace

const Authenticator& detail::signature_authenticator() {
  static const SignatureAuthenticator signature;
  return signature;
}

}  // namespace esplanade::ike
