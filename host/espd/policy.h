// The security policy database (RFC 4301 s4.4.1): an ordered list, of which the first policy that fits a packet counts.
// A packet of the host that comes to the TUN device and fits none is dropped, never sent in clear.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/base/bytes.h"
#include "common/esp/sa.h"

namespace esplanade::espd {

/// An address prefix, e.g. 10.1.0.0/24. The bits past `len` are 0.
struct Prefix {
  esp::IpAddress address;
  std::uint8_t len = 0;
  bool contains(const esp::IpAddress& a) const;
  bool contains(const Prefix& other) const { return other.len >= len && contains(other.address); }
  bool overlaps(const Prefix& other) const { return contains(other) || other.contains(*this); }
  bool operator==(const Prefix&) const = default;
};
/// "10.1.0.0/24"; a lone address is a host. kMalformed: not a prefix, or bits set past its length.
Result<Prefix> parse_prefix(std::string_view text);
std::string to_string(const Prefix& prefix);

/// Ports from `first` to `last`, both included.
struct PortRange {
  std::uint16_t first = 0, last = 65535;
  bool any() const { return first == 0 && last == 65535; }
  bool contains(std::uint16_t port) const { return port >= first && port <= last; }
  bool contains(const PortRange& other) const { return other.first >= first && other.last <= last; }
  bool operator==(const PortRange&) const = default;
};

/// TCP, UDP, DCCP, SCTP and UDP-Lite: they begin with source and destination port.
bool has_ports(std::uint8_t protocol);

/// One end of a selector (RFC 4301 s4.4.1.1). `protocol` 0: any.
struct TrafficSelector {
  Prefix prefix;
  std::uint8_t protocol = 0;
  PortRange ports;
  bool operator==(const TrafficSelector&) const = default;
};
/// A prefix and what it is narrowed to, as strongSwan and keyd write it: "10.1.0.0/24", "10.1.0.0/24[icmp]",
/// "10.1.0.0/24[tcp/443]", "2001:db8::/32[17/5000-5999]". Names of protocols: tcp, udp, sctp, icmp, ipv6-icmp; else numbers.
/// kMalformed says what is wrong.
Result<TrafficSelector> parse_selector(std::string_view text);
std::string to_string(const TrafficSelector& selector);

/// What becomes of a packet that fits (RFC 4301 s4.4.1).
enum class Action : std::uint8_t { kProtect, kBypass, kDiscard };
const char* action_name(Action action);

/// Whether the SAs of a policy run over UDP (RFC 3948). Auto: as the IKE daemon negotiated.
enum class UdpEncap : std::uint8_t { kAuto, kAlways, kNever };

/// What protects the packets of a policy. kAhEsp: AH in transport mode around ESP (a bundle, RFC 2401 s4.3).
enum class Ipsec : std::uint8_t { kEsp, kAh, kAhEsp };
const char* ipsec_name(Ipsec ipsec);

struct Policy {
  std::string name;
  Action action = Action::kProtect;
  TrafficSelector local_ts;   // inside, this side
  TrafficSelector remote_ts;  // inside, the peer's side
  // Of kProtect alone:
  std::uint32_t reqid = 0;  // binds the SAs to this policy: sadb_x_sa2_reqid
  esp::IpAddress local;     // outside; in transport mode the ends themselves
  esp::IpAddress peer;
  bool any_peer = false;  // wherever it is: a peer without a fixed address, which begins
  esp::Mode mode = esp::Mode::kTunnel;
  Ipsec ipsec = Ipsec::kEsp;
  UdpEncap udp_encap = UdpEncap::kAuto;
  bool fallback_clear = false;  // in clear while the peer does not speak IKE: fallback.h
  esp::DfPolicy df = esp::DfPolicy::kCopy;  // DF of the outer header (RFC 4301 s8.1); kClear: it may be cut on its way
  std::size_t path_mtu = 65535;             // octets of an outer packet at most
  bool operator==(const Policy&) const = default;

  bool needs(esp::Protocol protocol) const { return ipsec == Ipsec::kAhEsp || (protocol == esp::Protocol::kAh) == (ipsec == Ipsec::kAh); }
  bool has_ends(const esp::IpAddress& near, const esp::IpAddress& far) const {
    return near == local && (any_peer ? far.version == local.version && far != local : far == peer);
  }
  /// The protocol that is applied to a packet first, and taken off last.
  esp::Protocol inner_protocol() const { return ipsec == Ipsec::kAh ? esp::Protocol::kAh : esp::Protocol::kEsp; }
};

/// What selectors look at. `ports` is empty where the packet has none, and where they cannot be told: `unclear`, a later
/// fragment whose first one is not known.
struct Flow {
  esp::IpAddress src, dst;
  std::uint8_t protocol = 0;
  struct Ports {
    std::uint16_t src = 0, dst = 0;
    bool operator==(const Ports&) const = default;
  };
  std::optional<Ports> ports;
  bool unclear = false;
  Flow reversed() const { return {dst, src, protocol, ports ? std::optional(Ports{ports->dst, ports->src}) : std::nullopt, unclear}; }
  bool operator==(const Flow&) const = default;
};

/// A number that flows share by chance alone.
std::size_t hash_of(const Flow& flow);

class PolicyTable {
 public:
  explicit PolicyTable(std::vector<Policy> policies) { replace(std::move(policies)); }
  /// Pointers to the former policies are not valid after it.
  void replace(std::vector<Policy> policies);
  const std::vector<Policy>& all() const { return policies_; }

  struct Match {
    const Policy* policy = nullptr;  // none fits
    bool unclear = false;            // it depends on ports that the packet does not show
  };
  /// The policy of a packet that leaves. For one that came, look for its flow reversed. Recent answers are remembered, so that the
  /// packets of a flow are not compared with every policy; not for several threads.
  Match match(const Flow& outbound) const;
  const Policy* by_reqid(std::uint32_t reqid) const;
  /// Whether a packet that came out of an SA of `policy` may pass (RFC 4301 s5.2 step 4): no other policy claims it.
  bool inbound_allowed(const Policy& policy, const Flow& inbound) const;

 private:
  Match search(const Flow& outbound) const;

  std::vector<Policy> policies_;
  std::unordered_map<std::uint32_t, std::size_t> by_reqid_;
  struct Remembered {
    Flow flow;
    Match match;
  };
  static constexpr std::size_t kRemembered = 4096;
  mutable std::vector<Remembered> remembered_;  // each flow has one place
};

/// Whether every packet that fits `b` fits `a`.
bool covers(const Policy& a, const Policy& b);

}  // namespace esplanade::espd
