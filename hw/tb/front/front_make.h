// Random SAs and IP packets for the front's tests.
#pragma once

#include "common/esp/ip.h"
#include "hw/tb/front/front_bench.h"

namespace esplanade::tb {

inline esp::SaParams make_sa(Random& random, bool ah, bool transport, int version, bool natt, esp::Cipher cipher, esp::Auth auth) {
  esp::SaParams sa;
  sa.protocol = ah ? esp::Protocol::kAh : esp::Protocol::kEsp;
  sa.mode = transport ? esp::Mode::kTransport : esp::Mode::kTunnel;
  sa.spi = static_cast<std::uint32_t>(random.between(256, 0xffffffff));
  sa.cipher = ah ? esp::Cipher::kNull : cipher;
  sa.auth = auth;
  sa.enc_key = Secret(Bytes(random.octets(esp::key_len(sa.cipher))));
  sa.auth_key = Secret(Bytes(random.octets(esp::key_len(auth))));
  sa.src.version = sa.dst.version = static_cast<std::uint8_t>(version);
  const std::size_t n = version == 4 ? 4 : 16;
  random.fill(std::span(sa.src.octets).first(n));
  random.fill(std::span(sa.dst.octets).first(n));
  if (natt) sa.natt = esp::Natt{static_cast<std::uint16_t>(random.bits()), static_cast<std::uint16_t>(random.bits())};
  sa.seq = random.between(0, 0xfffffff0);
  sa.replay_window = 64;
  sa.check_outer = false;
  sa.ttl = static_cast<std::uint8_t>(random.bits());
  sa.ip_id = static_cast<std::uint16_t>(random.bits());
  sa.df = static_cast<esp::DfPolicy>(random.between(0, 2));
  if (random.percent(30)) sa.dscp = static_cast<std::uint8_t>(random.between(0, 63));
  sa.ecn_copy = random.percent(70);
  return sa;
}

/// Sets lengths and the IPv4 checksum to what the packet is.
inline void set_lengths(Bytes& packet) {
  if (packet[0] >> 4 == 4) {
    store_be16(&packet[2], static_cast<std::uint16_t>(packet.size()));
    const std::size_t header = std::size_t{packet[0] & 15u} * 4;
    if (header >= 20 && header <= packet.size()) store_be16(&packet[10], esp::ipv4_checksum(ByteView(packet).first(header)));
  } else {
    store_be16(&packet[4], static_cast<std::uint16_t>(packet.size() - 40));
  }
}

/// A whole IP packet of `len` octets with `options` octets of IPv4 options or IPv6 extension headers in `extra`.
inline Bytes make_plain(Random& random, int version, std::size_t len, Byte protocol = 6, const Bytes& extra = {}, Byte first_extra = 0) {
  Bytes p = random.octets(len);
  if (version == 4) {
    p[0] = static_cast<Byte>(0x45 + extra.size() / 4);
    p[6] &= 0x40;
    p[7] = 0;
    p[9] = protocol;
    std::ranges::copy(extra, p.begin() + 20);
  } else {
    p[0] = static_cast<Byte>(0x60 | (p[0] & 15));
    p[6] = extra.empty() ? protocol : first_extra;
    std::ranges::copy(extra, p.begin() + 40);
  }
  set_lengths(p);
  return p;
}

/// IPv4 options, padded to a multiple of 4; `wild`: also such as are wrong.
inline Bytes make_options(Random& random, bool wild) {
  Bytes out;
  const std::size_t room = random.between(1, 10) * 4;
  while (out.size() < room) {
    static constexpr Byte kTypes[] = {7, 68, 130, 131, 133, 134, 136, 137, 148, 149, 82, 200};
    const Byte type = random.percent(15) ? 1 : kTypes[random.between(0, std::size(kTypes) - 1)];
    if (type == 1 || room - out.size() < 3) {
      out.push_back(random.percent(90) ? 1 : 0);
      continue;
    }
    std::size_t len = random.between(2, std::min<std::size_t>(room - out.size(), 15));
    if ((type == 131 || type == 137) && random.percent(80)) len = std::min<std::size_t>(room - out.size(), 3 + 4 * random.between(1, 4));
    Bytes option = random.octets(len);
    option[0] = type;
    option[1] = static_cast<Byte>(wild && random.percent(20) ? random.between(0, len + 3) : len);
    if (len > 2) option[2] = static_cast<Byte>(random.between(0, len + 2));
    out.insert(out.end(), option.begin(), option.end());
  }
  return out;
}

/// A chain of IPv6 hop-by-hop, destination options and routing headers that ends with `protocol`.
inline Bytes make_extensions(Random& random, Byte& first, Byte protocol, bool wild) {
  Bytes out;
  std::size_t next_at = 0;
  for (std::size_t n = random.between(1, 3), i = 0; i < n; ++i) {
    static constexpr Byte kTypes[] = {0, 60, 43};
    const Byte type = kTypes[random.between(0, 2)];
    (i == 0 ? first : out[next_at]) = type;
    Bytes h;
    if (type == 43) {
      const std::size_t addresses = random.between(0, i == 0 ? 4 : 2);
      h = random.octets(8 + 16 * addresses + (random.percent(10) ? 8 : 0));
      h[2] = wild && random.percent(15) ? 2 : 0;
      h[3] = static_cast<Byte>(random.between(0, addresses + (wild ? 1 : 0)));
    } else {
      h = random.octets(8 * random.between(1, 3));
      for (std::size_t at = 2; at < h.size();) {
        if (random.percent(20) || h.size() - at < 2) {
          h[at++] = 0;
          continue;
        }
        if (h[at] == 0) h[at] = 1;
        const std::size_t len = random.between(0, std::min<std::size_t>(h.size() - at - 2, 12));
        h[at + 1] = static_cast<Byte>(len + (wild && random.percent(10) ? 9 : 0));
        at += 2 + len;
      }
    }
    h[1] = static_cast<Byte>(h.size() / 8 - 1);
    next_at = out.size();
    out.insert(out.end(), h.begin(), h.end());
  }
  out[next_at] = protocol;
  return out;
}

}  // namespace esplanade::tb
