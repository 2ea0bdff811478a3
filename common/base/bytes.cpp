#include "common/base/bytes.h"

namespace esplanade {

std::string to_hex(ByteView in) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  out.reserve(in.size() * 2);
  for (Byte b : in) {
    out.push_back(kDigits[b >> 4]);
    out.push_back(kDigits[b & 15]);
  }
  return out;
}

namespace {
int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}
}  // namespace

Result<Bytes> from_hex(std::string_view text) {
  if (text.size() % 2 != 0) return Error{Errc::kMalformed, "hex string has an odd number of digits", text.size()};
  Bytes out;
  out.reserve(text.size() / 2);
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const int hi = digit(text[i]);
    const int lo = digit(text[i + 1]);
    if (hi < 0 || lo < 0) return Error{Errc::kMalformed, "not a hex digit", hi < 0 ? i : i + 1};
    out.push_back(static_cast<Byte>(hi * 16 + lo));
  }
  return out;
}

Result<ByteView> Reader::take(std::size_t n, const char* what) {
  if (n > left()) return Error{Errc::kTruncated, std::string(what) + ": input ends early", at_};
  ByteView out = in_.subspan(at_, n);
  at_ += n;
  return out;
}

Result<std::uint8_t> Reader::u8(const char* what) {
  ESPLANADE_TRY(b, take(1, what));
  return b[0];
}

Result<std::uint16_t> Reader::u16(const char* what) {
  ESPLANADE_TRY(b, take(2, what));
  return load_be16(b.data());
}

Result<std::uint32_t> Reader::u32(const char* what) {
  ESPLANADE_TRY(b, take(4, what));
  return load_be32(b.data());
}

}  // namespace esplanade
