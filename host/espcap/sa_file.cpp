#include "host/espcap/sa_file.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "common/base/log.h"
#include "common/config/toml_reader.h"

namespace esplanade::host {

bool Cidr::holds(const esp::IpAddress& address) const {
  if (address.version != prefix.version) return false;
  const std::size_t whole = length / 8;
  if (!std::ranges::equal(std::span(address.octets).first(whole), std::span(prefix.octets).first(whole))) return false;
  const int rest = length % 8;
  return rest == 0 || ((address.octets[whole] ^ prefix.octets[whole]) >> (8 - rest)) == 0;
}

Result<Cidr> parse_cidr(std::string_view text) {
  const std::size_t slash = text.find('/');
  ESPLANADE_TRY(address, esp::parse_address(text.substr(0, slash)));
  Cidr out{address, static_cast<std::uint8_t>(address.version == 4 ? 32 : 128)};
  if (slash == std::string_view::npos) return out;
  const std::string_view digits = text.substr(slash + 1);
  unsigned length = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
  if (error != std::errc() || end != digits.data() + digits.size() || length > out.length) return Error{Errc::kMalformed, "prefix length is not a number that fits"};
  out.length = static_cast<std::uint8_t>(length);
  return out;
}

namespace {
template <class T, std::size_t N>
std::optional<T> choose(TomlReader& t, std::string_view key, const std::pair<std::string_view, T> (&names)[N], T otherwise) {
  const auto text = t.text(key);
  if (!text) return otherwise;
  std::string all;
  for (const auto& [name, value] : names) {
    if (*text == name) return value;
    all += fmt::format("{}\"{}\"", all.empty() ? "" : ", ", name);
  }
  t.fail(key, "is none of " + all);
  return std::nullopt;
}

esp::IpAddress address(TomlReader& t, std::string_view key) {
  const auto text = t.text(key, true);
  if (!text) return {};
  auto parsed = esp::parse_address(*text);
  if (!parsed) t.fail(key, "is " + parsed.error().detail);
  return parsed ? *parsed : esp::IpAddress{};
}

std::optional<Cidr> cidr(TomlReader& t, std::string_view key) {
  const auto text = t.text(key);
  if (!text) return std::nullopt;
  auto parsed = parse_cidr(*text);
  if (!parsed) t.fail(key, "is not an address with a prefix length: " + parsed.error().detail);
  return parsed ? std::optional(*parsed) : std::nullopt;
}

Secret key(TomlReader& t, std::string_view name, bool required) {
  auto text = t.text(name, required);
  if (!text) return {};
  auto octets = from_hex(*text);
  wipe(MutableBytes(reinterpret_cast<Byte*>(text->data()), text->size()));
  if (!octets) {
    t.fail(name, fmt::format("is not a key in hex: {}", octets.error().detail));
    return {};
  }
  return Secret(std::move(*octets));
}

FileSa read_sa(TomlReader& t) {
  FileSa out;
  esp::SaParams& sa = out.params;
  t.text("direction", true);
  sa.outbound = choose(t, "direction", {std::pair<std::string_view, bool>{"out", true}, {"in", false}}, true).value_or(true);
  sa.protocol = choose(t, "protocol", {std::pair<std::string_view, esp::Protocol>{"esp", esp::Protocol::kEsp}, {"ah", esp::Protocol::kAh}}, sa.protocol).value_or(sa.protocol);
  sa.mode = choose(t, "mode", {std::pair<std::string_view, esp::Mode>{"tunnel", esp::Mode::kTunnel}, {"transport", esp::Mode::kTransport}}, sa.mode).value_or(sa.mode);
  sa.cipher = choose(t, "cipher", {std::pair<std::string_view, esp::Cipher>{"3des-cbc", esp::Cipher::kTripleDesCbc}, {"des-cbc", esp::Cipher::kDesCbc}, {"null", esp::Cipher::kNull}},
                     sa.protocol == esp::Protocol::kAh ? esp::Cipher::kNull : sa.cipher).value_or(sa.cipher);
  sa.auth = choose(t, "auth", {std::pair<std::string_view, esp::Auth>{"hmac-sha1-96", esp::Auth::kHmacSha1_96}, {"hmac-md5-96", esp::Auth::kHmacMd5_96}, {"none", esp::Auth::kNone}}, sa.auth).value_or(sa.auth);
  if (!t.has("spi")) t.fail("spi", "is missing");
  sa.spi = static_cast<std::uint32_t>(t.integer("spi", 256, 0xffffffff).value_or(256));
  sa.enc_key = key(t, "enc_key", sa.cipher != esp::Cipher::kNull);
  sa.auth_key = key(t, "auth_key", sa.auth != esp::Auth::kNone);
  sa.src = address(t, "src");
  sa.dst = address(t, "dst");
  sa.seq = static_cast<std::uint64_t>(t.integer("seq", 0, 0xffffffff).value_or(0));
  sa.replay_window = static_cast<std::uint16_t>(t.integer("replay_window", 0, 1024).value_or(sa.replay_window));
  t.table("natt", [&sa](TomlReader& n) {
    sa.natt.emplace();
    sa.natt->src_port = static_cast<std::uint16_t>(n.integer("src_port", 1, 65535).value_or(4500));
    sa.natt->dst_port = static_cast<std::uint16_t>(n.integer("dst_port", 1, 65535).value_or(4500));
  });
  out.from = cidr(t, "from");
  out.to = cidr(t, "to");
  if (const Status valid = validate(sa); !valid) t.fail("spi", valid.error().detail);
  return out;
}
}  // namespace

Result<std::vector<FileSa>> read_sa_file(const std::string& path) {
  struct stat file {};
  if (::stat(path.c_str(), &file) == 0 && (file.st_mode & 077) != 0) log_warn("{}: other users can read this file, and it holds keys: chmod 600 it", path);
  std::vector<FileSa> out;
  ESPLANADE_CHECK(read_toml(path, [&out](TomlReader& t) { t.array_of_tables("sa", [&out](TomlReader& sa) { out.push_back(read_sa(sa)); }); }));
  if (out.empty()) return Error{Errc::kBadConfig, path + ": no [[sa]] in it"};
  return out;
}

}  // namespace esplanade::host
