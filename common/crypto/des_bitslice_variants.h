// The bitsliced DES for one width of vectors; internal to common/crypto.
#pragma once

#include <cstddef>
#include <cstdint>

namespace esplanade::crypto::detail {

/// A batch is `lanes` blocks, each as a word that its octets load as; lane n is word n. Arrays are aligned to 64 octets.
struct DesBitslice {
  std::size_t lanes;
  /// Makes of the lanes' keys, in place, what cipher() takes as one key: 64 slices of `lanes` bits.
  void (*slice)(std::uint64_t* keys);
  /// Transforms the blocks, in place: DES with one stage, EDE with three (FIPS 46-3). `keys` has the sliced keys in the order of EDE.
  void (*cipher)(const std::uint64_t* keys, std::size_t stages, bool decrypt, std::uint64_t* blocks);
};

extern const DesBitslice kDesBitslice128;  // needs nothing beyond the compiler's target
#ifdef __x86_64__
extern const DesBitslice kDesBitslice256;  // AVX2
extern const DesBitslice kDesBitslice512;  // AVX-512F
#endif

}  // namespace esplanade::crypto::detail
