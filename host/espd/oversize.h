// What becomes of a packet that is too large for its path: it is cut into fragments, or its sender is told.
#pragma once

#include <functional>
#include <optional>

#include "common/base/bytes.h"

namespace esplanade::espd {

/// Whether a router may cut the packet: IPv4 without DF.
bool may_fragment(ByteView packet);

/// Cuts an IPv4 packet, which parse_ip accepted, into fragments of at most `mtu` octets (at least 68) and hands each
/// to `take`, in order (RFC 791 s3.2). A packet that is a fragment itself is cut further. Options that are
/// not marked to be copied are in the first fragment alone. Each is valid until `take` returns.
void fragment_ipv4(ByteView packet, std::size_t mtu, const std::function<void(ByteView)>& take);

/// The ICMP message that tells the sender of `packet`, IPv4 or IPv6, of `mtu` octets: "fragmentation needed" (RFC 792,
/// RFC 1191 s4), "packet too big" (RFC 4443 s3.2), with as much of the packet as one of 576 (RFC 1812 s4.3.2.3) or 1,280
/// octets holds. Without IP header; the checksum of ICMPv6, which covers the addresses, is 0. nullopt: it must not be told
/// (RFC 1812 s4.3.2.7, RFC 4443 s2.4 e): the packet is an ICMP error or a later fragment, or its source is no single host.
std::optional<Bytes> icmp_too_big(ByteView packet, std::size_t mtu);

}  // namespace esplanade::espd
