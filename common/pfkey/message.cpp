#include "common/pfkey/message.h"

#include <linux/pfkeyv2.h>
#include <netinet/in.h>

#include <bitset>
#include <cstring>

namespace esplanade::pfkey {

namespace {

constexpr std::size_t kUnit = 8;               // lengths on the wire count these
constexpr std::size_t kMaxKeyLen = 65535 / 8;  // sadb_key_bits has 16 bits

// A fixed structure at the front of `octets`, which the caller has checked to be long enough.
template <class T>
T load(ByteView octets) {
  T out;
  std::memcpy(&out, octets.data(), sizeof out);
  return out;
}

Error wrong(Errc code, const char* what, std::size_t at) {
  return Error{code, std::string("PF_KEY message: ") + what, at};
}

template <class T>
Result<T> load_exact(ByteView ext, std::size_t at, const char* what) {
  if (ext.size() != sizeof(T)) return wrong(Errc::kBadLength, what, at);
  return load<T>(ext);
}

Result<SaExt> parse_sa(ByteView ext, std::size_t at) {
  ESPLANADE_TRY(raw, load_exact<sadb_sa>(ext, at, "SA extension has a wrong length"));
  if (raw.sadb_sa_state > SADB_SASTATE_MAX)
    return wrong(Errc::kMalformed, "SA extension has an impossible state", at);
  SaExt sa;
  sa.spi = ntohl(raw.sadb_sa_spi);
  sa.replay = raw.sadb_sa_replay;
  sa.state = static_cast<SaState>(raw.sadb_sa_state);
  sa.auth = raw.sadb_sa_auth;
  sa.encrypt = raw.sadb_sa_encrypt;
  sa.flags = raw.sadb_sa_flags;
  return sa;
}

Result<LifetimeExt> parse_lifetime(ByteView ext, std::size_t at) {
  ESPLANADE_TRY(raw, load_exact<sadb_lifetime>(ext, at, "lifetime extension has a wrong length"));
  return LifetimeExt{raw.sadb_lifetime_allocations, raw.sadb_lifetime_bytes, raw.sadb_lifetime_addtime,
                     raw.sadb_lifetime_usetime};
}

Result<AddressExt> parse_address(ByteView ext, std::size_t at) {
  if (ext.size() < sizeof(sadb_address) + kUnit)
    return wrong(Errc::kBadLength, "address extension is too short for a sockaddr", at);
  const auto head = load<sadb_address>(ext);
  const ByteView tail = ext.subspan(sizeof head);
  AddressExt out;
  out.proto = head.sadb_address_proto;
  out.prefix_len = head.sadb_address_prefixlen;
  const auto family = load<sa_family_t>(tail);
  std::size_t most = 32;
  if (family == AF_INET) {
    if (tail.size() != sizeof(sockaddr_in))
      return wrong(Errc::kBadLength, "IPv4 address extension has a wrong length", at);
    const auto raw = load<sockaddr_in>(tail);
    out.address.version = 4;
    std::memcpy(out.address.octets.data(), &raw.sin_addr, 4);
    out.port = ntohs(raw.sin_port);
  } else if (family == AF_INET6) {
    // 28 octets, padded to a multiple of 8.
    if (tail.size() != (sizeof(sockaddr_in6) + kUnit - 1) / kUnit * kUnit) {
      return wrong(Errc::kBadLength, "IPv6 address extension has a wrong length", at);
    }
    const auto raw = load<sockaddr_in6>(tail);
    out.address.version = 6;
    std::memcpy(out.address.octets.data(), &raw.sin6_addr, 16);
    out.port = ntohs(raw.sin6_port);
    most = 128;
  } else {
    return wrong(Errc::kUnsupported, "address extension is neither IPv4 nor IPv6", at);
  }
  if (out.prefix_len > most)
    return wrong(Errc::kMalformed, "address extension has an impossible prefix length", at);
  return out;
}

Result<Secret> parse_key(ByteView ext, std::size_t at) {
  if (ext.size() < sizeof(sadb_key)) return wrong(Errc::kBadLength, "key extension is too short", at);
  const auto head = load<sadb_key>(ext);
  const std::size_t len = head.sadb_key_bits / 8U;
  if (len == 0 || head.sadb_key_bits % 8 != 0)
    return wrong(Errc::kMalformed, "key is not a positive whole number of octets", at);
  if (ext.size() != sizeof head + (len + kUnit - 1) / kUnit * kUnit) {
    return wrong(Errc::kBadLength, "key extension's length disagrees with its bits", at);
  }
  return Secret(ext.subspan(sizeof head, len));
}

Result<std::vector<Algorithm>> parse_supported(ByteView ext, std::size_t at) {
  // sadb_alg is one unit, and the extension whole units: the rest divides.
  if (ext.size() < sizeof(sadb_supported))
    return wrong(Errc::kBadLength, "supported extension is too short", at);
  std::vector<Algorithm> out;
  for (ByteView left = ext.subspan(sizeof(sadb_supported)); !left.empty();
       left = left.subspan(sizeof(sadb_alg))) {
    const auto raw = load<sadb_alg>(left);
    out.push_back({raw.sadb_alg_id, raw.sadb_alg_ivlen, raw.sadb_alg_minbits, raw.sadb_alg_maxbits});
  }
  return out;
}

Result<SpiRangeExt> parse_spi_range(ByteView ext, std::size_t at) {
  ESPLANADE_TRY(raw, load_exact<sadb_spirange>(ext, at, "SPI range extension has a wrong length"));
  if (raw.sadb_spirange_min > raw.sadb_spirange_max)
    return wrong(Errc::kMalformed, "SPI range ends before it begins", at);
  return SpiRangeExt{raw.sadb_spirange_min, raw.sadb_spirange_max};
}

Result<Sa2Ext> parse_sa2(ByteView ext, std::size_t at) {
  ESPLANADE_TRY(raw, load_exact<sadb_x_sa2>(ext, at, "SA2 extension has a wrong length"));
  if (raw.sadb_x_sa2_mode > kModeTunnel)
    return wrong(Errc::kUnsupported, "SA2 extension has an unknown mode", at);
  return Sa2Ext{raw.sadb_x_sa2_mode, raw.sadb_x_sa2_sequence, raw.sadb_x_sa2_reqid};
}

Result<std::uint8_t> parse_natt_type(ByteView ext, std::size_t at) {
  ESPLANADE_TRY(raw, load_exact<sadb_x_nat_t_type>(ext, at, "NAT-T type extension has a wrong length"));
  return std::uint8_t{raw.sadb_x_nat_t_type_type};
}

Result<std::uint16_t> parse_natt_port(ByteView ext, std::size_t at) {
  ESPLANADE_TRY(raw, load_exact<sadb_x_nat_t_port>(ext, at, "NAT-T port extension has a wrong length"));
  return ntohs(raw.sadb_x_nat_t_port_port);
}

template <class T>
Status put_in(std::optional<T>& field, Result<T> parsed) {
  if (!parsed) return parsed.error();
  field = std::move(parsed).value();
  return ok();
}

Status parse_extension(std::uint16_t type, ByteView ext, std::size_t at, Message& m) {
  switch (type) {
    case SADB_EXT_SA:
      return put_in(m.sa, parse_sa(ext, at));
    case SADB_EXT_LIFETIME_CURRENT:
      return put_in(m.lifetime_current, parse_lifetime(ext, at));
    case SADB_EXT_LIFETIME_HARD:
      return put_in(m.lifetime_hard, parse_lifetime(ext, at));
    case SADB_EXT_LIFETIME_SOFT:
      return put_in(m.lifetime_soft, parse_lifetime(ext, at));
    case SADB_EXT_ADDRESS_SRC:
      return put_in(m.src, parse_address(ext, at));
    case SADB_EXT_ADDRESS_DST:
      return put_in(m.dst, parse_address(ext, at));
    case SADB_EXT_KEY_AUTH:
      return put_in(m.key_auth, parse_key(ext, at));
    case SADB_EXT_KEY_ENCRYPT:
      return put_in(m.key_encrypt, parse_key(ext, at));
    case SADB_EXT_SUPPORTED_AUTH:
      return put_in(m.supported_auth, parse_supported(ext, at));
    case SADB_EXT_SUPPORTED_ENCRYPT:
      return put_in(m.supported_encrypt, parse_supported(ext, at));
    case SADB_EXT_SPIRANGE:
      return put_in(m.spi_range, parse_spi_range(ext, at));
    case SADB_X_EXT_SA2:
      return put_in(m.sa2, parse_sa2(ext, at));
    case SADB_X_EXT_NAT_T_TYPE:
      return put_in(m.natt_type, parse_natt_type(ext, at));
    case SADB_X_EXT_NAT_T_SPORT:
      return put_in(m.natt_sport, parse_natt_port(ext, at));
    case SADB_X_EXT_NAT_T_DPORT:
      return put_in(m.natt_dport, parse_natt_port(ext, at));
    default:
      return ok();  // known to PF_KEY, of no use here
  }
}

Result<Message> parse_header(ByteView octets) {
  if (octets.size() < sizeof(sadb_msg))
    return wrong(Errc::kTruncated, "shorter than its header", octets.size());
  const auto head = load<sadb_msg>(octets);
  if (head.sadb_msg_version != PF_KEY_V2)
    return wrong(Errc::kUnsupported, "version is not 2", offsetof(sadb_msg, sadb_msg_version));
  if (head.sadb_msg_type < SADB_GETSPI || head.sadb_msg_type > SADB_DUMP) {
    return wrong(Errc::kUnsupported, "unknown type", offsetof(sadb_msg, sadb_msg_type));
  }
  if (head.sadb_msg_satype != SADB_SATYPE_UNSPEC && head.sadb_msg_satype != SADB_SATYPE_AH &&
      head.sadb_msg_satype != SADB_SATYPE_ESP) {
    return wrong(Errc::kUnsupported, "SA type is neither ESP nor AH", offsetof(sadb_msg, sadb_msg_satype));
  }
  if (std::size_t{head.sadb_msg_len} * kUnit != octets.size()) {
    return wrong(Errc::kBadLength, "length field disagrees with the octets received",
                 offsetof(sadb_msg, sadb_msg_len));
  }
  Message m;
  m.type = static_cast<Type>(head.sadb_msg_type);
  m.error = head.sadb_msg_errno;
  m.satype = static_cast<SaType>(head.sadb_msg_satype);
  m.seq = head.sadb_msg_seq;
  m.pid = head.sadb_msg_pid;
  return m;
}

// Appends structures and pads to units. The room is reserved once, so that growing leaves no copy of a key
// behind.
class Writer {
 public:
  Writer() { out_.reserve(kMaxMessage); }
  template <class T>
  void put(const T& raw) {
    const auto* p = reinterpret_cast<const Byte*>(&raw);
    append(ByteView(p, sizeof raw));
  }
  void append(ByteView octets) {
    if (octets.size() > kMaxMessage - out_.size()) {
      full_ = true;
    } else {
      out_.insert(out_.end(), octets.begin(), octets.end());
    }
  }
  /// An extension of `head` and `tail`: fills in its length and pads it. `head` begins like sadb_ext.
  template <class T>
  void extension(std::uint16_t type, T head, ByteView tail = {}) {
    const std::size_t len = (sizeof head + tail.size() + kUnit - 1) / kUnit * kUnit;
    const sadb_ext start{static_cast<std::uint16_t>(len / kUnit), type};
    std::memcpy(&head, &start, sizeof start);
    put(head);
    append(tail);
    static constexpr Byte kZero[kUnit] = {};
    append(ByteView(kZero).first(len - sizeof head - tail.size()));
  }
  Result<Secret> finish() {
    Secret out(std::move(out_));
    if (full_) return wrong(Errc::kBadLength, "longer than 4,096 octets", kMaxMessage);
    const auto len = static_cast<std::uint16_t>(out.size() / kUnit);
    std::memcpy(out.reveal_mutable().data() + offsetof(sadb_msg, sadb_msg_len), &len, sizeof len);
    return out;
  }

 private:
  Bytes out_;
  bool full_ = false;
};

template <class T>
ByteView octets_of(const T& raw) {
  return {reinterpret_cast<const Byte*>(&raw), sizeof raw};
}

void put_lifetime(Writer& w, std::uint16_t type, const std::optional<LifetimeExt>& l) {
  if (l) w.extension(type, sadb_lifetime{0, 0, l->allocations, l->bytes, l->addtime, l->usetime});
}

void put_address(Writer& w, std::uint16_t type, const std::optional<AddressExt>& a) {
  if (!a) return;
  const sadb_address head{0, 0, a->proto, a->prefix_len, 0};
  if (a->address.version == 4) {
    sockaddr_in raw{};
    raw.sin_family = AF_INET;
    raw.sin_port = htons(a->port);
    std::memcpy(&raw.sin_addr, a->address.octets.data(), 4);
    w.extension(type, head, octets_of(raw));
  } else {
    sockaddr_in6 raw{};
    raw.sin6_family = AF_INET6;
    raw.sin6_port = htons(a->port);
    std::memcpy(&raw.sin6_addr, a->address.octets.data(), 16);
    w.extension(type, head, octets_of(raw));
  }
}

void put_key(Writer& w, std::uint16_t type, const std::optional<Secret>& key) {
  if (key) w.extension(type, sadb_key{0, 0, static_cast<std::uint16_t>(key->size() * 8), 0}, key->reveal());
}

void put_supported(Writer& w, std::uint16_t type, const std::optional<std::vector<Algorithm>>& algorithms) {
  if (!algorithms) return;
  Bytes list;
  for (const Algorithm& a : *algorithms) {
    const sadb_alg raw{a.id, a.iv_len, a.min_bits, a.max_bits, 0};
    put(list, octets_of(raw));
  }
  w.extension(type, sadb_supported{}, list);
}

void put_port(Writer& w, std::uint16_t type, const std::optional<std::uint16_t>& port) {
  if (port) w.extension(type, sadb_x_nat_t_port{0, 0, htons(*port), 0});
}

bool bad_key(const std::optional<Secret>& key) { return key && (key->empty() || key->size() > kMaxKeyLen); }

}  // namespace

const char* type_name(Type type) {
  switch (type) {
    case Type::kGetspi:
      return "SADB_GETSPI";
    case Type::kUpdate:
      return "SADB_UPDATE";
    case Type::kAdd:
      return "SADB_ADD";
    case Type::kDelete:
      return "SADB_DELETE";
    case Type::kGet:
      return "SADB_GET";
    case Type::kAcquire:
      return "SADB_ACQUIRE";
    case Type::kRegister:
      return "SADB_REGISTER";
    case Type::kExpire:
      return "SADB_EXPIRE";
    case Type::kFlush:
      return "SADB_FLUSH";
    case Type::kDump:
      return "SADB_DUMP";
  }
  return "SADB_?";
}

AddressExt host_address(const esp::IpAddress& address) {
  return {address, 0, 0, static_cast<std::uint8_t>(address.version == 4 ? 32 : 128)};
}

Result<Message> parse(ByteView octets) {
  if (octets.size() > kMaxMessage) return wrong(Errc::kBadLength, "longer than 4,096 octets", kMaxMessage);
  ESPLANADE_TRY(m, parse_header(octets));
  std::bitset<SADB_EXT_MAX + 1> seen;
  // The total is a whole number of units and every extension too: whenever octets are left, a sadb_ext fits.
  for (std::size_t at = sizeof(sadb_msg); at < octets.size();) {
    const auto ext = load<sadb_ext>(octets.subspan(at));
    const std::size_t len = std::size_t{ext.sadb_ext_len} * kUnit;
    if (len == 0 || len > octets.size() - at)
      return wrong(Errc::kBadLength, "extension is empty or runs past the end", at);
    if (ext.sadb_ext_type == SADB_EXT_RESERVED || ext.sadb_ext_type > SADB_EXT_MAX) {
      return wrong(Errc::kUnsupported, "unknown extension", at);
    }
    if (seen.test(ext.sadb_ext_type)) return wrong(Errc::kMalformed, "extension given twice", at);
    seen.set(ext.sadb_ext_type);
    ESPLANADE_CHECK(parse_extension(ext.sadb_ext_type, octets.subspan(at, len), at, m));
    at += len;
  }
  return m;
}

Result<Secret> serialize(const Message& m) {
  if (bad_key(m.key_auth) || bad_key(m.key_encrypt))
    return wrong(Errc::kBadLength, "key is empty or too long", 0);
  Writer w;
  w.put(sadb_msg{PF_KEY_V2, static_cast<std::uint8_t>(m.type), m.error, static_cast<std::uint8_t>(m.satype),
                 0, 0, m.seq, m.pid});
  if (m.sa) {
    w.extension(SADB_EXT_SA,
                sadb_sa{0, 0, htonl(m.sa->spi), m.sa->replay, static_cast<std::uint8_t>(m.sa->state),
                        m.sa->auth, m.sa->encrypt, m.sa->flags});
  }
  put_lifetime(w, SADB_EXT_LIFETIME_CURRENT, m.lifetime_current);
  put_lifetime(w, SADB_EXT_LIFETIME_HARD, m.lifetime_hard);
  put_lifetime(w, SADB_EXT_LIFETIME_SOFT, m.lifetime_soft);
  put_address(w, SADB_EXT_ADDRESS_SRC, m.src);
  put_address(w, SADB_EXT_ADDRESS_DST, m.dst);
  put_key(w, SADB_EXT_KEY_AUTH, m.key_auth);
  put_key(w, SADB_EXT_KEY_ENCRYPT, m.key_encrypt);
  put_supported(w, SADB_EXT_SUPPORTED_AUTH, m.supported_auth);
  put_supported(w, SADB_EXT_SUPPORTED_ENCRYPT, m.supported_encrypt);
  if (m.spi_range) w.extension(SADB_EXT_SPIRANGE, sadb_spirange{0, 0, m.spi_range->min, m.spi_range->max, 0});
  if (m.sa2) w.extension(SADB_X_EXT_SA2, sadb_x_sa2{0, 0, m.sa2->mode, 0, 0, m.sa2->sequence, m.sa2->reqid});
  if (m.natt_type) w.extension(SADB_X_EXT_NAT_T_TYPE, sadb_x_nat_t_type{0, 0, *m.natt_type, {}});
  put_port(w, SADB_X_EXT_NAT_T_SPORT, m.natt_sport);
  put_port(w, SADB_X_EXT_NAT_T_DPORT, m.natt_dport);
  return w.finish();
}

}  // namespace esplanade::pfkey
