#include "common/pfkey/natt_frame.h"

#include <algorithm>

namespace esplanade::pfkey {

namespace {
constexpr std::size_t kIsakmpHeader = 28;  // RFC 2408 s3.1
}  // namespace

Result<NattFrame> parse_natt_frame(ByteView octets) {
  if (octets.size() < kNattHeader)
    return Error{Errc::kTruncated, "NAT-T frame: shorter than its header", octets.size()};
  NattFrame f;
  const std::uint8_t version = octets[0];
  if (version != 4 && version != 6)
    return Error{Errc::kMalformed, "NAT-T frame: IP version is neither 4 nor 6", 0};
  if (octets[1] > 1) return Error{Errc::kMalformed, "NAT-T frame: unknown kind", 1};
  if (load_be16(&octets[2]) != 0) return Error{Errc::kMalformed, "NAT-T frame: reserved octets are not 0", 2};
  f.keepalive = octets[1] == 1;
  f.src_port = load_be16(&octets[4]);
  f.dst_port = load_be16(&octets[6]);
  if (f.dst_port == 0) return Error{Errc::kMalformed, "NAT-T frame: destination port is 0", 6};
  f.src.version = f.dst.version = version;
  std::ranges::copy(octets.subspan(8, f.src.bytes().size()), f.src.octets.begin());
  std::ranges::copy(octets.subspan(24, f.dst.bytes().size()), f.dst.octets.begin());
  f.ike = octets.subspan(kNattHeader);
  if (f.keepalive && !f.ike.empty())
    return Error{Errc::kMalformed, "NAT-T frame: a keepalive has no message", kNattHeader};
  if (!f.keepalive && f.ike.size() < kIsakmpHeader) {
    return Error{Errc::kMalformed, "NAT-T frame: message is shorter than an ISAKMP header", kNattHeader};
  }
  return f;
}

Bytes serialize(const NattFrame& f) {
  Bytes out(kNattHeader + f.ike.size());
  out[0] = f.dst.version;
  out[1] = f.keepalive ? 1 : 0;
  store_be16(&out[4], f.src_port);
  store_be16(&out[6], f.dst_port);
  std::ranges::copy(f.src.bytes(), out.begin() + 8);
  std::ranges::copy(f.dst.bytes(), out.begin() + 24);
  std::ranges::copy(f.ike, out.begin() + kNattHeader);
  return out;
}

}  // namespace esplanade::pfkey
