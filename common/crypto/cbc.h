// DES-CBC (RFC 2405) and 3DES-EDE-CBC (RFC 2451), without padding.
#pragma once

#include <array>
#include <memory>

#include "common/base/secret.h"

namespace esplanade::crypto {

enum class BlockCipher : std::uint8_t { kDes, kTripleDes };

inline constexpr std::size_t kBlockLen = 8;
using Iv = std::array<Byte, kBlockLen>;

constexpr std::size_t key_len(BlockCipher c) { return c == BlockCipher::kDes ? 8 : 24; }

/// A CBC cipher with its key schedule done once.
class Cbc {
 public:
  /// `key` has key_len(cipher) octets, or the program ends: callers validate keys where they come in.
  Cbc(BlockCipher cipher, ByteView key);
  Cbc(Cbc&&) noexcept;
  Cbc& operator=(Cbc&&) noexcept;
  ~Cbc();
  /// Transforms whole blocks; `out` has the size of `in` and may be the same memory. kBadLength when the size is
  /// not a multiple of the block.
  Status encrypt(const Iv& iv, ByteView in, MutableBytes out);
  Status decrypt(const Iv& iv, ByteView in, MutableBytes out);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// True for the 4 weak and 12 semi-weak DES keys of RFC 2405 s2.3, whatever their parity bits.
bool is_weak_des_key(ByteView key8);

}  // namespace esplanade::crypto
