// The configuration of keyd: a TOML file in the terms of strongSwan's swanctl.conf. docs/examples/keyd.toml
// is a commented example. Reading is strict: an unknown key, a wrong type or a value out of range is refused
// with file and line.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/secret.h"
#include "keyd/policy/suite.h"
#include "keyd/wire/payload_id.h"

namespace esplanade::ike {

/// What becomes of a child whose peer is dead (RFC 3706). Its SAs go in any case; kTrap and kClear leave it to
/// traffic (start_action trap or start), kRestart negotiates at once.
enum class DpdAction : std::uint8_t { kClear, kTrap, kRestart };

enum class StartAction : std::uint8_t {
  kNone,   // as responder only
  kTrap,   // when espd asks with SADB_ACQUIRE
  kStart,  // at start-up, and again after a failure
};

struct ChildConfig {
  std::string name;
  Selector local_ts;
  Selector remote_ts;
  bool transport = false;
  std::vector<QmSuite> suites;  // in order of preference
  std::chrono::seconds life{3600};
  std::uint32_t life_kilobytes = 100000;  // of 1,024 octets; 0: no limit
  std::uint32_t reqid = 0;
  StartAction start = StartAction::kTrap;
  DpdAction dpd_action = DpdAction::kTrap;
};

enum class AuthMethod : std::uint8_t { kPsk };

struct Connection {
  std::string name;
  esp::IpAddress local;
  std::optional<esp::IpAddress> remote;  // none: any peer (responder only)
  std::vector<MmSuite> suites;           // in order of preference
  AuthMethod auth = AuthMethod::kPsk;
  Id local_id;
  std::optional<Id> remote_id;  // none: any identity that proves the secret
  Secret psk;
  std::chrono::seconds life{28800};
  std::chrono::seconds dpd_delay{30};  // of silence before a peer is asked; 0: no dead peer detection
  std::chrono::seconds dpd_timeout{150};
  std::vector<ChildConfig> children;
};

/// Limits of resources, and times. Defaults follow the facts of RFC and Windows practice.
struct IkeLimits {
  std::chrono::milliseconds retransmit_base{1000};  // then doubled
  std::uint32_t retransmit_tries = 5;
  std::chrono::milliseconds half_open_life{60000};
  std::uint32_t half_open_max = 500;
  std::uint32_t half_open_per_source_max = 35;
  std::chrono::milliseconds restart_delay{10000};  // of a child with start_action "start" after a failure
  std::chrono::milliseconds keepalive{20000};      // RFC 3948 s4; 0: none
  // Against floods. What has no key in the [ike] table is fixed.
  std::uint32_t cookie_threshold = 100;     // half-open negotiations from which strangers must show a cookie
  std::uint32_t cookie_waiting_max = 2048;  // message 1s that wait for their message 3 then
  std::uint32_t cookie_message_max = 2048;  // octets of such a message 1
  std::uint32_t source_rate = 20;           // message 1s a second from one address
  std::uint32_t source_burst = 50;
  std::uint32_t sources_max = 4096;           // addresses whose rate is remembered
  std::uint32_t stranger_answers_per_second = 20;  // errors told to those who have proved nothing
  std::uint32_t duplicates_max = 32;          // answers to copies of one message
  std::uint32_t main_modes_per_peer_max = 16;  // established at a time; the oldest gives way
  std::uint32_t quick_modes_per_peer_max = 64;  // begun by the peer and not finished, under one main mode SA
  std::uint32_t quick_modes_done_kept = 32;     // finished ones that still answer duplicates
  std::uint32_t message_ids_max = 4096;         // remembered under one main mode SA
  // Fragments of IKE messages.
  std::uint32_t fragment_size = 1280;  // octets of an IP packet above which we cut, where the peer can
  std::uint32_t fragments_per_message_max = 64;
  std::uint32_t fragment_message_max = 65535;  // octets
  std::uint32_t fragment_messages_per_peer_max = 4;
  std::uint32_t fragment_octets_max = 4 << 20;  // of all peers
  std::chrono::milliseconds fragment_life{70000};  // MS-IKEE 3.3
};

struct Config {
  std::string pfkey_socket;
  std::string natt_socket;
  std::uint16_t port = 500;
  std::string log_level = "info";
  IkeLimits limits;
  std::vector<std::shared_ptr<const Connection>> connections;
};

/// Parses the text; `file` is for messages. Errors: kBadConfig, "FILE:LINE: what".
Result<Config> parse_config(std::string_view text, std::string_view file);

/// Reads a file, which nobody but its owner may read or write since it holds secrets.
/// Errors: kIo, kPermission, kBadConfig.
Result<Config> load_config(const std::string& path);

}  // namespace esplanade::ike
