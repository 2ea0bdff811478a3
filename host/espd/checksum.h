// Checksums of what came in transport mode through a NAT. The peer made them with an address that the NAT replaced outside, where
// it cannot reach them (RFC 3948 s2.1, s3.1.2). They are made anew, and not mended by the difference of the addresses: so
// nobody has to tell espd the peer's own address (NAT-OA, RFC 3947 s5.2), and a NAT of which main mode saw one end alone
// makes no difference. That the octets are those that the peer sent the ICV has shown; so such an SA must have one (Sad::install).
#pragma once

#include "common/base/bytes.h"

namespace esplanade::espd {

/// Makes the checksum of TCP, UDP or ICMPv6 right for the addresses that the packet, IPv4 or IPv6, has now. Left as they are: a UDP
/// checksum of 0, which says that there is none (RFC 768); fragments; protocols whose checksum leaves the addresses out, or
/// covers a part of the packet alone (DCCP, UDP-Lite); headers that are not whole.
void renew_checksum(MutableBytes packet);

}  // namespace esplanade::espd
