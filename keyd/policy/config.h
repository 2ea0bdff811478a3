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
  std::optional<Selector> local_ts;   // none: "dynamic", our address towards the peer
  std::optional<Selector> remote_ts;  // none: "dynamic", the peer's address
  bool transport = false;
  std::vector<QmSuite> suites;     // ESP, in order of preference
  std::vector<QmSuite> ah_suites;  // AH
  bool bundle = false;             // AH and ESP together; else the two lists are alternatives, ESP first
  bool pfs = false;                // in the group of main mode (R38)
  std::chrono::seconds life{3600};
  std::uint32_t life_kilobytes = 100000;  // of 1,024 octets; 0: no limit
  std::chrono::seconds idle{0};           // without traffic the pair is removed; 0: never
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
  std::uint32_t life_kilobytes = 0;  // of IKE messages under one main mode SA; 0: no limit
  std::uint32_t qm_limit = 0;        // quick modes under one main mode SA; 0: no limit
  bool master_key_pfs = false;       // a main mode for every quick mode; qm_limit is then 1 (R27, R28)
  std::vector<ChildConfig> children;
  std::string source;  // its table in a canonical form: equal means unchanged

  /// Quick modes that one main mode SA may serve; 0: any number.
  std::uint32_t quick_modes_max() const { return master_key_pfs ? 1 : qm_limit; }
};

/// How long before the end of a life its renewal begins, at most 5 % of it (R8): long enough for two or three
/// retransmissions, or for all of them where the life allows.
constexpr std::chrono::milliseconds life_margin(std::chrono::seconds life) {
  return std::min<std::chrono::milliseconds>(std::chrono::milliseconds(life) / 20, std::chrono::seconds(60));
}

/// Limits of resources, and times. Defaults follow the facts of RFC and Windows practice.
struct IkeLimits {
  std::chrono::milliseconds retransmit_base{1000};  // then doubled
  std::uint32_t retransmit_tries = 5;
  std::chrono::milliseconds half_open_life{60000};
  std::uint32_t half_open_max = 500;
  std::uint32_t half_open_per_source_max = 35;
  std::chrono::milliseconds restart_delay{10000};  // of a child with start_action "start" after a failure
  std::chrono::milliseconds keepalive{20000};      // RFC 3948 s4; 0: none
  std::chrono::milliseconds no_answer{3000};       // a silent peer is reported to espd after this (R81)
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
  std::vector<std::string> warnings;  // settings that are allowed but deserve caution
};

/// Parses the text; `file` is for messages, and relative names of certificate files start from its folder.
/// Errors: kBadConfig, "FILE:LINE: what".
Result<Config> parse_config(std::string_view text, std::string_view file);

}  // namespace esplanade::ike
