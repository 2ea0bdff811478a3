#include "host/espd/policy.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace esplanade::espd {

namespace {

// Whether the first `bits` bits agree.
bool same_bits(ByteView a, ByteView b, unsigned bits) {
  const std::size_t whole = bits / 8;
  if (!std::equal(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(whole), b.begin())) return false;
  if (bits % 8 == 0) return true;
  return ((a[whole] ^ b[whole]) >> (8 - bits % 8)) == 0;
}

struct NamedProtocol {
  std::string_view name;
  std::uint8_t number;
};
constexpr NamedProtocol kProtocols[] = {{"icmp", 1}, {"tcp", 6}, {"udp", 17}, {"ipv6-icmp", 58}, {"sctp", 132}};

template <class T>
bool read_number(std::string_view text, T& out) {
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), out);
  return ec == std::errc() && end == text.data() + text.size();
}

// 0: no.
std::uint8_t protocol_from(std::string_view text) {
  const auto* named = std::ranges::find(kProtocols, text, &NamedProtocol::name);
  if (named != std::end(kProtocols)) return named->number;
  std::uint8_t number = 0;
  return read_number(text, number) ? number : 0;
}

// Does one end fit? Protocol and ports only where the selector asks for them.
enum class Fit : std::uint8_t { kNo, kYes, kUnclear };
Fit fit(const TrafficSelector& ts, const esp::IpAddress& address, const Flow& flow, std::uint16_t Flow::Ports::*port) {
  if (!ts.prefix.contains(address)) return Fit::kNo;
  if (ts.protocol == 0) return Fit::kYes;
  if (flow.protocol == 0 && flow.unclear) return Fit::kUnclear;
  if (ts.protocol != flow.protocol) return Fit::kNo;
  if (ts.ports.any()) return Fit::kYes;
  if (!flow.ports) return Fit::kUnclear;
  return ts.ports.contains((*flow.ports).*port) ? Fit::kYes : Fit::kNo;
}

}  // namespace

std::size_t hash_of(const Flow& flow) {
  std::uint64_t hash = std::uint64_t{flow.protocol} << 32 | (flow.ports ? std::uint64_t{flow.ports->src} << 16 | flow.ports->dst : 0);
  for (const ByteView octets : {flow.src.bytes(), flow.dst.bytes()}) {
    for (std::size_t at = 0; at < octets.size(); at += 4) hash = (hash ^ load_be32(&octets[at])) * 0x9e3779b97f4a7c15 + (hash >> 29);
  }
  return static_cast<std::size_t>(hash >> 40);
}

bool has_ports(std::uint8_t protocol) { return protocol == 6 || protocol == 17 || protocol == 33 || protocol == 132 || protocol == 136; }

bool Prefix::contains(const esp::IpAddress& a) const {
  return a.version == address.version && same_bits(a.octets, address.octets, len);
}

Result<Prefix> parse_prefix(std::string_view text) {
  const std::size_t slash = text.find('/');
  ESPLANADE_TRY(address, esp::parse_address(text.substr(0, slash)));
  const unsigned most = address.version == 4 ? 32 : 128;
  unsigned len = most;
  if (slash != std::string_view::npos) {
    const std::string_view digits = text.substr(slash + 1);
    const auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), len);
    if (ec != std::errc() || end != digits.data() + digits.size() || len > most) {
      return Error{Errc::kMalformed, fmt::format("prefix length is not a number from 0 to {}", most)};
    }
  }
  Prefix out{address, static_cast<std::uint8_t>(len)};
  esp::IpAddress network = address;
  for (unsigned bit = len; bit < most; ++bit)
    network.octets[bit / 8] &= static_cast<Byte>(~(0x80U >> (bit % 8)));
  if (network != address) {
    return Error{Errc::kMalformed,
                 fmt::format("has bits set past its length: write {}/{}", esp::to_string(network), len)};
  }
  return out;
}

std::string to_string(const Prefix& prefix) {
  return fmt::format("{}/{}", esp::to_string(prefix.address), prefix.len);
}

Result<TrafficSelector> parse_selector(std::string_view text) {
  TrafficSelector out;
  const std::size_t open = text.find('[');
  ESPLANADE_TRY(prefix, parse_prefix(text.substr(0, open)));
  out.prefix = prefix;
  if (open == std::string_view::npos) return out;
  if (!text.ends_with(']')) return Error{Errc::kMalformed, "has no ']' at its end"};
  const std::string_view inside = text.substr(open + 1, text.size() - open - 2);
  const std::size_t slash = inside.find('/');
  out.protocol = protocol_from(inside.substr(0, slash));
  if (out.protocol == 0) return Error{Errc::kMalformed, "names a protocol that is neither tcp, udp, sctp, icmp, ipv6-icmp nor a number from 1 to 255"};
  if (slash == std::string_view::npos) return out;
  const std::string_view ports = inside.substr(slash + 1);
  const std::size_t dash = ports.find('-');
  const bool good = read_number(ports.substr(0, dash), out.ports.first) &&
                    (dash == std::string_view::npos ? (out.ports.last = out.ports.first, true) : read_number(ports.substr(dash + 1), out.ports.last)) &&
                    out.ports.first <= out.ports.last;
  if (!good) return Error{Errc::kMalformed, "has a port that is neither a number from 0 to 65535 nor a range like 5000-5999"};
  if (!has_ports(out.protocol)) return Error{Errc::kMalformed, "has a port, but its protocol has none"};
  return out;
}

std::string to_string(const TrafficSelector& selector) {
  std::string out = to_string(selector.prefix);
  if (selector.protocol == 0) return out;
  const auto* named = std::ranges::find(kProtocols, selector.protocol, &NamedProtocol::number);
  out += "[" + (named != std::end(kProtocols) ? std::string(named->name) : std::to_string(selector.protocol));
  if (!selector.ports.any()) {
    out += fmt::format("/{}", selector.ports.first);
    if (selector.ports.last != selector.ports.first) out += fmt::format("-{}", selector.ports.last);
  }
  return out + "]";
}

const char* action_name(Action action) {
  switch (action) {
    case Action::kProtect:
      return "protect";
    case Action::kBypass:
      return "bypass";
    case Action::kDiscard:
      return "discard";
  }
  return "?";
}

const char* ipsec_name(Ipsec ipsec) {
  switch (ipsec) {
    case Ipsec::kEsp:
      return "esp";
    case Ipsec::kAh:
      return "ah";
    case Ipsec::kAhEsp:
      return "ah+esp";
  }
  return "?";
}

void PolicyTable::replace(std::vector<Policy> policies) {
  policies_ = std::move(policies);
  by_reqid_.clear();
  Remembered nothing;
  nothing.flow.src.version = 0;  // no packet's
  remembered_.assign(kRemembered, nothing);
  for (std::size_t i = 0; i < policies_.size(); ++i) {
    if (policies_[i].action == Action::kProtect) by_reqid_.emplace(policies_[i].reqid, i);
  }
}

PolicyTable::Match PolicyTable::match(const Flow& outbound) const {
  Remembered& place = remembered_[hash_of(outbound) % kRemembered];
  if (place.flow != outbound) place = {outbound, search(outbound)};
  return place.match;
}

PolicyTable::Match PolicyTable::search(const Flow& outbound) const {
  for (const Policy& p : policies_) {
    const Fit local = fit(p.local_ts, outbound.src, outbound, &Flow::Ports::src);
    if (local == Fit::kNo) continue;
    const Fit remote = fit(p.remote_ts, outbound.dst, outbound, &Flow::Ports::dst);
    if (remote == Fit::kNo) continue;
    if (local == Fit::kUnclear || remote == Fit::kUnclear) return {nullptr, true};
    return {&p, false};
  }
  return {};
}

const Policy* PolicyTable::by_reqid(std::uint32_t reqid) const {
  const auto found = by_reqid_.find(reqid);
  return found == by_reqid_.end() ? nullptr : &policies_[found->second];
}

bool PolicyTable::inbound_allowed(const Policy& policy, const Flow& inbound) const {
  return match(inbound.reversed()).policy == &policy;
}

bool covers(const Policy& a, const Policy& b) {
  const auto end_covers = [](const TrafficSelector& x, const TrafficSelector& y) {
    return x.prefix.contains(y.prefix) && (x.protocol == 0 || x.protocol == y.protocol) && x.ports.contains(y.ports);
  };
  return end_covers(a.local_ts, b.local_ts) && end_covers(a.remote_ts, b.remote_ts);
}

}  // namespace esplanade::espd
