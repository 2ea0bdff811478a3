// An SA for tests that care for what happens to it more than for what it is.
#pragma once

#include "common/esp/sa.h"

namespace esplanade::testing {

/// 3DES with HMAC-SHA1, in tunnel mode from 192.0.2.1 to 192.0.2.2.
inline esp::SaParams sa_params(bool outbound, std::uint32_t spi = 0x1000) {
  esp::SaParams sa;
  sa.outbound = outbound;
  sa.spi = spi;
  sa.enc_key = Secret(from_hex("0123456789abcdef23456789abcdef01456789abcdef0123").value());
  sa.auth_key = Secret(from_hex("a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3").value());
  sa.src = esp::parse_address("192.0.2.1").value();
  sa.dst = esp::parse_address("192.0.2.2").value();
  return sa;
}

}  // namespace esplanade::testing
