// What goes into and comes out of the sans-I/O core. Nobody here opens a socket, reads a clock or draws a
// random number: the shell does, or a test.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <variant>

#include "common/esp/sa.h"
#include "keyd/sa/credentials.h"
#include "keyd/wire/payload_id.h"

namespace esplanade::ike {

/// Milliseconds of a clock that never goes back; the origin does not matter.
using Time = std::chrono::milliseconds;

struct Endpoint {
  esp::IpAddress address;
  std::uint16_t port = 500;
  bool operator==(const Endpoint&) const = default;
};
std::string to_string(const Endpoint& endpoint);

/// Where a datagram runs. A local port of 4500 means UDP encapsulation (RFC 3948): the shell adds and strips
/// the non-ESP marker, the core never sees it.
struct Path {
  Endpoint local;
  Endpoint remote;
  bool operator==(const Path&) const = default;
};
inline constexpr std::uint16_t kNattPort = 4500;

/// The source of randomness of the core: cookies, nonces, exponents, Message-IDs.
class Rng {
 public:
  virtual ~Rng() = default;
  virtual void fill(MutableBytes out) = 0;
};

struct SendDatagram {
  Path path;
  Bytes octets;
};
struct SendKeepalive {  // RFC 3948 s2.3
  Path path;
};
/// Asks espd for an inbound SPI: answered with Engine::on_spi.
struct GetSpi {
  Ticket ticket = 0;
  esp::Protocol protocol = esp::Protocol::kEsp;
  esp::Mode mode = esp::Mode::kTunnel;
  esp::IpAddress src;
  esp::IpAddress dst;
  std::uint32_t reqid = 0;
};
/// Installs one SA: an inbound one replaces the larval SA of GetSpi (SADB_UPDATE), an outbound one is added
/// (SADB_ADD). Answered with Engine::on_installed.
struct InstallSa {
  Ticket ticket = 0;
  esp::SaParams sa;
  std::uint32_t reqid = 0;
};
struct RemoveSa {
  esp::Protocol protocol = esp::Protocol::kEsp;
  std::uint32_t spi = 0;
  esp::IpAddress src;
  esp::IpAddress dst;
};
/// Asks espd how many packets an installed SA has carried (SADB_GET): answered with Engine::on_use.
struct QueryUse {
  Ticket ticket = 0;
  esp::Protocol protocol = esp::Protocol::kEsp;
  std::uint32_t spi = 0;
  esp::IpAddress src;
  esp::IpAddress dst;
};
/// Tells espd that no SA will come for the policy `reqid`, or not soon. `answered`: the peer speaks IKE but
/// would not agree; then nothing may go in clear (R83).
struct AcquireFailed {
  std::uint32_t reqid = 0;
  bool answered = false;
};
/// An installed SA whose peer is reached elsewhere now (RFC 3947 s7): `src`, `dst` and the ports are the new
/// ones. The SA is known by its SPI and reqid. No answer.
struct MoveSa {
  esp::Protocol protocol = esp::Protocol::kEsp;
  esp::Mode mode = esp::Mode::kTunnel;
  std::uint32_t spi = 0;
  std::uint32_t reqid = 0;
  esp::IpAddress src;
  esp::IpAddress dst;
  esp::Natt natt{};
};
/// For logs, counters and tests.
struct Event {
  enum class Kind : std::uint8_t { kMainModeUp, kMainModeDown, kChildUp, kChildDown, kFailed } kind;
  std::string connection;
  std::string child;  // empty for main mode
  std::string text;
};

using Output = std::variant<SendDatagram, SendKeepalive, GetSpi, InstallSa, RemoveSa, QueryUse, MoveSa, AcquireFailed,
                            CredentialRequest, Event>;

}  // namespace esplanade::ike
