#include "host/espd/checksum.h"

#include "common/esp/ip.h"
#include "host/espd/segments.h"

namespace esplanade::espd {

namespace {
constexpr std::size_t kTcpHeader = 20, kUdpHeader = 8, kIcmpHeader = 8;
}  // namespace

void renew_checksum(MutableBytes packet) {
  const auto ip = esp::parse_ip(packet);
  if (!ip || ip->fragment) return;
  MutableBytes whole = packet.first(ip->total_len);
  const MutableBytes upper = whole.subspan(ip->upper_at);
  std::size_t at = 0;  // of the checksum, in `upper`
  if (ip->protocol == esp::kProtoTcp && upper.size() >= kTcpHeader) {
    at = 16;
  } else if (ip->protocol == esp::kProtoUdp && upper.size() >= kUdpHeader) {
    at = 6;
    const std::size_t len = load_be16(&upper[4]);  // of the datagram: it may end before the packet
    if (load_be16(&upper[at]) == 0 || len < kUdpHeader || len > upper.size()) return;
    whole = whole.first(ip->upper_at + len);
  } else if (ip->protocol == esp::kProtoIcmpv6 && ip->version == 6 && upper.size() >= kIcmpHeader) {
    at = 2;
  } else {
    return;
  }
  store_be16(&upper[at], 0);
  store_be16(&upper[at], upper_checksum(whole, ip->upper_at, ip->protocol));
}

}  // namespace esplanade::espd
