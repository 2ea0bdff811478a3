// Octet strings and integers on the wire. Network order unless a name says `le`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace esplanade {

using Byte = std::uint8_t;
using Bytes = std::vector<Byte>;
using ByteView = std::span<const Byte>;
using MutableBytes = std::span<Byte>;

/// Big-endian loads and stores. The caller has checked that the octets are there.
constexpr std::uint16_t load_be16(const Byte* p) {
  return static_cast<std::uint16_t>((p[0] << 8) | p[1]);
}
constexpr std::uint32_t load_be32(const Byte* p) {
  return (std::uint32_t{p[0]} << 24) | (std::uint32_t{p[1]} << 16) | (std::uint32_t{p[2]} << 8) | p[3];
}
constexpr std::uint64_t load_be64(const Byte* p) {
  return (std::uint64_t{load_be32(p)} << 32) | load_be32(p + 4);
}
constexpr void store_be16(Byte* p, std::uint16_t v) {
  p[0] = static_cast<Byte>(v >> 8);
  p[1] = static_cast<Byte>(v);
}
constexpr void store_be32(Byte* p, std::uint32_t v) {
  store_be16(p, static_cast<std::uint16_t>(v >> 16));
  store_be16(p + 2, static_cast<std::uint16_t>(v));
}
constexpr void store_be64(Byte* p, std::uint64_t v) {
  store_be32(p, static_cast<std::uint32_t>(v >> 32));
  store_be32(p + 4, static_cast<std::uint32_t>(v));
}
/// Little-endian, as the card and capture files have their words.
constexpr std::uint32_t load_le32(const Byte* p) {
  return p[0] | (std::uint32_t{p[1]} << 8) | (std::uint32_t{p[2]} << 16) | (std::uint32_t{p[3]} << 24);
}
constexpr void store_le16(Byte* p, std::uint16_t v) {
  p[0] = static_cast<Byte>(v);
  p[1] = static_cast<Byte>(v >> 8);
}
constexpr void store_le32(Byte* p, std::uint32_t v) {
  for (int i = 0; i < 4; ++i) p[i] = static_cast<Byte>(v >> (8 * i));
}
constexpr void store_le64(Byte* p, std::uint64_t v) {
  store_le32(p, static_cast<std::uint32_t>(v));
  store_le32(p + 4, static_cast<std::uint32_t>(v >> 32));
}

/// Appends `v` in network order.
inline void put_be16(Bytes& out, std::uint16_t v) {
  out.push_back(static_cast<Byte>(v >> 8));
  out.push_back(static_cast<Byte>(v));
}
inline void put_be32(Bytes& out, std::uint32_t v) {
  put_be16(out, static_cast<std::uint16_t>(v >> 16));
  put_be16(out, static_cast<std::uint16_t>(v));
}
inline void put(Bytes& out, ByteView in) { out.insert(out.end(), in.begin(), in.end()); }

/// Lower-case hex of the octets.
std::string to_hex(ByteView in);

/// Octets of a hex string: even length, digits only (no spaces, no 0x). Error::at is the offset of the
/// first wrong character. The text itself is never repeated in the error, for it may be a key.
Result<Bytes> from_hex(std::string_view text);

/// A reader of untrusted octets. Every take checks what is left and moves on only when it succeeds.
class Reader {
 public:
  explicit Reader(ByteView in) : in_(in) {}
  std::size_t offset() const { return at_; }
  std::size_t left() const { return in_.size() - at_; }
  /// The next n octets, or kTruncated with `what` named.
  Result<ByteView> take(std::size_t n, const char* what);
  Result<std::uint8_t> u8(const char* what);
  Result<std::uint16_t> u16(const char* what);
  Result<std::uint32_t> u32(const char* what);

 private:
  ByteView in_;
  std::size_t at_ = 0;
};

}  // namespace esplanade
