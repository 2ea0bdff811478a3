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
  std::vector<ChildConfig> children;
  std::string source;  // its table in a canonical form: equal means unchanged
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
};

struct Config {
  std::string pfkey_socket;
  std::string natt_socket;
  std::uint16_t port = 500;
  std::string log_level = "info";
  bool log_json = false;
  std::string user = "keyd";  // whom the process that faces the network runs as
  std::string secrets_path = "/etc/esplanade/keyd-secrets.toml";
  std::string control_socket = "/run/esplanade/keyd.sock";
  IkeLimits limits;
  std::vector<std::shared_ptr<const Connection>> connections;
};

/// Parses the text; `file` is for messages. Errors: kBadConfig, "FILE:LINE: what".
Result<Config> parse_config(std::string_view text, std::string_view file);

/// Reads a file, which nobody but its owner may read or write since it holds secrets.
/// Errors: kIo, kPermission, kBadConfig.
Result<Config> load_config(const std::string& path);

}  // namespace esplanade::ike
