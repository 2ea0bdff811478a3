#include "host/espd/mss.h"

#include "common/esp/ip.h"
#include "host/espd/segments.h"

namespace esplanade::espd {

namespace {

constexpr std::size_t kTcpHeader = 20, kFlags = 13, kChecksum = 16;  // RFC 9293 s3.1
constexpr Byte kSyn = 2;
constexpr Byte kEnd = 0, kNoOperation = 1, kMaximumSegmentSize = 2;  // options

// Where the value of the option stands in the TCP header; 0: nowhere.
std::size_t find_mss(ByteView tcp) {
  for (std::size_t at = kTcpHeader; at < tcp.size() && tcp[at] != kEnd;) {
    if (tcp[at] == kNoOperation) {
      ++at;
      continue;
    }
    const std::size_t len = at + 1 < tcp.size() ? tcp[at + 1] : 0;
    if (len < 2 || at + len > tcp.size()) return 0;
    if (tcp[at] == kMaximumSegmentSize) return len == 4 ? at + 2 : 0;
    at += len;
  }
  return 0;
}

}  // namespace

bool may_be_syn(ByteView packet) {
  if (packet.size() < 40) return false;
  if (packet[0] >> 4 == 6) {
    const Byte next = packet[6];
    if (next != esp::kProtoTcp) return next == esp::kProtoHopByHop || next == esp::kProtoRouting || next == esp::kProtoDestOptions;
    return packet.size() > 40 + kFlags && (packet[40 + kFlags] & kSyn) != 0;
  }
  const std::size_t flags = std::size_t{packet[0] & 15U} * 4 + kFlags;
  return packet[9] == esp::kProtoTcp && packet.size() > flags && (packet[flags] & kSyn) != 0;
}

std::optional<Bytes> with_lower_mss(ByteView packet, std::size_t most) {
  const auto ip = esp::parse_ip(packet);
  if (!ip || ip->protocol != esp::kProtoTcp || ip->fragment || ip->total_len < ip->upper_at + kTcpHeader) return std::nullopt;
  const ByteView upper = packet.first(ip->total_len).subspan(ip->upper_at);
  const std::size_t header = std::size_t{upper[12]} / 16 * 4;
  if ((upper[kFlags] & kSyn) == 0 || header < kTcpHeader || header > upper.size()) return std::nullopt;
  const std::size_t at = find_mss(upper.first(header));
  const std::size_t headers = (ip->version == 4 ? 20 : 40) + kTcpHeader;
  if (at == 0 || most <= headers || load_be16(&upper[at]) <= most - headers) return std::nullopt;
  Bytes out(packet.begin(), packet.end());
  const MutableBytes tcp = MutableBytes(out).subspan(ip->upper_at, header);
  // The option may stand at an odd octet, so the whole header is summed, before and after.
  const auto before = static_cast<std::uint16_t>(~internet_sum(tcp));
  store_be16(&tcp[at], static_cast<std::uint16_t>(most - headers));
  const std::uint32_t kept = std::uint32_t{before} + static_cast<std::uint16_t>(~load_be16(&tcp[kChecksum]));
  store_be16(&tcp[kChecksum], static_cast<std::uint16_t>(~internet_sum(tcp, kept)));
  return out;
}

}  // namespace esplanade::espd
