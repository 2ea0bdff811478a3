#include "common/crypto/seal.h"

#include <openssl/evp.h>

#include <memory>

#include "common/crypto/library.h"

namespace esplanade::crypto {

namespace {

using Context = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;

/// Ready for the text; the program ends when the library cannot.
Context begin(ByteView key, std::uint64_t number, ByteView bound, bool encrypt) {
  Context context(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
  Byte nonce[12]{};
  store_be64(nonce + 4, number);
  int made = 0;
  if (!context || key.size() != kSealKeyLen ||
      EVP_CipherInit_ex2(context.get(), EVP_aes_256_gcm(), key.data(), nonce, encrypt ? 1 : 0, nullptr) != 1 ||
      EVP_CipherUpdate(context.get(), nullptr, &made, bound.data(), static_cast<int>(bound.size())) != 1) {
    detail::die("seal");
  }
  return context;
}

}  // namespace

Bytes seal(ByteView key, std::uint64_t number, ByteView bound, ByteView plain) {
  const Context context = begin(key, number, bound, true);
  Bytes out(plain.size() + kSealTagLen);
  int made = 0, rest = 0;
  if (EVP_CipherUpdate(context.get(), out.data(), &made, plain.data(), static_cast<int>(plain.size())) != 1 ||
      EVP_CipherFinal_ex(context.get(), out.data() + made, &rest) != 1 ||
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, kSealTagLen, out.data() + plain.size()) != 1) {
    detail::die("seal");
  }
  return out;
}

Result<Secret> unseal(ByteView key, std::uint64_t number, ByteView bound, ByteView sealed) {
  const Error bad{Errc::kBadIcv, "the seal is broken, or its key is another one"};
  if (sealed.size() < kSealTagLen) return bad;
  const Context context = begin(key, number, bound, false);
  const ByteView text = sealed.first(sealed.size() - kSealTagLen);
  Bytes tag(sealed.end() - kSealTagLen, sealed.end()), out(text.size());
  Byte rest[16];  // GCM leaves nothing for the end
  int made = 0;
  if (!text.empty() && EVP_CipherUpdate(context.get(), out.data(), &made, text.data(), static_cast<int>(text.size())) != 1) return bad;
  if (EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, kSealTagLen, tag.data()) != 1 ||
      EVP_CipherFinal_ex(context.get(), rest, &made) != 1) {
    wipe(out);
    return bad;
  }
  return Secret(std::move(out));
}

}  // namespace esplanade::crypto
