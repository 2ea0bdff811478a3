#include "common/esp/ip.h"

#include <algorithm>

namespace esplanade::esp {

namespace {
constexpr std::size_t kIpv4Min = 20;
constexpr std::size_t kIpv6Header = 40;

Result<IpPacket> parse_ipv4(ByteView p) {
  if (p.size() < kIpv4Min) return Error{Errc::kTruncated, "IPv4 header: input ends early", p.size()};
  const std::size_t header = std::size_t{p[0] & 15u} * 4;
  const std::size_t total = load_be16(&p[2]);
  if (header < kIpv4Min) return Error{Errc::kMalformed, "IPv4 header length below 20", 0};
  if (header > total) return Error{Errc::kMalformed, "IPv4 header longer than the packet", 2};
  if (total > p.size()) return Error{Errc::kTruncated, "IPv4 total length exceeds what is there", 2};
  if (ipv4_checksum(p.first(header)) != load_be16(&p[10])) return Error{Errc::kMalformed, "IPv4 header checksum is wrong", 10};
  const bool fragment = (load_be16(&p[6]) & 0x3fff) != 0;  // MF or offset
  return IpPacket{4, total, header, 9, p[9], fragment};
}

Result<IpPacket> parse_ipv6(ByteView p) {
  if (p.size() < kIpv6Header) return Error{Errc::kTruncated, "IPv6 header: input ends early", p.size()};
  const std::size_t total = kIpv6Header + load_be16(&p[4]);
  if (total > p.size()) return Error{Errc::kTruncated, "IPv6 payload length exceeds what is there", 4};
  IpPacket out{6, total, kIpv6Header, 6, p[6], false};
  while (out.protocol == kProtoHopByHop || out.protocol == kProtoRouting || out.protocol == kProtoDestOptions) {
    if (total - out.upper_at < 8) return Error{Errc::kTruncated, "IPv6 extension header: packet ends early", out.upper_at};
    const std::size_t len = (std::size_t{p[out.upper_at + 1]} + 1) * 8;
    if (total - out.upper_at < len) return Error{Errc::kTruncated, "IPv6 extension header exceeds the packet", out.upper_at + 1};
    out.protocol_at = out.upper_at;
    out.protocol = p[out.upper_at];
    out.upper_at += len;
  }
  out.fragment = out.protocol == kProtoFragment;
  return out;
}

// Traffic class of IPv6, type of service of IPv4: DSCP and ECN.
std::uint8_t traffic_class(ByteView p) {
  return p[0] >> 4 == 4 ? p[1] : static_cast<std::uint8_t>((p[0] << 4) | (p[1] >> 4));
}

// RFC 4302 A1: options that do not change on the way and stay in the ICV.
bool is_immutable_option(std::uint8_t type) {
  return type == 130 || type == 133 || type == 134 || type == 148 || type == 149;
}

Status zero_ipv4(MutableBytes h) {
  const auto wipe_range = [h](std::size_t at, std::size_t n) { std::ranges::fill(h.subspan(at, n), Byte{0}); };
  for (std::size_t at = kIpv4Min; at < h.size();) {
    const std::uint8_t type = h[at];
    if (type == 0) break;  // end of options; what follows is padding, kept
    if (type == 1) {
      ++at;
      continue;
    }
    if (h.size() - at < 2 || h[at + 1] < 2 || h[at + 1] > h.size() - at) {
      return Error{Errc::kMalformed, "IPv4 option has a wrong length", at};
    }
    const std::size_t len = h[at + 1];
    const bool source_route = type == 131 || type == 137;
    // Pointer counts from 1 at the option's type; while it is inside, the last address is still to come.
    if (source_route && len >= 7 && h[at + 2] >= 4 && h[at + 2] <= len - 3) {
      std::ranges::copy(h.subspan(at + len - 4, 4), h.subspan(16, 4).begin());
    }
    if (!is_immutable_option(type)) wipe_range(at, len);
    at += len;
  }
  wipe_range(1, 1);    // type of service
  wipe_range(6, 3);    // flags, fragment offset, time to live
  wipe_range(10, 2);   // checksum
  return ok();
}

// Options of a hop-by-hop or destination options header: those marked as changing lose their data.
Status zero_ipv6_options(MutableBytes extension) {
  for (std::size_t at = 2; at < extension.size();) {
    if (extension[at] == 0) {  // Pad1
      ++at;
      continue;
    }
    if (extension.size() - at < 2 || std::size_t{extension[at + 1]} + 2 > extension.size() - at) {
      return Error{Errc::kMalformed, "IPv6 option has a wrong length", at};
    }
    const std::size_t len = extension[at + 1];
    if ((extension[at] & 0x20) != 0) std::ranges::fill(extension.subspan(at + 2, len), Byte{0});
    at += 2 + len;
  }
  return ok();
}

// A type 0 routing header as it is at the final destination: each hop swaps the destination with its address.
Status finish_route(MutableBytes headers, MutableBytes route) {
  if (route[2] != 0) return Error{Errc::kUnsupported, "AH over an IPv6 routing header of a type other than 0"};
  const std::size_t addresses = (route.size() - 8) / 16;
  if (route[3] > addresses) return Error{Errc::kMalformed, "IPv6 routing header: more segments left than addresses"};
  for (; route[3] > 0; --route[3]) {
    const auto next = route.subspan(8 + 16 * (addresses - route[3]), 16);
    std::ranges::swap_ranges(headers.subspan(24, 16), next);
  }
  return ok();
}

Status zero_ipv6(MutableBytes h) {
  h[0] = 0x60;
  std::ranges::fill(h.subspan(1, 3), Byte{0});  // traffic class, flow label
  h[7] = 0;                                     // hop limit
  std::uint8_t type = h[6];
  for (std::size_t at = kIpv6Header; at < h.size();) {
    const std::size_t len = (std::size_t{h[at + 1]} + 1) * 8;
    const auto extension = h.subspan(at, len);
    if (type == kProtoRouting) {
      ESPLANADE_CHECK(finish_route(h, extension));
    } else {
      ESPLANADE_CHECK(zero_ipv6_options(extension));
    }
    type = h[at];
    at += len;
  }
  return ok();
}
}  // namespace

Result<IpPacket> parse_ip(ByteView packet) {
  if (packet.empty()) return Error{Errc::kTruncated, "IP header: input is empty"};
  switch (packet[0] >> 4) {
    case 4: return parse_ipv4(packet);
    case 6: return parse_ipv6(packet);
    default: return Error{Errc::kMalformed, "IP version is neither 4 nor 6"};
  }
}

namespace {
IpAddress address_at(ByteView packet, std::size_t at4, std::size_t at6) {
  IpAddress out;
  out.version = static_cast<std::uint8_t>(packet[0] >> 4);
  std::ranges::copy(out.version == 4 ? packet.subspan(at4, 4) : packet.subspan(at6, 16), out.octets.begin());
  return out;
}
}  // namespace

IpAddress source_of(ByteView packet) { return address_at(packet, 12, 8); }
IpAddress destination_of(ByteView packet) { return address_at(packet, 16, 24); }

std::uint16_t ipv4_checksum(ByteView header) {
  std::uint32_t sum = 0;
  for (std::size_t at = 0; at + 1 < header.size(); at += 2) {
    if (at != 10) sum += load_be16(&header[at]);
  }
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

void fix_ip(MutableBytes packet, std::size_t protocol_at, std::uint8_t protocol) {
  packet[protocol_at] = protocol;
  if (packet[0] >> 4 == 6) {
    store_be16(&packet[4], static_cast<std::uint16_t>(packet.size() - kIpv6Header));
    return;
  }
  store_be16(&packet[2], static_cast<std::uint16_t>(packet.size()));
  store_be16(&packet[10], ipv4_checksum(packet.first(std::size_t{packet[0] & 15u} * 4)));
}

std::size_t write_outer(const SaParams& sa, std::uint16_t ip_id, ByteView inner, std::uint8_t protocol,
                        std::size_t payload_len, MutableBytes out) {
  std::uint8_t tos = traffic_class(inner);
  if (sa.dscp) tos = static_cast<std::uint8_t>((*sa.dscp << 2) | (tos & 3));
  if (!sa.ecn_copy) tos &= 0xfc;
  if (sa.src.version == 6) {
    store_be32(&out[0], 0x60000000u | std::uint32_t{tos} << 20);  // flow label 0
    store_be16(&out[4], static_cast<std::uint16_t>(payload_len));
    out[6] = protocol;
    out[7] = sa.ttl;
    std::ranges::copy(sa.src.octets, out.subspan(8, 16).begin());
    std::ranges::copy(sa.dst.octets, out.subspan(24, 16).begin());
    return kIpv6Header;
  }
  const bool inner_df = inner[0] >> 4 == 4 && (inner[6] & 0x40) != 0;
  const bool df = sa.df == DfPolicy::kSet || (sa.df == DfPolicy::kCopy && inner_df);
  out[0] = 0x45;
  out[1] = tos;
  store_be16(&out[2], static_cast<std::uint16_t>(kIpv4Min + payload_len));
  store_be16(&out[4], ip_id);
  store_be16(&out[6], df ? 0x4000 : 0);
  out[8] = sa.ttl;
  out[9] = protocol;
  std::ranges::copy(sa.src.bytes(), out.subspan(12, 4).begin());
  std::ranges::copy(sa.dst.bytes(), out.subspan(16, 4).begin());
  store_be16(&out[10], ipv4_checksum(out.first(kIpv4Min)));
  return kIpv4Min;
}

void copy_ecn_inward(ByteView outer, MutableBytes inner) {
  const int inner_ecn = traffic_class(inner) & 3;
  if ((traffic_class(outer) & 3) != 3 || inner_ecn == 0 || inner_ecn == 3) return;
  if (inner[0] >> 4 == 6) {
    inner[1] |= 0x30;
  } else {
    inner[1] |= 3;
    store_be16(&inner[10], ipv4_checksum(inner.first(std::size_t{inner[0] & 15u} * 4)));
  }
}

Status zero_mutable(MutableBytes headers) { return headers[0] >> 4 == 4 ? zero_ipv4(headers) : zero_ipv6(headers); }

}  // namespace esplanade::esp
