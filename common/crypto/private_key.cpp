// The engine interface is deprecated in OpenSSL 3, but Debian 12 has no PKCS #11 provider.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "common/crypto/private_key.h"

#include <openssl/bio.h>
#include <openssl/engine.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <algorithm>
#include <mutex>

namespace esplanade::crypto {
namespace {

constexpr int kBitsMin = 1024;
constexpr std::size_t kCertificateMax = 1 << 16;

template <auto F>
struct Free {
  template <class T>
  void operator()(T* p) const {
    F(p);
  }
};
using Pkey = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
using PkeyCtx = std::unique_ptr<EVP_PKEY_CTX, Free<EVP_PKEY_CTX_free>>;
using BioPtr = std::unique_ptr<BIO, Free<BIO_free_all>>;
using X509Ptr = std::unique_ptr<X509, Free<X509_free>>;

// An encrypted key has no place to take its passphrase from: never ask on a terminal.
int no_passphrase(char*, int, int, void*) { return -1; }

Status check(const EVP_PKEY* key) {
  if (EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA) return Error{Errc::kBadConfig, "the private key is not RSA"};
  if (EVP_PKEY_get_bits(key) < kBitsMin)
    return Error{Errc::kBadConfig, "the private key has fewer than 1,024 bits"};
  return ok();
}

// The engine lives as long as the process: keys of it may outlive any owner.
Result<ENGINE*> token_engine(const std::string& module) {
  static std::mutex mutex;
  static ENGINE* engine = nullptr;
  static std::string its_module;
  const std::lock_guard lock(mutex);
  if (engine != nullptr) {
    if (module != its_module)
      return Error{Errc::kBadConfig, "two PKCS #11 modules are named, but one process uses one"};
    return engine;
  }
  ENGINE_load_dynamic();
  ENGINE* e = ENGINE_by_id("pkcs11");
  if (e == nullptr)
    return Error{Errc::kIo, "OpenSSL has no engine \"pkcs11\": is libengine-pkcs11-openssl installed?"};
  if (ENGINE_ctrl_cmd_string(e, "MODULE_PATH", module.c_str(), 0) != 1 || ENGINE_init(e) != 1) {
    ENGINE_free(e);
    ERR_clear_error();
    return Error{Errc::kIo, "the PKCS #11 module does not load"};
  }
  its_module = module;
  engine = e;
  return engine;
}

}  // namespace

struct PrivateKey::State {
  Pkey key;
};

PrivateKey::PrivateKey(std::unique_ptr<State> state) : state_(std::move(state)) {}
PrivateKey::PrivateKey(PrivateKey&&) noexcept = default;
PrivateKey& PrivateKey::operator=(PrivateKey&&) noexcept = default;
PrivateKey::~PrivateKey() = default;

Result<PrivateKey> PrivateKey::from_pem(ByteView pem) {
  const BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  Pkey key(bio ? PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr) : nullptr);
  ERR_clear_error();
  if (!key) return Error{Errc::kBadConfig, "has no private key in PEM without a passphrase"};
  ESPLANADE_CHECK(check(key.get()));
  return PrivateKey(std::make_unique<State>(State{std::move(key)}));
}

Result<PrivateKey> PrivateKey::from_pkcs11(const std::string& uri, const std::string& module,
                                           const Secret& pin) {
  ESPLANADE_TRY(engine, token_engine(module));
  std::string text(pin.reveal().begin(), pin.reveal().end());
  const bool pin_taken = text.empty() || ENGINE_ctrl_cmd_string(engine, "PIN", text.c_str(), 0) == 1;
  wipe(MutableBytes(reinterpret_cast<Byte*>(text.data()), text.size()));
  Pkey key(pin_taken ? ENGINE_load_private_key(engine, uri.c_str(), nullptr, nullptr) : nullptr);
  ERR_clear_error();
  if (!key) return Error{Errc::kIo, "the token does not give the key: wrong PIN, or no such object"};
  ESPLANADE_CHECK(check(key.get()));
  return PrivateKey(std::make_unique<State>(State{std::move(key)}));
}

Result<Bytes> PrivateKey::sign_raw(ByteView hash) const {
  if (hash.size() != 16 && hash.size() != 20)
    return Error{Errc::kBadLength, "a hash to be signed has neither 16 nor 20 octets"};
  const PkeyCtx ctx(EVP_PKEY_CTX_new(state_->key.get(), nullptr));
  Bytes out(static_cast<std::size_t>(EVP_PKEY_get_size(state_->key.get())));
  std::size_t len = out.size();
  const bool signed_it = ctx && EVP_PKEY_sign_init(ctx.get()) == 1 &&
                         EVP_PKEY_CTX_set_rsa_padding(ctx.get(), RSA_PKCS1_PADDING) == 1 &&
                         EVP_PKEY_sign(ctx.get(), out.data(), &len, hash.data(), hash.size()) == 1;
  ERR_clear_error();
  if (!signed_it) return Error{Errc::kIo, "the private key does not sign"};
  out.resize(len);
  return out;
}

bool PrivateKey::belongs_to(ByteView certificate) const {
  if (certificate.empty() || certificate.size() > kCertificateMax) return false;
  const unsigned char* at = certificate.data();
  const X509Ptr x509(d2i_X509(nullptr, &at, static_cast<long>(certificate.size())));
  const EVP_PKEY* of_certificate = x509 ? X509_get0_pubkey(x509.get()) : nullptr;
  const bool same = of_certificate != nullptr && EVP_PKEY_eq(of_certificate, state_->key.get()) == 1;
  ERR_clear_error();
  return same;
}

}  // namespace esplanade::crypto
