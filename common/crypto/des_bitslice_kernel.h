// The body of the bitsliced DES for one width of vectors; internal to common/crypto. A file that includes it defines
// ESPLANADE_DES_VECTOR_BYTES and is compiled for the instructions of that width. So nothing here may come from a header
// that other files include: an inline function would be made for instructions that the processor may lack.
//
// Lane n of a batch is bit n / kWords of word n % kWords of each vector; vector i of a sliced batch holds bit i of all
// lanes' blocks.
#pragma once

#include <cstddef>
#include <cstdint>

#ifdef __AVX512F__
#include <immintrin.h>
#endif

namespace {

constexpr std::size_t kWords = ESPLANADE_DES_VECTOR_BYTES / 8;
using V [[gnu::vector_size(ESPLANADE_DES_VECTOR_BYTES), gnu::may_alias]] = std::uint64_t;

#ifdef __AVX512F__
/// Bit by bit, the bit of `kTable` at the number that `a`, `b` and `c` make, `a` its top.
template <int kTable>
[[gnu::always_inline]] inline V lut(V a, V b, V c) {
  return (V)_mm512_ternarylogic_epi64((__m512i)a, (__m512i)b, (__m512i)c, kTable);
}
#endif

}  // namespace

#include "common/crypto/des_sboxes.h"

namespace {

/// Where bit `n` of a block or key, as FIPS 46-3 counts them from 1, is in the word that its octets load as.
constexpr unsigned place(unsigned n) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  return 8 * ((n - 1) / 8) + 7 - (n - 1) % 8;
#else
  return 64 - n;
#endif
}

/// Initial permutation, FIPS 46-3: the bit of the input that becomes bit `i` of L, or of R from 32 on; both from 0.
constexpr unsigned initial(unsigned i) { return (i < 32 ? 58 : 57) + 2 * (i % 32 / 8) - 8 * (i % 8); }

/// Permutation P: the bit of the S-boxes' output that becomes bit i.
constexpr std::uint8_t kP[32] = {16, 7, 20, 21, 29, 12, 28, 17, 1, 15, 23, 26, 5, 18, 31, 10, 2, 8, 24, 14, 32, 27, 3, 9, 19, 13, 30, 6, 22, 11, 4, 25};
constexpr unsigned where_p_puts(unsigned n) {
  for (unsigned i = 0; i < 32; ++i) {
    if (kP[i] == n + 1) return i;
  }
  return 32;
}

/// The bit of the key, by its place, for each bit of each round's subkey: PC-1, rotations, PC-2.
struct Schedule {
  std::uint8_t bit[16][48];
};
constexpr Schedule make_schedule() {
  constexpr std::uint8_t kPc1[56] = {57, 49, 41, 33, 25, 17, 9, 1, 58, 50, 42, 34, 26, 18, 10, 2, 59, 51, 43, 35, 27, 19, 11, 3, 60, 52, 44, 36,
                                     63, 55, 47, 39, 31, 23, 15, 7, 62, 54, 46, 38, 30, 22, 14, 6, 61, 53, 45, 37, 29, 21, 13, 5, 28, 20, 12, 4};
  constexpr std::uint8_t kPc2[48] = {14, 17, 11, 24, 1, 5, 3, 28, 15, 6, 21, 10, 23, 19, 12, 4, 26, 8, 16, 7, 27, 20, 13, 2,
                                     41, 52, 31, 37, 47, 55, 30, 40, 51, 45, 33, 48, 44, 49, 39, 56, 34, 53, 46, 42, 50, 36, 29, 32};
  Schedule made{};
  unsigned rotated = 0;
  for (unsigned round = 0; round < 16; ++round) {
    rotated += round == 0 || round == 1 || round == 8 || round == 15 ? 1 : 2;
    for (unsigned i = 0; i < 48; ++i) {
      const unsigned n = kPc2[i] - 1u, half = n / 28 * 28;
      made.bit[round][i] = static_cast<std::uint8_t>(place(kPc1[half + (n % 28 + rotated) % 28]));
    }
  }
  return made;
}
constexpr Schedule kSchedule = make_schedule();

/// Swaps the off-diagonal quarters of each square of 2 kStep bits, in every word.
template <unsigned kStep>
[[gnu::always_inline]] inline void swap_quarters(V* x) {
  constexpr std::uint64_t kLow = ~std::uint64_t{0} / ((std::uint64_t{1} << kStep) + 1);
  for (unsigned i = 0; i < 64; i = ((i | kStep) + 1) & ~kStep) {
    const V t = ((x[i] >> kStep) ^ x[i | kStep]) & kLow;
    x[i | kStep] ^= t;
    x[i] ^= t << kStep;
  }
}

/// From blocks to slices and back: transposes 64 by 64 bits in every word.
void transpose(V* x) {
  swap_quarters<32>(x);
  swap_quarters<16>(x);
  swap_quarters<8>(x);
  swap_quarters<4>(x);
  swap_quarters<2>(x);
  swap_quarters<1>(x);
}

/// l ^= f(r, subkey) for the part of S-box kBox, 0 to 7. Its inputs are E's: the bits around its four of R.
template <unsigned kBox>
[[gnu::always_inline]] inline void box(V* l, const V* r, const V* key, const std::uint8_t* bit) {
  constexpr unsigned n = 4 * kBox;
  bit += 6 * kBox;
  sbox<kBox + 1>(r[(n + 31) % 32] ^ key[bit[0]], r[n] ^ key[bit[1]], r[n + 1] ^ key[bit[2]], r[n + 2] ^ key[bit[3]], r[n + 3] ^ key[bit[4]],
                 r[(n + 4) % 32] ^ key[bit[5]], l[where_p_puts(n)], l[where_p_puts(n + 1)], l[where_p_puts(n + 2)], l[where_p_puts(n + 3)]);
}

[[gnu::always_inline]] inline void round(V* l, const V* r, const V* key, const std::uint8_t* bit) {
  box<0>(l, r, key, bit);
  box<1>(l, r, key, bit);
  box<2>(l, r, key, bit);
  box<3>(l, r, key, bit);
  box<4>(l, r, key, bit);
  box<5>(l, r, key, bit);
  box<6>(l, r, key, bit);
  box<7>(l, r, key, bit);
}

/// 16 rounds and the swap of the halves behind them.
void sixteen_rounds(V* l, V* r, const V* key, bool decrypt) {
  for (unsigned i = 0; i < 16; i += 2) {
    round(l, r, key, kSchedule.bit[decrypt ? 15 - i : i]);
    round(r, l, key, kSchedule.bit[decrypt ? 14 - i : i + 1]);
  }
}

void slice(std::uint64_t* blocks) { transpose(reinterpret_cast<V*>(blocks)); }

void cipher(const std::uint64_t* sliced_keys, std::size_t stages, bool decrypt, std::uint64_t* blocks) {
  V* const x = reinterpret_cast<V*>(blocks);
  const V* const keys = reinterpret_cast<const V*>(sliced_keys);
  V halves[2][32];
  transpose(x);
  for (unsigned i = 0; i < 64; ++i) halves[i / 32][i % 32] = x[place(initial(i))];
  for (std::size_t stage = 0; stage < stages; ++stage) {
    const std::size_t key = decrypt ? stages - 1 - stage : stage;
    // The inner permutations of 3DES cancel; what is left of them is that the halves change places.
    sixteen_rounds(halves[stage % 2], halves[1 - stage % 2], keys + 64 * key, decrypt != (stage % 2 == 1));
  }
  // An odd number of stages, each with a swap at its end.
  for (unsigned i = 0; i < 64; ++i) x[place(initial(i))] = halves[1 - i / 32][i % 32];
  transpose(x);
}

}  // namespace
