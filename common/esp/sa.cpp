#include "common/esp/sa.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>

#include "common/crypto/cbc.h"

namespace esplanade::esp {

Result<IpAddress> parse_address(std::string_view text) {
  const std::string copy(text.substr(0, 64));
  IpAddress out;
  // A zero octet would end the text early for inet_pton.
  if (copy.find('\0') != std::string::npos) return Error{Errc::kMalformed, "not an IPv4 or IPv6 address"};
  if (inet_pton(AF_INET, copy.c_str(), out.octets.data()) == 1) return out;
  out.version = 6;
  if (inet_pton(AF_INET6, copy.c_str(), out.octets.data()) == 1) return out;
  return Error{Errc::kMalformed, "not an IPv4 or IPv6 address"};
}

std::string to_string(const IpAddress& address) {
  char text[INET6_ADDRSTRLEN] = "?";
  inet_ntop(address.version == 4 ? AF_INET : AF_INET6, address.octets.data(), text, sizeof text);
  return text;
}

namespace {
Error refuse(const char* why) { return Error{Errc::kBadConfig, std::string("SA refused: ") + why}; }

Status validate_des(ByteView key) {
  for (std::size_t at = 0; at < key.size(); at += 8) {
    if (crypto::is_weak_des_key(key.subspan(at, 8))) {
      return Error{Errc::kWeakKey, "SA refused: weak or semi-weak DES key (RFC 2405 s2.3)"};
    }
  }
  const auto same = [key](std::size_t a, std::size_t b) {
    // Parity bits do not reach the cipher.
    return std::ranges::equal(key.subspan(a, 8), key.subspan(b, 8), [](Byte x, Byte y) { return (x & 0xfe) == (y & 0xfe); });
  };
  if (key.size() == 24 && (same(0, 8) || same(8, 16))) {
    return Error{Errc::kWeakKey, "SA refused: 3DES with K1 = K2 or K2 = K3 is single DES (RFC 2451 s2.3)"};
  }
  return ok();
}
}  // namespace

SaParams SaParams::without_keys() const {
  SaParams out;
  out.protocol = protocol;
  out.mode = mode;
  out.outbound = outbound;
  out.spi = spi;
  out.cipher = cipher;
  out.auth = auth;
  out.src = src;
  out.dst = dst;
  out.natt = natt;
  out.esn = esn;
  out.seq = seq;
  out.replay_window = replay_window;
  out.check_outer = check_outer;
  out.inner_v4 = inner_v4;
  out.inner_v6 = inner_v6;
  out.ttl = ttl;
  out.ip_id = ip_id;
  out.df = df;
  out.dscp = dscp;
  out.ecn_copy = ecn_copy;
  out.soft = soft;
  out.hard = hard;
  out.reqid = reqid;
  return out;
}

SaParams SaParams::clone() const {
  SaParams out = without_keys();
  out.enc_key = enc_key.clone();
  out.auth_key = auth_key.clone();
  return out;
}

Status validate(const SaParams& sa) {
  if (sa.spi < 256) return refuse("SPI 0 to 255 are reserved (RFC 4303 s2.1)");
  if (sa.enc_key.size() != key_len(sa.cipher)) return refuse("the encryption key does not have its algorithm's length");
  if (sa.auth_key.size() != key_len(sa.auth)) return refuse("the authentication key does not have its algorithm's length");
  if (sa.src.version != sa.dst.version) return refuse("source and destination are of different IP versions");
  if (sa.protocol == Protocol::kAh) {
    if (sa.cipher != Cipher::kNull) return refuse("AH does not encrypt");
    if (sa.auth == Auth::kNone) return refuse("AH needs an authentication algorithm");
    if (sa.natt) return refuse("AH cannot pass NAT (RFC 3948 s1)");
  } else if (sa.cipher == Cipher::kNull && sa.auth == Auth::kNone) {
    return refuse("neither encryption nor authentication (RFC 4303 s3.2)");
  }
  if (sa.natt && sa.src.version != 4) return refuse("ESP in UDP is done over IPv4 only");
  if (!sa.esn && sa.seq > 0xffffffffu) return refuse("a sequence number above 2^32 - 1 needs ESN");
  if (sa.replay_window % 32 != 0 || sa.replay_window > 1024) return refuse("replay window is not a multiple of 32 up to 1024");
  if (sa.esn && !sa.outbound && sa.replay_window == 0) return refuse("ESN needs a replay window (RFC 4303 s2.2.1)");
  if (sa.dscp && *sa.dscp > 63) return refuse("DSCP above 63");
  return validate_des(sa.enc_key.reveal());
}

}  // namespace esplanade::esp
