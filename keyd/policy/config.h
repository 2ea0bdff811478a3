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
  DpdAction dpd_action = DpdAction::kTrap;
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
  std::chrono::seconds dpd_delay{30};  // of silence before a peer is asked; 0: no dead peer detection
  std::chrono::seconds dpd_timeout{150};
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
  // Begun by us and neither finished nor sent again, under one main mode SA; the others wait. strongSwan keeps the state of three, finished ones counted, and
  // looks at messages in any order: it may see the first ones of three new quick modes before the last one of an old, which it then
  // has forgotten. With one at a time it has state to spare. Another keyd takes as many as quick_modes_per_peer_max.
  std::uint32_t quick_modes_at_once = 1;
  std::uint32_t quick_modes_at_once_keyd = 16;
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
