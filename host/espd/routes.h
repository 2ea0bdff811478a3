// Routes by rtnetlink: one request on one socket. The `ip` tool would need a search path, a child and the
// reading of its messages; here the kernel's own answer is at hand.
#pragma once

#include "host/espd/policy.h"

namespace esplanade::espd {

/// Routes `destination` into the interface with this index. `source`: the address that the host uses for
/// packets of its own on this route (none: the system chooses). kState: such a route exists; kPermission;
/// kIo.
Status add_route(const Prefix& destination, unsigned interface_index,
                 const std::optional<esp::IpAddress>& source);

/// The first address of this host inside `prefix`.
std::optional<esp::IpAddress> own_address_in(const Prefix& prefix);

}  // namespace esplanade::espd
