#include "common/pfkey/sa_message.h"

#include <linux/pfkeyv2.h>

#include <algorithm>

namespace esplanade::pfkey {

namespace {

std::optional<LifetimeExt> to_ext(const esp::Lifetime& l) {
  if (l.bytes == 0 && l.packets == 0 && l.seconds == 0) return std::nullopt;
  // The field has 32 bits; a limit that does not fit is a limit that is not reached.
  const auto packets = static_cast<std::uint32_t>(std::min<std::uint64_t>(l.packets, UINT32_MAX));
  return LifetimeExt{packets, l.bytes, l.seconds, 0};
}

esp::Lifetime from_ext(const std::optional<LifetimeExt>& l) {
  if (!l) return {};
  const auto seconds = static_cast<std::uint32_t>(std::min<std::uint64_t>(l->addtime, UINT32_MAX));
  return {.bytes = l->bytes, .packets = l->allocations, .seconds = seconds};
}

Result<esp::Cipher> to_cipher(std::uint8_t id) {
  switch (id) {
    case SADB_EALG_NONE:  // AH, or ESP as Linux takes it: no encryption
    case SADB_EALG_NULL:
      return esp::Cipher::kNull;
    case SADB_EALG_DESCBC:
      return esp::Cipher::kDesCbc;
    case SADB_EALG_3DESCBC:
      return esp::Cipher::kTripleDesCbc;
    default:
      return Error{Errc::kUnsupported, "SA extension: unknown encryption algorithm"};
  }
}

Result<esp::Auth> to_auth(std::uint8_t id) {
  switch (id) {
    case SADB_AALG_NONE:
      return esp::Auth::kNone;
    case SADB_AALG_MD5HMAC:
      return esp::Auth::kHmacMd5_96;
    case SADB_AALG_SHA1HMAC:
      return esp::Auth::kHmacSha1_96;
    default:
      return Error{Errc::kUnsupported, "SA extension: unknown authentication algorithm"};
  }
}

}  // namespace

std::uint8_t to_pfkey(esp::Cipher cipher) {
  switch (cipher) {
    case esp::Cipher::kNull:
      return SADB_EALG_NULL;
    case esp::Cipher::kDesCbc:
      return SADB_EALG_DESCBC;
    case esp::Cipher::kTripleDesCbc:
      return SADB_EALG_3DESCBC;
  }
  return SADB_EALG_NONE;
}

std::uint8_t to_pfkey(esp::Auth auth) {
  switch (auth) {
    case esp::Auth::kNone:
      return SADB_AALG_NONE;
    case esp::Auth::kHmacMd5_96:
      return SADB_AALG_MD5HMAC;
    case esp::Auth::kHmacSha1_96:
      return SADB_AALG_SHA1HMAC;
  }
  return SADB_AALG_NONE;
}

Message sa_message(Type type, esp::SaParams sa, std::uint32_t reqid) {
  Message m;
  m.type = type;
  m.satype = sa.protocol == esp::Protocol::kEsp ? SaType::kEsp : SaType::kAh;
  SaExt ext;
  ext.spi = sa.spi;
  ext.replay = static_cast<std::uint8_t>(std::min<std::uint16_t>(sa.replay_window, 224));
  ext.auth = to_pfkey(sa.auth);
  ext.encrypt = sa.protocol == esp::Protocol::kEsp ? to_pfkey(sa.cipher) : std::uint8_t{SADB_EALG_NONE};
  m.sa = ext;
  m.src = host_address(sa.src);
  m.dst = host_address(sa.dst);
  if (!sa.auth_key.empty()) m.key_auth = std::move(sa.auth_key);
  if (!sa.enc_key.empty()) m.key_encrypt = std::move(sa.enc_key);
  m.lifetime_soft = to_ext(sa.soft);
  m.lifetime_hard = to_ext(sa.hard);
  m.sa2 = Sa2Ext{sa.mode == esp::Mode::kTunnel ? kModeTunnel : kModeTransport, 0, reqid};
  if (sa.natt) {
    m.natt_type = kNattEspInUdp;
    m.natt_sport = sa.natt->src_port;
    m.natt_dport = sa.natt->dst_port;
  }
  return m;
}

Message move_message(SaType type, std::uint32_t spi, std::uint32_t reqid, const esp::IpAddress& src,
                     const esp::IpAddress& dst, const esp::Natt& natt) {
  Message m;
  m.type = Type::kUpdate;
  m.satype = type;
  m.sa = SaExt{};
  m.sa->spi = spi;
  m.src = host_address(src);
  m.dst = host_address(dst);
  m.sa2 = Sa2Ext{kModeAny, 0, reqid};
  m.natt_type = kNattEspInUdp;
  m.natt_sport = natt.src_port;
  m.natt_dport = natt.dst_port;
  return m;
}

bool is_move(const Message& m) {
  return m.type == Type::kUpdate && !m.key_auth && !m.key_encrypt && m.sa && m.src && m.dst && m.sa2 &&
         m.sa2->mode == kModeAny && m.natt_type && m.natt_sport && m.natt_dport && *m.natt_sport != 0 &&
         *m.natt_dport != 0;
}

Result<esp::SaParams> sa_params(Message&& m, bool outbound) {
  if (!m.sa || !m.src || !m.dst || !m.sa2) {
    return Error{Errc::kMalformed, "an SA needs the extensions SA, ADDRESS_SRC, ADDRESS_DST and SA2"};
  }
  if (m.satype == SaType::kUnspec) return Error{Errc::kMalformed, "an SA needs a type, ESP or AH"};
  if (m.sa2->mode == kModeAny) return Error{Errc::kMalformed, "an SA needs a mode, tunnel or transport"};
  esp::SaParams sa;
  sa.protocol = m.satype == SaType::kEsp ? esp::Protocol::kEsp : esp::Protocol::kAh;
  sa.mode = m.sa2->mode == kModeTunnel ? esp::Mode::kTunnel : esp::Mode::kTransport;
  sa.outbound = outbound;
  sa.spi = m.sa->spi;
  ESPLANADE_TRY(cipher, to_cipher(m.sa->encrypt));
  ESPLANADE_TRY(auth, to_auth(m.sa->auth));
  sa.cipher = cipher;
  sa.auth = auth;
  sa.replay_window = m.sa->replay;
  sa.src = m.src->address;
  sa.dst = m.dst->address;
  if (m.natt_type) {
    if (*m.natt_type != kNattEspInUdp) return Error{Errc::kUnsupported, "NAT-T type is not ESP in UDP (2)"};
    if (!m.natt_sport || !m.natt_dport || *m.natt_sport == 0 || *m.natt_dport == 0) {
      return Error{Errc::kMalformed, "NAT-T type without both ports"};
    }
    sa.natt = esp::Natt{*m.natt_sport, *m.natt_dport};
  } else if (m.natt_sport || m.natt_dport) {
    return Error{Errc::kMalformed, "NAT-T port without a NAT-T type"};
  }
  sa.soft = from_ext(m.lifetime_soft);
  sa.hard = from_ext(m.lifetime_hard);
  if (m.key_auth) sa.auth_key = std::move(*m.key_auth);
  if (m.key_encrypt) sa.enc_key = std::move(*m.key_encrypt);
  return sa;
}

}  // namespace esplanade::pfkey
