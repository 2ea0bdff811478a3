#include "keyd/keymat/quick_mode_keys.h"

#include <algorithm>

namespace esplanade::ike {
namespace {

std::array<Byte, 4> be32(std::uint32_t v) {
  std::array<Byte, 4> out{};
  store_be32(out.data(), v);
  return out;
}

Bytes to_bytes(const Secret& s) { return Bytes(s.reveal().begin(), s.reveal().end()); }

}  // namespace

Iv phase2_iv(std::uint16_t hash, const Iv& last_phase1_block, std::uint32_t message_id) {
  const Bytes full = crypto::hash(hash_of(hash), {last_phase1_block, be32(message_id)});
  Iv iv{};
  std::copy_n(full.begin(), iv.size(), iv.begin());
  return iv;
}

Bytes qm_hash1(std::uint16_t hash, ByteView skeyid_a, std::uint32_t message_id, ByteView after) {
  return to_bytes(crypto::prf(hash_of(hash), skeyid_a, {be32(message_id), after}));
}

Bytes qm_hash2(std::uint16_t hash, ByteView skeyid_a, std::uint32_t message_id, ByteView ni_b,
               ByteView after) {
  return to_bytes(crypto::prf(hash_of(hash), skeyid_a, {be32(message_id), ni_b, after}));
}

Bytes qm_hash3(std::uint16_t hash, ByteView skeyid_a, std::uint32_t message_id, ByteView ni_b,
               ByteView nr_b) {
  const Byte zero = 0;
  return to_bytes(crypto::prf(hash_of(hash), skeyid_a, {ByteView(&zero, 1), be32(message_id), ni_b, nr_b}));
}

Bytes delete_ack_hash(std::uint16_t hash, ByteView skeyid_a, std::uint32_t message_id, ByteView ni_b,
                      ByteView after) {
  return to_bytes(crypto::prf(hash_of(hash), skeyid_a, {ni_b, be32(message_id), after}));
}

Secret derive_keymat(std::uint16_t hash, ByteView skeyid_d, ByteView g_xy, ProtocolId protocol,
                     std::uint32_t spi, ByteView ni_b, ByteView nr_b, std::size_t len) {
  const crypto::Hash h = hash_of(hash);
  const Byte protocol_octet = static_cast<Byte>(protocol);
  const auto spi_octets = be32(spi);
  // Reserved in full first, so that growing leaves no copy behind.
  Bytes out;
  out.reserve(len + crypto::hash_len(h));
  Secret k;  // K0 is empty
  while (out.size() < len) {
    k = crypto::prf(h, skeyid_d, {k.reveal(), g_xy, ByteView(&protocol_octet, 1), spi_octets, ni_b, nr_b});
    put(out, k.reveal());
  }
  wipe(MutableBytes(out).subspan(len));
  out.resize(len);
  return Secret(std::move(out));
}

}  // namespace esplanade::ike
