// Hashes and HMAC of IKEv1 and ESP. OpenSSL stays inside common/crypto.
#pragma once

#include <initializer_list>
#include <memory>

#include "common/base/secret.h"

namespace esplanade::crypto {

enum class Hash : std::uint8_t { kMd5, kSha1 };

constexpr std::size_t hash_len(Hash h) { return h == Hash::kMd5 ? 16 : 20; }

/// Hash of the concatenation of `parts`.
Bytes hash(Hash h, std::initializer_list<ByteView> parts);

/// HMAC (RFC 2104) of the concatenation of `parts`: the prf of IKEv1 (RFC 2409 s4).
Secret prf(Hash h, ByteView key, std::initializer_list<ByteView> parts);

/// An HMAC with the key schedule done once, for many messages.
class Hmac {
 public:
  Hmac(Hash h, ByteView key);
  Hmac(Hmac&&) noexcept;
  Hmac& operator=(Hmac&&) noexcept;
  ~Hmac();
  /// HMAC of the concatenation of `parts` into `out`, which may be shorter than the hash: the leftmost octets
  /// (RFC 2404 s2).
  void digest(std::initializer_list<ByteView> parts, MutableBytes out);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace esplanade::crypto
