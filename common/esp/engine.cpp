#include "common/esp/engine.h"

#include <algorithm>
#include <chrono>

#include "common/crypto/cbc.h"
#include "common/crypto/des_bitslice.h"
#include "common/crypto/hash.h"
#include "common/crypto/random.h"
#include "common/esp/ip.h"

namespace esplanade::esp {

namespace {
constexpr std::size_t kEspHeader = 4 + 4;            // SPI, sequence number: RFC 4303 s2
constexpr std::size_t kTrailer = 1 + 1;              // pad length, next header
constexpr std::size_t kUdpHeader = 8;
constexpr std::size_t kAhHeader = 12;                // RFC 4302 s2, without the ICV
constexpr std::size_t kMaxPacket = 65535;
constexpr std::uint64_t kSeqMax = 0xffffffffu;
constexpr std::uint64_t kEsnMax = ~std::uint64_t{0};
constexpr std::uint64_t kSeqSoon = kSeqMax - (1u << 28) + 1;

std::uint64_t monotonic_seconds() {
  using namespace std::chrono;
  return static_cast<std::uint64_t>(duration_cast<seconds>(steady_clock::now().time_since_epoch()).count());
}

/// crypto::Cbc or crypto::BitsliceKey of the SA.
template <class T>
std::optional<T> make_cipher(const SaParams& sa) {
  if (sa.cipher == Cipher::kNull) return std::nullopt;
  return T(sa.cipher == Cipher::kDesCbc ? crypto::BlockCipher::kDes : crypto::BlockCipher::kTripleDes, sa.enc_key.reveal());
}

/// Octets of ESP around what the cipher works on.
std::size_t esp_overhead(const SaParams& sa) { return kEspHeader + iv_len(sa.cipher) + icv_len(sa.auth); }

std::size_t esp_len(const SaParams& sa, std::size_t payload) {
  const std::size_t align = sa.cipher == Cipher::kNull ? 4 : crypto::kBlockLen;  // RFC 4303 s2.4
  const std::size_t padded = (payload + kTrailer + align - 1) / align * align;
  return esp_overhead(sa) + padded;
}

std::optional<crypto::Hmac> make_hmac(const SaParams& sa) {
  if (sa.auth == Auth::kNone) return std::nullopt;
  return crypto::Hmac(sa.auth == Auth::kHmacMd5_96 ? crypto::Hash::kMd5 : crypto::Hash::kSha1, sa.auth_key.reveal());
}
}  // namespace

struct SoftSa::State {
  SaParams sa;
  Clock clock;
  std::uint64_t born;
  std::optional<crypto::Cbc> cipher;
  std::optional<crypto::BitsliceKey> sliced;  // its key, for what is worked out ahead
  const CipherAhead* ahead = nullptr;         // for the packet under way
  std::optional<crypto::Hmac> hmac;
  std::optional<ReplayWindow> window;  // inbound with a check
  std::size_t room = 0;                // for the result of the decap under way
  std::optional<std::uint64_t> authentic;  // its number, once the ICV was good
  std::uint8_t authentic_next_header = 0;
  std::uint64_t seq;
  SaCounters counters;
  bool expired = false;
  bool told[8] = {};
  std::vector<Limit> limits;

  State(SaParams p, Clock c)
      : sa(std::move(p)), clock(std::move(c)), born(clock()), cipher(make_cipher<crypto::Cbc>(sa)), sliced(make_cipher<crypto::BitsliceKey>(sa)),
        hmac(make_hmac(sa)), seq(sa.seq) {
    // Without an ICV anybody can mark numbers: no check then (RFC 4303 s3.4.3).
    if (!sa.outbound && sa.replay_window != 0 && sa.auth != Auth::kNone) window.emplace(sa.replay_window, sa.esn, sa.seq);
  }

  void reach(Limit limit) {
    if (!std::exchange(told[static_cast<std::size_t>(limit)], true)) limits.push_back(limit);
  }
  void close(Limit limit) {
    expired = true;
    reach(limit);
  }

  void look_at_clock() {
    const std::uint64_t age = clock() - born;
    if (sa.soft.seconds != 0 && age >= sa.soft.seconds) reach(Limit::kSoftSeconds);
    if (sa.hard.seconds != 0 && age >= sa.hard.seconds) close(Limit::kHardSeconds);
  }

  // A packet that would pass a hard limit is refused and closes the SA.
  Status admit(std::size_t bytes) {
    look_at_clock();
    if (sa.hard.bytes != 0 && counters.bytes + bytes > sa.hard.bytes) close(Limit::kHardBytes);
    if (sa.hard.packets != 0 && counters.packets + 1 > sa.hard.packets) close(Limit::kHardPackets);
    if (expired) return Error{Errc::kExpired, "hard lifetime of the SA reached"};
    return ok();
  }
  void count(std::size_t bytes) {
    ++counters.packets;
    counters.bytes += bytes;
    if (sa.soft.bytes != 0 && counters.bytes >= sa.soft.bytes) reach(Limit::kSoftBytes);
    if (sa.soft.packets != 0 && counters.packets >= sa.soft.packets) reach(Limit::kSoftPackets);
  }

  Result<std::uint64_t> next_seq() {
    if (seq >= (sa.esn ? kEsnMax : kSeqMax)) {
      close(Limit::kSeqOverflow);
      return Error{Errc::kSeqOverflow, "sequence numbers of the SA are used up"};
    }
    if (!sa.esn && seq + 1 > kSeqSoon) reach(Limit::kSeqSoon);
    return ++seq;
  }

  // The high word of an extended number is authenticated and not sent (RFC 4303 s2.2.1).
  void icv(ByteView first, ByteView rest, std::uint64_t number, MutableBytes out) {
    Byte high[4];
    store_be32(high, static_cast<std::uint32_t>(number >> 32));
    hmac->digest({first, rest, ByteView(high, sa.esn ? 4 : 0)}, out);
  }

  /// Enciphers or deciphers `body` in place, unless that is worked out already.
  Status transform(bool decrypt, const crypto::Iv& iv, MutableBytes body);
  Result<ByteView> esp_part(ByteView packet, const IpPacket& ip) const;
  void seal(ByteView payload, std::uint8_t next_header, std::uint64_t number, const crypto::Iv& iv, MutableBytes out);
  Result<Bytes> open(ByteView esp, std::uint64_t number, std::uint8_t& next_header);

  Result<Encapsulated> encap_esp(ByteView packet, const IpPacket& ip, const crypto::Iv& iv);
  Result<Encapsulated> encap_ah(ByteView packet, const IpPacket& ip);
  Result<Decapsulated> decap_esp(ByteView packet, const IpPacket& ip);
  Result<Decapsulated> decap_ah(ByteView packet, const IpPacket& ip);
  Result<Encapsulated> encap(ByteView packet, std::optional<std::array<Byte, 8>> iv);
  Result<Decapsulated> decap(ByteView packet);
  Result<std::uint64_t> check_spi_and_seq(const Byte* spi_and_seq);
  Result<Decapsulated> deliver(ByteView outer, const IpPacket& ip, Bytes payload, std::uint8_t next_header, std::uint64_t number);
};

Status SoftSa::State::transform(bool decrypt, const crypto::Iv& iv, MutableBytes body) {
  if (ahead != nullptr && ahead->key == &*sliced && ahead->decrypt == decrypt && ahead->iv == iv && ahead->out.size() == body.size() &&
      std::ranges::equal(ahead->in, body)) {
    std::ranges::copy(ahead->out, body.begin());
    return ok();
  }
  return decrypt ? cipher->decrypt(iv, body, body) : cipher->encrypt(iv, body, body);
}

namespace {
// Payload | padding | pad length | next header, into `body` of the size that esp_len gives it: RFC 4303 s2.
void fill_body(ByteView payload, std::uint8_t next_header, MutableBytes body) {
  std::ranges::copy(payload, body.begin());
  const std::size_t pad = body.size() - payload.size() - kTrailer;
  for (std::size_t i = 0; i < pad; ++i) body[payload.size() + i] = static_cast<Byte>(i + 1);
  body[body.size() - 2] = static_cast<Byte>(pad);
  body[body.size() - 1] = next_header;
}

// What ESP protects of a packet, and the next header that says so.
ByteView payload_of(const SaParams& sa, ByteView packet, const IpPacket& ip, std::uint8_t& next_header) {
  const bool tunnel = sa.mode == Mode::kTunnel;
  next_header = tunnel ? (ip.version == 4 ? kProtoIpv4 : kProtoIpv6) : ip.protocol;
  return tunnel ? packet : packet.subspan(ip.upper_at);
}
}  // namespace

// SPI | seq | IV | payload | padding | pad length | next header | ICV, into `out` of esp_len octets: RFC 4303 s2.
void SoftSa::State::seal(ByteView payload, std::uint8_t next_header, std::uint64_t number, const crypto::Iv& iv, MutableBytes out) {
  const std::size_t body_at = kEspHeader + iv_len(sa.cipher);
  const std::size_t icv_at = out.size() - icv_len(sa.auth);
  store_be32(&out[0], sa.spi);
  store_be32(&out[4], static_cast<std::uint32_t>(number));
  std::copy_n(iv.begin(), iv_len(sa.cipher), &out[kEspHeader]);
  const MutableBytes body = out.subspan(body_at, icv_at - body_at);
  fill_body(payload, next_header, body);
  // Whole blocks by construction: the length is padded to them.
  if (cipher) static_cast<void>(transform(false, iv, body));
  if (hmac) icv(out.first(icv_at), {}, number, out.subspan(icv_at));
}

// Everything after the replay check, in the order of RFC 4303 s3.4.4; the window moves where decap ends.
Result<Bytes> SoftSa::State::open(ByteView esp, std::uint64_t number, std::uint8_t& next_header) {
  const std::size_t body_at = kEspHeader + iv_len(sa.cipher);
  const std::size_t icv_at = esp.size() - icv_len(sa.auth);
  if (hmac) {
    std::array<Byte, 12> wanted;
    icv(esp.first(icv_at), {}, number, wanted);
    if (!constant_time_equal(wanted, esp.subspan(icv_at))) {
      ++counters.icv_drops;
      return Error{Errc::kBadIcv, "integrity check failed"};
    }
  }
  authentic = number;
  Bytes body(esp.begin() + static_cast<std::ptrdiff_t>(body_at), esp.begin() + static_cast<std::ptrdiff_t>(icv_at));
  if (cipher) {
    crypto::Iv iv;
    std::ranges::copy(esp.subspan(kEspHeader, crypto::kBlockLen), iv.begin());
    ESPLANADE_CHECK(transform(true, iv, body));
  }
  const std::size_t pad = body[body.size() - 2];
  next_header = authentic_next_header = body[body.size() - 1];
  if (pad + kTrailer > body.size()) return Error{Errc::kBadPadding, "pad length exceeds the payload", body.size() - 2};
  const std::size_t payload = body.size() - kTrailer - pad;
  for (std::size_t i = 0; i < pad; ++i) {
    if (body[payload + i] != i + 1) return Error{Errc::kBadPadding, "pad octets are not 1, 2, 3...", payload + i};
  }
  body.resize(payload);
  if (next_header == kProtoNone) return Error{Errc::kDummy, "dummy packet (next header 59)"};
  return body;
}

Result<Encapsulated> SoftSa::State::encap_esp(ByteView packet, const IpPacket& ip, const crypto::Iv& iv) {
  const bool tunnel = sa.mode == Mode::kTunnel;
  const std::size_t head = tunnel ? outer_len(sa) : ip.upper_at;
  const std::size_t udp = sa.natt ? kUdpHeader : 0;
  std::uint8_t next_header = 0;
  const ByteView payload = payload_of(sa, packet, ip, next_header);
  const std::size_t esp = esp_len(sa, payload.size());
  if (head + udp + esp > kMaxPacket) return Error{Errc::kBadLength, "the protected packet would exceed 65,535 octets"};
  ESPLANADE_TRY(number, next_seq());
  Bytes out(head + udp + esp);
  const std::uint8_t protocol = sa.natt ? kProtoUdp : kProtoEsp;
  if (tunnel) {
    write_outer(sa, sa.ip_id++, packet, protocol, udp + esp, out);
  } else {
    std::ranges::copy(packet.first(head), out.begin());
    fix_ip(out, ip.protocol_at, protocol);
  }
  if (sa.natt) {
    store_be16(&out[head], sa.natt->src_port);
    store_be16(&out[head + 2], sa.natt->dst_port);
    store_be16(&out[head + 4], static_cast<std::uint16_t>(udp + esp));  // checksum stays 0: RFC 3948 s2.1
  }
  seal(payload, next_header, number, iv, MutableBytes(out).subspan(head + udp));
  return Encapsulated{std::move(out), number};
}

Result<Encapsulated> SoftSa::State::encap_ah(ByteView packet, const IpPacket& ip) {
  const bool tunnel = sa.mode == Mode::kTunnel;
  const std::size_t head = tunnel ? outer_len(sa) : ip.upper_at;
  const ByteView payload = tunnel ? packet : packet.subspan(ip.upper_at);
  const std::size_t ah = kAhHeader + icv_len(sa.auth);
  if (head + ah + payload.size() > kMaxPacket) return Error{Errc::kBadLength, "the protected packet would exceed 65,535 octets"};
  ESPLANADE_TRY(number, next_seq());
  Bytes out(head + ah + payload.size());
  if (tunnel) {
    write_outer(sa, sa.ip_id++, packet, kProtoAh, ah + payload.size(), out);
  } else {
    std::ranges::copy(packet.first(head), out.begin());
    fix_ip(out, ip.protocol_at, kProtoAh);
  }
  out[head] = tunnel ? (ip.version == 4 ? kProtoIpv4 : kProtoIpv6) : ip.protocol;
  out[head + 1] = static_cast<Byte>(ah / 4 - 2);  // RFC 4302 s2.2
  store_be32(&out[head + 4], sa.spi);
  store_be32(&out[head + 8], static_cast<std::uint32_t>(number));
  std::ranges::copy(payload, out.begin() + static_cast<std::ptrdiff_t>(head + ah));
  Bytes headers(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(head));
  ESPLANADE_CHECK(zero_mutable(headers));
  // The ICV field is still zero, as the calculation wants it (RFC 4302 s3.3.3).
  std::array<Byte, 12> value;
  icv(headers, ByteView(out).subspan(head), number, value);
  std::ranges::copy(value, out.begin() + static_cast<std::ptrdiff_t>(head + kAhHeader));
  return Encapsulated{std::move(out), number};
}

Result<std::uint64_t> SoftSa::State::check_spi_and_seq(const Byte* spi_and_seq) {
  if (load_be32(spi_and_seq) != sa.spi) return Error{Errc::kUnknownSpi, "the packet's SPI is not this SA's"};
  const std::uint32_t low = load_be32(spi_and_seq + 4);
  if (!window) return std::uint64_t{low};
  const auto number = window->check(low);
  if (!number) {
    ++counters.replay_drops;
    return Error{Errc::kReplayed, "sequence number is 0, left of the window or seen before"};
  }
  return *number;
}

// Puts the packet back together from what the protection held, and counts it.
Result<Decapsulated> SoftSa::State::deliver(ByteView outer, const IpPacket& ip, Bytes payload, std::uint8_t next_header,
                                            std::uint64_t number) {
  if (sa.mode == Mode::kTransport) {
    Bytes packet(outer.begin(), outer.begin() + static_cast<std::ptrdiff_t>(ip.upper_at));
    put(packet, payload);
    fix_ip(packet, ip.protocol_at, next_header);
    payload = std::move(packet);
  } else {
    if (next_header != kProtoIpv4 && next_header != kProtoIpv6) {
      return Error{Errc::kBadNextHeader, "next header of a tunnel is neither IPv4 nor IPv6"};
    }
    const auto inner = parse_ip(payload);
    if (!inner || inner->version != (next_header == kProtoIpv4 ? 4 : 6)) {
      return Error{Errc::kBadInner, inner ? "inner packet is not of the family that the next header says" : inner.error().detail};
    }
    if (!(inner->version == 4 ? sa.inner_v4 : sa.inner_v6)) return Error{Errc::kBadInner, "the SA does not take inner packets of this family"};
    payload.resize(inner->total_len);  // what follows is traffic flow padding: RFC 4303 s2.7
    copy_ecn_inward(outer, payload);
  }
  if (payload.size() > room) return Error{Errc::kNoRoom, "the result is larger than its buffer"};
  ESPLANADE_CHECK(admit(payload.size()));
  count(payload.size());
  return Decapsulated{std::move(payload), next_header, number};
}

// The ESP packet inside an outer one, long enough and in whole blocks.
Result<ByteView> SoftSa::State::esp_part(ByteView packet, const IpPacket& ip) const {
  ByteView esp = packet.subspan(ip.upper_at);
  if (sa.natt) {
    if (ip.protocol != kProtoUdp) return Error{Errc::kWrongProtocol, "not UDP, but the SA is UDP-encapsulated", ip.protocol_at};
    if (esp.size() < kUdpHeader || load_be16(&esp[4]) < kUdpHeader || load_be16(&esp[4]) > esp.size()) {
      return Error{Errc::kMalformed, "UDP length does not fit the packet", ip.upper_at + 4};
    }
    esp = esp.subspan(kUdpHeader, load_be16(&esp[4]) - kUdpHeader);
  } else if (ip.protocol != kProtoEsp) {
    return Error{Errc::kWrongProtocol, "not ESP", ip.protocol_at};
  }
  const std::size_t fixed = esp_overhead(sa);
  const std::size_t align = sa.cipher == Cipher::kNull ? 4 : crypto::kBlockLen;
  if (esp.size() >= kEspHeader && load_be32(esp.data()) != sa.spi) return Error{Errc::kUnknownSpi, "the packet's SPI is not this SA's"};
  if (esp.size() < fixed + kTrailer) return Error{Errc::kBadLength, "ESP packet ends early", packet.size()};
  if ((esp.size() - fixed) % align != 0) return Error{Errc::kBadLength, "ESP payload is not a multiple of the block", packet.size()};
  return esp;
}

Result<Decapsulated> SoftSa::State::decap_esp(ByteView packet, const IpPacket& ip) {
  ESPLANADE_TRY(esp, esp_part(packet, ip));
  ESPLANADE_TRY(number, check_spi_and_seq(esp.data()));
  std::uint8_t next_header = 0;
  ESPLANADE_TRY(payload, open(esp, number, next_header));
  return deliver(packet, ip, std::move(payload), next_header, number);
}

Result<Decapsulated> SoftSa::State::decap_ah(ByteView packet, const IpPacket& ip) {
  if (ip.protocol != kProtoAh) return Error{Errc::kWrongProtocol, "not AH", ip.protocol_at};
  const ByteView ah = packet.subspan(ip.upper_at);
  const std::size_t len = kAhHeader + icv_len(sa.auth);
  if (ah.size() < len) return Error{Errc::kBadLength, "AH header ends early", ip.upper_at};
  if ((std::size_t{ah[1]} + 2) * 4 != len) return Error{Errc::kBadLength, "AH length does not fit the SA's algorithm", ip.upper_at + 1};
  ESPLANADE_TRY(number, check_spi_and_seq(&ah[4]));
  Bytes covered(packet.begin(), packet.end());
  ESPLANADE_CHECK(zero_mutable(MutableBytes(covered).first(ip.upper_at)));
  std::fill_n(covered.begin() + static_cast<std::ptrdiff_t>(ip.upper_at + kAhHeader), icv_len(sa.auth), Byte{0});
  std::array<Byte, 12> wanted;
  icv(covered, {}, number, wanted);
  if (!constant_time_equal(wanted, ah.subspan(kAhHeader, icv_len(sa.auth)))) {
    ++counters.icv_drops;
    return Error{Errc::kBadIcv, "integrity check failed"};
  }
  authentic = number;
  authentic_next_header = ah[0];
  const ByteView payload = ah.subspan(len);
  return deliver(packet, ip, Bytes(payload.begin(), payload.end()), ah[0], number);
}

Result<Encapsulated> SoftSa::State::encap(ByteView given, std::optional<std::array<Byte, 8>> chosen_iv) {
  if (!sa.outbound) return Error{Errc::kWrongDirection, "an inbound SA cannot protect"};
  ESPLANADE_TRY(ip, parse_ip(given));
  const ByteView packet = given.first(ip.total_len);
  if (sa.mode == Mode::kTransport) {
    if (ip.fragment) return Error{Errc::kFragment, "transport mode does not take fragments (RFC 4303 s3.3.4)", ip.protocol_at};
    if (sa.check_outer && (source_of(packet) != sa.src || destination_of(packet) != sa.dst)) {
      return Error{Errc::kWrongAddress, "addresses of the packet are not those of the transport SA"};
    }
  }
  ESPLANADE_CHECK(admit(packet.size()));
  crypto::Iv iv{};
  if (chosen_iv) {
    iv = *chosen_iv;
  } else if (cipher) {
    crypto::random_bytes(iv);
  }
  auto out = sa.protocol == Protocol::kAh ? encap_ah(packet, ip) : encap_esp(packet, ip, iv);
  if (out) count(packet.size());
  return out;
}

Result<Decapsulated> SoftSa::State::decap(ByteView given) {
  if (sa.outbound) return Error{Errc::kWrongDirection, "an outbound SA cannot unprotect"};
  ESPLANADE_TRY(ip, parse_ip(given));
  const ByteView packet = given.first(ip.total_len);
  if (ip.fragment) return Error{Errc::kFragment, "reassemble before IPsec (RFC 4303 s3.4.1)", ip.protocol_at};
  if (sa.check_outer && sa.mode == Mode::kTunnel && (source_of(packet) != sa.src || destination_of(packet) != sa.dst)) {
    return Error{Errc::kWrongAddress, "outer addresses are not those of the SA"};
  }
  look_at_clock();
  if (expired) return Error{Errc::kExpired, "hard lifetime of the SA reached"};
  return sa.protocol == Protocol::kAh ? decap_ah(packet, ip) : decap_esp(packet, ip);
}

SoftSa::SoftSa(std::unique_ptr<State> state) : state_(std::move(state)) {}
SoftSa::SoftSa(SoftSa&&) noexcept = default;
SoftSa& SoftSa::operator=(SoftSa&&) noexcept = default;
SoftSa::~SoftSa() = default;

Result<SoftSa> SoftSa::create(SaParams params, Clock clock) {
  ESPLANADE_CHECK(validate(params));
  return SoftSa(std::make_unique<State>(std::move(params), clock ? std::move(clock) : Clock(monotonic_seconds)));
}

std::size_t protected_len(const SaParams& sa, const IpPacket& ip) {
  const bool tunnel = sa.mode == Mode::kTunnel;
  const std::size_t head = tunnel ? outer_len(sa) : ip.upper_at;
  const std::size_t payload = tunnel ? ip.total_len : ip.total_len - ip.upper_at;
  if (sa.protocol == Protocol::kAh) return head + kAhHeader + icv_len(sa.auth) + payload;
  return head + (sa.natt ? kUdpHeader : 0) + esp_len(sa, payload);
}

namespace {
// Replay and ICV drops have counters of their own, counted where they are found.
template <class T>
T counted(T result, SaCounters& counters) {
  if (!result && result.error().code != Errc::kReplayed && result.error().code != Errc::kBadIcv) ++counters.other_drops;
  return result;
}
}  // namespace

Result<Encapsulated> SoftSa::encap(ByteView packet, std::optional<std::array<Byte, 8>> iv, const CipherAhead* ahead) {
  state_->ahead = ahead;
  return counted(state_->encap(packet, iv), state_->counters);
}
Result<Decapsulated> SoftSa::decap(ByteView packet, std::size_t room, const CipherAhead* ahead) {
  State& s = *state_;
  s.room = room;
  s.ahead = ahead;
  s.authentic.reset();
  s.authentic_next_header = 0;
  auto out = counted(s.decap(packet), s.counters);
  if (s.authentic && (out || out.error().code != Errc::kNoRoom)) {
    if (s.window) s.window->mark(*s.authentic);
    s.seq = s.window ? s.window->top() : std::max(s.seq, *s.authentic);
  }
  return out;
}

std::optional<CipherAhead> SoftSa::foresee_encap(ByteView given, const std::array<Byte, 8>& iv) const {
  const State& s = *state_;
  const auto ip = parse_ip(given);
  if (!s.sliced || !s.sa.outbound || s.sa.protocol != Protocol::kEsp || !ip) return std::nullopt;
  std::uint8_t next_header = 0;
  const ByteView payload = payload_of(s.sa, given.first(ip->total_len), *ip, next_header);
  Bytes body(esp_len(s.sa, payload.size()) - esp_overhead(s.sa));
  fill_body(payload, next_header, body);
  return CipherAhead{&*s.sliced, false, iv, std::move(body), {}};
}

std::optional<CipherAhead> SoftSa::foresee_decap(ByteView given) const {
  const State& s = *state_;
  const auto ip = parse_ip(given);
  if (!s.sliced || s.sa.outbound || s.sa.protocol != Protocol::kEsp || !ip || ip->fragment) return std::nullopt;
  const auto esp = s.esp_part(given.first(ip->total_len), *ip);
  if (!esp) return std::nullopt;
  CipherAhead out{&*s.sliced, true, {}, {}, {}};
  std::ranges::copy(esp->subspan(kEspHeader, crypto::kBlockLen), out.iv.begin());
  const ByteView body = esp->subspan(kEspHeader + crypto::kBlockLen, esp->size() - esp_overhead(s.sa));
  out.in.assign(body.begin(), body.end());
  return out;
}

void work_out(std::span<CipherAhead> ahead) {
  for (const bool decrypt : {false, true}) {
    std::vector<CipherAhead*> longest_first;
    for (CipherAhead& one : ahead) {
      if (one.decrypt == decrypt) longest_first.push_back(&one);
    }
    std::ranges::stable_sort(longest_first, std::ranges::greater{}, [](const CipherAhead* one) { return one->in.size(); });
    std::vector<std::size_t> octets;
    for (const CipherAhead* one : longest_first) octets.push_back(one->in.size());
    const std::size_t alone = decrypt ? crypto::decrypt_alone(octets) : crypto::encrypt_alone(octets);
    std::vector<crypto::BitsliceJob> jobs;
    for (CipherAhead* one : std::span(longest_first).subspan(alone)) {
      one->out.resize(one->in.size());
      jobs.push_back({one->key, one->iv, one->in, one->out});
    }
    // Whole blocks by construction.
    static_cast<void>(decrypt ? crypto::decrypt(jobs) : crypto::encrypt(jobs));
  }
}

Status SoftSa::move(const IpAddress& src, const IpAddress& dst, const std::optional<Natt>& natt) {
  SaParams& sa = state_->sa;
  if (src.version != sa.src.version || dst.version != sa.dst.version || natt.has_value() != sa.natt.has_value())
    return Error{Errc::kBadConfig, "a move keeps the IP version and the kind of encapsulation"};
  sa.src = src;
  sa.dst = dst;
  sa.natt = natt;
  return ok();
}

void SoftSa::update(const SaParams& params) {
  SaParams& sa = state_->sa;
  sa.src = params.src;
  sa.dst = params.dst;
  sa.natt = params.natt;
  sa.check_outer = params.check_outer;
  sa.ttl = params.ttl;
  sa.df = params.df;
  sa.dscp = params.dscp;
  sa.ecn_copy = params.ecn_copy;
  sa.soft = params.soft;
  sa.hard = params.hard;
}

const SaParams& SoftSa::params() const { return state_->sa; }
const SaCounters& SoftSa::counters() const { return state_->counters; }
std::uint64_t SoftSa::seq() const { return state_->seq; }
Status SoftSa::admit(std::size_t octets) { return state_->admit(octets); }
std::optional<std::uint64_t> SoftSa::fresh_number(std::uint32_t low) const {
  return state_->window ? state_->window->check(low) : low;
}
std::uint8_t SoftSa::authentic_next_header() const { return state_->authentic_next_header; }
bool SoftSa::expired() const { return state_->expired; }
std::vector<Limit> SoftSa::take_limits() {
  state_->look_at_clock();
  return std::exchange(state_->limits, {});
}

Result<SpiFound> find_spi(ByteView outer_packet) {
  ESPLANADE_TRY(ip, parse_ip(outer_packet));
  // Beyond its first part a fragment holds no SPI where one is looked for.
  if (ip.fragment) return Error{Errc::kFragment, "reassemble before IPsec (RFC 4303 s3.4.1)", ip.protocol_at};
  Reader reader(outer_packet.subspan(ip.upper_at, ip.total_len - ip.upper_at));
  if (ip.protocol == kProtoAh) {
    ESPLANADE_CHECK(reader.take(4, "AH header"));
    ESPLANADE_TRY(spi, reader.u32("AH SPI"));
    return SpiFound{Protocol::kAh, spi};
  }
  if (ip.protocol == kProtoUdp) {
    ESPLANADE_CHECK(reader.take(kUdpHeader, "UDP header"));
    if (reader.left() < 4) return Error{Errc::kWrongProtocol, "no SPI in the datagram: a keepalive (RFC 3948 s2.3)", ip.upper_at};
  } else if (ip.protocol != kProtoEsp) {
    return Error{Errc::kWrongProtocol, "neither ESP nor AH nor UDP", ip.protocol_at};
  }
  if (reader.left() < kEspHeader) return Error{Errc::kBadLength, "ESP header ends early", ip.upper_at};
  ESPLANADE_TRY(spi, reader.u32("SPI"));
  if (spi == 0) return Error{Errc::kWrongProtocol, "SPI 0: IKE on UDP 4500, not ESP (RFC 3948 s2.2)", ip.upper_at};
  return SpiFound{Protocol::kEsp, spi};
}

}  // namespace esplanade::esp
