// Algorithm suites by name, in strongSwan's words: "3des-sha1-modp1024". Only the mission's algorithms exist
// here: DES and 3DES, MD5 and SHA1, groups 1, 2 and 14; offers of others are skipped, never chosen.
#pragma once

#include <string>
#include <string_view>

#include "common/esp/sa.h"
#include "keyd/wire/doi_numbers.h"

namespace esplanade::ike {

/// Main mode: wire values of RFC 2409 App. A.
struct MmSuite {
  std::uint16_t encryption = kMmTripleDesCbc;
  std::uint16_t hash = kMmSha1;
  std::uint16_t group = 2;
  bool operator==(const MmSuite&) const = default;
};

/// Quick mode: one protocol of an SA, wire values of RFC 2407 s4.4 and s4.5.
struct QmSuite {
  ProtocolId protocol = ProtocolId::kEsp;
  std::uint8_t transform = kEspTripleDes;
  std::uint16_t auth = kQmHmacSha1;
  std::uint16_t group = 0;  // as negotiated; 0: no PFS. In the configuration always 0: the group is main mode's
  bool operator==(const QmSuite&) const = default;
};

/// True for the groups that this product negotiates: 1 (768 bits), 2 (1024), 14 (2048).
bool group_supported(std::uint16_t group);

/// "ENC-HASH-GROUP"; ENC des | 3des, HASH md5 | sha1, GROUP modp768 | modp1024 | modp2048, or by their names
/// in Windows policy low | medium | high. Errors: kBadConfig, naming the word.
Result<MmSuite> parse_mm_suite(std::string_view text);
/// "ENC-AUTH" for ESP; ENC null | des | 3des, AUTH md5 | sha1 | none (not with null).
Result<QmSuite> parse_esp_suite(std::string_view text);
/// "AUTH" for AH: md5 | sha1.
Result<QmSuite> parse_ah_suite(std::string_view text);
std::string to_string(const MmSuite& suite);
std::string to_string(const QmSuite& suite);

esp::Protocol esp_protocol(const QmSuite& suite);
esp::Cipher esp_cipher(const QmSuite& suite);
esp::Auth esp_auth(const QmSuite& suite);
/// Octets of KEYMAT that the suite takes: encryption key, then authentication key.
std::size_t keymat_len(const QmSuite& suite);

}  // namespace esplanade::ike
