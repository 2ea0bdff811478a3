// The security associations that the card holds, as the host knows them (no keys): found by handle, by
// (protocol, SPI, destination) and, outbound, by policy. Also SPIs that were allotted and wait for their SA
// (larval, RFC 2367 s3.1.1). Lifetimes are counted here too: bytes and packets as packets come back, so that a
// renewal begins at once, seconds once a tick. What an SA may still carry is counted as packets are handed to
// it, so that none meets an SA that is used up.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <unordered_map>
#include <utility>
#include <vector>

#include "host/backend/backend.h"
#include "host/espd/packet_server.h"
#include "host/espd/policy.h"

namespace esplanade::espd {

using Clock = std::chrono::steady_clock;

/// What names an SA to PF_KEY (RFC 4301 s4.1).
struct SaId {
  esp::Protocol protocol = esp::Protocol::kEsp;
  std::uint32_t spi = 0;
  esp::IpAddress dst;
  bool operator<(const SaId& o) const {
    return std::tie(protocol, spi, dst.version, dst.octets) <
           std::tie(o.protocol, o.spi, o.dst.version, o.dst.octets);
  }
};

struct Sa {
  host::SaHandle handle{};
  SaId id;
  esp::IpAddress src;
  std::uint32_t reqid = 0;
  bool outbound = false;
  esp::Mode mode{};
  esp::Cipher cipher{};
  esp::Auth auth{};
  std::uint16_t replay_window = 0;
  std::optional<esp::Natt> natt;
  esp::Lifetime soft, hard;
  ClientId owner = 0;  // who made it; it outlives that connection
  Clock::time_point installed;
  std::int64_t installed_unix = 0;
  bool soft_told = false;  // each limit is told once, whoever saw it first
  bool hard_told = false;
  std::uint64_t bytes = 0, packets = 0;  // since installation, inside the tunnel
  std::uint64_t reserved_bytes = 0, reserved_packets = 0;  // outbound: handed to the card
  // Inbound: a packet came. Outbound: one came on the inbound SA that was installed with it, so the peer has both.
  bool proven = false;
  host::SaHandle sibling{};  // outbound: that inbound SA
  bool orphaned = false;     // who made it is gone
  std::uint64_t idle_packets = 0;  // of an orphan: what it had carried
  Clock::time_point idle_since;    // then
};

struct Larval {
  SaId id;
  esp::IpAddress src;
  std::uint32_t reqid = 0;
  ClientId owner = 0;
  Clock::time_point deadline;
};

/// A limit that an SA reached.
struct Expiry {
  host::SaHandle sa;
  bool hard = false;
};

class Sad {
 public:
  Sad(host::Backend& backend, const PolicyTable& policies) : backend_(backend), policies_(policies) {}
  /// Wipes the keys of every SA from the card.
  ~Sad() { remove_all(); }

  /// Allots an SPI in [min, max] for an inbound SA of the policy. Errors: kMalformed (no such policy,
  /// addresses not its own), kTableFull, kDeviceLost.
  Result<std::uint32_t> get_spi(const Larval& wanted, std::uint32_t min, std::uint32_t max);
  /// Installs an SA. Inbound: its SPI must be larval (kUnknownSpi). Outbound: it must be new (kState). It
  /// must fit its policy (kMalformed). Then as Backend::install.
  Result<host::SaHandle> install(esp::SaParams params, std::uint32_t reqid, ClientId owner);
  /// Removes an SA, or gives a larval SPI back. kUnknownSpi.
  Status remove(const SaId& id);
  Status remove(host::SaHandle handle);
  /// Gives an SA of the policy `reqid`, known by its SPI, other outer addresses and UDP ports: a peer behind NAT
  /// moved. Errors: kUnknownSpi; kMalformed (the policy does not have these addresses); as Backend::move.
  Status move(esp::Protocol protocol, std::uint32_t spi, std::uint32_t reqid, const esp::IpAddress& src,
              const esp::IpAddress& dst, const esp::Natt& natt);
  /// Removes all SAs and larval SPIs that `owner` made; returns how many.
  std::size_t flush(ClientId owner);
  /// Who made these is gone. Its SAs stay, but tick() gives those as expired that carry nothing for kOrphanIdle while the policy has newer
  /// ones of somebody who is there.
  void orphan(ClientId owner, Clock::time_point now);
  static constexpr std::chrono::seconds kOrphanIdle{60};
  /// The SAs of a policy; its larval SPIs are given back.
  std::vector<host::SaHandle> give_up(std::uint32_t reqid);
  void remove_all();

  const Sa* find(host::SaHandle handle) const;
  const Sa* find(const SaId& id) const;
  /// Whether the policy has every outbound SA that its packets need.
  bool ready(const Policy& policy) const;
  /// The outbound SA of a policy that shall carry a packet of `bytes`; nullptr: none. It is the newest, but while the peer
  /// may not have that yet (the responder of a quick mode installs it only when the third message has come, RFC 2409 s5.5)
  /// the one before goes on, as far as its limits let it.
  const Sa* outbound(std::uint32_t reqid, esp::Protocol protocol, std::size_t bytes = 0) const;
  std::vector<const Sa*> all() const;  // in order of installation
  std::size_t size() const { return sas_.size(); }
  std::size_t num_larval() const { return larval_.size(); }

  /// Takes a packet of `bytes` out of what an outbound SA may still carry; false: it may not carry that.
  bool reserve(host::SaHandle handle, std::uint64_t bytes);
  /// Counts a packet; `bytes` of it inside the tunnel.
  void count(host::SaHandle handle, std::uint64_t bytes);
  /// Limits that count() saw reached and that nobody was told of; tick() gives them too.
  std::vector<Expiry> take_reached() { return std::exchange(reached_, {}); }
  /// Notes that the card told of a limit; false: it was told before, or the SA is gone.
  bool tell(host::SaHandle handle, bool hard);
  /// Time passes: larval SPIs run out; limits that were reached and not told yet go to `out`.
  void tick(Clock::time_point now, std::vector<Expiry>& out);

 private:
  bool is_superseded(const Sa& sa) const;
  /// What an SA must have in common with its policy, its larval SPI already.
  Status check_ends(std::uint32_t reqid, esp::Protocol protocol, const esp::IpAddress& local, const esp::IpAddress& peer) const;
  Status check_form(std::uint32_t reqid, bool outbound, esp::Protocol protocol, esp::Mode mode, const std::optional<esp::Natt>& natt) const;

  host::Backend& backend_;
  const PolicyTable& policies_;
  std::map<host::SaHandle, Sa> sas_;
  std::map<SaId, host::SaHandle> by_id_;
  using Use = std::pair<std::uint32_t, esp::Protocol>;        // reqid and protocol
  std::map<Use, std::vector<host::SaHandle>> outbound_;  // newest last
  std::map<Use, host::SaHandle> inbound_;                // the newest
  /// Gives back the larval SPIs that `which` chooses; how many.
  template <class Which>
  std::size_t release_larval(Which which);
  std::map<SaId, Larval> larval_;
  std::vector<Expiry> reached_;
};

}  // namespace esplanade::espd
