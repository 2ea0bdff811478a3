#include "keyd/holder/secrets_file.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "common/base/log.h"
#include "common/config/toml_reader.h"
#include "keyd/holder/private_file.h"

namespace esplanade::ike {
namespace {

constexpr std::size_t kFileMax = 1 << 20;
constexpr std::size_t kKeyFileMax = 1 << 16;
constexpr std::size_t kSecretMax = 4096;

void wipe_text(std::string& text) {
  wipe(MutableBytes(reinterpret_cast<Byte*>(text.data()), text.size()));
}

Result<Secret> base64_secret(std::string_view text) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  while (text.ends_with('=')) text.remove_suffix(1);
  if (text.size() % 4 == 1) return Error{Errc::kBadConfig, "base64 has a wrong length"};
  Bytes out;
  out.reserve(text.size());
  std::uint32_t bits = 0;
  int num_bits = 0;
  for (const char c : text) {
    const auto digit = kDigits.find(c);
    if (digit == kDigits.npos) return Error{Errc::kBadConfig, "base64 has a foreign character"};
    bits = (bits << 6) | static_cast<std::uint32_t>(digit);
    num_bits += 6;
    if (num_bits < 8) continue;
    num_bits -= 8;
    out.push_back(static_cast<Byte>(bits >> num_bits));
  }
  return Secret(std::move(out));
}

// "0xHEX", "0sBASE64", or the octets of the text as they are (UTF-8).
Result<Secret> secret_from_text(std::string_view text) {
  if (text.starts_with("0x")) {
    auto octets = from_hex(text.substr(2));
    if (!octets) return Error{Errc::kBadConfig, "hex has a wrong length or a foreign character"};
    return Secret(std::move(*octets));
  }
  if (text.starts_with("0s")) return base64_secret(text.substr(2));
  return Secret(ByteView(reinterpret_cast<const Byte*>(text.data()), text.size()));
}

void read_psk(TomlReader& in, Secrets& out) {
  PskEntry entry;
  for (const std::string& id : in.texts("id")) {
    if (id.empty() || id.size() > 255) return in.fail("id", "is empty or longer than 255 octets");
    entry.ids.push_back(id_from_text(id));
  }
  auto text = in.text("secret", true);
  if (!text) return;
  auto secret = secret_from_text(*text);
  wipe_text(*text);
  if (!secret) return in.fail("secret", secret.error().detail);
  if (secret->empty() || secret->size() > kSecretMax)
    return in.fail("secret", "is empty or longer than 4,096 octets");
  entry.secret = std::move(*secret);
  out.psks.push_back(std::move(entry));
}

Result<crypto::PrivateKey> key_from_file(const std::string& path) {
  ESPLANADE_TRY(pem, read_private_file(path, kKeyFileMax));
  auto key = crypto::PrivateKey::from_pem(pem.reveal());
  if (!key) return Error{key.error().code, fmt::format("{}: {}", path, key.error().detail)};
  return key;
}

void read_key(TomlReader& in, const std::string& name, const std::string& folder, Secrets& out) {
  auto file = in.text("file");
  if (file && !file->starts_with('/')) file->insert(0, folder);
  const auto uri = in.text("pkcs11");
  const auto module = in.text("module");
  auto pin_text = in.text("pin");
  Secret pin;
  if (pin_text) {
    pin = Secret(ByteView(reinterpret_cast<const Byte*>(pin_text->data()), pin_text->size()));
    wipe_text(*pin_text);
  }
  if (file.has_value() == uri.has_value()) return in.fail("file", "or pkcs11 names the key: one of the two");
  if (file && (module || pin_text)) return in.fail("file", "needs neither module nor pin");
  if (uri && !module) return in.fail("module", "is missing: the path of the token's PKCS #11 library");
  if (uri && !uri->starts_with("pkcs11:")) return in.fail("pkcs11", "is not a URI of RFC 7512, \"pkcs11:...\"");
  auto key = file ? key_from_file(*file) : crypto::PrivateKey::from_pkcs11(*uri, *module, pin);
  if (!key) return in.fail(file ? "file" : "pkcs11", key.error().detail);
  out.uses_token = out.uses_token || uri.has_value();
  out.keys.push_back({name, std::move(*key)});
}

void read_kerberos(TomlReader& in, Secrets& out) {
  KerberosSettings k;
  k.keytab = in.text("keytab").value_or("");
  k.ccache = in.text("ccache").value_or("");
  k.principal = in.text("principal").value_or("");
  if (!k.keytab.empty() && ::access(k.keytab.c_str(), R_OK) != 0) in.fail("keytab", "cannot be read");
  out.kerberos = std::move(k);
}

}  // namespace

Result<Secrets> parse_secrets(std::string_view text, std::string_view file) {
  Secrets out;
  const std::string folder(file.substr(0, file.rfind('/') + 1));
  ESPLANADE_CHECK(parse_toml(text, file, [&](TomlReader& in) {
    in.tables("ike", [&](const std::string&, TomlReader& t) { read_psk(t, out); });
    in.tables("private", [&](const std::string& name, TomlReader& t) { read_key(t, name, folder, out); });
    in.table("kerberos", [&](TomlReader& t) { read_kerberos(t, out); });
  }));
  return out;
}

Result<Secrets> load_secrets(const std::string& path) {
  ESPLANADE_TRY(octets, read_private_file(path, kFileMax));
  const ByteView text = octets.reveal();
  return parse_secrets({reinterpret_cast<const char*>(text.data()), text.size()}, path);
}

const Secret* find_psk(const Secrets& secrets, const Connection& connection) {
  const Secret* for_any = nullptr;
  for (const PskEntry& e : secrets.psks) {
    const bool named = std::ranges::any_of(e.ids, [&](const Id& id) {
      return (connection.remote && id == id_from_address(*connection.remote)) ||
             (connection.remote_id && id == *connection.remote_id);
    });
    if (named) return &e.secret;
    if (e.ids.empty() && for_any == nullptr) for_any = &e.secret;
  }
  return for_any;
}

namespace {

// What a connection lacks; null: nothing.
const char* lacks(const Secrets& secrets, const Connection& c) {
  switch (c.auth) {
    case AuthMethod::kPsk:
      return find_psk(secrets, c) != nullptr
                 ? nullptr
                 : "secret: add one under [ike] with its peer's address or identity as id";
    case AuthMethod::kPubkey:
      return std::ranges::any_of(secrets.keys, [&](const auto& e) { return e.key.belongs_to(c.certs.front()); })
                 ? nullptr
                 : "private key under [private] that belongs to its certificate";
    case AuthMethod::kGss:
      return secrets.kerberos ? nullptr : "credentials: [kerberos] is missing";
  }
  return "known method of authentication";
}

}  // namespace

Status check_secrets(const Secrets& secrets, const Config& config, const std::string& secrets_path) {
  for (const auto& c : config.connections)
    if (const char* what = lacks(secrets, *c))
      return Error{Errc::kBadConfig,
                   fmt::format("{}: the connection {} has no {}", secrets_path, printable(c->name), what)};
  return ok();
}

}  // namespace esplanade::ike
