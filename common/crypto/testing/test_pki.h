// Keys, certificates and revocation lists for tests, made anew at each run; and wrong ones. Not part of the product.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/bytes.h"

namespace esplanade::crypto::testing {

struct Identity {
  Bytes certificate;    // DER
  std::string key_pem;  // PKCS #8
};

struct CertificateSpec {
  std::string subject = "O=Test, CN=peer";
  std::vector<std::string> alt_names;  // "DNS:gw.example", "IP:192.0.2.1", "email:a@example"
  std::string basic_constraints;       // "critical,CA:TRUE", ...; empty: no extension
  std::string key_usage;               // "digitalSignature"; empty: no extension
  std::string crl_uri;                 // CRL distribution point
  std::int64_t not_before = 0;         // seconds since 1970
  std::int64_t not_after = 0;
  unsigned bits = 1024;
  unsigned exponent = 65537;
  std::string digest = "SHA256";
  bool elliptic = false;  // a P-256 key instead of RSA
};

/// A certificate by `issuer`, or self-signed without one. Ends the program when OpenSSL refuses.
Identity make_certificate(const CertificateSpec& spec, const Identity* issuer = nullptr);
/// A CRL of `issuer` with the serial numbers of `revoked`.
Bytes make_crl(const Identity& issuer, const std::vector<Bytes>& revoked, std::int64_t this_update, std::int64_t next_update);
/// A PKCS #7 SignedData without signers.
Bytes make_pkcs7(const std::vector<Bytes>& certificates);
std::string to_pem(const char* kind, ByteView der);

/// block^d mod n for a whole block of the modulus' length: signatures with any padding.
Bytes private_operation(const Identity& identity, ByteView block);
/// A number whose cube starts with `prefix` and has `len` octets: a forged signature for exponent 3, made without
/// the private key.
Bytes cube_root(ByteView prefix, std::size_t len);

}  // namespace esplanade::crypto::testing
