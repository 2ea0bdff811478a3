#include "common/crypto/library.h"

#include <openssl/err.h>
#include <openssl/provider.h>

#include <cstdio>
#include <cstdlib>

namespace esplanade::crypto::detail {

void die(const char* what) {
  char reason[200] = "unknown reason";
  ERR_error_string_n(ERR_get_error(), reason, sizeof reason);
  std::fprintf(stderr, "OpenSSL: %s: %s\n", what, reason);
  std::abort();
}

namespace {
struct Library {
  OSSL_LIB_CTX* context = OSSL_LIB_CTX_new();
  EVP_MD* md5 = nullptr;
  EVP_MD* sha1 = nullptr;
  EVP_CIPHER* des = nullptr;
  EVP_CIPHER* triple_des = nullptr;
  EVP_MAC* hmac = nullptr;

  Library() {
    if (context == nullptr || OSSL_PROVIDER_load(context, "default") == nullptr) die("default provider");
    if (OSSL_PROVIDER_load(context, "legacy") == nullptr) die("legacy provider (single DES): is libssl3 whole?");
    md5 = EVP_MD_fetch(context, "MD5", nullptr);
    sha1 = EVP_MD_fetch(context, "SHA1", nullptr);
    des = EVP_CIPHER_fetch(context, "DES-CBC", nullptr);
    triple_des = EVP_CIPHER_fetch(context, "DES-EDE3-CBC", nullptr);
    hmac = EVP_MAC_fetch(context, "HMAC", nullptr);
    if (md5 == nullptr || sha1 == nullptr || des == nullptr || triple_des == nullptr || hmac == nullptr) die("fetch");
  }
};

// Lives until the process ends: contexts that other statics hold may outlive any destructor.
Library& library() {
  static Library* const instance = new Library;
  return *instance;
}
}  // namespace

const EVP_MD* fetch_md5() { return library().md5; }
const EVP_MD* fetch_sha1() { return library().sha1; }
const EVP_CIPHER* fetch_des_cbc() { return library().des; }
const EVP_CIPHER* fetch_triple_des_cbc() { return library().triple_des; }
EVP_MAC* fetch_hmac() { return library().hmac; }
OSSL_LIB_CTX* context() { return library().context; }

}  // namespace esplanade::crypto::detail
