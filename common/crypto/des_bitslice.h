// DES-CBC (RFC 2405) and 3DES-EDE-CBC (RFC 2451), many blocks side by side: bitsliced (E. Biham, "A fast new DES
// implementation in software", 1997), as logic over vectors, with a key of its own for every block. There are no tables
// and no branches that a key or a packet decides. One pass over 128, 256 or 512 blocks costs what a dozen blocks cost
// OpenSSL, so it pays from a dozen blocks on that do not wait for each other: those of all packets to decrypt, one of
// each packet to encrypt.
#pragma once

#include <array>
#include <span>

#include "common/crypto/cbc.h"

namespace esplanade::crypto {

/// The key of a packet's cipher. What the rounds take of it is a choice of its bits, so nothing is worked out ahead.
class BitsliceKey {
 public:
  /// `key` has key_len(cipher) octets, or the program ends: callers validate keys where they come in.
  BitsliceKey(BlockCipher cipher, ByteView key);
  BitsliceKey(BitsliceKey&&) noexcept = default;
  BitsliceKey& operator=(BitsliceKey&&) noexcept = default;

  BlockCipher cipher() const { return cipher_; }
  /// The eight octets of the key of stage n: 0 for DES, 0 to 2 for EDE.
  ByteView stage(std::size_t n) const { return key_.reveal().subspan(kBlockLen * n, kBlockLen); }

 private:
  BlockCipher cipher_;
  Secret key_;
};

/// One packet's CBC. `out` has the size of `in` and may be the same memory, but no other overlap, with it or another job's.
struct BitsliceJob {
  const BitsliceKey* key;
  Iv iv;
  ByteView in;
  MutableBytes out;
};

/// How many blocks a pass has. k256 wants AVX2, k512 AVX-512F.
enum class BitsliceWidth : std::uint16_t { k128 = 128, k256 = 256, k512 = 512 };
/// The widths that this processor can do, the widest last.
std::span<const BitsliceWidth> bitslice_widths();

/// Transforms whole blocks of every job. kBadLength, and nothing done, when the size of one is not a multiple of the block.
/// Encryption fills a lane with a packet after the other, so packets of one length, or the longest first, are fastest.
Status encrypt(std::span<const BitsliceJob> jobs, BitsliceWidth width = bitslice_widths().back());
Status decrypt(std::span<const BitsliceJob> jobs, BitsliceWidth width = bitslice_widths().back());

/// Of packets with so many octets, longest first: how many at the front Cbc had better do one by one, and only the rest go side by
/// side. A long packet to encrypt keeps a whole pass going for each of its blocks, and a few blocks to decrypt do not fill one.
std::size_t encrypt_alone(std::span<const std::size_t> octets, BitsliceWidth width = bitslice_widths().back());
std::size_t decrypt_alone(std::span<const std::size_t> octets);

}  // namespace esplanade::crypto
