// Drives the hash cores: one interface over sha1_ring, md5_ring and md5_core, references of OpenSSL, and HMAC
// whose every block goes through a core.
#pragma once
#define OPENSSL_SUPPRESS_DEPRECATED  // SHA_CTX and MD5_CTX take and show the chaining value; EVP does not
#include <openssl/md5.h>
#include <openssl/sha.h>

#include <array>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <vector>

#include "hw/tb/lib/bench.h"

namespace esplanade::tb {

using HashBlock = std::array<std::uint8_t, 64>;
using Words = std::vector<std::uint32_t>;  // chaining value, first word first

struct Sha1Kind {
  static constexpr std::size_t kWords = 5;
  static inline const Words kInit{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
  static constexpr bool kBigEndian = true;
  static Words reference(const Words& state, const HashBlock& block) {
    SHA_CTX ctx;
    SHA1_Init(&ctx);
    ctx.h0 = state[0], ctx.h1 = state[1], ctx.h2 = state[2], ctx.h3 = state[3], ctx.h4 = state[4];
    SHA1_Transform(&ctx, block.data());
    return {ctx.h0, ctx.h1, ctx.h2, ctx.h3, ctx.h4};
  }
};

struct Md5Kind {
  static constexpr std::size_t kWords = 4;
  static inline const Words kInit{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
  static constexpr bool kBigEndian = false;
  static Words reference(const Words& state, const HashBlock& block) {
    MD5_CTX ctx;
    MD5_Init(&ctx);
    ctx.A = state[0], ctx.B = state[1], ctx.C = state[2], ctx.D = state[3];
    MD5_Transform(&ctx, block.data());
    return {ctx.A, ctx.B, ctx.C, ctx.D};
  }
};

template <class Model>
void set_block(Clocked<Model>& dut, const Words& state, const HashBlock& block) {
  for (std::size_t w = 0; w < state.size(); ++w) dut->state_i[state.size() - 1 - w] = state[w];
  set_top_first(dut->block_i, block);
}
template <class Model>
Words get_state(Clocked<Model>& dut, std::size_t words) {
  Words out(words);
  for (std::size_t w = 0; w < words; ++w) out[w] = dut->state_o[words - 1 - w];
  return out;
}

/// One block through a core, alone. Throws when nothing comes out.
template <class Kind, class Model>
Words one_block(Clocked<Model>& dut, const Words& state, const HashBlock& block) {
  set_block(dut, state, block);
  dut->valid_i = 1;
  dut.settle();
  for (int i = 0; i < 200 && !dut->ready_o; ++i) dut.tick();
  dut.tick();
  dut->valid_i = 0;
  for (int i = 0; i < 200 && !dut->valid_o; ++i) dut.tick();
  if (!dut->valid_o) throw std::runtime_error("the core gave no result");
  return get_state(dut, Kind::kWords);
}

/// Hash of `prefix` blocks already counted (0 or 1) in `state`, then of a message.
template <class Kind, class Model>
std::vector<std::uint8_t> digest(Clocked<Model>& dut, Words state, std::size_t octets_before,
                                 std::span<const std::uint8_t> message) {
  std::vector<std::uint8_t> padded(message.begin(), message.end());
  padded.push_back(0x80);
  while (padded.size() % 64 != 56) padded.push_back(0);
  const std::uint64_t bits = 8 * (octets_before + message.size());
  for (int i = 0; i < 8; ++i) {
    padded.push_back(static_cast<std::uint8_t>(bits >> (Kind::kBigEndian ? 56 - 8 * i : 8 * i)));
  }
  for (std::size_t at = 0; at < padded.size(); at += 64) {
    HashBlock block;
    std::copy_n(padded.begin() + static_cast<std::ptrdiff_t>(at), 64, block.begin());
    state = one_block<Kind>(dut, state, block);
  }
  std::vector<std::uint8_t> out;
  for (const std::uint32_t w : state) {
    for (int i = 0; i < 4; ++i)
      out.push_back(static_cast<std::uint8_t>(w >> (Kind::kBigEndian ? 24 - 8 * i : 8 * i)));
  }
  return out;
}

/// HMAC (RFC 2104), all blocks through the core.
template <class Kind, class Model>
std::vector<std::uint8_t> hmac(Clocked<Model>& dut, std::vector<std::uint8_t> key,
                               std::span<const std::uint8_t> message) {
  if (key.size() > 64) key = digest<Kind>(dut, Kind::kInit, 0, key);
  HashBlock inner, outer;
  for (std::size_t i = 0; i < 64; ++i) {
    const std::uint8_t k = i < key.size() ? key[i] : 0;
    inner[i] = k ^ 0x36;
    outer[i] = k ^ 0x5c;
  }
  const auto hashed = digest<Kind>(dut, one_block<Kind>(dut, Kind::kInit, inner), 64, message);
  return digest<Kind>(dut, one_block<Kind>(dut, Kind::kInit, outer), 64, hashed);
}

}  // namespace esplanade::tb
