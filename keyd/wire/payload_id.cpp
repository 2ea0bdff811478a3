#include "keyd/wire/payload_id.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>

#include "common/base/log.h"
#include "common/crypto/x509.h"

namespace esplanade::ike {
namespace {

// Octets of the data of an address type; 0 for the others.
std::size_t data_len(IdType type) {
  switch (type) {
    case IdType::kIpv4Addr:
      return 4;
    case IdType::kIpv4Subnet:
    case IdType::kIpv4Range:
      return 4 + 4;
    case IdType::kIpv6Addr:
      return 16;
    case IdType::kIpv6Subnet:
    case IdType::kIpv6Range:
      return 16 + 16;
    default:
      return 0;
  }
}

esp::IpAddress address_of(ByteView octets) {
  esp::IpAddress a;
  a.version = octets.size() == 4 ? 4 : 6;
  std::ranges::copy(octets, a.octets.begin());
  return a;
}

void set_range(Selector& s, const esp::IpAddress& base, std::size_t prefix_len) {
  s.first = base;
  s.last = base;
  for (std::size_t bit = prefix_len; bit < base.bytes().size() * 8; ++bit) {
    const Byte mask = static_cast<Byte>(0x80 >> (bit % 8));
    s.first.octets[bit / 8] = static_cast<Byte>(s.first.octets[bit / 8] & ~mask);
    s.last.octets[bit / 8] |= mask;
  }
}

// The prefix length when the range is a whole subnet.
std::optional<std::size_t> prefix_of(const Selector& s) {
  const std::size_t bits = s.first.bytes().size() * 8;
  std::size_t same = 0;
  auto bit = [](const esp::IpAddress& a, std::size_t i) { return (a.octets[i / 8] >> (7 - i % 8)) & 1; };
  while (same < bits && bit(s.first, same) == bit(s.last, same)) ++same;
  for (std::size_t i = same; i < bits; ++i)
    if (bit(s.first, i) != 0 || bit(s.last, i) != 1) return std::nullopt;
  return same;
}

template <class T>
bool parse_number(std::string_view text, T& out) {
  auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), out);
  return ec == std::errc() && end == text.data() + text.size();
}

}  // namespace

Result<Id> parse_id(ByteView body) {
  Reader in(body);
  Id id;
  ESPLANADE_TRY(type, in.u8("ID type"));
  ESPLANADE_TRY(protocol, in.u8("ID protocol"));
  ESPLANADE_TRY(port, in.u16("ID port"));
  ByteView data = body.subspan(in.offset());
  id.type = static_cast<IdType>(type);
  id.protocol = protocol;
  id.port = port;
  const std::size_t want = data_len(id.type);
  if (want != 0 && data.size() != want)
    return Error{Errc::kBadLength, "identification data has the wrong length for its type", 4};
  id.data.assign(data.begin(), data.end());
  return id;
}

Bytes build_id(const Id& id) {
  Bytes out{static_cast<Byte>(id.type), id.protocol};
  put_be16(out, id.port);
  put(out, id.data);
  return out;
}

Id id_from_address(const esp::IpAddress& address) {
  Id id;
  id.type = address.version == 4 ? IdType::kIpv4Addr : IdType::kIpv6Addr;
  id.data.assign(address.bytes().begin(), address.bytes().end());
  return id;
}

Id id_from_text(std::string_view text) {
  if (auto address = esp::parse_address(text)) return id_from_address(*address);
  Id id;
  id.type = IdType::kFqdn;
  if (text.starts_with('@')) {
    text.remove_prefix(1);
  } else if (text.find('@') != text.npos) {
    id.type = IdType::kUserFqdn;
  }
  id.data.assign(text.begin(), text.end());
  return id;
}

std::string to_string(const Id& id) {
  switch (id.type) {
    case IdType::kIpv4Addr:
    case IdType::kIpv6Addr:
      return esp::to_string(address_of(id.data));
    case IdType::kIpv4Subnet:
    case IdType::kIpv4Range:
    case IdType::kIpv6Subnet:
    case IdType::kIpv6Range: {
      auto s = selector_from_id(id);
      return s ? to_string(*s) : "malformed address range";
    }
    case IdType::kFqdn:
    case IdType::kUserFqdn:
      return printable({reinterpret_cast<const char*>(id.data.data()), id.data.size()});
    case IdType::kDerDn:
      return crypto::name_to_text(id.data);
    default: {
      const std::size_t shown = std::min<std::size_t>(id.data.size(), 32);
      return fmt::format("id type {} {}", static_cast<int>(id.type), to_hex(ByteView(id.data).first(shown)));
    }
  }
}

Result<Selector> selector_from_id(const Id& id) {
  Selector s;
  s.protocol = id.protocol;
  s.port = id.port;
  const ByteView data(id.data);
  const std::size_t half = data.size() / 2;
  if (data_len(id.type) == 0) return Error{Errc::kUnsupported, "identity is not an address, subnet or range"};
  if (data_len(id.type) != data.size())
    return Error{Errc::kBadLength, "identification data has the wrong length"};
  switch (id.type) {
    case IdType::kIpv4Addr:
    case IdType::kIpv6Addr:
      s.first = s.last = address_of(data);
      break;
    case IdType::kIpv4Subnet:
    case IdType::kIpv6Subnet: {
      ByteView mask = data.subspan(half);
      std::size_t ones = 0;
      while (ones < half * 8 && ((mask[ones / 8] >> (7 - ones % 8)) & 1) != 0) ++ones;
      for (std::size_t i = ones; i < half * 8; ++i)
        if (((mask[i / 8] >> (7 - i % 8)) & 1) != 0)
          return Error{Errc::kMalformed, "subnet mask is not contiguous", 4 + half};
      set_range(s, address_of(data.first(half)), ones);
      break;
    }
    default:
      s.first = address_of(data.first(half));
      s.last = address_of(data.subspan(half));
      if (std::ranges::lexicographical_compare(s.last.octets, s.first.octets))
        return Error{Errc::kMalformed, "address range ends before it begins", 4};
  }
  return s;
}

Id id_from_selector(const Selector& s) {
  const bool v4 = s.first.version == 4;
  const std::size_t len = s.first.bytes().size();
  Id id;
  id.protocol = s.protocol;
  id.port = s.port;
  id.data.assign(s.first.bytes().begin(), s.first.bytes().end());
  if (s.first == s.last) {
    id.type = v4 ? IdType::kIpv4Addr : IdType::kIpv6Addr;
  } else if (auto prefix = prefix_of(s)) {
    id.type = v4 ? IdType::kIpv4Subnet : IdType::kIpv6Subnet;
    for (std::size_t i = 0; i < len; ++i) {
      const std::size_t ones = std::clamp<std::size_t>(*prefix, i * 8, i * 8 + 8) - i * 8;
      id.data.push_back(static_cast<Byte>(0xff00 >> ones));
    }
  } else {
    id.type = v4 ? IdType::kIpv4Range : IdType::kIpv6Range;
    put(id.data, s.last.bytes());
  }
  return id;
}

Result<Selector> parse_selector(std::string_view text) {
  const Error bad{Errc::kBadConfig, "not an address, subnet or range like 10.1.0.0/16 or 10.1.0.0/16[6/443]"};
  Selector s;
  if (const auto open = text.find('['); open != text.npos) {
    if (!text.ends_with(']')) return bad;
    std::string_view inner = text.substr(open + 1, text.size() - open - 2);
    const auto slash = inner.find('/');
    if (slash != inner.npos && !parse_number(inner.substr(slash + 1), s.port)) return bad;
    if (!parse_number(inner.substr(0, slash), s.protocol)) return bad;
    text = text.substr(0, open);
  }
  if (const auto dash = text.find('-'); dash != text.npos) {
    auto first = esp::parse_address(text.substr(0, dash));
    auto last = esp::parse_address(text.substr(dash + 1));
    if (!first || !last || first->version != last->version) return bad;
    if (std::ranges::lexicographical_compare(last->octets, first->octets))
      return Error{Errc::kBadConfig, "address range ends before it begins"};
    s.first = *first;
    s.last = *last;
    return s;
  }
  const auto slash = text.find('/');
  auto base = esp::parse_address(text.substr(0, slash));
  if (!base) return bad;
  std::size_t prefix_len = base->bytes().size() * 8;
  if (slash != text.npos) {
    std::size_t given = 0;
    if (!parse_number(text.substr(slash + 1), given) || given > prefix_len) return bad;
    prefix_len = given;
  }
  set_range(s, *base, prefix_len);
  if (s.first != *base) return Error{Errc::kBadConfig, "subnet has bits set after its prefix"};
  return s;
}

std::string to_string(const Selector& s) {
  std::string out = esp::to_string(s.first);
  if (auto prefix = prefix_of(s); prefix && s.first != s.last) {
    out += fmt::format("/{}", *prefix);
  } else if (s.first != s.last) {
    out += "-" + esp::to_string(s.last);
  }
  if (s.protocol != 0 || s.port != 0) out += fmt::format("[{}/{}]", s.protocol, s.port);
  return out;
}

}  // namespace esplanade::ike
