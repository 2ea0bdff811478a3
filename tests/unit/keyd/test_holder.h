// A holder of secrets for tests: in the same process, at once.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "common/crypto/hash.h"
#include "common/crypto/private_key.h"
#include "keyd/sa/credentials.h"

namespace esplanade::ike::test {

/// The holder of one side's secrets. GSS-API is a mock: N tokens go to and fro, wrapping is reversible and checked.
struct TestHolder {
  std::string psk;
  std::vector<std::string> keys;  // RSA, PEM
  std::string principal;          // ours
  std::size_t gss_tokens = 2;     // of a whole context, both sides' together
  std::map<std::uint64_t, std::string> contexts;  // live ones, with the peer's principal
  std::vector<std::size_t> asked = std::vector<std::size_t>(6);  // by index in CredentialRequest::what
  /// Changes or replaces an answer.
  std::function<void(const CredentialRequest&, Result<Credential>&)> tap;

  Result<Credential> answer(const CredentialRequest& r) {
    ++asked[r.what.index()];
    Result<Credential> out = std::visit([this](const auto& what) { return on(what); }, r.what);
    if (tap) tap(r, out);
    return out;
  }

 private:
  static Credential credential(Bytes octets) {
    Credential c;
    c.octets = Secret(std::move(octets));
    return c;
  }
  Result<Credential> on(const PskSkeyid& p) {
    Credential c;
    c.octets = crypto::prf(p.hash, ByteView(reinterpret_cast<const Byte*>(psk.data()), psk.size()), {p.ni_b, p.nr_b});
    return c;
  }
  Result<Credential> on(const RsaSign& s) {
    for (const std::string& pem : keys) {
      auto key = crypto::PrivateKey::from_pem(ByteView(reinterpret_cast<const Byte*>(pem.data()), pem.size()));
      if (!key) continue;  // a weak one
      if (!key->belongs_to(s.certificate)) continue;
      auto signature = key->sign_raw(s.hash);
      if (!signature) return signature.error();
      return credential(std::move(*signature));
    }
    return Error{Errc::kBadAuth, "no private key for our certificate"};
  }
  // Token: 0x60, length, its number, the sender's principal.
  Result<Credential> on(const GssStep& s) {
    if (s.initiator && s.token.empty() && s.target.find("unknown") != s.target.npos)
      return Error{Errc::kBadAuth, "Server not found in Kerberos database"};
    std::size_t got = 0;
    if (!s.token.empty()) {
      if (s.token.size() < 3 || s.token[0] != 0x60 || s.token[1] != s.token.size() - 2)
        return Error{Errc::kBadAuth, "defective token"};
      got = s.token[2];
      contexts[s.context] = std::string(s.token.begin() + 3, s.token.end());
    } else {
      contexts[s.context] = "";
    }
    Bytes token;
    if (got != gss_tokens) {
      token = {0x60, static_cast<Byte>(principal.size() + 1), static_cast<Byte>(got + 1)};
      token.insert(token.end(), principal.begin(), principal.end());
    }
    Credential c = credential(std::move(token));
    c.complete = got + 1 >= gss_tokens;
    if (c.complete) c.peer = contexts[s.context];
    return c;
  }
  Result<Credential> on(const GssWrap& w) {
    if (!contexts.contains(w.context)) return Error{Errc::kBadAuth, "no such context"};
    Bytes out{'W'};
    for (Byte b : w.octets) out.push_back(b ^ 0x5a);
    return credential(std::move(out));
  }
  Result<Credential> on(const GssUnwrap& w) {
    if (!contexts.contains(w.context) || w.octets.empty() || w.octets[0] != 'W')
      return Error{Errc::kBadAuth, "defective token"};
    Bytes out;
    for (Byte b : ByteView(w.octets).subspan(1)) out.push_back(b ^ 0x5a);
    return credential(std::move(out));
  }
  Result<Credential> on(const GssEnd& e) {
    contexts.erase(e.context);
    return Credential();
  }
};

/// Seconds since 1970 in every test: certificates are made around it.
inline constexpr std::int64_t kWallClock = 1'700'000'000;

}  // namespace esplanade::ike::test
