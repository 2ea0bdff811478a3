#include "host/espd/oversize.h"

#include <algorithm>

#include "common/esp/ip.h"
#include "host/espd/segments.h"

namespace esplanade::espd {

namespace {

constexpr std::size_t kIpv4Header = 20, kIpv6Header = 40, kIcmpHeader = 8;
constexpr std::uint8_t kProtoIcmp = 1;
constexpr std::uint16_t kMoreFragments = 0x2000, kDontFragment = 0x4000, kOffset = 0x1fff;

// RFC 791 s3.1: an option that is marked to be copied goes with every fragment. The others become "no operation", so that
// the header keeps its length.
void drop_options_of_first(MutableBytes header) {
  for (std::size_t at = kIpv4Header; at < header.size() && header[at] != 0;) {
    const std::size_t len = header[at] == 1 ? 1 : at + 1 < header.size() ? header[at + 1] : 0;
    if (len == 0 || at + len > header.size()) return;  // not an option: leave the rest as it is
    if ((header[at] & 0x80) == 0) std::ranges::fill(header.subspan(at, len), Byte{1});
    at += len;
  }
}

bool single_host(const esp::IpAddress& a) {
  if (std::ranges::all_of(a.bytes(), [](Byte b) { return b == 0; })) return false;
  return a.version == 4 ? a.octets[0] < 224 && a.octets[0] != 127 && a.octets[0] != 0 : a.octets[0] != 0xff;
}

bool is_icmp_error(const esp::IpPacket& ip, ByteView packet) {
  const ByteView upper = packet.subspan(ip.upper_at);
  if (ip.version == 6) return ip.protocol == esp::kProtoIcmpv6 && (upper.empty() || upper[0] < 128);  // RFC 4443 s2.1
  constexpr Byte kErrors[] = {3, 4, 5, 11, 12};  // RFC 1122 s3.2.2
  return ip.protocol == kProtoIcmp && (upper.empty() || std::ranges::find(kErrors, upper[0]) != std::end(kErrors));
}

}  // namespace

bool may_fragment(ByteView packet) {
  return packet.size() >= kIpv4Header && packet[0] >> 4 == 4 && (load_be16(&packet[6]) & kDontFragment) == 0;
}

void fragment_ipv4(ByteView packet, std::size_t mtu, const std::function<void(ByteView)>& take) {
  const std::size_t header_len = std::size_t{packet[0] & 15u} * 4;
  const ByteView payload = packet.first(load_be16(&packet[2])).subspan(header_len);
  const std::uint16_t flags = load_be16(&packet[6]);
  const std::size_t room = mtu - header_len;
  Bytes fragment(packet.begin(), packet.begin() + static_cast<std::ptrdiff_t>(header_len));
  for (std::size_t at = 0; at < payload.size();) {
    const bool last = payload.size() - at <= room;
    const std::size_t len = last ? payload.size() - at : room / 8 * 8;
    fragment.resize(header_len);
    put(fragment, payload.subspan(at, len));
    const auto offset = static_cast<std::uint16_t>((flags & kOffset) + at / 8);
    const std::uint16_t more = last ? flags & kMoreFragments : kMoreFragments;
    store_be16(&fragment[2], static_cast<std::uint16_t>(fragment.size()));
    store_be16(&fragment[6], static_cast<std::uint16_t>(offset | more | (flags & kDontFragment)));
    store_be16(&fragment[10], esp::ipv4_checksum(ByteView(fragment).first(header_len)));
    take(fragment);
    if (at == 0) drop_options_of_first(MutableBytes(fragment).first(header_len));
    at += len;
  }
}

std::optional<Bytes> icmp_too_big(ByteView packet, std::size_t mtu) {
  const auto ip = esp::parse_ip(packet);
  if (!ip || !single_host(esp::source_of(packet)) || is_icmp_error(*ip, packet)) return std::nullopt;
  const bool v4 = ip->version == 4;
  if (v4 && (load_be16(&packet[6]) & kOffset) != 0) return std::nullopt;
  if (v4 && !single_host(esp::destination_of(packet))) return std::nullopt;
  const std::size_t most = v4 ? 576 - kIpv4Header - kIcmpHeader : 1280 - kIpv6Header - kIcmpHeader;
  const ByteView quoted = packet.first(std::min(ip->total_len, most));
  Bytes out;
  if (v4) {
    out = {3, 4, 0, 0, 0, 0};  // destination unreachable, fragmentation needed
    put_be16(out, static_cast<std::uint16_t>(mtu));
  } else {
    out = {2, 0, 0, 0};  // packet too big
    put_be32(out, static_cast<std::uint32_t>(mtu));
  }
  put(out, quoted);
  if (v4) store_be16(&out[2], static_cast<std::uint16_t>(~internet_sum(out)));
  return out;
}

}  // namespace esplanade::espd
