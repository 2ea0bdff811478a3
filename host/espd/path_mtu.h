// How large a packet may be. The path MTU towards each peer: that of the link on the way there, or less where an
// ICMP error about a packet of a live SA told so (RFC 1191, RFC 8201, RFC 4301 s8.2); and what an SA leaves of it for the
// packet inside.
#pragma once

#include <functional>
#include <map>
#include <tuple>

#include "host/espd/sad.h"

namespace esplanade::espd {

/// No path has less, whatever an ICMP error says, for that is not authenticated: RFC 791 s3.2 (what every host takes),
/// RFC 8200 s5.
constexpr std::size_t least_mtu(std::uint8_t ip_version) { return ip_version == 4 ? 576 : 1280; }

/// What AH adds (RFC 4302 s2): its header and an ICV of 96 bits, to which neither IPv4 nor IPv6 needs padding.
inline constexpr std::size_t kAhLen = 24;

/// The largest packet that fits into one outer packet of `mtu` octets under the SA: less outer header in tunnel mode, UDP,
/// ESP header, IV, ICV, and padding with its two octets (RFC 4303 s2.4); for AH less kAhLen.
std::size_t largest_inner(const Sa& sa, std::size_t mtu);

class PathMtu {
 public:
  /// The MTU of the link towards an address; nullopt: there is no route.
  using LinkMtu = std::function<std::optional<std::size_t>(const esp::IpAddress&)>;
  explicit PathMtu(LinkMtu link_mtu) : link_mtu_(std::move(link_mtu)) {}

  /// MTU of the whole path in octets. The link is asked for again every few seconds.
  std::size_t towards(const esp::IpAddress& peer, Clock::time_point now);
  /// An ICMP error that the caller believes told of `mtu`. It is forgotten after ten minutes (RFC 1191 s6.3), so that
  /// a larger packet tries the path again. Below least_mtu() it counts as that. False: nothing new.
  bool told(const esp::IpAddress& peer, std::size_t mtu, Clock::time_point now);

 private:
  struct Path {
    std::size_t link = 0;
    Clock::time_point look_again{};
    std::size_t told = 0;  // 0: nothing
    Clock::time_point told_until{};
  };
  using Key = std::tuple<std::uint8_t, std::array<Byte, 16>>;
  Path& looked_up(const esp::IpAddress& peer, Clock::time_point now);

  LinkMtu link_mtu_;
  std::map<Key, Path> paths_;  // of peers of policies alone
};

}  // namespace esplanade::espd
