// What TCP may send in a segment, lowered in the SYNs that pass to what goes through the tunnel in one outer packet, as routers do it (nft:
// "tcp option maxseg size set rt mtu"). Where ICMP errors are swallowed, outside or behind the gateway, that alone tells the two ends.
#pragma once

#include <optional>

#include "common/base/bytes.h"

namespace esplanade::espd {

/// Whether it may be a SYN: a look at a few octets, for every packet comes by here.
bool may_be_syn(ByteView packet);

/// The packet with its maximum segment size (RFC 9293 s3.7.1) lowered to what an IP packet of `most` octets holds without options, its
/// checksum mended by the difference (RFC 1624). nullopt: it may stay as it is: no SYN, IPv4 or IPv6; no such option, which means less
/// than that everywhere; no larger one; a fragment; headers that are not whole.
std::optional<Bytes> with_lower_mss(ByteView packet, std::size_t most);

}  // namespace esplanade::espd
