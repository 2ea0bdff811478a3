#include "keyd/wire/payload_gss.h"

namespace esplanade::ike {
namespace {

// RFC 2743 s3.1: 0x60, a DER length, and exactly so many octets.
bool is_whole_token(ByteView in) {
  if (in.size() < 2 || in[0] != 0x60) return false;
  std::size_t len = in[1], header = 2;
  if (len >= 0x80) {
    const std::size_t octets = len & 0x7f;
    if (octets == 0 || octets > 3 || in.size() < 2 + octets) return false;
    header += octets;
    len = 0;
    for (std::size_t i = 0; i < octets; ++i) len = (len << 8) | in[2 + i];
  }
  return in.size() - header == len;
}

}  // namespace

Result<ByteView> parse_gss(ByteView body) {
  const bool bare = is_whole_token(body) && !is_whole_token(body.subspan(1));
  if (!bare && body.size() < 2) return Error{Errc::kTruncated, "GSS payload without token"};
  const ByteView token = bare ? body : body.subspan(1);
  if (token.size() > kGssTokenMax) return Error{Errc::kBadLength, "GSS token is too long"};
  return token;
}

Bytes build_gss(ByteView token) {
  Bytes out;
  out.reserve(1 + token.size());
  out.push_back(0);
  put(out, token);
  return out;
}

Bytes build_gss_name(std::string_view name) {
  Bytes out;
  for (char c : name) {
    out.push_back(static_cast<Byte>(c));
    out.push_back(0);
  }
  return out;
}

Result<std::string> parse_gss_name(ByteView octets) {
  if (octets.empty() || octets.size() % 2 != 0 || octets.size() > 2 * kGssNameMax)
    return Error{Errc::kBadLength, "GSS name is not of 1 to 255 UTF-16 characters"};
  std::string out;
  for (std::size_t i = 0; i < octets.size(); i += 2) {
    if (octets[i + 1] != 0 || octets[i] <= 0x20 || octets[i] >= 0x7f)
      return Error{Errc::kMalformed, "GSS name has other than printable ASCII characters"};
    out.push_back(static_cast<char>(octets[i]));
  }
  return out;
}

}  // namespace esplanade::ike
