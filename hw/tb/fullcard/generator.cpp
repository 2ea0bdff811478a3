#include "hw/tb/fullcard/generator.h"

#include <algorithm>
#include <cstdlib>

#include "common/crypto/cbc.h"
#include "common/crypto/hash.h"
#include "common/esp/ip.h"

namespace esplanade::fullcard {

namespace reg = card::reg;

esp::SaParams copy_of(const esp::SaParams& sa) {
  esp::SaParams out;
  out.protocol = sa.protocol;
  out.mode = sa.mode;
  out.outbound = sa.outbound;
  out.spi = sa.spi;
  out.cipher = sa.cipher;
  out.auth = sa.auth;
  out.enc_key = sa.enc_key.clone();
  out.auth_key = sa.auth_key.clone();
  out.src = sa.src;
  out.dst = sa.dst;
  out.natt = sa.natt;
  out.esn = sa.esn;
  out.seq = sa.seq;
  out.replay_window = sa.replay_window;
  out.check_outer = sa.check_outer;
  out.inner_v4 = sa.inner_v4;
  out.inner_v6 = sa.inner_v6;
  out.ttl = sa.ttl;
  out.ip_id = sa.ip_id;
  out.df = sa.df;
  out.dscp = sa.dscp;
  out.ecn_copy = sa.ecn_copy;
  out.soft = sa.soft;
  out.hard = sa.hard;
  return out;
}

std::size_t protected_len(const esp::SaParams& sa, std::size_t plain_len, std::size_t head_len) {
  const bool tunnel = sa.mode == esp::Mode::kTunnel;
  const std::size_t head = tunnel ? esp::outer_len(sa) : head_len, payload = tunnel ? plain_len : plain_len - head_len;
  if (sa.protocol == esp::Protocol::kAh) return head + 12 + 12 + payload;  // RFC 4302 s2
  const std::size_t align = sa.cipher == esp::Cipher::kNull ? 4 : 8;
  return head + (sa.natt ? 8 : 0) + 8 + esp::iv_len(sa.cipher) + (payload + 2 + align - 1) / align * align + esp::icv_len(sa.auth);
}

std::size_t protection_at(ByteView wire) {
  const auto ip = esp::parse_ip(wire);
  if (!ip) std::abort();
  return ip->upper_at + (ip->protocol == esp::kProtoUdp ? 8 : 0);
}

void fix_checksum(Bytes& p) {
  if (p.size() < 20 || p[0] >> 4 != 4) return;
  const std::size_t header = std::min<std::size_t>((p[0] & 15u) * 4, p.size());
  store_be16(&p[10], esp::ipv4_checksum(ByteView(p).first(std::max<std::size_t>(header, 20))));
}

void fix_lengths(Bytes& p, bool natt) {
  const bool v4 = p[0] >> 4 == 4;
  std::size_t upper = v4 ? (p[0] & 15u) * 4 : 40;
  store_be16(&p[v4 ? 2 : 4], static_cast<std::uint16_t>(v4 ? p.size() : p.size() - 40));
  if (natt && v4 && p.size() >= upper + 8) store_be16(&p[upper + 4], static_cast<std::uint16_t>(p.size() - upper));
  fix_checksum(p);
}

namespace {
crypto::Cbc cipher_of(const esp::SaParams& sa) {
  return crypto::Cbc(sa.cipher == esp::Cipher::kDesCbc ? crypto::BlockCipher::kDes : crypto::BlockCipher::kTripleDes,
                     sa.enc_key.reveal());
}
void put_icv(const esp::SaParams& sa, ByteView covered, std::uint64_t number, MutableBytes icv) {
  crypto::Hmac hmac(sa.auth == esp::Auth::kHmacMd5_96 ? crypto::Hash::kMd5 : crypto::Hash::kSha1, sa.auth_key.reveal());
  Byte high[4];
  store_be32(high, static_cast<std::uint32_t>(number >> 32));
  hmac.digest({covered, ByteView(high, sa.esn ? 4 : 0)}, icv);
}
}  // namespace

Opened open_wire(const esp::SaParams& sa, ByteView wire) {
  const std::size_t at = protection_at(wire);
  if (sa.protocol == esp::Protocol::kAh) return {Bytes(wire.begin() + static_cast<std::ptrdiff_t>(at + 24), wire.end()), wire[at]};
  const std::size_t body = at + 8 + esp::iv_len(sa.cipher);
  Bytes out(wire.begin() + static_cast<std::ptrdiff_t>(body), wire.end() - static_cast<std::ptrdiff_t>(esp::icv_len(sa.auth)));
  if (sa.cipher != esp::Cipher::kNull) {
    crypto::Iv iv;
    std::copy_n(wire.begin() + static_cast<std::ptrdiff_t>(at + 8), 8, iv.begin());
    if (!cipher_of(sa).decrypt(iv, out, out)) std::abort();
  }
  return {std::move(out), 0};
}

Bytes seal_wire(const esp::SaParams& sa, ByteView wire, std::uint64_t number, const Opened& inside) {
  const std::size_t at = protection_at(wire);
  const std::size_t body = sa.protocol == esp::Protocol::kAh ? at + 24 : at + 8 + esp::iv_len(sa.cipher);
  Bytes out(wire.begin(), wire.begin() + static_cast<std::ptrdiff_t>(body));
  put(out, inside.body);
  if (sa.protocol == esp::Protocol::kAh) {
    out[at] = inside.next_header;
    fix_lengths(out, false);
    std::fill_n(out.begin() + static_cast<std::ptrdiff_t>(at + 12), 12, Byte{0});
    Bytes covered = out;
    if (!esp::zero_mutable(MutableBytes(covered).first(at))) std::abort();
    put_icv(sa, covered, number, MutableBytes(out).subspan(at + 12, 12));
    return out;
  }
  if (sa.cipher != esp::Cipher::kNull) {
    crypto::Iv iv;
    std::copy_n(out.begin() + static_cast<std::ptrdiff_t>(at + 8), 8, iv.begin());
    const MutableBytes text = MutableBytes(out).subspan(body);
    if (!cipher_of(sa).encrypt(iv, text, text)) std::abort();
  }
  const std::size_t icv = out.size();
  out.resize(icv + esp::icv_len(sa.auth));
  if (sa.auth != esp::Auth::kNone) put_icv(sa, ByteView(out).subspan(at, icv - at), number, MutableBytes(out).subspan(icv));
  fix_lengths(out, sa.natt.has_value());
  return out;
}

Bytes Generator::octets(std::size_t n) {
  Bytes out(n);
  std::size_t i = 0;
  for (; i + 8 <= n; i += 8) store_be64(&out[i], rng_());
  for (; i < n; ++i) out[i] = static_cast<Byte>(rng_());
  return out;
}

esp::IpAddress Generator::address(unsigned version) {
  esp::IpAddress a;
  a.version = static_cast<std::uint8_t>(version);
  const Bytes random = octets(16);
  std::copy_n(random.begin(), version == 4 ? 4 : 16, a.octets.begin());
  a.octets[0] = version == 4 ? 10 : 0x20;
  return a;
}

// Every form comes once before any comes again, so that a short run sees them all.
Generator::Form Generator::form() {
  if (deck_.empty()) {
    for (const auto protocol : {esp::Protocol::kEsp, esp::Protocol::kAh})
      for (int cipher = 0; cipher < (protocol == esp::Protocol::kAh ? 1 : 3); ++cipher)
        for (int auth = cipher == 0 ? 1 : 0; auth < 3; ++auth)
          for (const auto mode : {esp::Mode::kTunnel, esp::Mode::kTransport})
            for (const unsigned version : {4u, 6u})
              for (const bool natt : {false, true})
                if (!natt || (protocol == esp::Protocol::kEsp && version == 4))
                  deck_.push_back({protocol, static_cast<esp::Cipher>(cipher), static_cast<esp::Auth>(auth), mode, version, natt});
    std::ranges::shuffle(deck_, rng_);
  }
  const Form f = deck_.back();
  deck_.pop_back();
  return f;
}

esp::SaParams Generator::sa(std::uint32_t index) {
  for (;;) {
    const Form f = form();
    esp::SaParams s;
    s.protocol = f.protocol;
    s.mode = f.mode;
    s.cipher = f.cipher;
    s.auth = f.auth;
    s.src = address(f.version);
    s.dst = address(f.version);
    if (f.natt) s.natt = esp::Natt{static_cast<std::uint16_t>(rng_()), static_cast<std::uint16_t>(rng_())};
    s.enc_key = Secret(octets(esp::key_len(s.cipher)));
    s.auth_key = Secret(octets(esp::key_len(s.auth)));
    s.esn = s.auth != esp::Auth::kNone && percent(30);
    // Without an ICV no number can be believed, so such an SA checks none.
    constexpr std::uint16_t kWindows[] = {32, 64, 96, 128, 512, 1024};
    s.replay_window = s.auth == esp::Auth::kNone || (!s.esn && percent(10)) ? std::uint16_t{0}
                      : std::min<std::uint16_t>(kWindows[below(6)], static_cast<std::uint16_t>(card_.replay_max));
    s.spi = (static_cast<std::uint32_t>(rng_()) & ~(card_.sa_entries - 1)) | index;
    if (s.spi < 256) s.spi += card_.sa_entries * 256;
    s.check_outer = s.mode == esp::Mode::kTunnel && percent(60);
    s.inner_v4 = card_.has(reg::kCapsInnerV4);
    s.inner_v6 = card_.has(reg::kCapsInnerV6);
    if (s.inner_v4 && s.inner_v6 && percent(15)) (percent(50) ? s.inner_v4 : s.inner_v6) = false;
    s.ttl = static_cast<std::uint8_t>(1 + below(255));
    s.ip_id = static_cast<std::uint16_t>(rng_());
    s.df = static_cast<esp::DfPolicy>(below(3));
    if (percent(30)) s.dscp = static_cast<std::uint8_t>(below(64));
    s.ecn_copy = percent(70);
    if (card_.can(s) && esp::validate(s)) return s;
  }
}

std::size_t Generator::size(std::size_t most) {
  constexpr std::size_t kKnown[] = {28, 40, 64, 65, 127, 128, 129, 255, 256, 512, 576, 1024, 1280, 1400, 1472, 1500};
  const std::uint64_t kind = below(100);
  std::size_t n = 0;
  if (kind < 35) n = 28 + below(140);
  else if (kind < 60) n = kKnown[below(16)];
  else if (kind < 94) n = 28 + below(1500);
  else n = 28 + below(9000);
  return std::min(n, most);
}

Bytes Generator::ipv4(std::size_t size, std::size_t options, bool fragment) {
  const std::size_t header = 20 + options;
  Bytes p = octets(std::max(size, header));
  p[0] = static_cast<Byte>(0x40 + header / 4);
  store_be16(&p[2], static_cast<std::uint16_t>(p.size()));
  p[6] = static_cast<Byte>(p[6] & 0x40);
  p[7] = 0;
  if (fragment) store_be16(&p[6], static_cast<std::uint16_t>(0x2000 | (below(100) + 1)));
  constexpr Byte kProtocols[] = {1, 6, 17, 47, 89, 132, 253};
  p[9] = kProtocols[below(7)];
  for (std::size_t at = 20; at < header;) {  // whole, well-formed options
    const std::size_t left = header - at;
    const std::uint64_t kind = below(5);
    if (left < 4 || kind == 0) {
      p[at++] = 1;
    } else if (kind == 1) {
      p[at] = 148;  // router alert: immutable
      p[at + 1] = 4;
      at += 4;
    } else if (kind == 2 && left >= 7) {
      const std::size_t len = 3 + 4 * (1 + below((left - 3) / 4));
      p[at] = below(2) == 0 ? 131 : 137;  // source routes
      p[at + 1] = static_cast<Byte>(len);
      p[at + 2] = static_cast<Byte>(4 + 4 * below((len - 3) / 4 + 1));
      at += len;
    } else if (kind == 3) {
      p[at] = 0;
      std::fill(p.begin() + static_cast<std::ptrdiff_t>(at), p.begin() + static_cast<std::ptrdiff_t>(header), Byte{0});
      at = header;
    } else {
      const std::size_t len = 2 + below(std::min<std::size_t>(left - 2, 12) + 1);
      p[at] = below(2) == 0 ? 7 : 130;  // record route (mutable), security (immutable)
      p[at + 1] = static_cast<Byte>(len);
      at += len;
    }
  }
  fix_checksum(p);
  return p;
}

Bytes Generator::ipv6(std::size_t size, bool extensions) {
  Bytes chain;
  std::vector<Byte> kinds;
  kinds.reserve(3);
  if (extensions) {
    if (percent(60)) kinds.push_back(esp::kProtoHopByHop);
    if (percent(30)) kinds.push_back(esp::kProtoRouting);
    if (percent(60) || kinds.empty()) kinds.push_back(esp::kProtoDestOptions);
  }
  constexpr Byte kProtocols[] = {6, 17, 58, 132, 253};
  const Byte last = kProtocols[below(5)];
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    const Byte next = i + 1 < kinds.size() ? kinds[i + 1] : last;
    if (kinds[i] == esp::kProtoRouting) {
      Bytes route = octets(24);
      route[0] = next;
      route[1] = 2;
      route[2] = 0;
      route[3] = static_cast<Byte>(below(2));
      put(chain, route);
    } else {
      const bool changing = percent(50);
      Bytes option = octets(8);
      option[0] = next;
      option[1] = 0;
      option[2] = changing ? 0x3e : 0x1e;  // experimental options of RFC 4727
      option[3] = 4;
      put(chain, option);
    }
  }
  Bytes p = octets(std::max(size, 40 + chain.size()));
  p[0] = static_cast<Byte>(0x60 | (p[0] & 15));
  store_be16(&p[4], static_cast<std::uint16_t>(p.size() - 40));
  p[6] = kinds.empty() ? last : kinds[0];
  std::ranges::copy(chain, p.begin() + 40);
  return p;
}

Bytes Generator::packet(const esp::SaParams& sa, std::size_t want) {
  const bool tunnel = sa.mode == esp::Mode::kTunnel;
  bool v4 = sa.src.version == 4;
  if (tunnel) {
    const bool may4 = card_.has(reg::kCapsInnerV4) && sa.inner_v4, may6 = card_.has(reg::kCapsInnerV6) && sa.inner_v6;
    v4 = may4 && (!may6 || percent(50));
  }
  Bytes p;
  if (v4) {
    std::size_t options = percent(12) ? 4 * (1 + below(10)) : 0;
    p = ipv4(want, options, tunnel && percent(5));
  } else {
    p = ipv6(want, percent(15));
  }
  if (!tunnel) {
    // Transport: the packet's own addresses are the SA's.
    if (v4) {
      std::copy_n(sa.src.octets.begin(), 4, p.begin() + 12);
      std::copy_n(sa.dst.octets.begin(), 4, p.begin() + 16);
      fix_checksum(p);
    } else {
      std::copy_n(sa.src.octets.begin(), 16, p.begin() + 8);
      std::copy_n(sa.dst.octets.begin(), 16, p.begin() + 24);
    }
  }
  return p;
}

}  // namespace esplanade::fullcard
