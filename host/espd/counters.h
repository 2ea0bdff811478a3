// Packets by what became of them outside the card. What the card refused is in Totals::by_status.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace esplanade::espd {

/// Why a packet was dropped.
enum class Drop : std::uint8_t {
  kNotIp,              // from TUN: neither IPv4 nor IPv6
  kNoPolicy,           // from TUN: no policy matches
  kDiscard,            // from TUN: a policy discards it
  kFragment,           // a fragment whose first one, which has the ports that a policy asks for, is not known
  kQueueFull,          // from TUN: too many packets wait for an SA already
  kQueueExpired,       // waited for an SA in vain
  kNegotiationFailed,  // the IKE daemon said that no SA will come
  kCard,               // the card refused it: see its status counters
  kCardLost,           // the card is gone
  kDrained,            // an operator drained the gateway
  kUdpShort,           // UDP 4500: 0 to 3 octets that are no keepalive (RFC 3948 s2.2)
  kIkeNoDaemon,        // UDP 4500: IKE, but no daemon is connected
  kNotEsp,             // raw socket: not a whole IPv4 packet with ESP or AH
  kNotOfSa,            // decapsulated, but the SA is gone meanwhile
  kSelector,           // decapsulated, but not of the SA's policy (RFC 4301 s5.2)
  kTunWrite,           // the TUN device did not take it
  kOutsideSend,        // the network did not take it
  kClearIn,            // came in clear, though a policy protects or discards it: dropped by the guard
  kClearOut,           // was to leave in clear past the TUN device: dropped by the guard
  kTooBig,             // larger than the path takes and not to be cut: its sender is told
  kCount,
};
inline constexpr std::size_t kNumDrops = static_cast<std::size_t>(Drop::kCount);

/// Stable name for JSON and people, e.g. "no-policy".
const char* drop_name(Drop drop);

struct Counters {
  std::array<std::uint64_t, kNumDrops> drops{};
  std::uint64_t tun_in = 0, tun_out = 0;                // packets read from and written to TUN
  std::uint64_t udp_esp_in = 0, raw_esp_in = 0;         // ESP packets, and AH as raw ones, from the outside
  std::uint64_t udp_esp_out = 0, raw_esp_out = 0;       // and to it
  std::uint64_t clear_out = 0;                          // in clear, by a policy that bypasses or falls back
  std::uint64_t ike_in = 0, ike_out = 0;                // IKE datagrams on 4500
  std::uint64_t keepalives_in = 0, keepalives_out = 0;  // RFC 3948 s2.3
  std::uint64_t too_big_told = 0;                       // ICMP to senders inside: kTooBig less what may not be told
  std::uint64_t fragmented = 0;                         // packets cut before they were protected
  std::uint64_t outer_fragmented = 0;                   // and after
  std::uint64_t path_mtu_lowered = 0;                   // ICMP from the outside, believed
  std::uint64_t icmp_ignored = 0;                       // and not: it quotes no packet of a live SA
  std::uint64_t acquires = 0, expires = 0;              // PF_KEY messages
  void drop(Drop why, std::uint64_t packets = 1) { drops[static_cast<std::size_t>(why)] += packets; }
};

}  // namespace esplanade::espd
