// PF_KEYv2 messages (RFC 2367) as values, and their octets: the layouts and numbers of <linux/pfkeyv2.h>,
// host byte order, 8-octet units. The parser is strict and takes hostile input. No sockets here: see
// socket.h. What a message must bring is the receiver's business; here only its form is checked.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/secret.h"
#include "common/esp/sa.h"

namespace esplanade::pfkey {

inline constexpr std::size_t kMaxMessage = 4096;  // octets, of one message on the socket

/// sadb_msg_type.
enum class Type : std::uint8_t {
  kGetspi = 1,
  kUpdate = 2,
  kAdd = 3,
  kDelete = 4,
  kGet = 5,
  kAcquire = 6,
  kRegister = 7,
  kExpire = 8,
  kFlush = 9,
  kDump = 10,
};
/// "SADB_GETSPI" and so on.
const char* type_name(Type type);

/// sadb_msg_satype.
enum class SaType : std::uint8_t { kUnspec = 0, kAh = 2, kEsp = 3 };

/// sadb_sa_state.
enum class SaState : std::uint8_t { kLarval = 0, kMature = 1, kDying = 2, kDead = 3 };

/// SADB_EXT_SA. `auth` and `encrypt` are SADB_AALG_*, SADB_EALG_*. `replay`: window in packets, at most 255.
struct SaExt {
  std::uint32_t spi = 0;  // host order
  std::uint8_t replay = 0;
  SaState state = SaState::kMature;
  std::uint8_t auth = 0;
  std::uint8_t encrypt = 0;
  std::uint32_t flags = 0;
  bool operator==(const SaExt&) const = default;
};

/// SADB_EXT_LIFETIME_*; 0 is no limit. As in Linux, `allocations` counts packets. `addtime`: in HARD and SOFT
/// seconds from installation, in CURRENT the Unix time of it.
struct LifetimeExt {
  std::uint32_t allocations = 0;
  std::uint64_t bytes = 0;
  std::uint64_t addtime = 0;
  std::uint64_t usetime = 0;
  bool operator==(const LifetimeExt&) const = default;
};

/// SADB_EXT_ADDRESS_*: a sockaddr_in or sockaddr_in6. `port` in host order, 0 for none.
struct AddressExt {
  esp::IpAddress address;
  std::uint16_t port = 0;
  std::uint8_t proto = 0;
  std::uint8_t prefix_len = 32;
  bool operator==(const AddressExt&) const = default;
};
/// The host address `address`: prefix length 32 or 128, no port, any protocol.
AddressExt host_address(const esp::IpAddress& address);

/// SADB_EXT_SPIRANGE, host order, both ends included.
struct SpiRangeExt {
  std::uint32_t min = 0;
  std::uint32_t max = 0;
  bool operator==(const SpiRangeExt&) const = default;
};

/// SADB_X_EXT_SA2. Modes of Linux (IPSEC_MODE_*).
inline constexpr std::uint8_t kModeAny = 0;
inline constexpr std::uint8_t kModeTransport = 1;
inline constexpr std::uint8_t kModeTunnel = 2;
struct Sa2Ext {
  std::uint8_t mode = kModeTunnel;
  std::uint32_t sequence = 0;
  std::uint32_t reqid = 0;
  bool operator==(const Sa2Ext&) const = default;
};

/// Values of SADB_X_EXT_NAT_T_TYPE: UDP_ENCAP_ESPINUDP of <linux/udp.h> is RFC 3948.
inline constexpr std::uint8_t kNattEspInUdp = 2;

/// One sadb_alg of SADB_EXT_SUPPORTED_*.
struct Algorithm {
  std::uint8_t id = 0;
  std::uint8_t iv_len = 0;
  std::uint16_t min_bits = 0;
  std::uint16_t max_bits = 0;
  bool operator==(const Algorithm&) const = default;
};

/// One message. Extensions that are not named here are skipped by the parser when their form is right.
struct Message {
  Type type = Type::kRegister;
  std::uint8_t error = 0;  // sadb_msg_errno
  SaType satype = SaType::kUnspec;
  std::uint32_t seq = 0;
  std::uint32_t pid = 0;

  std::optional<SaExt> sa;
  std::optional<LifetimeExt> lifetime_current;
  std::optional<LifetimeExt> lifetime_hard;
  std::optional<LifetimeExt> lifetime_soft;
  std::optional<AddressExt> src;
  std::optional<AddressExt> dst;
  std::optional<Secret> key_auth;
  std::optional<Secret> key_encrypt;
  std::optional<std::vector<Algorithm>> supported_auth;
  std::optional<std::vector<Algorithm>> supported_encrypt;
  std::optional<SpiRangeExt> spi_range;
  std::optional<Sa2Ext> sa2;
  std::optional<std::uint8_t> natt_type;
  std::optional<std::uint16_t> natt_sport;  // host order
  std::optional<std::uint16_t> natt_dport;
};

/// Reads one whole message. Errors, with the offset in octets: kTruncated; kBadLength (a length field
/// disagrees with what is there); kMalformed (impossible value, extension given twice); kUnsupported
/// (version, type, satype, address family). The text never repeats octets of the message.
Result<Message> parse(ByteView octets);

/// The octets of `message`; wiped after use, since they may hold keys. kBadLength above kMaxMessage, or for
/// an empty key or one of more than 8,191 octets.
Result<Secret> serialize(const Message& message);

}  // namespace esplanade::pfkey
