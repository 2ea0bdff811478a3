// Hashes, IVs and keys of quick mode and informational exchanges, RFC 2409 s5.5, s5.7 and App. B.
// `after` is all that follows the HASH payload on the wire, generic headers included, padding excluded.
#pragma once

#include "keyd/keymat/main_mode_keys.h"

namespace esplanade::ike {

/// IV of the first message with this Message-ID: hash(last phase 1 block | Message-ID), cut to a block.
Iv phase2_iv(std::uint16_t hash, const Iv& last_phase1_block, std::uint32_t message_id);

/// HASH(1), and the hash of an informational exchange: prf(SKEYID_a, M-ID | after).
Bytes qm_hash1(std::uint16_t hash, ByteView skeyid_a, std::uint32_t message_id, ByteView after);
/// HASH(2) = prf(SKEYID_a, M-ID | Ni_b | after).
Bytes qm_hash2(std::uint16_t hash, ByteView skeyid_a, std::uint32_t message_id, ByteView ni_b,
               ByteView after);
/// HASH(3) = prf(SKEYID_a, 0 | M-ID | Ni_b | Nr_b).
Bytes qm_hash3(std::uint16_t hash, ByteView skeyid_a, std::uint32_t message_id, ByteView ni_b, ByteView nr_b);

/// The acknowledgement of a delete (MS-IKEE s3.8): prf(SKEYID_a, Ni_b | M-ID | after).
Bytes delete_ack_hash(std::uint16_t hash, ByteView skeyid_a, std::uint32_t message_id, ByteView ni_b,
                      ByteView after);

/// `len` octets of KEYMAT for traffic to the owner of `spi`; g_xy is that of this quick mode (PFS), or empty.
Secret derive_keymat(std::uint16_t hash, ByteView skeyid_d, ByteView g_xy, ProtocolId protocol,
                     std::uint32_t spi, ByteView ni_b, ByteView nr_b, std::size_t len);

}  // namespace esplanade::ike
