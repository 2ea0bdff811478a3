// The file of secrets, apart from keyd.toml so that the process that faces the network never sees it. Mode
// 0600; TOML, read strictly; docs/examples/keyd-secrets.toml is a commented example. Errors name file and line
// and never repeat a secret.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "common/crypto/private_key.h"
#include "keyd/policy/config.h"

namespace esplanade::ike {

struct PskEntry {       // [ike.NAME]
  std::vector<Id> ids;  // addresses and identities of the peers; empty: any peer
  Secret secret;
};

struct PrivateKeyEntry {  // [private.NAME]
  std::string name;
  crypto::PrivateKey key;
};

struct KerberosSettings {  // [kerberos]
  std::string keytab;      // path; empty: the system's
  std::string ccache;      // of the initiator's tickets; empty: got anew with the keytab for each negotiation
  std::string principal;   // whose entry of the keytab; empty: the first
};

struct Secrets {
  std::vector<PskEntry> psks;
  std::vector<PrivateKeyEntry> keys;
  std::optional<KerberosSettings> kerberos;
  bool uses_token = false;  // some key is on a PKCS #11 token
};

/// Parses the text and loads the private keys that it names, by names that start from the folder of `file`.
/// Errors: kBadConfig "FILE:LINE: what", which names a key's file or token where that one is the trouble.
Result<Secrets> parse_secrets(std::string_view text, std::string_view file);

/// Reads a file. Errors: kIo, kPermission, kBadConfig.
Result<Secrets> load_secrets(const std::string& path);

/// The pre-shared key of a connection: in main mode it is found by the peer's address, for the identity arrives
/// encrypted under it (RFC 2409 s5.4); an identity that the configuration fixes serves as well. An entry that
/// names the peer goes before one for any peer. Null when there is none.
const Secret* find_psk(const Secrets& secrets, const Connection& connection);

/// Every connection must find what it needs. Errors: kBadConfig, naming the connection.
Status check_secrets(const Secrets& secrets, const Config& config, const std::string& secrets_path);

}  // namespace esplanade::ike
