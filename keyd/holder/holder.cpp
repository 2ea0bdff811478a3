#include "keyd/holder/holder.h"

#include <algorithm>

namespace esplanade::ike {

Result<std::unique_ptr<Holder>> Holder::create(Secrets secrets, std::shared_ptr<const Config> config,
                                               const std::string& secrets_path) {
  ESPLANADE_CHECK(check_secrets(secrets, *config, secrets_path));
  return std::unique_ptr<Holder>(new Holder(std::move(secrets), std::move(config)));
}

Holder::Holder(Secrets secrets, std::shared_ptr<const Config> config)
    : secrets_(std::move(secrets)), config_(std::move(config)) {
  if (secrets_.kerberos) gss_ = std::make_unique<GssContexts>(*secrets_.kerberos);
}

bool Holder::may_wait(const CredentialRequest& request) {
  return !std::holds_alternative<PskSkeyid>(request.what) && !std::holds_alternative<RsaSign>(request.what);
}

const Connection* Holder::find(const std::string& connection) const {
  const auto it =
      std::ranges::find_if(config_->connections, [&](const auto& c) { return c->name == connection; });
  return it == config_->connections.end() ? nullptr : it->get();
}

Result<Credential> Holder::psk(const Connection& connection, const PskSkeyid& request) const {
  const Secret* secret = connection.auth == AuthMethod::kPsk ? find_psk(secrets_, connection) : nullptr;
  if (secret == nullptr) return Error{Errc::kState, "the connection has no pre-shared key"};
  return Credential{crypto::prf(request.hash, secret->reveal(), {request.ni_b, request.nr_b}), true, {}};
}

Result<Credential> Holder::sign(const RsaSign& request) {
  // Certificates are few and compared octet by octet; to read one takes as long as to sign.
  if (signer_ == nullptr || signer_certificate_ != request.certificate) {
    const auto it = std::ranges::find_if(
        secrets_.keys, [&](const PrivateKeyEntry& e) { return e.key.belongs_to(request.certificate); });
    if (it == secrets_.keys.end()) return Error{Errc::kState, "no private key belongs to the certificate"};
    signer_ = &it->key;
    signer_certificate_ = request.certificate;
  }
  ESPLANADE_TRY(signature, signer_->sign_raw(request.hash));
  return Credential{Secret(std::move(signature)), true, {}};
}

Result<Credential> Holder::answer(const CredentialRequest& request) {
  const Connection* connection = find(request.connection);
  if (connection == nullptr) return Error{Errc::kState, "the holder of secrets has no such connection"};
  if (const auto* r = std::get_if<PskSkeyid>(&request.what)) return psk(*connection, *r);
  if (const auto* r = std::get_if<RsaSign>(&request.what)) return sign(*r);
  if (gss_ == nullptr) return Error{Errc::kState, "the file of secrets has no [kerberos]"};
  if (const auto* r = std::get_if<GssStep>(&request.what)) return gss_->step(*r);
  if (const auto* r = std::get_if<GssWrap>(&request.what)) return gss_->wrap(*r);
  if (const auto* r = std::get_if<GssUnwrap>(&request.what)) return gss_->unwrap(*r);
  gss_->end(std::get<GssEnd>(request.what).context);
  return Credential{};
}

}  // namespace esplanade::ike
