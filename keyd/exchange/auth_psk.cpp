#include "keyd/exchange/auth.h"

namespace esplanade::ike {
namespace {

/// Pre-shared key, RFC 2409 s5.4.
class PskAuthenticator final : public Authenticator {
 public:
  std::span<const Step> steps() const override { return kMainModePsk; }

  std::optional<Request> need(MmSa& mm) const override {
    if (mm.auth.g_xy.empty() || !mm.auth.skeyid.empty()) return std::nullopt;
    mm.auth.wait = AuthState::Wait::kSkeyid;
    return PskSkeyid{ike::hash_of(mm.suite.hash), mm.ni_b, mm.nr_b};
  }

  Status take(MmSa& mm, const Credential& credential) const override {
    if (credential.octets.size() != crypto::hash_len(ike::hash_of(mm.suite.hash)))
      return Error{Errc::kBadLength, "the holder's SKEYID has a wrong length"};
    mm.auth.skeyid = credential.octets.clone();
    return ok();
  }

  Secret skeyid(MmSa& mm) const override { return std::move(mm.auth.skeyid); }

  void add_proof(MmSa& mm, ChainBuilder& chain) const override {
    chain.add(PayloadType::kHash, hash_of(mm, true, build_id(mm.connection->local_id)));
    mm.auth.proof_sent = true;
  }

  Result<std::optional<Id>> check_proof(MmSa& mm, const AuthState::Claim& claim, const Payloads& payloads,
                                        std::int64_t) const override {
    if (!constant_time_equal(hash_of(mm, false, claim.id_b), find(payloads, PayloadType::kHash)->body))
      return Error{Errc::kBadAuth, "the peer does not prove the pre-shared key"};
    ESPLANADE_TRY(id, parse_id(claim.id_b));
    return std::optional<Id>(std::move(id));
  }
};

}  // namespace

const Authenticator& detail::psk_authenticator() {
  static const PskAuthenticator psk;
  return psk;
}

}  // namespace esplanade::ike
