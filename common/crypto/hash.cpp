#include "common/crypto/hash.h"

#include <openssl/core_names.h>
#include <openssl/params.h>

#include <array>
#include <cstring>

#include "common/crypto/library.h"

namespace esplanade::crypto {

Bytes hash(Hash h, std::initializer_list<ByteView> parts) {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  Bytes out(hash_len(h));
  bool good = context != nullptr &&
              EVP_DigestInit_ex2(context, h == Hash::kMd5 ? detail::fetch_md5() : detail::fetch_sha1(), nullptr) == 1;
  for (ByteView part : parts) good = good && EVP_DigestUpdate(context, part.data(), part.size()) == 1;
  good = good && EVP_DigestFinal_ex(context, out.data(), nullptr) == 1;
  EVP_MD_CTX_free(context);
  if (!good) detail::die("hash");
  return out;
}

struct Hmac::State {
  EVP_MAC_CTX* context = EVP_MAC_CTX_new(detail::fetch_hmac());
  std::size_t len = 0;
  ~State() { EVP_MAC_CTX_free(context); }
};

Hmac::Hmac(Hash h, ByteView key) : state_(std::make_unique<State>()) {
  state_->len = hash_len(h);
  char md5[] = "MD5", sha1[] = "SHA1";  // OSSL_PARAM wants them writable
  char* name = h == Hash::kMd5 ? md5 : sha1;
  const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0), OSSL_PARAM_construct_end()};
  // OpenSSL takes a null key for "keep the key"; an empty one is legal for HMAC.
  static constexpr Byte kEmpty = 0;
  const Byte* octets = key.empty() ? &kEmpty : key.data();
  if (state_->context == nullptr || EVP_MAC_init(state_->context, octets, key.size(), params) != 1) detail::die("HMAC key");
}

Hmac::Hmac(Hmac&&) noexcept = default;
Hmac& Hmac::operator=(Hmac&&) noexcept = default;
Hmac::~Hmac() = default;

void Hmac::digest(std::initializer_list<ByteView> parts, MutableBytes out) {
  std::array<Byte, EVP_MAX_MD_SIZE> whole{};
  std::size_t made = 0;
  bool good = EVP_MAC_init(state_->context, nullptr, 0, nullptr) == 1;
  for (ByteView part : parts) good = good && EVP_MAC_update(state_->context, part.data(), part.size()) == 1;
  good = good && EVP_MAC_final(state_->context, whole.data(), &made, whole.size()) == 1 && out.size() <= made;
  if (!good) detail::die("HMAC");
  std::memcpy(out.data(), whole.data(), out.size());
  wipe(whole);
}

Secret prf(Hash h, ByteView key, std::initializer_list<ByteView> parts) {
  Secret out{Bytes(hash_len(h))};
  Hmac(h, key).digest(parts, out.reveal_mutable());
  return out;
}

}  // namespace esplanade::crypto
