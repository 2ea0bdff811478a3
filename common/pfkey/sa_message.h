// A security association as a PF_KEYv2 message and back: what SADB_ADD and SADB_UPDATE carry.
#pragma once

#include "common/esp/sa.h"
#include "common/pfkey/message.h"

namespace esplanade::pfkey {

/// The message of `type` (kAdd or kUpdate) that installs `sa` for the policy `reqid`. Takes over the keys.
/// PF_KEY has no room for ESN, DSCP, TTL and DF policy, nor for a replay window above 255 packets (255 is
/// then rounded down to 224): the receiver's defaults hold.
Message sa_message(Type type, esp::SaParams sa, std::uint32_t reqid);

/// The SA of an ADD or UPDATE; takes over the keys. `outbound` is the receiver's to say, for PF_KEY has no
/// direction. Errors: kMalformed (an extension is missing or contradicts another), kUnsupported (algorithm).
/// Key lengths and the like are esp::validate()'s.
Result<esp::SaParams> sa_params(Message&& message, bool outbound);

/// The UPDATE that moves an installed SA of the policy `reqid` to other outer addresses and UDP ports (a peer
/// behind NAT was given new ones). It has no keys: that tells it from an installation.
Message move_message(SaType type, std::uint32_t spi, std::uint32_t reqid, const esp::IpAddress& src,
                     const esp::IpAddress& dst, const esp::Natt& natt);
/// True for such a message.
bool is_move(const Message& message);

/// Numbers of <linux/pfkeyv2.h> for our algorithms.
std::uint8_t to_pfkey(esp::Cipher cipher);
std::uint8_t to_pfkey(esp::Auth auth);

}  // namespace esplanade::pfkey
