#include "keyd/policy/config.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "common/config/toml_reader.h"

namespace esplanade::ike {
namespace {

constexpr std::size_t kFileMax = 1 << 20;  // octets: a configuration of a thousand connections fits
constexpr std::int64_t kDay = 86400;

struct SecretEntry {
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

void read_selector(TomlReader& in, const char* key, Selector& out) {
  auto text = in.text(key, true);
  if (!text) return;
  if (auto selector = parse_selector(*text)) {
    out = *selector;
  } else {
    in.fail(key, selector.error().detail);
  }
}

void read_child(TomlReader& in, ChildConfig& c) {
  read_selector(in, "local_ts", c.local_ts);
  read_selector(in, "remote_ts", c.remote_ts);
  if (c.local_ts.first.version != c.remote_ts.first.version)
    in.fail("remote_ts", "is of another IP version than local_ts");
  if (auto mode = in.text("mode")) {
    c.transport = *mode == "transport";
    if (!c.transport && *mode != "tunnel") in.fail("mode", "is neither tunnel nor transport");
  }
  read_suites(in, "esp_proposals", "3des-sha1", parse_esp_suite, c.suites);
  // RFC 2409 s5.5: one group for all transforms of an offer.
  for (const QmSuite& s : c.suites)
    if (s.group != c.suites.front().group) in.fail("esp_proposals", "differ in their group");
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

void read_auth(TomlReader& in, std::optional<std::string>& id) {
  if (auto auth = in.text("auth"); auth && *auth != "psk")
    in.fail("auth", "is not psk, the one method so far");
  id = in.text("id");
  if (id && (id->empty() || id->size() > 255)) in.fail("id", "is empty or longer than 255 octets");
}

void read_connection(TomlReader& in, Connection& c, const std::vector<SecretEntry>& secrets) {
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
  if (auto v = in.seconds("dpd_delay", 0, kDay)) c.dpd_delay = std::chrono::seconds(*v);
  if (auto v = in.seconds("dpd_timeout", 1, kDay)) c.dpd_timeout = std::chrono::seconds(*v);
  std::optional<std::string> local_id, remote_id;
  in.table("local", [&](TomlReader& t) { read_auth(t, local_id); });
  in.table("remote", [&](TomlReader& t) { read_auth(t, remote_id); });
  c.local_id = local_id ? id_from_text(*local_id) : id_from_address(c.local);
  if (remote_id && *remote_id != "%any") c.remote_id = id_from_text(*remote_id);
  in.tables("children", [&](const std::string& name, TomlReader& t) {
    ChildConfig child;
    child.name = name;
    read_child(t, child);
    if (child.start == StartAction::kStart && !c.remote)
      t.fail("start_action", "start needs remote_addrs to be an address");
    c.children.push_back(std::move(child));
  });
  if (c.children.empty()) in.fail("children", "has no child");
  // RFC 2409 s5.4: in main mode the secret is found by the peer's address, for the identity arrives encrypted
  // under it. An identity that the configuration fixes for that address serves as well.
  const SecretEntry* chosen = nullptr;
  for (const SecretEntry& s : secrets) {
    const bool named = std::ranges::any_of(s.ids, [&](const std::string& id) {
      return (remote && id == *remote) || (remote_id && id == *remote_id);
    });
    if (named) {
      chosen = &s;
      break;
    }
    if (s.ids.empty() && chosen == nullptr) chosen = &s;
  }
  if (chosen == nullptr)
    return in.fail("remote_addrs", "has no secret: add one under [secrets] with this address as id");
  c.psk = chosen->secret.clone();
}

void read_secrets(TomlReader& in, std::vector<SecretEntry>& out) {
  in.tables("secrets", [&](const std::string&, TomlReader& t) {
    SecretEntry entry;
    entry.ids = t.texts("id");
    auto text = t.text("secret", true);
    if (!text) return;
    auto secret = secret_from_text(*text);
    wipe(MutableBytes(reinterpret_cast<Byte*>(text->data()), text->size()));
    if (!secret) return t.fail("secret", secret.error().detail);
    if (secret->empty()) return t.fail("secret", "is empty");
    entry.secret = std::move(*secret);
    out.push_back(std::move(entry));
  });
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
  number("cookie_threshold", 0, 1000000, c.limits.cookie_threshold);
  number("source_rate", 1, 1000000, c.limits.source_rate);
  number("source_burst", 1, 1000000, c.limits.source_burst);
  number("main_modes_per_peer_max", 1, 1000000, c.limits.main_modes_per_peer_max);
  number("quick_modes_per_peer_max", 1, 1000000, c.limits.quick_modes_per_peer_max);
  number("fragment_size", 256, 65535, c.limits.fragment_size);
}

void read_root(TomlReader& in, Config& c) {
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
  });
  in.table("ike", [&](TomlReader& t) { read_ike(t, c); });
  std::vector<SecretEntry> secrets;
  read_secrets(in, secrets);
  in.tables("connections", [&](const std::string& name, TomlReader& t) {
    auto connection = std::make_shared<Connection>();
    connection->name = name;
    read_connection(t, *connection, secrets);
    c.connections.push_back(std::move(connection));
  });
  if (c.connections.empty()) in.fail("connections", "has no connection");
}

}  // namespace

Result<Config> parse_config(std::string_view text, std::string_view file) {
  Config c;
  ESPLANADE_CHECK(parse_toml(text, file, [&c](TomlReader& in) { read_root(in, c); }));
  return c;
}

Result<Config> load_config(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return Error{Errc::kIo, fmt::format("{}: cannot open: {}", path, std::strerror(errno))};
  struct Closer {
    int fd;
    ~Closer() { ::close(fd); }
  } closer{fd};
  struct stat st {};
  if (::fstat(fd, &st) != 0) return Error{Errc::kIo, fmt::format("{}: {}", path, std::strerror(errno))};
  if (!S_ISREG(st.st_mode)) return Error{Errc::kIo, fmt::format("{}: is not a regular file", path)};
  if ((st.st_mode & 077) != 0)
    return Error{
        Errc::kPermission,
        fmt::format("{}: holds secrets, but others than its owner may use it (mode {:04o}): chmod 600 {}",
                    path, st.st_mode & 07777, path)};
  if (static_cast<std::uint64_t>(st.st_size) > kFileMax)
    return Error{Errc::kBadConfig, fmt::format("{}: is larger than {} octets", path, kFileMax)};
  std::string text(kFileMax + 1, '\0');
  std::size_t len = 0;
  for (ssize_t got = 1; got > 0 && len < text.size(); len += static_cast<std::size_t>(got)) {
    got = ::read(fd, text.data() + len, text.size() - len);
    if (got < 0) return Error{Errc::kIo, fmt::format("{}: {}", path, std::strerror(errno))};
  }
  auto config = parse_config(std::string_view(text).substr(0, std::min(len, kFileMax)), path);
  wipe(MutableBytes(reinterpret_cast<Byte*>(text.data()), text.size()));
  return config;
}

}  // namespace esplanade::ike
