#include "host/espd/flow_tracker.h"

#include <algorithm>

#include "common/esp/ip.h"

namespace esplanade::espd {

namespace {

constexpr std::size_t kMaxDatagrams = 4096;
constexpr std::chrono::seconds kLife{30};  // as Linux keeps fragments for reassembly

// Where the upper layer's header is, if this packet has it, and what it is.
struct Upper {
  std::uint8_t protocol = 0;  // 0: not to be told
  std::size_t at = 0;
  bool fragment = false, first = true;
  std::uint32_t id = 0;
};

Upper upper_of(ByteView packet, const esp::IpPacket& ip) {
  Upper out{ip.protocol, ip.upper_at};
  if (!ip.fragment) return out;
  out.fragment = true;
  if (ip.version == 4) {
    out.first = (load_be16(&packet[6]) & 0x1fff) == 0;
    out.id = load_be16(&packet[4]);
    return out;
  }
  if (ip.total_len - ip.upper_at < 8) return {0, ip.total_len, true, false, 0};
  out.first = (load_be16(&packet[ip.upper_at + 2]) & 0xfff8) == 0;
  out.id = load_be32(&packet[ip.upper_at + 4]);
  out.protocol = out.first ? packet[ip.upper_at] : 0;
  out.at += 8;
  // RFC 7112: the first fragment holds the whole chain of headers. Options behind the fragment header are walked.
  while (out.protocol == esp::kProtoHopByHop || out.protocol == esp::kProtoRouting || out.protocol == esp::kProtoDestOptions) {
    if (ip.total_len - out.at < 8) return {0, ip.total_len, true, out.first, out.id};
    out.protocol = packet[out.at];
    out.at = std::min(ip.total_len, out.at + (std::size_t{packet[out.at + 1]} + 1) * 8);
  }
  return out;
}

}  // namespace

std::optional<Flow> FlowTracker::of(ByteView packet, Time now) {
  const auto ip = esp::parse_ip(packet);
  if (!ip) return std::nullopt;
  const Upper upper = upper_of(packet, *ip);
  Flow flow{esp::source_of(packet), esp::destination_of(packet), upper.protocol, std::nullopt, false};
  if (upper.first) {
    if (has_ports(upper.protocol) && ip->total_len - upper.at >= 4)
      flow.ports = Flow::Ports{load_be16(&packet[upper.at]), load_be16(&packet[upper.at + 2])};
    flow.unclear = upper.protocol == 0;
    if (!upper.fragment) return flow;
  }
  const Key key{flow.src, flow.dst, upper.id, ip->version == 4 ? ip->protocol : std::uint8_t{0}};
  if (upper.first) {
    remember(key, flow, now);
    return flow;
  }
  const auto found = first_.find(key);
  if (found == first_.end() || found->second.until < now) {
    flow.unclear = true;
    return flow;
  }
  flow.protocol = found->second.protocol;
  flow.ports = found->second.ports;
  flow.unclear = flow.protocol == 0;
  return flow;
}

void FlowTracker::remember(const Key& key, const Flow& flow, Time now) {
  while (!by_age_.empty() && (by_age_.size() >= kMaxDatagrams || by_age_.front().first <= now)) {
    const auto [until, oldest] = by_age_.front();
    by_age_.pop_front();
    if (const auto found = first_.find(oldest); found != first_.end() && found->second.until == until) first_.erase(found);
  }
  const Time until = now + kLife;
  first_[key] = {flow.protocol, flow.ports, until};
  by_age_.emplace_back(until, key);
}

}  // namespace esplanade::espd
