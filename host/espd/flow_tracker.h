// The flows of packets, fragments included: ports stand in the first fragment alone, so what it showed is remembered for
// the ones behind it (RFC 4301 s7.3, stateful fragment checking).
#pragma once

#include <chrono>
#include <deque>
#include <map>

#include "host/espd/policy.h"

namespace esplanade::espd {

class FlowTracker {
 public:
  using Time = std::chrono::steady_clock::time_point;
  /// The flow of an IPv4 or IPv6 packet; nullopt: its headers are broken. A later fragment whose first one did not come
  /// before it, or came too long ago, is `unclear`.
  std::optional<Flow> of(ByteView packet, Time now);

 private:
  struct Key {  // RFC 791 s3.2, RFC 8200 s4.5
    esp::IpAddress src, dst;
    std::uint32_t id = 0;
    std::uint8_t protocol = 0;  // IPv4
    bool operator<(const Key& o) const {
      return std::tie(id, protocol, src.version, src.octets, dst.octets) < std::tie(o.id, o.protocol, o.src.version, o.src.octets, o.dst.octets);
    }
  };
  struct Seen {
    std::uint8_t protocol = 0;
    std::optional<Flow::Ports> ports;
    Time until;
  };
  void remember(const Key& key, const Flow& flow, Time now);

  std::map<Key, Seen> first_;
  std::deque<std::pair<Time, Key>> by_age_;  // oldest first
};

}  // namespace esplanade::espd
