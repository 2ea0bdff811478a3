#include "common/crypto/rsa.h"

#include <openssl/err.h>
#include <openssl/rsa.h>

#include <memory>

#include "common/base/secret.h"
#include "common/crypto/library.h"

namespace esplanade::crypto {

namespace {
struct CtxFree {
  void operator()(EVP_PKEY_CTX* c) const { EVP_PKEY_CTX_free(c); }
};
using Ctx = std::unique_ptr<EVP_PKEY_CTX, CtxFree>;

// OpenSSL's error queue belongs to the thread: what an untrusted input left there must not speak for a later call.
struct QuietErrors {
  ~QuietErrors() { ERR_clear_error(); }
};

Status check_key(EVP_PKEY* key) {
  if (EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA) return Error{Errc::kUnsupported, "the key is not an RSA key"};
  const auto bits = static_cast<unsigned>(EVP_PKEY_get_bits(key));
  if (bits < kRsaBitsMin || bits > kRsaBitsMax)
    return Error{Errc::kUnsupported, "the RSA key has " + std::to_string(bits) + " bits, not " + std::to_string(kRsaBitsMin) +
                                         " to " + std::to_string(kRsaBitsMax)};
  return ok();
}

// The block of RFC 2313 s8.1, type 1; empty when the hash leaves no room for 8 octets of padding.
Bytes block_around(ByteView hash, std::size_t len) {
  if (hash.size() + 3 + 8 > len) return {};
  Bytes block(len, 0xff);
  block[0] = 0;
  block[1] = 1;
  block[len - hash.size() - 1] = 0;
  std::copy(hash.begin(), hash.end(), block.end() - static_cast<std::ptrdiff_t>(hash.size()));
  return block;
}
}  // namespace

Status detail::rsa_verify_raw(EVP_PKEY* key, ByteView hash, ByteView signature) {
  QuietErrors quiet;
  ESPLANADE_CHECK(check_key(key));
  const auto len = static_cast<std::size_t>(EVP_PKEY_get_size(key));
  if (signature.size() != len) return Error{Errc::kBadLength, "the signature is not as long as the modulus"};
  Ctx ctx(EVP_PKEY_CTX_new_from_pkey(detail::context(), key, nullptr));
  Bytes block(len);
  std::size_t block_len = block.size();
  if (!ctx || EVP_PKEY_verify_recover_init(ctx.get()) != 1 || EVP_PKEY_CTX_set_rsa_padding(ctx.get(), RSA_NO_PADDING) != 1 ||
      EVP_PKEY_verify_recover(ctx.get(), block.data(), &block_len, signature.data(), signature.size()) != 1)
    return Error{Errc::kMalformed, "the signature is no value below the modulus"};
  block.resize(block_len);
  const Bytes want = block_around(hash, len);
  if (want.empty() || !constant_time_equal(block, want)) return Error{Errc::kMalformed, "the signature does not fit"};
  return ok();
}

}  // namespace esplanade::crypto
