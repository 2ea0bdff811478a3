// IPv4 and IPv6 headers as ESP and AH need them: where the upper layer starts, what is mutable, checksums.
#pragma once

#include <cstdint>

#include "common/base/bytes.h"
#include "common/esp/sa.h"

namespace esplanade::esp {

inline constexpr std::uint8_t kProtoHopByHop = 0;     // RFC 8200 s4.3
inline constexpr std::uint8_t kProtoIpv4 = 4;         // RFC 2003
inline constexpr std::uint8_t kProtoTcp = 6;          // RFC 9293
inline constexpr std::uint8_t kProtoUdp = 17;         // RFC 768
inline constexpr std::uint8_t kProtoIcmpv6 = 58;      // RFC 4443
inline constexpr std::uint8_t kProtoIpv6 = 41;        // RFC 2473
inline constexpr std::uint8_t kProtoRouting = 43;     // RFC 8200 s4.4
inline constexpr std::uint8_t kProtoFragment = 44;    // RFC 8200 s4.5
inline constexpr std::uint8_t kProtoEsp = 50;         // RFC 4303
inline constexpr std::uint8_t kProtoAh = 51;          // RFC 4302
inline constexpr std::uint8_t kProtoNone = 59;        // RFC 4303 s2.6: dummy packet
inline constexpr std::uint8_t kProtoDestOptions = 60;  // RFC 8200 s4.6

/// A packet whose headers were checked against the octets that are there.
struct IpPacket {
  std::uint8_t version;
  std::size_t total_len;    // from the header; at most the octets given
  std::size_t upper_at;     // first octet after the IP header and its options or extension headers
  std::size_t protocol_at;  // the octet that names the protocol at upper_at
  std::uint8_t protocol;
  bool fragment;            // more fragments or an offset
};

/// Checks version, lengths, the IPv4 header checksum, and the chain of IPv6 hop-by-hop, routing and destination
/// options headers, which all stay in front of ESP and AH. A fragment header ends the chain. Errors: kTruncated or
/// kMalformed, with the offset.
Result<IpPacket> parse_ip(ByteView packet);

/// Source and destination of a packet that parse_ip accepted.
IpAddress source_of(ByteView packet);
IpAddress destination_of(ByteView packet);

/// Internet checksum (RFC 1071) of an IPv4 header whose checksum field counts as 0.
std::uint16_t ipv4_checksum(ByteView header);

/// Sets length, protocol and, for IPv4, checksum of the packet's own headers after its payload changed.
void fix_ip(MutableBytes packet, std::size_t protocol_at, std::uint8_t protocol);

/// Makes the outer header of a tunnel (RFC 4301 s5.1.2) for an inner packet that parse_ip accepted.
/// `payload_len`: octets after this header. Writes at the front of `out`; returns the header's length.
std::size_t write_outer(const SaParams& sa, std::uint16_t ip_id, ByteView inner, std::uint8_t protocol,
                        std::size_t payload_len, MutableBytes out);
constexpr std::size_t outer_len(const SaParams& sa) { return sa.src.version == 4 ? 20 : 40; }

/// ECN at the end of a tunnel (RFC 4301 s5.1.2.1 note 6): CE of the outer header goes to an ECN-capable inner one.
void copy_ecn_inward(ByteView outer, MutableBytes inner);

/// Zeroes what may change on the way and predicts what changes to a known end (RFC 4302 s3.3.3.1, appendix A): the
/// header part of the AH ICV input, in place. `headers` reaches up to AH.
Status zero_mutable(MutableBytes headers);

}  // namespace esplanade::esp
