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

esp::IpAddress address_at(ByteView packet, std::size_t at, std::uint8_t version) {
  esp::IpAddress out;
  out.version = version;
  std::ranges::copy(packet.subspan(at, version == 4 ? 4 : 16), out.octets.begin());
  return out;
}

}  // namespace

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

std::optional<Flow> flow_of(ByteView packet) {
  // Addresses stand at octets 12 and 16 of the 20 of IPv4 (RFC 791 s3.1), at 8 and 24 of the 40 of IPv6 (RFC
  // 8200 s3).
  if (packet.size() >= 20 && packet[0] >> 4 == 4)
    return Flow{address_at(packet, 12, 4), address_at(packet, 16, 4)};
  if (packet.size() >= 40 && packet[0] >> 4 == 6)
    return Flow{address_at(packet, 8, 6), address_at(packet, 24, 6)};
  return std::nullopt;
}

const Policy* PolicyTable::match_outbound(const Flow& flow) const {
  const auto found = std::ranges::find_if(policies_, [&](const Policy& p) {
    return p.local_ts.contains(flow.src) && p.remote_ts.contains(flow.dst);
  });
  return found == policies_.end() ? nullptr : &*found;
}

const Policy* PolicyTable::by_reqid(std::uint32_t reqid) const {
  const auto found = std::ranges::find(policies_, reqid, &Policy::reqid);
  return found == policies_.end() ? nullptr : &*found;
}

bool PolicyTable::inbound_allowed(const Policy& policy, const Flow& flow) {
  return policy.remote_ts.contains(flow.src) && policy.local_ts.contains(flow.dst);
}

}  // namespace esplanade::espd
