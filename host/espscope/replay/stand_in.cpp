#include "host/espscope/replay/stand_in.h"

#include <algorithm>

#include "common/esp/ip.h"

namespace esplanade::replay {

namespace {

using Outcome = card::Status;

constexpr std::size_t kEspHeader = 4 + 4, kTrailer = 1 + 1;  // RFC 4303 s2
constexpr std::size_t kAhFixed = 12, kUdpHeader = 8;         // RFC 4302 s2, RFC 768
constexpr std::uint8_t kProtoTcp = 6, kIpv4Nop = 1;
constexpr std::size_t kExtensionMax = 2048;  // octets of an IPv6 extension header: RFC 8200 s4.6

void filler(MutableBytes out, Random& random) {
  for (Byte& octet : out) octet = static_cast<Byte>(random());
}

/// The octets that a packet's headers say it has.
std::size_t total_of(const PacketStep& step) { return step.shape.sound ? step.shape.total_len : step.len; }

esp::IpAddress documentation_address(std::uint8_t version) {
  return esp::parse_address(version == 4 ? "192.0.2.99" : "2001:db8::99").value();
}

/// A sound header of `header_len` octets, options or extension headers that say nothing among them.
void put_header(std::uint8_t version, std::size_t header_len, std::size_t total_len, std::uint8_t protocol, bool fragment, const esp::IpAddress& src, const esp::IpAddress& dst,
                MutableBytes p) {
  std::ranges::fill(p.first(header_len), Byte{0});
  if (version == 4) {
    p[0] = static_cast<Byte>(0x40 | header_len / 4);
    store_be16(&p[2], static_cast<std::uint16_t>(total_len));
    store_be16(&p[6], fragment ? 0x2000 : 0);  // more fragments: RFC 791 s3.1
    p[8] = 64;
    p[9] = protocol;
    std::ranges::copy(src.bytes(), p.begin() + 12);
    std::ranges::copy(dst.bytes(), p.begin() + 16);
    std::ranges::fill(p.subspan(20, header_len - 20), kIpv4Nop);
    store_be16(&p[10], esp::ipv4_checksum(p.first(header_len)));
    return;
  }
  p[0] = 0x60;
  store_be16(&p[4], static_cast<std::uint16_t>(total_len - 40));
  p[7] = 64;
  std::ranges::copy(src.bytes(), p.begin() + 8);
  std::ranges::copy(dst.bytes(), p.begin() + 24);
  std::size_t next_at = 6;
  for (std::size_t at = 40; at < header_len;) {  // its options, all zero, are Pad1
    const std::size_t len = std::min(header_len - at, kExtensionMax);
    p[next_at] = esp::kProtoDestOptions;
    next_at = at;
    p[at + 1] = static_cast<Byte>(len / 8 - 1);
    at += len;
  }
  p[next_at] = protocol;
}

/// Not what parse_ip takes, in the way that the recorded lengths say; where they are in order, by the checksum or an extension header without end.
void put_unsound_header(const Shape& shape, std::size_t len, MutableBytes p) {
  std::ranges::fill(p.first(std::min<std::size_t>(len, 60)), Byte{0});
  p[0] = static_cast<Byte>(shape.version << 4);
  if (shape.version == 4 && len >= 20) {
    p[0] = static_cast<Byte>(0x40 | std::min<std::uint32_t>(shape.header_len / 4, 15));
    store_be16(&p[2], static_cast<std::uint16_t>(shape.total_len));
    store_be16(&p[10], static_cast<std::uint16_t>(~esp::ipv4_checksum(p.first(20))));
  } else if (shape.version == 6 && len >= 40) {
    store_be16(&p[4], static_cast<std::uint16_t>(len - 40));
    p[6] = esp::kProtoHopByHop;
    if (len > 41) p[41] = 255;
    if (len >= 40 + kExtensionMax) p[4] = p[5] = 0xff;  // too short for what it says, then
  }
}

}  // namespace

bool is_of_content(card::Status status) {
  switch (status) {
    case Outcome::kWrongAddress:
    case Outcome::kBadIcv:
    case Outcome::kBadPadding:
    case Outcome::kBadNextHeader:
    case Outcome::kDummy:
    case Outcome::kBadInner: return true;
    default: return false;
  }
}

Result<StandInSa> StandInSa::create(esp::SaParams params, Random& random) {
  const auto key = [&random](std::size_t size) {
    Bytes octets(size);
    filler(octets, random);
    return Secret(std::move(octets));
  };
  StandInSa out(std::move(params));
  esp::SaParams& sa = out.params_;
  Status valid = ok();
  do {  // a weak DES key comes once in 2^52
    sa.enc_key = key(esp::key_len(sa.cipher));
    sa.auth_key = key(esp::key_len(sa.auth));
    valid = esp::validate(sa);
  } while (!valid && valid.error().code == Errc::kWeakKey);
  ESPLANADE_CHECK(valid);
  if (sa.cipher != esp::Cipher::kNull) out.cipher_.emplace(sa.cipher == esp::Cipher::kDesCbc ? crypto::BlockCipher::kDes : crypto::BlockCipher::kTripleDes, sa.enc_key.reveal());
  if (sa.auth != esp::Auth::kNone) out.hmac_.emplace(sa.auth == esp::Auth::kHmacMd5_96 ? crypto::Hash::kMd5 : crypto::Hash::kSha1, sa.auth_key.reveal());
  return out;
}

void StandInSa::update(const esp::SaParams& params) {
  esp::SaParams now = params.without_keys();
  now.enc_key = std::move(params_.enc_key);
  now.auth_key = std::move(params_.auth_key);
  params_ = std::move(now);
}

// The high word of an extended number is authenticated and not sent (RFC 4303 s2.2.1).
void StandInSa::icv(ByteView first, ByteView rest, std::uint64_t seq, MutableBytes out) {
  Byte high[4];
  store_be32(high, static_cast<std::uint32_t>(seq >> 32));
  hmac_->digest({first, rest, ByteView(high, params_.esn ? 4 : 0)}, out);
}

/// What the protection holds, in front of `payload`, so that the result has the recorded length; returns the next header, and in `pad` the octets of padding
/// where there can be any. In a tunnel what lies between is traffic flow padding (RFC 4303 s2.7).
std::uint8_t StandInSa::fill(const PacketStep& step, bool as_recorded, std::size_t header_len, MutableBytes payload, std::size_t* pad) {
  const auto was = [&](Outcome status) { return as_recorded && step.ended(status); };
  const bool tunnel = params_.mode == esp::Mode::kTunnel;
  const bool good = step.ended(Outcome::kOk);
  std::size_t len = payload.size();
  if (good && tunnel) len = std::min<std::size_t>(len, step.out_len);
  if (good && !tunnel && pad != nullptr && step.out_len >= header_len) len = std::min<std::size_t>(len, step.out_len - header_len);
  if (was(Outcome::kBadPadding) && len >= 2) len = payload.size() - 2;
  if (pad != nullptr) *pad = std::min<std::size_t>(payload.size() - len, 255);
  std::uint8_t next = good && (!tunnel || step.next_header != 0) ? step.next_header : tunnel ? (params_.inner_v4 ? esp::kProtoIpv4 : esp::kProtoIpv6) : kProtoTcp;
  if (tunnel) {
    const std::uint8_t version = next == esp::kProtoIpv6 ? 6 : 4;
    const std::size_t inner_header = version == 4 ? 20 : 40;
    if (len >= inner_header) {
      put_header(version, inner_header, len, kProtoTcp, false, documentation_address(version), documentation_address(version), payload);
      if (was(Outcome::kBadInner)) payload[0] = 0;
    }
  }
  if (was(Outcome::kBadNextHeader)) next = step.next_header != 0 && step.next_header != esp::kProtoIpv4 && step.next_header != esp::kProtoIpv6 ? step.next_header : kProtoTcp;
  if (was(Outcome::kDummy)) next = esp::kProtoNone;
  return next;
}

void StandInSa::protect_esp(const PacketStep& step, bool as_recorded, MutableBytes esp, Random& random) {
  const std::size_t body_at = kEspHeader + esp::iv_len(params_.cipher), icv_len = esp::icv_len(params_.auth);
  const std::size_t align = params_.cipher == esp::Cipher::kNull ? 4 : crypto::kBlockLen;
  if (esp.size() < body_at + kTrailer + icv_len || (esp.size() - body_at - icv_len) % align != 0) return;
  const std::size_t icv_at = esp.size() - icv_len;
  const MutableBytes body = esp.subspan(body_at, icv_at - body_at), payload = body.first(body.size() - kTrailer);
  std::size_t pad = 0;
  body[body.size() - 1] = fill(step, as_recorded, step.shape.header_len, payload, &pad);
  body[body.size() - 2] = static_cast<Byte>(pad);
  for (std::size_t i = 0; i < pad; ++i) payload[payload.size() - pad + i] = as_recorded && step.ended(Outcome::kBadPadding) ? Byte{0} : static_cast<Byte>(i + 1);
  if (cipher_) {
    crypto::Iv iv;
    filler(iv, random);
    std::ranges::copy(iv, esp.begin() + kEspHeader);
    static_cast<void>(cipher_->encrypt(iv, body, body));  // whole blocks: looked at above
  }
  if (!hmac_) return;
  icv(esp.first(icv_at), {}, step.shape.seq, esp.subspan(icv_at));
  if (as_recorded && step.ended(Outcome::kBadIcv)) esp[icv_at] ^= 1;
}

void StandInSa::protect_ah(const PacketStep& step, bool as_recorded, MutableBytes packet) {
  const std::size_t head = step.shape.header_len, ah = kAhFixed + esp::icv_len(params_.auth);
  if (packet.size() < head + ah) return;
  const MutableBytes at = packet.subspan(head);
  std::ranges::fill(at.first(ah), Byte{0});
  at[0] = fill(step, as_recorded, head, at.subspan(ah), nullptr);
  at[1] = static_cast<Byte>(ah / 4 - 2);  // RFC 4302 s2.2
  store_be32(&at[4], params_.spi);
  store_be32(&at[8], static_cast<std::uint32_t>(step.shape.seq));
  Bytes headers(packet.begin(), packet.begin() + static_cast<std::ptrdiff_t>(head));
  static_cast<void>(esp::zero_mutable(headers));  // they are our own
  std::array<Byte, 12> value;
  icv(headers, at, step.shape.seq, value);
  std::ranges::copy(value, at.begin() + kAhFixed);
  if (as_recorded && step.ended(Outcome::kBadIcv)) at[kAhFixed] ^= 1;
}

void StandInSa::protect(const PacketStep& step, bool as_recorded, MutableBytes packet, Random& random) {
  const std::size_t head = step.shape.header_len;
  if (params_.protocol == esp::Protocol::kAh) {
    if (step.shape.protocol == esp::kProtoAh) protect_ah(step, as_recorded, packet);
  } else if (step.shape.protocol == (params_.natt ? esp::kProtoUdp : esp::kProtoEsp) && packet.size() >= head + (params_.natt ? kUdpHeader : 0)) {
    protect_esp(step, as_recorded, packet.subspan(head + (params_.natt ? kUdpHeader : 0)), random);
  }
}

Bytes make_packet(const PacketStep& step, StandInSa* sa, bool as_recorded, Random& random) {
  Bytes out(step.len);
  filler(out, random);
  const Shape& shape = step.shape;
  if (!shape.sound) {
    put_unsound_header(shape, step.len, out);
    return out;
  }
  const std::size_t head = shape.header_len;
  esp::IpAddress src = documentation_address(shape.version), dst = src;
  const bool of_sa = sa != nullptr && sa->params().src.version == shape.version && (step.op == card::Op::kDecap || sa->params().mode == esp::Mode::kTransport);
  if (of_sa) {
    src = sa->params().src;
    dst = sa->params().dst;
    if (as_recorded && step.ended(Outcome::kWrongAddress)) src.octets[src.bytes().size() - 1] ^= 1;
  }
  put_header(shape.version, head, total_of(step), shape.protocol, shape.fragment, src, dst, out);
  if (step.op != card::Op::kDecap) return out;
  const MutableBytes packet = MutableBytes(out).first(total_of(step)), upper = packet.subspan(head);
  if (shape.protocol == esp::kProtoUdp && upper.size() >= kUdpHeader) {
    const esp::Natt ports = sa != nullptr && sa->params().natt ? *sa->params().natt : esp::Natt{};
    store_be16(&upper[0], ports.dst_port);
    store_be16(&upper[2], ports.src_port);
    store_be16(&upper[4], static_cast<std::uint16_t>(upper.size()));
    store_be16(&upper[6], 0);  // RFC 3948 s2.1
  }
  const std::size_t spi_at = shape.protocol == esp::kProtoAh ? 4 : shape.protocol == esp::kProtoUdp ? kUdpHeader : 0;
  if (upper.size() >= spi_at + kEspHeader) {
    store_be32(&upper[spi_at], shape.spi);
    store_be32(&upper[spi_at + 4], static_cast<std::uint32_t>(shape.seq));
  }
  if (sa != nullptr && !shape.fragment) sa->protect(step, as_recorded, packet, random);
  return out;
}

}  // namespace esplanade::replay
