// Expectations of lane_front from the reference engine (common/esp) and OpenSSL.
#include <doctest/doctest.h>

#include <algorithm>

#include "common/crypto/cbc.h"
#include "common/crypto/hash.h"
#include "common/esp/ip.h"
#include "hw/tb/front/front_bench.h"

namespace esplanade::tb {

namespace {
constexpr std::size_t kSeen = 128;  // octets of a packet that the front looks at

unsigned status_of(const Error& e) {
  switch (e.code) {
    case Errc::kTruncated:
    case Errc::kMalformed: return kBadHeader;
    case Errc::kBadLength: return kBadEspLength;
    case Errc::kFragment: return kFragment;
    case Errc::kWrongProtocol: return kWrongProtocol;
    case Errc::kWrongAddress: return kWrongAddress;
    case Errc::kUnknownSpi: return kNoSa;
    case Errc::kReplayed: return kReplay;
    default: return kUnsupported;
  }
}
bool is_early(const Error& e) {  // found before the ICV
  return e.code != Errc::kBadIcv && e.code != Errc::kBadPadding && e.code != Errc::kDummy && e.code != Errc::kBadNextHeader &&
         e.code != Errc::kBadInner;
}

/// IP headers as header words have them: no lengths, no checksum.
Bytes without_lengths(ByteView headers) {
  Bytes out(headers.begin(), headers.end());
  if (out[0] >> 4 == 4) {
    out[2] = out[3] = out[10] = out[11] = 0;
  } else {
    out[4] = out[5] = 0;
  }
  return out;
}

/// Verdict on the headers alone: nothing if they are fit for a lookup.
std::optional<unsigned> header_verdict(const Bytes& packet, bool encap) {
  const auto ip = esp::parse_ip(packet);
  if (!ip) return ip.error().at >= kSeen ? kUnsupported : kBadHeader;
  if (encap && ip->total_len != packet.size()) return kBadHeader;
  if (ip->upper_at > kSeen) return kUnsupported;
  if (encap) return std::nullopt;
  if (ip->fragment) return kFragment;
  const std::size_t rest = ip->total_len - ip->upper_at;
  if (ip->protocol == esp::kProtoAh) {
    if (rest < 12) return kBadEspLength;  // SPI or number is missing
    if (ip->upper_at > 96) return kUnsupported;
    return std::nullopt;
  }
  const auto spi = esp::find_spi(packet);
  const bool udp = ip->protocol == esp::kProtoUdp;
  if (!spi && !(spi.error().code == Errc::kWrongProtocol && (udp || ip->protocol == esp::kProtoEsp) && rest >= 8 &&
                ip->upper_at > (udp ? 112u : 120u)))
    return status_of(spi.error());
  if (ip->upper_at > (udp ? 112u : 120u)) return kUnsupported;
  if (udp) {
    const std::size_t len = load_be16(&packet[ip->upper_at + 4]);
    if (len < 8 || len > rest) return kBadHeader;
    if (len < 16) return kBadEspLength;
  }
  return std::nullopt;
}

void describe(Packet& p, const esp::IpPacket& ip) {
  Expected& e = p.expected;
  e.lookup = true;
  e.v6 = ip.version == 6;
  e.fragment = ip.fragment;
  e.len = ip.total_len;
  e.hdr_len = ip.upper_at;
  std::ranges::copy(esp::source_of(p.source).octets, e.src.begin());
  std::ranges::copy(esp::destination_of(p.source).octets, e.dst.begin());
}

/// Inner packet of a tunnel: family, version and lengths.
unsigned inner_verdict(const esp::SaParams& sa, unsigned next_header, ByteView inner) {
  if (next_header != 4 && next_header != 41) return kBadNextHeader;
  const bool v6 = next_header == 41;
  if (inner.size() < (v6 ? 40u : 20u) || inner[0] >> 4 != (v6 ? 6 : 4) || !(v6 ? sa.inner_v6 : sa.inner_v4)) return kBadInner;
  if (v6) return load_be16(&inner[4]) + 40u > inner.size() ? kBadInner : kOk;
  const std::size_t header = (inner[0] & 15u) * 4, total = load_be16(&inner[2]);
  return header < 20 || total < header || total > inner.size() ? kBadInner : kOk;
}

esp::SoftSa engine(const esp::SaParams& sa) {
  auto soft = esp::SoftSa::create(copy(sa));
  REQUIRE_MESSAGE(soft, soft.error().detail);
  return std::move(*soft);
}
}  // namespace

esp::SaParams copy(const esp::SaParams& sa) {
  esp::SaParams out;
  out.protocol = sa.protocol;
  out.mode = sa.mode;
  out.outbound = sa.outbound;
  out.spi = sa.spi;
  out.cipher = sa.cipher;
  out.auth = sa.auth;
  out.enc_key = Secret(sa.enc_key.reveal());
  out.auth_key = Secret(sa.auth_key.reveal());
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
  return out;
}

Answer answer_of(const esp::SaParams& sa, Random& random) {
  Answer a;
  a.epoch = random.percent(50);
  a.index = static_cast<std::uint32_t>(random.between(0, 65535));
  a.spi = sa.spi;
  a.ip_id = sa.ip_id;
  a.transport = sa.mode == esp::Mode::kTransport;
  a.ah = sa.protocol == esp::Protocol::kAh;
  a.outer_v6 = sa.src.version == 6;
  a.natt = sa.natt.has_value();
  a.esn = sa.esn;
  a.inner_v4 = sa.inner_v4;
  a.inner_v6 = sa.inner_v6;
  a.cipher = static_cast<unsigned>(sa.cipher);
  a.auth = static_cast<unsigned>(sa.auth);
  a.df = static_cast<unsigned>(sa.df);
  a.dscp_set = sa.dscp.has_value();
  a.dscp = sa.dscp.value_or(0);
  a.ecn_clear = !sa.ecn_copy;
  a.ttl = sa.ttl;
  a.udp_src = sa.natt ? sa.natt->src_port : 0;
  a.udp_dst = sa.natt ? sa.natt->dst_port : 0;
  a.src = sa.src.octets;
  a.dst = sa.dst.octets;
  random.fill(a.key);
  random.fill(a.istate);
  random.fill(a.ostate);
  return a;
}

Packet encap_packet(esp::SaParams sa, const Bytes& plain, const std::array<Byte, 8>& iv, Random& random) {
  Packet p;
  p.op = kOpEncap;
  p.source = plain;
  p.host_iv = iv;
  p.sa_index = static_cast<std::uint32_t>(random.bits());
  p.answer = answer_of(sa, random);
  Expected& e = p.expected;
  if (const auto verdict = header_verdict(plain, true)) {
    e.status = *verdict;
    return p;
  }
  const auto ip = *esp::parse_ip(plain);
  describe(p, ip);
  auto soft = engine(sa);
  const auto made = soft.encap(plain, iv);
  const bool tunnel = sa.mode == esp::Mode::kTunnel;
  const bool ah = sa.protocol == esp::Protocol::kAh;
  const std::size_t iv_len = esp::iv_len(sa.cipher);
  e.ip_len = tunnel ? esp::outer_len(sa) : ip.upper_at;
  e.skip = ah ? e.ip_len + 24 : 8 + iv_len;
  const std::size_t body_at = ah ? e.ip_len : e.ip_len + (sa.natt ? 8 : 0);
  const std::size_t header_len = ah ? e.skip : body_at + e.skip;
  p.answer.seq = sa.seq + 1;
  p.answer.out_len = static_cast<std::uint16_t>(plain.size() + 64);
  if (!made) {
    e.status = status_of(made.error());
    // Addresses and fragments are for the SA database to see, options for the front.
    if (made.error().code == Errc::kFragment || made.error().code == Errc::kWrongAddress) p.answer.status = e.status;
    else if (header_len > kSeen) e.status = kUnsupported;
    else e.options_bad = true;
    return p;
  }
  const Bytes& wire = made->packet;
  p.answer.out_len = static_cast<std::uint16_t>(wire.size());
  if (header_len > kSeen) {
    e.status = kUnsupported;
    return p;
  }
  e.run = true;
  e.out_len = wire.size();
  e.header = without_lengths(ByteView(wire).first(header_len));
  e.header_v6 = wire[0] >> 4 == 6;
  e.udp_header = sa.natt.has_value();
  if (e.udp_header) e.header[e.ip_len + 4] = e.header[e.ip_len + 5] = 0;
  e.has_icv = sa.auth != esp::Auth::kNone;
  if (ah) {
    std::fill_n(e.header.end() - 12, 12, Byte{0});
    e.stream = wire;
    REQUIRE(esp::zero_mutable(MutableBytes(e.stream).first(e.ip_len)));
    std::fill_n(e.stream.begin() + static_cast<std::ptrdiff_t>(e.ip_len + 12), 12, Byte{0});
  } else {
    e.stream.assign(wire.begin() + static_cast<std::ptrdiff_t>(body_at), wire.end() - static_cast<std::ptrdiff_t>(esp::icv_len(sa.auth)));
    if (iv_len != 0) {
      crypto::Cbc cipher(sa.cipher == esp::Cipher::kDesCbc ? crypto::BlockCipher::kDes : crypto::BlockCipher::kTripleDes, sa.enc_key.reveal());
      const auto body = MutableBytes(e.stream).subspan(16);
      REQUIRE(cipher.decrypt(iv, body, body));
    }
  }
  return p;
}

Packet decap_packet(esp::SaParams sa, const Bytes& wire, Random& random) {
  sa.outbound = false;
  Packet p;
  p.op = kOpDecap;
  p.source = wire;
  p.answer = answer_of(sa, random);
  Expected& e = p.expected;
  if (const auto verdict = header_verdict(wire, false)) {
    e.status = *verdict;
    return p;
  }
  const auto ip = *esp::parse_ip(wire);
  describe(p, ip);
  e.ah = ip.protocol == esp::kProtoAh;
  e.udp = ip.protocol == esp::kProtoUdp;
  const std::size_t upper = ip.upper_at + (e.udp ? 8 : 0);
  const std::size_t end = e.udp ? ip.upper_at + load_be16(&wire[ip.upper_at + 4]) : ip.total_len;
  e.spi = load_be32(&wire[upper + (e.ah ? 4 : 0)]);
  e.seq = load_be32(&wire[upper + (e.ah ? 8 : 4)]);
  p.answer.seq = (sa.esn ? sa.seq & 0xffffffff00000000u : 0) | e.seq;
  const auto refuse = [&](unsigned status, bool found) {
    p.answer.status = e.status = status;
    p.answer.found = found;
    return p;
  };
  if (e.spi != sa.spi) return refuse(kNoSa, false);
  if (e.ah != (sa.protocol == esp::Protocol::kAh) || e.udp != sa.natt.has_value()) return refuse(kWrongProtocol, true);
  const ByteView packet = ByteView(wire).first(ip.total_len);
  auto first = engine(sa).decap(wire);
  if (!first && (first.error().code == Errc::kWrongAddress || first.error().code == Errc::kReplayed))
    return refuse(status_of(first.error()), true);
  if (!first && is_early(first.error())) {
    e.status = status_of(first.error());
    e.options_bad = e.ah && e.status != kBadEspLength;
    return p;
  }
  const bool tunnel = sa.mode == esp::Mode::kTunnel;
  e.run = true;
  e.has_icv = sa.auth != esp::Auth::kNone;
  e.ce = tunnel && ((wire[0] >> 4 == 4 ? wire[1] : wire[1] >> 4) & 3) == 3;
  e.header_v6 = ip.version == 6;
  if (!tunnel) {
    e.header = without_lengths(packet.first(ip.upper_at));
    e.ip_len = ip.upper_at;
    e.patch_nh = true;
    e.nh_at = ip.protocol_at;
  }
  if (!e.ah) {
    const auto esp = packet.subspan(upper, end - upper);
    const std::size_t len = esp.size() - esp::icv_len(sa.auth);
    e.stream.assign(esp.begin(), esp.begin() + static_cast<std::ptrdiff_t>(len));
    e.icv.assign(esp.begin() + static_cast<std::ptrdiff_t>(len), esp.end());
    e.skip = 8 + esp::iv_len(sa.cipher);
    return p;
  }
  e.stream.assign(packet.begin(), packet.end());
  e.icv.assign(packet.begin() + static_cast<std::ptrdiff_t>(upper + 12), packet.begin() + static_cast<std::ptrdiff_t>(upper + 24));
  REQUIRE(esp::zero_mutable(MutableBytes(e.stream).first(upper)));
  std::fill_n(e.stream.begin() + static_cast<std::ptrdiff_t>(upper + 12), 12, Byte{0});
  e.skip = upper + 24;
  e.next_header = packet[upper];
  // What is inside is judged only behind a good ICV: make it good.
  Bytes right = wire;
  Byte high[4];
  store_be32(high, static_cast<std::uint32_t>(p.answer.seq >> 32));
  crypto::Hmac hmac(sa.auth == esp::Auth::kHmacMd5_96 ? crypto::Hash::kMd5 : crypto::Hash::kSha1, sa.auth_key.reveal());
  hmac.digest({e.stream, ByteView(high, sa.esn ? 4 : 0)}, MutableBytes(right).subspan(upper + 12, 12));
  const auto inside = engine(sa).decap(right);
  e.ah_status = tunnel ? inner_verdict(sa, e.next_header, packet.subspan(e.skip)) : kOk;
  if (inside) {
    CHECK(e.ah_status == kOk);
    e.out_len = inside->packet.size();
  } else {
    // The engine also looks at the inner checksum and extension headers: those are left to the receiver of the packet.
    CHECK(((inside.error().code == Errc::kBadNextHeader && e.ah_status == kBadNextHeader) ||
           (inside.error().code == Errc::kBadInner && e.ah_status != kBadNextHeader)));
    e.out_len_known = e.ah_status != kOk;
  }
  return p;
}

}  // namespace esplanade::tb
