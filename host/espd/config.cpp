#include "host/espd/config.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <toml++/toml.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>

#include "common/pfkey/socket.h"
#include "host/espd/path_mtu.h"
#include "host/espd/tun.h"

namespace esplanade::espd {

namespace {

constexpr std::size_t kMaxFile = 1U << 20;
constexpr std::size_t kMaxPolicies = 1024;
constexpr std::size_t kMaxSocketPath = 107;  // sun_path less its 0

// One TOML table, read key by key. The first error stays, with its place; done() refuses keys that nobody
// asked for.
class Table {
 public:
  Table(const toml::table& table, const std::string& file, std::optional<Error>& error)
      : table_(table), file_(file), error_(error) {}

  void fail_at(const toml::node& node, std::string_view key, std::string_view why) {
    if (error_) return;
    const auto at = node.source().begin;
    error_ = Error{Errc::kBadConfig,
                   fmt::format("{}:{}:{}: {}: {}", file_, at.line, at.column, printable(key), why)};
  }
  void fail(std::string_view key, std::string_view why) {
    const toml::node* node = table_.get(key);
    fail_at(node != nullptr ? *node : table_, key, why);
  }
  const toml::node* get(std::string_view key, bool required = false) {
    asked_.emplace(key);
    const toml::node* node = table_.get(key);
    if (node == nullptr && required) fail(key, "is missing");
    return node;
  }
  std::optional<std::string> text(std::string_view key, bool required = false) {
    const toml::node* node = get(key, required);
    if (node == nullptr) return std::nullopt;
    auto value = node->value_exact<std::string>();
    if (!value) fail(key, "is not a string");
    return value;
  }
  std::optional<std::int64_t> integer(std::string_view key, std::int64_t least, std::int64_t most,
                                      bool required = false) {
    const toml::node* node = get(key, required);
    if (node == nullptr) return std::nullopt;
    const auto value = node->value_exact<std::int64_t>();
    if (value && *value >= least && *value <= most) return value;
    fail(key, fmt::format("is not an integer from {} to {}", least, most));
    return std::nullopt;
  }
  std::optional<bool> boolean(std::string_view key) {
    const toml::node* node = get(key);
    if (node == nullptr) return std::nullopt;
    const auto value = node->value_exact<bool>();
    if (!value) fail(key, "is neither true nor false");
    return value;
  }
  /// One of the words, by its index.
  std::optional<std::size_t> word(std::string_view key, const std::vector<std::string_view>& words) {
    const auto value = text(key);
    if (!value) return std::nullopt;
    const auto found = std::ranges::find(words, *value);
    if (found != words.end()) return static_cast<std::size_t>(found - words.begin());
    fail(key, fmt::format("is not one of {}", fmt::join(words, ", ")));
    return std::nullopt;
  }
  /// A required value of text that `read` turns into a T.
  template <class T>
  T parsed(std::string_view key, Result<T> (*read)(std::string_view)) {
    const auto value = text(key, true);
    if (!value) return {};
    auto result = read(*value);
    if (result) return *result;
    fail(key, result.error().detail);
    return {};
  }
  void done() {
    for (auto&& [key, node] : table_) {
      if (!asked_.contains(key.str())) fail_at(node, key.str(), "is not a known key here");
    }
  }

 private:
  const toml::table& table_;
  const std::string& file_;
  std::optional<Error>& error_;
  std::set<std::string, std::less<>> asked_;
};

void read_tun(Table t, Config& c) {
  if (auto name = t.text("name")) {
    // IFNAMSIZ less the 0; the kernel would expand a '%'.
    const bool fits =
        !name->empty() && name->size() <= 15 && *name != "." && *name != ".." &&
        name->find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") ==
            std::string::npos;
    if (!fits) t.fail("name", "is not an interface name of 1 to 15 letters, digits, '-', '_' or '.'");
    c.tun_name = *name;
  }
  // 576: RFC 791 s3.2. 8,900: a result of up to 9,000 octets still fits the card's buffers.
  if (auto mtu = t.integer("mtu", 576, 8900)) c.tun_mtu = static_cast<int>(*mtu);
  if (auto n = t.integer("threads", 0, Tun::kMaxQueues)) c.tun_threads = static_cast<std::size_t>(*n);
  // 253 to 255 are the system's tables; priority 32766 is the main one's.
  if (auto table = t.integer("table", 256, 32765)) c.table = static_cast<std::uint32_t>(*table);
  t.done();
}

// What binds a policy to its SAs.
void read_protection(Table& t, Policy& p) {
  p.reqid = static_cast<std::uint32_t>(t.integer("reqid", 1, UINT32_MAX, true).value_or(0));
  p.local = t.parsed("local", esp::parse_address);
  p.any_peer = t.text("peer", true) == "any";
  if (p.any_peer) {
    p.peer.version = p.local.version;
  } else {
    p.peer = t.parsed("peer", esp::parse_address);
  }
  if (p.local.version != p.peer.version) t.fail("peer", "is not of the IP version of local");
  if (p.local == p.peer) t.fail("peer", "is the same address as local");
  if (auto i = t.word("mode", {"tunnel", "transport"})) p.mode = static_cast<esp::Mode>(*i);
  if (auto i = t.word("ipsec", {"esp", "ah", "ah+esp"})) p.ipsec = static_cast<Ipsec>(*i);
  if (auto i = t.word("udp_encap", {"auto", "always", "never"})) p.udp_encap = static_cast<UdpEncap>(*i);
  if (p.udp_encap == UdpEncap::kAlways && p.ipsec != Ipsec::kEsp) t.fail("udp_encap", "is \"always\", but AH has no form in UDP (RFC 3948)");
  if (auto i = t.word("fallback", {"none", "clear"})) p.fallback_clear = *i == 1;
  if (p.any_peer && p.mode == esp::Mode::kTransport) t.fail("peer", "is \"any\", but transport mode wants an address");
  if (p.any_peer && p.fallback_clear) t.fail("peer", "is \"any\", but who falls back to clear must know whom it asked");
  if (auto i = t.word("df", {"copy", "clear", "set"})) p.df = static_cast<esp::DfPolicy>(*i);
  if (auto mtu = t.integer("path_mtu", static_cast<std::int64_t>(least_mtu(p.peer.version)), 65535)) p.path_mtu = static_cast<std::size_t>(*mtu);
}

Policy read_policy(Table t) {
  Policy p;
  p.name = t.text("name", true).value_or("");
  if (p.name.empty() || p.name.size() > 64) t.fail("name", "is not a name of 1 to 64 octets");
  if (auto i = t.word("action", {"protect", "bypass", "discard"})) p.action = static_cast<Action>(*i);
  if (p.action == Action::kProtect) read_protection(t, p);
  p.local_ts = t.parsed("local_ts", parse_selector);
  p.remote_ts = t.parsed("remote_ts", parse_selector);
  if (p.local_ts.prefix.address.version != p.remote_ts.prefix.address.version)
    t.fail("remote_ts", "is not of the IP version of local_ts");
  if (p.local_ts.protocol != 0 && p.remote_ts.protocol != 0 && p.local_ts.protocol != p.remote_ts.protocol)
    t.fail("remote_ts", "names another protocol than local_ts");
  if (p.action == Action::kProtect && p.mode == esp::Mode::kTransport) {
    if (p.local_ts.prefix.len != p.local.bytes().size() * 8 || p.local_ts.prefix.address != p.local) t.fail("local_ts", "is not the address local alone, as transport mode wants it");
    if (p.remote_ts.prefix.len != p.peer.bytes().size() * 8 || p.remote_ts.prefix.address != p.peer) t.fail("remote_ts", "is not the address peer alone, as transport mode wants it");
  }
  // An IPv6 packet has no DF bit, for none of them may be cut.
  if (p.df == esp::DfPolicy::kCopy && p.local_ts.prefix.address.version == 6) p.df = esp::DfPolicy::kSet;
  t.done();
  return p;
}

/// "card": a name, or a list of names.
void read_cards(Table& top, Config& c) {
  const toml::node* node = top.get("card");
  if (node == nullptr) return;
  constexpr std::string_view kWrong = "is not \"sim\", \"soft\" or an XRT device, nor a list of 1 to 8 of them";
  c.cards.clear();
  const auto take = [&](const toml::node& name) {
    const auto text = name.value_exact<std::string>();
    if (!text || text->empty() || text->size() > 64) return top.fail_at(name, "card", kWrong);
    c.cards.push_back(*text);
  };
  if (const toml::array* list = node->as_array()) {
    if (list->empty() || list->size() > 8) return top.fail("card", kWrong);
    for (const toml::node& name : *list) take(name);
  } else {
    take(*node);
  }
}

void read_policies(Table& top, Config& c, const std::string& file, std::optional<Error>& error) {
  const toml::node* node = top.get("policy", true);
  if (node == nullptr) return;
  const toml::array* list = node->as_array();
  if (list == nullptr || !list->is_array_of_tables())
    return top.fail("policy", "is not a list of tables: write [[policy]]");
  if (list->size() > kMaxPolicies)
    return top.fail("policy", fmt::format("more than {} policies", kMaxPolicies));
  for (const toml::node& item : *list) {
    Table t(*item.as_table(), file, error);
    Policy p = read_policy(t);
    for (const Policy& other : c.policies) {
      if (other.name == p.name) t.fail("name", "is used by an earlier policy");
      if (p.action == Action::kProtect && other.action == Action::kProtect && other.reqid == p.reqid) t.fail("reqid", "is used by an earlier policy");
      if (covers(other, p)) t.fail("remote_ts", fmt::format("holds nothing that the earlier policy \"{}\" leaves over: this one would never get a packet", printable(other.name)));
    }
    c.policies.push_back(std::move(p));
  }
}

}  // namespace

Result<Config> parse_config(std::string_view text, const std::string& file) {
  toml::table table;
  try {
    table = toml::parse(text, file);
  } catch (const toml::parse_error& wrong) {
    const auto at = wrong.source().begin;
    return Error{Errc::kBadConfig,
                 fmt::format("{}:{}:{}: {}", file, at.line, at.column, printable(wrong.description(), 300))};
  }
  std::optional<Error> error;
  Config c;
  Table top(table, file, error);
  read_cards(top, c);
  if (auto n = top.integer("cards_in_use", 1, static_cast<std::int64_t>(c.cards.size()))) c.cards_in_use = static_cast<std::size_t>(*n);
  if (auto i = top.word("on_card_loss", {"recover", "drop"})) c.recover = *i == 0;
  if (c.cards_in_use > 1 && !c.recover) top.fail("cards_in_use", "is more than 1, which needs on_card_loss = \"recover\"");
  if (auto dir = top.text("run_dir")) {
    c.run_dir = *dir;
    if (dir->empty() || dir->front() != '/') top.fail("run_dir", "is not an absolute path");
    if (c.pfkey_socket().size() > kMaxSocketPath)
      top.fail("run_dir", "is too long: its sockets' paths may have 107 octets");
  }
  if (auto i = top.word("log_level", {"debug", "info", "warn", "error"}))
    c.log_level = static_cast<LogLevel>(*i);
  if (const toml::node* tun = top.get("tun")) {
    if (tun->is_table()) {
      read_tun(Table(*tun->as_table(), file, error), c);
    } else {
      top.fail("tun", "is not a table: write [tun]");
    }
  }
  if (auto on = top.boolean("guard")) c.guard = *on;
  if (auto i = top.word("on_stop", {"block", "open"})) c.block_on_stop = *i == 0;
  read_policies(top, c, file, error);
  top.done();
  if (error) return *error;
  return c;
}

std::optional<std::string> needs_restart(const Config& now, const Config& next) {
  if (now.cards != next.cards) return "card";
  if (now.cards_in_use != next.cards_in_use) return "cards_in_use";
  if (now.recover != next.recover) return "on_card_loss";
  if (now.run_dir != next.run_dir) return "run_dir";
  if (now.guard != next.guard) return "guard";
  if (now.tun_name != next.tun_name) return "tun.name";
  if (now.tun_mtu != next.tun_mtu) return "tun.mtu";
  if (now.tun_threads != next.tun_threads) return "tun.threads";
  if (now.table != next.table) return "tun.table";
  return std::nullopt;
}

Result<Config> load_config(const std::string& path) {
  const auto os_error = [&path] {
    return Error{errno == EACCES ? Errc::kPermission : Errc::kIo, path + ": " + std::strerror(errno)};
  };
  // Non-blocking, so that a pipe without a writer is not waited for.
  const pfkey::Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return os_error();
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return os_error();
  if (!S_ISREG(info.st_mode)) return Error{Errc::kBadConfig, path + ": is not a regular file"};
  std::string text(kMaxFile + 1, '\0');
  std::size_t have = 0;
  while (have < text.size()) {
    const ssize_t got = ::read(fd.get(), text.data() + have, text.size() - have);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return os_error();
    if (got == 0) break;
    have += static_cast<std::size_t>(got);
  }
  if (have > kMaxFile) return Error{Errc::kBadConfig, path + ": is larger than 1 MiB"};
  text.resize(have);
  return parse_config(text, path);
}

}  // namespace esplanade::espd
