// ESP in tunnel mode under an outer IPv4 header, written for the benches on OpenSSL: what the lane must
// produce. It shares no code with the product's engine.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace esplanade::tb {

using Octets = std::vector<std::uint8_t>;
using View = std::span<const std::uint8_t>;

/// Key material as the card holds it.
struct EspKeys {
  bool single_des = false;  // DES-CBC with the first 8 octets of enc
  std::array<std::uint8_t, 24> enc{};
  std::array<std::uint8_t, 20> auth{};
};

/// Everything that shapes one protected packet beside the packet.
struct EspShape {
  std::uint32_t spi = 0x1000;
  std::uint32_t seq = 1;
  std::array<std::uint8_t, 8> iv{};
  std::array<std::uint8_t, 4> src{};
  std::array<std::uint8_t, 4> dst{};
  std::uint8_t ttl = 64;
  std::uint16_t ip_id = 0;
  unsigned df_policy = 0;  // 0 copy, 1 clear, 2 set
  bool dscp_set = false;
  std::uint8_t dscp = 0;
  bool ecn_clear = false;
  bool natt = false;
  std::uint16_t udp_src = 4500;
  std::uint16_t udp_dst = 4500;
};

/// SHA-1 chaining value after the block `pad` ^ key (0x36 inner, 0x5c outer), big-endian octets.
std::array<std::uint8_t, 20> hmac_state(const EspKeys& keys, std::uint8_t pad);

/// CBC over whole blocks.
Octets cbc(const EspKeys& keys, View iv, View data, bool encrypt);

/// SPI, sequence number, IV, ciphertext of `plain` (a multiple of 8, trailer included), ICV.
Octets esp_from_plain(const EspKeys& keys, const EspShape& shape, View plain);

/// `inner` with minimal padding 1, 2, 3 .., pad length and next header.
Octets padded(View inner);

/// The whole outer packet for an inner packet.
Octets encap(const EspKeys& keys, const EspShape& shape, View inner);

/// An outer packet (20-octet header, UDP if natt) around a ready ESP packet.
Octets wrap(const EspShape& shape, std::uint8_t tos, bool df, View esp);

/// An IPv4 packet of `len` octets (at least 20) with random payload, TOS and DF; checksum correct.
Octets random_ipv4(std::size_t len, std::uint64_t seed);

}  // namespace esplanade::tb
