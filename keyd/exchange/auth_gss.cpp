#include <fmt/format.h>

#include <algorithm>

#include "common/base/log.h"
#include "keyd/exchange/auth.h"
#include "keyd/policy/identity.h"
#include "keyd/wire/payload_gss.h"

namespace esplanade::ike {
namespace {

constexpr std::size_t kTokensMax = 128 * 1024;  // octets from one peer in one negotiation

bool allowed(const MmSa& mm, std::string_view principal) {
  return std::ranges::any_of(mm.connection->gss_remote,
                             [&](const std::string& pattern) { return principal_fits(pattern, principal); });
}

Status note_token(MmSa& mm, const RawPayload& payload) {
  ESPLANADE_TRY(token, parse_gss(payload.body));
  if (mm.auth.gss_complete) return Error{Errc::kBadAuth, "a token after the context was complete"};
  if (mm.auth.tokens_got.size() + token.size() > kTokensMax) return Error{Errc::kBadAuth, "too many token octets"};
  mm.auth.token_in.assign(token.begin(), token.end());
  put(mm.auth.tokens_got, token);
  return ok();
}

/// GSS-API with Kerberos V5, draft-ietf-ipsec-isakmp-gss-auth-07.
class GssAuthenticator final : public Authenticator {
 public:
  std::span<const Step> steps() const override { return kMainModeGss; }

  std::optional<Request> need(MmSa& mm) const override {
    AuthState& a = mm.auth;
    if (a.claim) {
      a.wait = AuthState::Wait::kUnwrap;
      return GssUnwrap{mm.number, a.claim->hash};
    }
    if (!a.token_in.empty() || (mm.initiator && !a.gss_begun)) {
      a.wait = AuthState::Wait::kToken;
      a.gss_begun = true;
      return GssStep{mm.number, mm.initiator, a.gss_target, std::exchange(a.token_in, {})};
    }
    const bool done = mm.initiator && a.proof_sent && a.peer_proved;
    if (!a.g_xy.empty() || next_to_send(mm) < 4 || !a.token_out.empty() || !a.proof.empty() || done)
      return std::nullopt;
    a.wait = AuthState::Wait::kProof;
    return GssWrap{mm.number, hash_of(mm, true, build_id(mm.connection->local_id))};
  }

  Status take(MmSa& mm, const Credential& credential) const override {
    AuthState& a = mm.auth;
    const ByteView octets = credential.octets.reveal();
    if (a.gss_complete) {  // GssWrap: nothing else is asked for after that
      if (octets.empty()) return Error{Errc::kBadAuth, "the holder wrapped HASH into nothing"};
      a.proof.assign(octets.begin(), octets.end());
      return ok();
    }
    if (octets.size() > kGssTokenMax) return Error{Errc::kBadAuth, "our token is too long"};
    const bool first_answer = a.tokens_sent.empty();
    a.token_out.assign(octets.begin(), octets.end());
    put(a.tokens_sent, octets);
    if (!credential.complete) {
      if (octets.empty()) return Error{Errc::kBadAuth, "the context is not complete, and there is no token to go on"};
      return ok();
    }
    // Mutual authentication costs the initiator an answer to read and the responder one to write.
    if (mm.initiator ? a.tokens_got.empty() : first_answer && octets.empty())
      return Error{Errc::kBadAuth, "a context without mutual authentication"};
    if (!allowed(mm, credential.peer))
      return Error{Errc::kBadAuth, fmt::format("the peer is {}, whom gss_name does not allow",
                                               credential.peer.empty() ? "nobody" : printable(credential.peer))};
    a.gss_complete = true;
    a.principal = credential.peer;
    return ok();
  }

  Secret skeyid(MmSa& mm) const override {
    return skeyid_signature(mm.suite.hash, mm.ni_b, mm.nr_b, mm.auth.g_xy.reveal());
  }

  void add_public(MmSa& mm, ChainBuilder& chain) const override {
    chain.add(PayloadType::kGss, build_gss(std::exchange(mm.auth.token_out, {})));
  }
  Status take_public(MmSa& mm, const Payloads& payloads) const override {
    return note_token(mm, *find(payloads, PayloadType::kGss));
  }

  void add_proof(MmSa& mm, ChainBuilder& chain) const override {
    AuthState& a = mm.auth;
    if (!a.token_out.empty()) {
      chain.add(PayloadType::kGss, build_gss(std::exchange(a.token_out, {})));
    } else {
      chain.add(PayloadType::kHash, std::exchange(a.proof, {}));
      a.proof_sent = true;
    }
  }

  Result<std::optional<Id>> check_proof(MmSa& mm, const AuthState::Claim& claim, const Payloads& payloads,
                                        std::int64_t) const override {
    const RawPayload* hash = find(payloads, PayloadType::kHash);
    const RawPayload* token = find(payloads, PayloadType::kGss);
    if ((hash != nullptr) == (token != nullptr)) return Error{Errc::kMalformed, "neither HASH nor a token, or both"};
    if (token != nullptr) {
      ESPLANADE_CHECK(note_token(mm, *token));
    } else {
      if (!mm.auth.gss_complete) return Error{Errc::kBadAuth, "HASH before the context is complete"};
      mm.auth.claim = claim;
      mm.auth.claim->hash.assign(hash->body.begin(), hash->body.end());
    }
    return std::optional<Id>();
  }
};

}  // namespace

const Authenticator& detail::gss_authenticator() {
  static const GssAuthenticator gss;
  return gss;
}

}  // namespace esplanade::ike
