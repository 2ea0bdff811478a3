// The holder of the long-term secrets inside keyd's own process: pre-shared keys and RSA keys of a file that only its
// owner may read.
//
//   [ike.NAME]       id = ["192.0.2.2", "branch.example"]   secret = "text", "0xHEX" or "0sBASE64"
//   [private.NAME]   file = "gateway.key"                   RSA, PEM
#pragma once

#include <map>

#include "common/crypto/rsa.h"
#include "keyd/policy/config.h"
#include "keyd/sa/credentials.h"

namespace esplanade::ike {

class LocalHolder {
 public:
  /// Reads `path`. Errors: kIo, kPermission, kBadConfig ("FILE:LINE: what", never with a secret), and kBadConfig when
  /// a connection of `config` has no secret in it.
  static Result<LocalHolder> load(const std::string& path, const Config& config);

  /// Answers a request. Errors: kUnsupported, kBadAuth.
  Result<Credential> answer(const CredentialRequest& request) const;

 private:
  std::map<std::string, Secret> psk_;                        // by connection
  std::map<Bytes, crypto::RsaPrivateKey> keys_;  // by SubjectPublicKeyInfo
};

/// The octets of a secret as it is written: "0xHEX", "0sBASE64", or the text as it is. Errors: kBadConfig, without
/// the text.
Result<Secret> secret_from_text(std::string_view text);

}  // namespace esplanade::ike
