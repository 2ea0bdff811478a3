#include "keyd/holder/local_holder.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "common/config/toml_reader.h"
#include "common/crypto/x509.h"

namespace esplanade::ike {
namespace {

struct PskEntry {
  std::vector<std::string> ids;  // of the peers; empty: any
  Secret secret;
};

Result<Secret> base64_secret(std::string_view text) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  while (text.ends_with('=')) text.remove_suffix(1);
  if (text.size() % 4 == 1) return Error{Errc::kBadConfig, "base64 has a wrong length"};
  Bytes out;
  out.reserve(text.size());
  std::uint32_t bits = 0;
  int num_bits = 0;
  for (char c : text) {
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

// RFC 2409 s5.4: in main mode the secret is found by the peer's address, for the identity arrives encrypted under
// it. An identity that the configuration fixes for that address serves as well.
const PskEntry* entry_for(const Connection& c, const std::vector<PskEntry>& entries) {
  auto names = [&](const std::string& text) {
    const Id id = id_from_text(text);
    return (c.remote && id == id_from_address(*c.remote)) || (c.remote_id && id == *c.remote_id);
  };
  for (const PskEntry& e : entries)
    if (std::ranges::any_of(e.ids, names)) return &e;
  auto any = std::ranges::find_if(entries, [](const PskEntry& e) { return e.ids.empty(); });
  return any == entries.end() ? nullptr : &*any;
}

Result<Secret> read_secret_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  Bytes text(64 * 1024);
  in.read(reinterpret_cast<char*>(text.data()), static_cast<std::streamsize>(text.size()));
  if (in.gcount() == 0) return Error{Errc::kIo, fmt::format("{}: cannot be read", path)};
  text.resize(static_cast<std::size_t>(in.gcount()));
  return Secret(std::move(text));
}

}  // namespace

Result<Secret> secret_from_text(std::string_view text) {
  if (text.starts_with("0x")) {
    auto octets = from_hex(text.substr(2));
    if (!octets) return Error{Errc::kBadConfig, "hex has a wrong length or a foreign character"};
    return Secret(std::move(*octets));
  }
  if (text.starts_with("0s")) return base64_secret(text.substr(2));
  return Secret(ByteView(reinterpret_cast<const Byte*>(text.data()), text.size()));
}

Result<LocalHolder> LocalHolder::load(const std::string& path, const Config& config) {
  struct stat st {};
  if (::stat(path.c_str(), &st) != 0)
    return Error{Errc::kIo, fmt::format("{}: cannot open: {}", path, std::strerror(errno))};
  if ((st.st_mode & 077) != 0)
    return Error{Errc::kPermission, fmt::format("{}: holds secrets, but others than its owner may use it (mode "
                                                "{:04o}): chmod 600 {}",
                                                path, st.st_mode & 07777, path)};
  LocalHolder holder;
  std::vector<PskEntry> entries;
  const std::string folder = path.substr(0, path.rfind('/') + 1);
  ESPLANADE_CHECK(read_toml(path, [&](TomlReader& in) {
    in.tables("ike", [&](const std::string&, TomlReader& t) {
      PskEntry entry;
      entry.ids = t.texts("id");
      auto text = t.text("secret", true);
      if (!text) return;
      auto secret = secret_from_text(*text);
      wipe(MutableBytes(reinterpret_cast<Byte*>(text->data()), text->size()));
      if (!secret) return t.fail("secret", secret.error().detail);
      if (secret->empty()) return t.fail("secret", "is empty");
      entry.secret = std::move(*secret);
      entries.push_back(std::move(entry));
    });
    in.tables("private", [&](const std::string&, TomlReader& t) {
      const std::string name = t.text("file", true).value_or("");
      auto pem = read_secret_file(name.starts_with('/') ? name : folder + name);
      if (!pem) return t.fail("file", pem.error().detail);
      auto key = crypto::RsaPrivateKey::from_pem(pem->reveal());
      if (!key) return t.fail("file", key.error().detail);
      Bytes id = key->public_key();
      holder.keys_.emplace(std::move(id), std::move(*key));
    });
  }));
  for (const auto& c : config.connections) {
    if (c->auth == AuthMethod::kPsk) {
      const PskEntry* entry = entry_for(*c, entries);
      if (entry == nullptr)
        return Error{Errc::kBadConfig, fmt::format("{}: connection {} has no secret: add one under [ike] with the "
                                                   "peer's address as id",
                                                   path, c->name)};
      holder.psk_.emplace(c->name, entry->secret.clone());
    } else if (c->auth == AuthMethod::kPubkey) {
      ESPLANADE_TRY(leaf, crypto::Certificate::parse(c->certs.front()));
      if (!holder.keys_.contains(leaf.public_key()))
        return Error{Errc::kBadConfig, fmt::format("{}: connection {} has no private key under [private]", path, c->name)};
    } else {
      return Error{Errc::kUnsupported, fmt::format("{}: connection {}: auth gss needs another holder", path, c->name)};
    }
  }
  return holder;
}

Result<Credential> LocalHolder::answer(const CredentialRequest& request) const {
  Credential out;
  if (const auto* psk = std::get_if<PskSkeyid>(&request.what)) {
    auto found = psk_.find(request.connection);
    if (found == psk_.end()) return Error{Errc::kBadAuth, "no pre-shared key for this connection"};
    out.octets = crypto::prf(psk->hash, found->second.reveal(), {psk->ni_b, psk->nr_b});
    return out;
  }
  if (const auto* sign = std::get_if<RsaSign>(&request.what)) {
    ESPLANADE_TRY(certificate, crypto::Certificate::parse(sign->certificate));
    auto found = keys_.find(certificate.public_key());
    if (found == keys_.end()) return Error{Errc::kBadAuth, "no private key for our certificate"};
    ESPLANADE_TRY(signature, found->second.sign_raw(sign->hash));
    out.octets = Secret(std::move(signature));
    return out;
  }
  return Error{Errc::kUnsupported, "no Kerberos credentials here"};
}

}  // namespace esplanade::ike
