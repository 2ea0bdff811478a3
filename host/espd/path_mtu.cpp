#include "host/espd/path_mtu.h"

#include <algorithm>

namespace esplanade::espd {

namespace {

constexpr std::chrono::seconds kLinkLife{5};
constexpr std::chrono::minutes kToldLife{10};       // RFC 1191 s6.3
constexpr std::size_t kWithoutRoute = 1500;         // nothing leaves then; any value will do

constexpr std::size_t kUdpHeader = 8;
constexpr std::size_t kEspHeader = 4 + 4;           // SPI, sequence number: RFC 4303 s2
constexpr std::size_t kEspTrailer = 1 + 1;          // pad length, next header

}  // namespace

std::size_t largest_inner(const Sa& sa, std::size_t mtu) {
  const std::size_t header = sa.src.version == 4 ? 20 : 40;
  const bool tunnel = sa.mode == esp::Mode::kTunnel;
  if (sa.id.protocol == esp::Protocol::kAh) return mtu - (tunnel ? header : 0) - kAhLen;
  const std::size_t around =
      header + (sa.natt ? kUdpHeader : 0) + kEspHeader + esp::iv_len(sa.cipher) + esp::icv_len(sa.auth);
  const std::size_t align = sa.cipher == esp::Cipher::kNull ? 4 : 8;  // RFC 4303 s2.4; block of DES
  const std::size_t payload = (mtu - around) / align * align - kEspTrailer;
  return tunnel ? payload : header + payload;
}

PathMtu::Path& PathMtu::looked_up(const esp::IpAddress& peer, Clock::time_point now) {
  Path& path = paths_[Key{peer.version, peer.octets}];
  if (now >= path.look_again) {
    path.link = std::max(link_mtu_(peer).value_or(kWithoutRoute), least_mtu(peer.version));
    path.look_again = now + kLinkLife;
  }
  return path;
}

std::size_t PathMtu::towards(const esp::IpAddress& peer, Clock::time_point now) {
  Path& path = looked_up(peer, now);
  if (path.told != 0 && now >= path.told_until) path.told = 0;
  return path.told == 0 ? path.link : std::min(path.told, path.link);
}

bool PathMtu::told(const esp::IpAddress& peer, std::size_t mtu, Clock::time_point now) {
  const std::size_t floored = std::max(mtu, least_mtu(peer.version));
  if (floored >= towards(peer, now)) return false;
  Path& path = looked_up(peer, now);
  path.told = floored;
  path.told_until = now + kToldLife;
  return true;
}

}  // namespace esplanade::espd
