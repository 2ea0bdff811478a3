// Diffie-Hellman in the MODP groups of IKEv1 (RFC 2409 s6, RFC 3526).
#pragma once

#include <memory>

#include "common/base/secret.h"

namespace esplanade::crypto {

enum class DhGroup : std::uint16_t { kModp768 = 1, kModp1024 = 2, kModp1536 = 5, kModp2048 = 14 };

/// Octets of the prime: public values and shared secrets are left-padded with zeros to this (RFC 2409 s5).
constexpr std::size_t prime_len(DhGroup g) {
  return g == DhGroup::kModp768 ? 96 : g == DhGroup::kModp1024 ? 128 : g == DhGroup::kModp1536 ? 192 : 256;
}
/// The prime, big-endian. The generator is 2 for all of them.
Bytes prime(DhGroup g);

/// One private exponent and its public value. The exponent is wiped at the end.
class DhKey {
 public:
  /// A fresh key from the operating system's random source.
  static Result<DhKey> generate(DhGroup g);
  /// A key with a given exponent (big-endian): for test vectors.
  static Result<DhKey> from_private(DhGroup g, ByteView exponent);
  DhKey(DhKey&&) noexcept;
  DhKey& operator=(DhKey&&) noexcept;
  ~DhKey();

  DhGroup group() const;
  /// g^x, prime_len octets.
  const Bytes& public_value() const;
  /// g^xy, prime_len octets. kMalformed unless the peer's value has prime_len octets and lies in 2..p-2.
  Result<Secret> shared(ByteView peer_public) const;

 private:
  struct State;
  explicit DhKey(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace esplanade::crypto
