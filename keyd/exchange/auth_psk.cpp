#include "keyd/exchange/auth.h"

namespace esplanade::ike {
namespace {

/// Pre-shared key, RFC 2409 s5.4.
class PskAuthenticator final : public Authenticator {
 public:
  std::span<const Step> steps() const override { return kMainModePsk; }

  Secret skeyid(const MmSa& mm, ByteView) const override {
    return skeyid_psk(mm.suite.hash, mm.connection->psk.reveal(), mm.ni_b, mm.nr_b);
  }

  Status add_proof(const MmSa& mm, ByteView id_b, ChainBuilder& chain) const override {
    chain.add(PayloadType::kHash, hash_of_side(mm, mm.initiator, id_b));
    return ok();
  }

  Status check_proof(const MmSa& mm, ByteView id_b, const Payloads& payloads) const override {
    const Bytes want = hash_of_side(mm, !mm.initiator, id_b);
    if (!constant_time_equal(want, find(payloads, PayloadType::kHash)->body))
      return Error{Errc::kMalformed, "the peer does not prove the pre-shared key"};
    return ok();
  }

 private:
  static Bytes hash_of_side(const MmSa& mm, bool initiator, ByteView id_b) {
    const auto& [cky_i, cky_r] = mm.cookies;
    return initiator ? auth_hash(mm.suite.hash, mm.keys.skeyid.reveal(), mm.g_xi, mm.g_xr, cky_i, cky_r,
                                 mm.sai_b, id_b)
                     : auth_hash(mm.suite.hash, mm.keys.skeyid.reveal(), mm.g_xr, mm.g_xi, cky_r, cky_i,
                                 mm.sai_b, id_b);
  }
};

}  // namespace

const Authenticator& authenticator(AuthMethod) {
  static const PskAuthenticator psk;
  return psk;
}

}  // namespace esplanade::ike
