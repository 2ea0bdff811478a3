// The reference ESP and AH engine on OpenSSL: golden model of the card and software card. Complete for IPv4 and
// IPv6, tunnel and transport, ESP, AH, NAT-T, ESN. Not thread-safe: one owner an SA. It never fragments and
// never reassembles: a fragment is an error (RFC 4303 s3.3.4, s3.4.1).
#pragma once

#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <vector>

#include "common/base/bytes.h"
#include "common/esp/ip.h"
#include "common/esp/replay_window.h"
#include "common/esp/sa.h"

namespace esplanade::crypto {
class BitsliceKey;
}

namespace esplanade::esp {

struct SaCounters {
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;  // of source packets (outbound) or of result packets (inbound)
  std::uint32_t replay_drops = 0;
  std::uint32_t icv_drops = 0;
  std::uint32_t other_drops = 0;
};

/// What decapsulation found, beside the packet.
struct Decapsulated {
  Bytes packet;              // whole IP packet
  std::uint8_t next_header;  // 4, 41 in tunnel mode; the transport protocol else
  std::uint64_t seq;
};
struct Encapsulated {
  Bytes packet;  // whole outer IP packet
  std::uint64_t seq;
};

/// What a packet's cipher will do, worked out ahead of encap() or decap(), so that many packets' can be done side by side.
/// It is a guess: who gets it compares key, IV and octets, and works for itself where another packet came.
struct CipherAhead {
  const crypto::BitsliceKey* key = nullptr;  // the SA's, while it lives
  bool decrypt = false;
  std::array<Byte, 8> iv{};
  Bytes in, out;  // whole blocks; `out` is empty until it is worked out
};
/// Works out those that are faster side by side than each for itself (common/crypto/des_bitslice.h); the others keep an
/// empty `out`. They may be of any SAs.
void work_out(std::span<CipherAhead> ahead);

/// A limit that the SA reached. Soft ones are told once; at a hard one the SA is closed.
enum class Limit : std::uint8_t {
  kSoftBytes, kSoftPackets, kSoftSeconds, kHardBytes, kHardPackets, kHardSeconds,
  kSeqSoon,      // outbound, no ESN: 2^32 - 2^28 passed
  kSeqOverflow,  // outbound: no number left
};

/// Seconds of a monotonic clock.
using Clock = std::function<std::uint64_t()>;

/// One security association with its dynamic state. Owns the keys.
class SoftSa {
 public:
  /// Validates and takes over `params`. Without `clock` the system's monotonic clock counts the lifetimes.
  static Result<SoftSa> create(SaParams params, Clock clock = {});
  SoftSa(SoftSa&&) noexcept;
  SoftSa& operator=(SoftSa&&) noexcept;
  ~SoftSa();

  /// Protects one whole IP packet (RFC 4303 s3.3, RFC 4302 s3.3). `iv` replaces the random IV: for test vectors
  /// only. Errors: kTruncated, kMalformed, kBadLength (not a whole IP packet), kFragment (transport mode; a tunnel
  /// takes inner fragments), kWrongAddress, kWrongDirection, kSeqOverflow, kExpired.
  /// `ahead`: see foresee_encap.
  Result<Encapsulated> encap(ByteView packet, std::optional<std::array<Byte, 8>> iv = std::nullopt, const CipherAhead* ahead = nullptr);

  /// Unprotects one whole outer IP packet, in the order of RFC 4303 s3.4: replay check, ICV, window, decrypt,
  /// padding, next header, inner header. Errors: kTruncated, kMalformed, kBadLength, kFragment, kWrongProtocol,
  /// kWrongAddress, kUnknownSpi, kReplayed, kBadIcv, kBadPadding, kDummy, kBadNextHeader, kBadInner, kExpired; kNoRoom
  /// when the result is larger than `room` octets: then the packet does not count as received and may come again.
  /// `ahead`: see foresee_decap.
  Result<Decapsulated> decap(ByteView packet, std::size_t room = std::numeric_limits<std::size_t>::max(), const CipherAhead* ahead = nullptr);

  /// What the cipher would do in encap(packet, iv) or decap(packet), not yet worked out. It changes nothing and does not say that the packet will be
  /// taken; nothing where there is no cipher to run, or where the packet is too broken to have one.
  std::optional<CipherAhead> foresee_encap(ByteView packet, const std::array<Byte, 8>& iv) const;
  std::optional<CipherAhead> foresee_decap(ByteView packet) const;

  /// The peer is reached elsewhere now (RFC 3947 s7): other outer addresses and UDP ports; all else stays.
  /// Errors: kBadConfig (families differ from before, UDP encapsulation comes or goes).
  Status move(const IpAddress& src, const IpAddress& dst, const std::optional<Natt>& natt);
  /// Takes addresses, UDP ports, check_outer, TTL, DF, DSCP and ECN policy and lifetimes from `params`; keys,
  /// algorithms, numbers, window, counters and age stay.
  void update(const SaParams& params);

  const SaParams& params() const;
  const SaCounters& counters() const;
  /// Outbound: last number used. Inbound: highest authenticated.
  std::uint64_t seq() const;
  /// Looks at the lifetimes as for a packet of `octets`: kExpired, and the SA closed, where it would pass a hard limit.
  Status admit(std::size_t octets);
  /// Inbound: the number that the low word of a received packet stands for now; nothing where decap would find it replayed.
  std::optional<std::uint64_t> fresh_number(std::uint32_t low) const;
  /// Inbound: the next header that the last packet held, where its ICV was good; else 0.
  std::uint8_t authentic_next_header() const;
  /// A hard limit was reached: every packet is refused with kExpired.
  bool expired() const;
  /// Limits reached since the last call; looks at the clock first.
  std::vector<Limit> take_limits();

 private:
  struct State;
  explicit SoftSa(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// Octets of what encap makes of `packet`, whose headers are `ip`.
std::size_t protected_len(const SaParams& sa, const IpPacket& ip);

/// SPI and protocol of an outer packet (ESP, AH, or UDP that carries ESP by RFC 3948),
/// without looking further. Errors: kTruncated, kMalformed, kBadLength, kFragment, and kWrongProtocol where it is neither.
struct SpiFound {
  Protocol protocol;
  std::uint32_t spi;
};
Result<SpiFound> find_spi(ByteView outer_packet);

}  // namespace esplanade::esp
