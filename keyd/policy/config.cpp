#include "keyd/policy/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "common/base/log.h"
#include "common/config/toml_reader.h"
#include "common/crypto/hash.h"
#include "keyd/policy/identity.h"
#include "keyd/wire/payload_gss.h"

namespace esplanade::ike {
namespace {

constexpr std::int64_t kDay = 86400;
constexpr std::chrono::seconds kIdlePreset{300};

constexpr std::size_t kCertFileMax = 1 << 20;
constexpr std::size_t kCrlFileMax = 32 << 20;  // a large authority's list

Result<Bytes> read_file(const std::string& path, std::size_t most) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "re"), std::fclose);
  if (!file) return Error{Errc::kIo, fmt::format("{}: {}", printable(path), std::strerror(errno))};
  Bytes out(most + 1);
  out.resize(std::fread(out.data(), 1, out.size(), file.get()));
  if (std::ferror(file.get()) != 0)
    return Error{Errc::kIo, fmt::format("{}: {}", printable(path), std::strerror(errno))};
  if (out.size() > most)
    return Error{Errc::kBadConfig, fmt::format("{}: is larger than {} octets", printable(path), most)};
  return out;
}

// The objects in all files that `key` names.
std::vector<Bytes> read_objects(TomlReader& in, const char* key, const std::string& folder, std::size_t most,
                                Result<std::vector<Bytes>> (*split)(ByteView)) {
  std::vector<Bytes> out;
  for (const std::string& name : in.texts(key)) {
    const std::string path = name.starts_with('/') ? name : folder + name;
    auto octets = read_file(path, most);
    if (!octets) return in.fail(key, octets.error().detail), out;
    auto objects = split(*octets);
    if (!objects) return in.fail(key, fmt::format("{}: {}", printable(path), objects.error().detail)), out;
    out.insert(out.end(), objects->begin(), objects->end());
  }
  return out;
}

// A file with new contents under its old name changes the connection too.
void note_contents(Connection& c, const std::vector<Bytes>& objects) {
  for (const Bytes& o : objects) c.source += to_hex(crypto::hash(crypto::Hash::kSha1, {o}));
}

template <class T>
void read_suites(TomlReader& in, const char* key, const char* preset, Result<T> (*parse)(std::string_view),
                 std::vector<T>& out) {
  std::vector<std::string> names = in.texts(key);
  if (names.empty()) names = {preset};
  for (const std::string& name : names) {
    auto suite = parse(name);
    if (!suite) return in.fail(key, suite.error().detail);
    out.push_back(*suite);
  }
}

void read_selector(TomlReader& in, const char* key, std::optional<Selector>& out) {
  auto text = in.text(key, true);
  if (!text || *text == "dynamic") return;
  if (auto selector = parse_selector(*text)) {
    out = *selector;
  } else {
    in.fail(key, selector.error().detail);
  }
}

constexpr std::uint32_t kKeyKilobytesMax = 100000;  // R23: 100 MB under one key
constexpr std::chrono::seconds kShortQmLife{300};   // MS-FASP: the least that Windows takes

// What is allowed but deserves caution: R23, R106, R115.
void warn_of(const std::string& where, const Connection& connection, const ChildConfig& c,
             std::vector<std::string>& warnings) {
  auto warn = [&](std::string text) { warnings.push_back(fmt::format("{}: {}", where, text)); };
  if (c.life_kilobytes == 0 || c.life_kilobytes > kKeyKilobytesMax)
    warn(fmt::format("life_kbytes lets one key protect more than {} KB", kKeyKilobytesMax));
  if (connection.quick_modes_max() == 0 && c.life < kShortQmLife)
    warn("life_time is short and the connection has no qm_limit: many session keys from one master key");
  const Connection preset;
  const ChildConfig preset_child;
  const bool set = connection.life != preset.life || c.life != preset_child.life;
  if (set && std::max(connection.life, c.life) >= 4 * std::min(connection.life, c.life))
    warn(fmt::format("life_time of the connection ({} s) and of the child ({} s) are far apart",
                     connection.life.count(), c.life.count()));
}

void read_protocols(TomlReader& in, ChildConfig& c) {
  if (in.has("ah_proposals")) read_suites(in, "ah_proposals", "sha1", parse_ah_suite, c.ah_suites);
  if (in.has("esp_proposals") || c.ah_suites.empty())
    read_suites(in, "esp_proposals", "3des-sha1", parse_esp_suite, c.suites);
  c.bundle = in.boolean("bundle").value_or(false);
  if (c.bundle && (c.suites.empty() || c.ah_suites.empty()))
    in.fail("bundle", "needs both ah_proposals and esp_proposals");
  c.pfs = in.boolean("pfs").value_or(false);
}

void read_child(TomlReader& in, ChildConfig& c) {
  read_selector(in, "local_ts", c.local_ts);
  read_selector(in, "remote_ts", c.remote_ts);
  if (c.local_ts && c.remote_ts && c.local_ts->first.version != c.remote_ts->first.version)
    in.fail("remote_ts", "is of another IP version than local_ts");
  if (auto mode = in.text("mode")) {
    c.transport = *mode == "transport";
    if (!c.transport && *mode != "tunnel") in.fail("mode", "is neither tunnel nor transport");
  }
  read_protocols(in, c);
  if (auto v = in.seconds("life_time", 60, 30 * kDay)) c.life = std::chrono::seconds(*v);
  if (auto v = in.integer("life_kbytes", 0, 0x7fffffff)) c.life_kilobytes = static_cast<std::uint32_t>(*v);
  if (auto v = in.integer("reqid", 1, 0xffffffff)) c.reqid = static_cast<std::uint32_t>(*v);
  if (c.reqid == 0 && !in.has("reqid")) in.fail("reqid", "is missing (it names the policy of espd)");
  if (auto start = in.text("start_action")) {
    if (*start == "none")
      c.start = StartAction::kNone;
    else if (*start == "trap")
      c.start = StartAction::kTrap;
    else if (*start == "start")
      c.start = StartAction::kStart;
    else
      in.fail("start_action", "is none of: none, trap, start");
  }
  // MS-FASP: 300 to 3,600 s, 300 if nothing is said. Only traffic brings a pair back, so only "trap" has the
  // default.
  if (c.start == StartAction::kTrap) c.idle = kIdlePreset;
  if (auto v = in.seconds("idle_time", 0, 3600)) {
    if (*v != 0 && *v < 300) in.fail("idle_time", "is neither 0 (never) nor 300 to 3600 s");
    c.idle = std::chrono::seconds(*v);
  }
  if (auto action = in.text("dpd_action")) {
    if (*action == "clear")
      c.dpd_action = DpdAction::kClear;
    else if (*action == "trap")
      c.dpd_action = DpdAction::kTrap;
    else if (*action == "restart")
      c.dpd_action = DpdAction::kRestart;
    else
      in.fail("dpd_action", "is none of: clear, trap, restart");
  }
}

// One side's [local] or [remote].
struct Side {
  AuthMethod auth = AuthMethod::kPsk;
  std::optional<Id> id;  // none: not given, or "%any"
};

AuthMethod read_method(TomlReader& in) {
  const std::string name = in.text("auth").value_or("psk");
  if (name == "pubkey") return AuthMethod::kPubkey;
  if (name == "gss") return AuthMethod::kGss;
  if (name != "psk") in.fail("auth", "is none of: psk, pubkey, gss");
  return AuthMethod::kPsk;
}

void read_side(TomlReader& in, Side& side) {
  side.auth = read_method(in);
  auto text = in.text("id");
  if (!text) return;
  if (text->empty() || text->size() > 255) return in.fail("id", "is empty or longer than 255 octets");
  if (*text == "%any") return;
  if (text->find('=') == text->npos) {
    side.id = id_from_text(*text);
  } else if (auto name = crypto::name_from_text(*text)) {
    side.id = Id{IdType::kDerDn, 0, 0, std::move(*name)};
  } else {
    in.fail("id", name.error().detail);
  }
}

bool is_principal(std::string_view name, bool pattern) {
  return !name.empty() && name.size() <= kGssNameMax && name.find('@') != name.npos &&
         std::ranges::all_of(name, [&](char c) { return c > 0x20 && c < 0x7f && (pattern || c != '*'); });
}

void read_local(TomlReader& in, const std::string& folder, Connection& c, Side& side) {
  read_side(in, side);
  if (side.auth == AuthMethod::kPubkey) {
    c.certs = read_objects(in, "certs", folder, kCertFileMax, crypto::certificates_of_file);
    note_contents(c, c.certs);
    if (c.certs.empty()) return in.fail("certs", "is missing: the file with our certificate");
    if (c.certs.size() > crypto::kCertificatesMax) return in.fail("certs", "has more than 8 certificates");
    auto leaf = crypto::Certificate::parse(c.certs.front());
    if (!leaf) return in.fail("certs", leaf.error().detail);
    if (!side.id) side.id = Id{IdType::kDerDn, 0, 0, leaf->subject()};
    if (!certificate_has(*leaf, *side.id))
      in.fail("id", fmt::format("{} is neither subject nor subjectAltName of our certificate", to_string(*side.id)));
  } else if (side.auth == AuthMethod::kGss) {
    c.gss_name = in.text("gss_name", true).value_or("");
    if (!is_principal(c.gss_name, false))
      in.fail("gss_name", "is not a principal like host/gw.example@EXAMPLE.ORG");
  }
}

void read_remote(TomlReader& in, const std::string& folder, Connection& c, Side& side) {
  read_side(in, side);
  if (side.auth == AuthMethod::kPubkey) {
    const auto cacerts = read_objects(in, "cacerts", folder, kCertFileMax, crypto::certificates_of_file);
    const auto certs = read_objects(in, "certs", folder, kCertFileMax, crypto::certificates_of_file);
    const auto crls = read_objects(in, "crls", folder, kCrlFileMax, crypto::crls_of_file);
    for (const auto* objects : {&cacerts, &certs, &crls}) note_contents(c, *objects);
    if (cacerts.empty() && certs.empty())
      return in.fail("cacerts", "is missing: the authorities that may vouch for the peer (or certs: the peer's own)");
    for (const Bytes& der : certs) {
      auto certificate = crypto::Certificate::parse(der);
      if (!certificate) return in.fail("certs", certificate.error().detail);
      c.remote_certs.push_back(std::move(*certificate));
    }
    auto trust = crypto::TrustStore::create(cacerts, certs, crls);
    if (!trust) return in.fail("cacerts", trust.error().detail);
    c.trust = std::make_shared<const crypto::TrustStore>(std::move(*trust));
    const std::string revocation = in.text("revocation").value_or("relaxed");
    if (revocation == "strict")
      c.revocation = crypto::Revocation::kStrict;
    else if (revocation == "ifuri")
      c.revocation = crypto::Revocation::kIfUri;
    else if (revocation != "relaxed")
      in.fail("revocation", "is none of: strict, ifuri, relaxed");
  } else if (side.auth == AuthMethod::kGss) {
    if (side.id) in.fail("id", "does not go with auth gss: the peer is known by gss_name");
    c.gss_remote = in.texts("gss_name", true);
    for (const std::string& name : c.gss_remote)
      if (!is_principal(name, true))
        in.fail("gss_name", "is not a principal like host/gw.example@EXAMPLE.ORG or host/*@EXAMPLE.ORG");
  }
}

void read_connection(TomlReader& in, const std::string& folder, Connection& c) {
  auto local = in.text("local_addrs", true);
  auto remote = in.text("remote_addrs", true);
  if (local) {
    auto address = esp::parse_address(*local);
    if (address)
      c.local = *address;
    else
      in.fail("local_addrs", "is not an IP address");
  }
  if (remote && *remote != "%any") {
    auto address = esp::parse_address(*remote);
    if (address)
      c.remote = *address;
    else
      in.fail("remote_addrs", "is neither an IP address nor %any");
    if (address && local && address->version != c.local.version)
      in.fail("remote_addrs", "is of another IP version than local_addrs");
  }
  read_suites(in, "proposals", "3des-sha1-modp1024", parse_mm_suite, c.suites);
  if (auto v = in.seconds("life_time", 60, 30 * kDay)) c.life = std::chrono::seconds(*v);
  if (auto v = in.integer("life_kbytes", 0, 0x7fffffff)) c.life_kilobytes = static_cast<std::uint32_t>(*v);
  if (auto v = in.integer("qm_limit", 0, 0x7fffffff)) c.qm_limit = static_cast<std::uint32_t>(*v);
  c.master_key_pfs = in.boolean("master_key_pfs").value_or(false);
  if (auto v = in.seconds("dpd_delay", 0, kDay)) c.dpd_delay = std::chrono::seconds(*v);
  if (auto v = in.seconds("dpd_timeout", 1, kDay)) c.dpd_timeout = std::chrono::seconds(*v);
  Side local_side, remote_side;
  in.table("local", [&](TomlReader& t) { read_local(t, folder, c, local_side); });
  in.table("remote", [&](TomlReader& t) { read_remote(t, folder, c, remote_side); });
  if (local_side.auth != remote_side.auth)
    in.fail("remote", "has another auth than local: IKEv1 authenticates both ends with one method");
  c.auth = local_side.auth;
  c.local_id = local_side.id.value_or(id_from_address(c.local));
  c.remote_id = std::move(remote_side.id);
  in.tables("children", [&](const std::string& name, TomlReader& t) {
    ChildConfig child;
    child.name = name;
    read_child(t, child);
    if (child.start == StartAction::kStart && !c.remote)
      t.fail("start_action", "start needs remote_addrs to be an address");
    c.children.push_back(std::move(child));
  });
  if (c.children.empty()) in.fail("children", "has no child");
}

void read_ike(TomlReader& in, Config& c) {
  auto millis = [&](const char* key, std::int64_t least, std::int64_t most, std::chrono::milliseconds& out) {
    if (auto v = in.integer(key, least, most)) out = std::chrono::milliseconds(*v);
  };
  auto number = [&](const char* key, std::int64_t least, std::int64_t most, std::uint32_t& out) {
    if (auto v = in.integer(key, least, most)) out = static_cast<std::uint32_t>(*v);
  };
  if (auto v = in.integer("port", 1, 65535)) c.port = static_cast<std::uint16_t>(*v);
  millis("retransmit_base_ms", 50, 60000, c.limits.retransmit_base);
  number("retransmit_tries", 1, 20, c.limits.retransmit_tries);
  millis("half_open_life_ms", 1000, 600000, c.limits.half_open_life);
  number("half_open_max", 1, 1000000, c.limits.half_open_max);
  number("half_open_per_source_max", 1, 1000000, c.limits.half_open_per_source_max);
  millis("restart_delay_ms", 100, 3600000, c.limits.restart_delay);
  millis("keepalive_ms", 0, 3600000, c.limits.keepalive);
  millis("no_answer_ms", 100, 600000, c.limits.no_answer);
  number("cookie_threshold", 0, 1000000, c.limits.cookie_threshold);
  number("source_rate", 1, 1000000, c.limits.source_rate);
  number("source_burst", 1, 1000000, c.limits.source_burst);
  number("main_modes_per_peer_max", 1, 1000000, c.limits.main_modes_per_peer_max);
  number("quick_modes_per_peer_max", 1, 1000000, c.limits.quick_modes_per_peer_max);
  number("fragment_size", 256, 65535, c.limits.fragment_size);
}

void read_process(TomlReader& in, Config& c) {
  if (auto user = in.text("user")) c.user = *user;
  if (auto path = in.text("control")) c.control_socket = *path;
  if (c.user.empty()) in.fail("user", "is empty");
  if (c.control_socket.empty() || c.control_socket.size() > 107)
    in.fail("control", "is not a path of 1 to 107 octets");
}

void read_root(TomlReader& in, const std::string& folder, Config& c) {
  c.secrets_file = in.text("secrets").value_or("keyd-secrets.toml");
  if (!c.secrets_file.starts_with('/')) c.secrets_file.insert(0, folder);
  in.table("espd", [&](TomlReader& t) {
    c.pfkey_socket = t.text("pfkey", true).value_or("");
    c.natt_socket = t.text("natt", true).value_or("");
    for (const auto* path : {&c.pfkey_socket, &c.natt_socket})
      if (path->empty() || path->size() > 107)
        t.fail(path == &c.natt_socket ? "natt" : "pfkey", "is not a path of 1 to 107 octets");
  });
  if (!in.has("espd")) in.fail("espd", "is missing: keyd hands its SAs to espd");
  in.table("log", [&](TomlReader& t) {
    if (auto level = t.text("level")) c.log_level = *level;
    if (c.log_level != "debug" && c.log_level != "info" && c.log_level != "warn" && c.log_level != "error")
      t.fail("level", "is none of: debug, info, warn, error");
    if (auto format = t.text("format")) {
      c.log_json = *format == "json";
      if (!c.log_json && *format != "text") t.fail("format", "is neither text nor json");
    }
  });
  in.table("process", [&](TomlReader& t) { read_process(t, c); });
  in.table("ike", [&](TomlReader& t) { read_ike(t, c); });
  in.tables("connections", [&](const std::string& name, TomlReader& t) {
    auto connection = std::make_shared<Connection>();
    connection->name = name;
    connection->source = t.canonical();
    read_connection(t, folder, *connection);
    for (const ChildConfig& child : connection->children)
      warn_of(fmt::format("{}.children.{}", t.where(), child.name), *connection, child, c.warnings);
    c.connections.push_back(std::move(connection));
  });
  if (c.connections.empty()) in.fail("connections", "has no connection");
}

}  // namespace

Result<Config> parse_config(std::string_view text, std::string_view file) {
  Config c;
  const std::string folder(file.substr(0, file.rfind('/') + 1));  // npos + 1 is 0
  ESPLANADE_CHECK(parse_toml(text, file, [&](TomlReader& in) { read_root(in, folder, c); }));
  return c;
}

}  // namespace esplanade::ike
