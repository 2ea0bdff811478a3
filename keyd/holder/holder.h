// The holder of secrets: answers the engine's credential requests from what the file of secrets gives. It has
// no sockets of its own; holder_process puts it behind one.
#pragma once

#include "keyd/holder/gss.h"
#include "keyd/holder/secrets_file.h"

namespace esplanade::ike {

class Holder {
 public:
  /// Errors: kBadConfig when a connection of `config` finds no secret.
  static Result<std::unique_ptr<Holder>> create(Secrets secrets, std::shared_ptr<const Config> config,
                                                const std::string& secrets_path);

  /// True for what may wait for a KDC: such requests belong on another thread.
  static bool may_wait(const CredentialRequest& request);
  /// The answer to a request. GssEnd has none that anybody waits for: an empty credential. PSK and RSA from one
  /// thread; the others from any. Errors: kState (nothing of the kind for this connection), kMalformed and what
  /// GssContexts and PrivateKey say.
  Result<Credential> answer(const CredentialRequest& request);

 private:
  Holder(Secrets secrets, std::shared_ptr<const Config> config);
  const Connection* find(const std::string& connection) const;
  Result<Credential> psk(const Connection& connection, const PskSkeyid& request) const;
  Result<Credential> sign(const RsaSign& request);

  Secrets secrets_;
  const crypto::PrivateKey* signer_ = nullptr;  // the key of signer_certificate_
  Bytes signer_certificate_;
  std::shared_ptr<const Config> config_;
  std::unique_ptr<GssContexts> gss_;  // null without [kerberos]
};

}  // namespace esplanade::ike
