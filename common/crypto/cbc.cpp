#include "common/crypto/cbc.h"

#include <algorithm>

#include "common/crypto/library.h"

namespace esplanade::crypto {

namespace {
EVP_CIPHER_CTX* keyed(BlockCipher cipher, ByteView key, bool encrypt) {
  EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();
  const EVP_CIPHER* algorithm =
      cipher == BlockCipher::kDes ? detail::fetch_des_cbc() : detail::fetch_triple_des_cbc();
  if (context == nullptr || key.size() != key_len(cipher) ||
      EVP_CipherInit_ex2(context, algorithm, key.data(), nullptr, encrypt ? 1 : 0, nullptr) != 1 ||
      EVP_CIPHER_CTX_set_padding(context, 0) != 1) {
    detail::die("cipher key");
  }
  return context;
}

Status transform(EVP_CIPHER_CTX* context, const Iv& iv, ByteView in, MutableBytes out) {
  if (in.size() % kBlockLen != 0) {
    return Error{Errc::kBadLength, "ciphertext is not a multiple of 8 octets", in.size()};
  }
  if (in.empty()) return ok();
  int made = 0;
  if (out.size() != in.size() || EVP_CipherInit_ex2(context, nullptr, nullptr, iv.data(), -1, nullptr) != 1 ||
      EVP_CipherUpdate(context, out.data(), &made, in.data(), static_cast<int>(in.size())) != 1 ||
      static_cast<std::size_t>(made) != in.size()) {
    detail::die("cipher");
  }
  return ok();
}
}  // namespace

struct Cbc::State {
  EVP_CIPHER_CTX* encrypt;
  EVP_CIPHER_CTX* decrypt;
  ~State() {
    EVP_CIPHER_CTX_free(encrypt);
    EVP_CIPHER_CTX_free(decrypt);
  }
};

Cbc::Cbc(BlockCipher cipher, ByteView key)
    : state_(new State{keyed(cipher, key, true), keyed(cipher, key, false)}) {}
Cbc::Cbc(Cbc&&) noexcept = default;
Cbc& Cbc::operator=(Cbc&&) noexcept = default;
Cbc::~Cbc() = default;

Status Cbc::encrypt(const Iv& iv, ByteView in, MutableBytes out) { return transform(state_->encrypt, iv, in, out); }
Status Cbc::decrypt(const Iv& iv, ByteView in, MutableBytes out) { return transform(state_->decrypt, iv, in, out); }

bool is_weak_des_key(ByteView key8) {
  // RFC 2405 s2.3. Each half of a weak or semi-weak key repeats one of these octets in a pattern; all are written
  // with odd parity, so the comparison ignores bit 0.
  static constexpr std::array<std::array<Byte, 8>, 16> kWeak{{
      {0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01}, {0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe},
      {0x1f, 0x1f, 0x1f, 0x1f, 0x0e, 0x0e, 0x0e, 0x0e}, {0xe0, 0xe0, 0xe0, 0xe0, 0xf1, 0xf1, 0xf1, 0xf1},
      {0x01, 0xfe, 0x01, 0xfe, 0x01, 0xfe, 0x01, 0xfe}, {0xfe, 0x01, 0xfe, 0x01, 0xfe, 0x01, 0xfe, 0x01},
      {0x1f, 0xe0, 0x1f, 0xe0, 0x0e, 0xf1, 0x0e, 0xf1}, {0xe0, 0x1f, 0xe0, 0x1f, 0xf1, 0x0e, 0xf1, 0x0e},
      {0x01, 0xe0, 0x01, 0xe0, 0x01, 0xf1, 0x01, 0xf1}, {0xe0, 0x01, 0xe0, 0x01, 0xf1, 0x01, 0xf1, 0x01},
      {0x1f, 0xfe, 0x1f, 0xfe, 0x0e, 0xfe, 0x0e, 0xfe}, {0xfe, 0x1f, 0xfe, 0x1f, 0xfe, 0x0e, 0xfe, 0x0e},
      {0x01, 0x1f, 0x01, 0x1f, 0x01, 0x0e, 0x01, 0x0e}, {0x1f, 0x01, 0x1f, 0x01, 0x0e, 0x01, 0x0e, 0x01},
      {0xe0, 0xfe, 0xe0, 0xfe, 0xf1, 0xfe, 0xf1, 0xfe}, {0xfe, 0xe0, 0xfe, 0xe0, 0xfe, 0xf1, 0xfe, 0xf1},
  }};
  return key8.size() == 8 && std::ranges::any_of(kWeak, [key8](const auto& weak) {
           return std::ranges::equal(key8, weak, [](Byte a, Byte b) { return (a & 0xfe) == (b & 0xfe); });
         });
}

}  // namespace esplanade::crypto
