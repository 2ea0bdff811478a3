// By which link the kernel would send.
#pragma once

#include <cstddef>
#include <optional>

#include "common/esp/sa.h"

namespace esplanade::espd {

struct Link {
  unsigned index = 0;
  std::size_t mtu = 0;  // octets of an IP packet
};

/// The link towards `to`; nullopt: there is no route. The MTU is the link's own: what ICMP errors to other sockets of the
/// host told the kernel does not count here.
std::optional<Link> link_towards(const esp::IpAddress& to);

}  // namespace esplanade::espd
