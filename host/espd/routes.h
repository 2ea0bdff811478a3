// Which of the host's packets come to the TUN device: a routing table of espd's own, which a rule puts before the main one
// for every packet without espd's mark. So what espd itself sends (ESP, IKE on 4500, what a policy lets pass in clear) goes
// where the host's own table says, even to a peer whose address a policy protects.
//
// Table, priority of the rule and mark are one number. A second rule lets IKE pass from port 500 of this host (RFC 4301
// s4.4.1.2: key management is to bypass IPsec). Beside each route into the TUN device lies a blackhole that loses against it
// and stays when the device goes.
#pragma once

#include "host/espd/policy.h"

namespace esplanade::espd {

/// A destination in espd's table.
struct Route {
  Prefix destination;
  bool thrown = false;                   // on to the main table: every packet there bypasses
  std::optional<esp::IpAddress> source;  // that the host uses for packets of its own
  bool operator==(const Route&) const = default;
};

/// The routes that send every packet of a policy to espd, but for destinations that whole policies let pass.
std::vector<Route> routes_for(const std::vector<Policy>& policies);

class PolicyRouting {
 public:
  /// Takes table and rules over, also from an espd that died. kPermission; kIo.
  static Result<PolicyRouting> create(std::uint32_t number, unsigned tun_index);
  PolicyRouting(PolicyRouting&& other) noexcept;
  /// Removes rules and routes, unless they are to be kept.
  ~PolicyRouting();

  /// Makes these the routes. After an error it is as before, or nearly: apply the former again. kPermission; kIo.
  Status apply(const std::vector<Policy>& policies);
  /// What the policies protect stays blocked when espd is gone.
  void keep(bool on) { keep_ = on; }

  /// Removes what an espd left behind.
  static Status remove_all(std::uint32_t number);

 private:
  PolicyRouting(std::uint32_t number, unsigned tun_index) : number_(number), tun_index_(tun_index) {}
  std::uint32_t number_;
  unsigned tun_index_;
  bool keep_ = false;
  std::vector<Route> routes_;
};

/// The MTU of the link by which what has the mark `mark` goes towards `to`, in octets of an IP packet; nullopt: there is no
/// route. The link's own: what ICMP errors to other sockets of the host told the kernel does not count.
std::optional<std::size_t> link_mtu(const esp::IpAddress& to, std::uint32_t mark);

/// The first address of this host inside `prefix`.
std::optional<esp::IpAddress> own_address_in(const Prefix& prefix);

}  // namespace esplanade::espd
