// The security association as every part of the system hands it around: keyd makes it, PF_KEY carries it, the
// reference engine and the card's SA table take it. One struct, both protocols, both directions.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "common/base/secret.h"

namespace esplanade::esp {

enum class Cipher : std::uint8_t { kNull, kDesCbc, kTripleDesCbc };   // RFC 2410, 2405, 2451
enum class Auth : std::uint8_t { kNone, kHmacMd5_96, kHmacSha1_96 };  // RFC 2403, 2404
enum class Protocol : std::uint8_t { kEsp = 50, kAh = 51 };           // IANA protocol numbers
enum class Mode : std::uint8_t { kTunnel, kTransport };
enum class DfPolicy : std::uint8_t { kCopy, kClear, kSet };  // RFC 4301 s8.1

/// Octets of the key that the algorithm takes, and of its cipher block.
constexpr std::size_t key_len(Cipher c) { return c == Cipher::kTripleDesCbc ? 24 : c == Cipher::kDesCbc ? 8 : 0; }
constexpr std::size_t key_len(Auth a) { return a == Auth::kHmacSha1_96 ? 20 : a == Auth::kHmacMd5_96 ? 16 : 0; }
constexpr std::size_t iv_len(Cipher c) { return c == Cipher::kNull ? 0 : 8; }
constexpr std::size_t icv_len(Auth a) { return a == Auth::kNone ? 0 : 12; }

/// An IPv4 or IPv6 address in network order.
struct IpAddress {
  std::uint8_t version = 4;  // 4 or 6
  std::array<Byte, 16> octets{};
  ByteView bytes() const { return ByteView(octets).first(version == 4 ? 4 : 16); }
  bool operator==(const IpAddress&) const = default;
};
/// "192.0.2.1" or "2001:db8::1"; no prefix length, no zone.
Result<IpAddress> parse_address(std::string_view text);
std::string to_string(const IpAddress& address);

/// UDP encapsulation of ESP, RFC 3948.
struct Natt {
  std::uint16_t src_port = 4500;
  std::uint16_t dst_port = 4500;
};

/// 0 means no limit.
struct Lifetime {
  std::uint64_t bytes = 0;
  std::uint64_t packets = 0;
  std::uint32_t seconds = 0;
};

struct SaParams {
  Protocol protocol = Protocol::kEsp;
  Mode mode = Mode::kTunnel;
  bool outbound = true;
  std::uint32_t spi = 0;  // host order
  Cipher cipher = Cipher::kTripleDesCbc;
  Auth auth = Auth::kHmacSha1_96;
  Secret enc_key;
  Secret auth_key;
  IpAddress src;  // outer header in tunnel mode; in transport mode the packet's own addresses
  IpAddress dst;
  std::optional<Natt> natt;
  bool esn = false;                  // RFC 4303 s2.2.1
  std::uint64_t seq = 0;             // outbound: last number used; inbound: highest seen (fresh SA: 0)
  std::uint16_t replay_window = 64;  // inbound: packets, multiple of 32; 0 switches the check off
  bool check_outer = true;           // inbound tunnel: outer addresses must be src and dst
  bool inner_v4 = true;              // inbound tunnel: families of inner packets that are let through
  bool inner_v6 = true;
  std::uint8_t ttl = 64;             // of the outer header
  std::uint16_t ip_id = 0;           // outbound IPv4: identification of the next outer header, then +1 each
  DfPolicy df = DfPolicy::kCopy;
  std::optional<std::uint8_t> dscp;  // fixed outer DSCP; none: copied from the inner header
  bool ecn_copy = true;              // RFC 4301 s5.1.2.1; false: RFC 2401 style, outer ECN 00
  Lifetime soft;
  Lifetime hard;
  std::uint32_t reqid = 0;           // of its policy; where several cards share the SAs, those of a policy go to the same

  /// The same without keys.
  SaParams without_keys() const;
  /// The same with keys, where two owners are really wanted.
  SaParams clone() const;
};

/// Refuses what no engine may run, with the reason (never the key): key lengths that do not fit, NULL with
/// NULL (RFC 4303 s3.2), reserved SPIs 0..255, weak and semi-weak DES keys
/// (RFC 2405), K1 == K2 or K2 == K3 (RFC 2451), mixed address families, AH with a cipher, AH with NAT-T,
/// windows that are not a multiple of 32 or above 1,024.
Status validate(const SaParams& sa);

}  // namespace esplanade::esp
