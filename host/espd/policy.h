// The security policy (RFC 4301 s4.4.1): which packets go through which tunnel. First match counts; what
// matches no policy is dropped, never sent in clear.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/bytes.h"
#include "common/esp/sa.h"

namespace esplanade::espd {

/// An address prefix, e.g. 10.1.0.0/24. The bits past `len` are 0.
struct Prefix {
  esp::IpAddress address;
  std::uint8_t len = 0;
  bool contains(const esp::IpAddress& a) const;
  bool operator==(const Prefix&) const = default;
};
/// "10.1.0.0/24"; a lone address is a host. kMalformed: not a prefix, or bits set past its length.
Result<Prefix> parse_prefix(std::string_view text);
std::string to_string(const Prefix& prefix);

/// Whether the SAs of a policy run over UDP (RFC 3948). Auto: as the IKE daemon negotiated.
enum class UdpEncap : std::uint8_t { kAuto, kAlways, kNever };

struct Policy {
  std::string name;
  std::uint32_t reqid = 0;  // binds the SAs to this policy: sadb_x_sa2_reqid
  Prefix local_ts;          // inside, this side
  Prefix remote_ts;         // inside, the peer's side
  esp::IpAddress local;     // outside
  esp::IpAddress peer;
  UdpEncap udp_encap = UdpEncap::kAuto;
  bool fallback_clear = false;  // in clear while the peer does not speak IKE: fallback.h
  esp::DfPolicy df = esp::DfPolicy::kCopy;  // DF of the outer header (RFC 4301 s8.1); kClear: it may be cut on its way
  std::size_t path_mtu = 65535;             // octets of an outer packet at most
};

/// Source and destination of an IPv4 or IPv6 packet; nullopt when it has no whole fixed header.
struct Flow {
  esp::IpAddress src, dst;
};
std::optional<Flow> flow_of(ByteView packet);

class PolicyTable {
 public:
  explicit PolicyTable(std::vector<Policy> policies) : policies_(std::move(policies)) {}
  const std::vector<Policy>& all() const { return policies_; }
  /// The policy of a packet that leaves; nullptr: none.
  const Policy* match_outbound(const Flow& flow) const;
  const Policy* by_reqid(std::uint32_t reqid) const;
  /// Whether a packet that came out of a tunnel of `policy` may pass (RFC 4301 s5.2 step 4).
  static bool inbound_allowed(const Policy& policy, const Flow& flow);

 private:
  std::vector<Policy> policies_;
};

}  // namespace esplanade::espd
