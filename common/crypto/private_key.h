// RSA private keys for signatures of IKEv1 (RFC 2409 s5.1): from a PEM file's text, or on a PKCS #11 token.
#pragma once

#include <memory>
#include <string>

#include "common/base/secret.h"

namespace esplanade::crypto {

class PrivateKey {
 public:
  /// An unencrypted PEM key. Errors never show what was read: kBadConfig (no key, not RSA, below 1,024 bits).
  static Result<PrivateKey> from_pem(ByteView pem);
  /// A key on a token, named by a PKCS #11 URI (RFC 7512), through OpenSSL's engine "pkcs11". `module` is the
  /// path of the token's library; one module serves the whole process. Errors: kIo (engine, module, PIN or
  /// object), kBadConfig (not RSA, too short).
  static Result<PrivateKey> from_pkcs11(const std::string& uri, const std::string& module, const Secret& pin);

  PrivateKey(PrivateKey&&) noexcept;
  PrivateKey& operator=(PrivateKey&&) noexcept;
  ~PrivateKey();

  /// PKCS #1 v1.5 block type 1 over `hash` itself, without DigestInfo: as long as the modulus. `hash` has 16 or
  /// 20 octets (MD5, SHA-1). Errors: kBadLength, kIo (the token refuses).
  Result<Bytes> sign_raw(ByteView hash) const;
  /// True when the public key in the certificate (DER) is this key's. False for anything that does not parse.
  bool belongs_to(ByteView certificate) const;

 private:
  struct State;
  explicit PrivateKey(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace esplanade::crypto
