// The configuration of keyd: a TOML file in the terms of strongSwan's swanctl.conf. docs/examples/keyd.toml
// is a commented example. Reading is strict: an unknown key, a wrong type or a value out of range is refused
// with file and line.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/crypto/x509.h"
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

enum class AuthMethod : std::uint8_t {
  kPsk,     // pre-shared key
  kPubkey,  // RSA signatures with X.509 certificates
  kGss,     // GSS-API with Kerberos V5
};
/// The attribute's value, RFC 2409 App. A.
constexpr std::uint16_t auth_value(AuthMethod method) {
  return method == AuthMethod::kPsk ? kAuthPsk : method == AuthMethod::kPubkey ? kAuthRsaSig : kAuthGssKerberos;
}

struct Connection {
  std::string name;
  esp::IpAddress local;
  std::optional<esp::IpAddress> remote;  // none: any peer (responder only)
  std::vector<MmSuite> suites;           // in order of preference
  AuthMethod auth = AuthMethod::kPsk;
  Id local_id;
  std::optional<Id> remote_id;  // none: any identity that is proved
  // kPubkey
  std::vector<Bytes> certs;                         // ours in DER, the leaf first
  std::vector<crypto::Certificate> remote_certs;    // pinned
  std::shared_ptr<const crypto::TrustStore> trust;  // never null
  crypto::Revocation revocation = crypto::Revocation::kRelaxed;
  // kGss: principals
  std::string gss_name;                 // ours
  std::vector<std::string> gss_remote;  // the peers allowed; * stands for any characters but '@'
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
  std::string secrets_file = "keyd-secrets.toml";  // what the holder of the secrets reads; relative to this file
  std::uint16_t port = 500;
  std::string log_level = "info";
  bool log_json = false;
  std::string user = "keyd";  // whom the process that faces the network runs as
  std::string control_socket = "/run/esplanade/keyd.sock";
  IkeLimits limits;
  std::vector<std::shared_ptr<const Connection>> connections;
};

/// Parses the text; `file` is for messages, and relative names of certificate files start from its folder.
/// Errors: kBadConfig, "FILE:LINE: what".
Result<Config> parse_config(std::string_view text, std::string_view file);

}  // namespace esplanade::ike
