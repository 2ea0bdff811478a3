// OpenSSL's algorithms, fetched once from a library context of our own: the legacy provider that DES needs is not
// forced on the rest of the process. Internal to common/crypto.
#pragma once

#include <openssl/evp.h>

namespace esplanade::crypto::detail {

const EVP_MD* fetch_md5();
const EVP_MD* fetch_sha1();
const EVP_CIPHER* fetch_des_cbc();
const EVP_CIPHER* fetch_triple_des_cbc();
EVP_MAC* fetch_hmac();

/// The library context: for keys and certificates, so that they see the same providers.
OSSL_LIB_CTX* context();

/// Ends the program with OpenSSL's reason: for failures that only a broken installation gives.
[[noreturn]] void die(const char* what);

}  // namespace esplanade::crypto::detail
