// Keys of main mode, RFC 2409 s5 and App. B. `hash` and `encryption` are the wire values of RFC 2409 App. A
// (MD5 or SHA1; DES or 3DES). Names are the RFC's: g_xy is g^xy as exactly prime-length octets, *_b are
// bodies.
#pragma once

#include "common/crypto/cbc.h"
#include "common/crypto/hash.h"
#include "keyd/policy/suite.h"
#include "keyd/wire/isakmp_header.h"

namespace esplanade::ike {

using crypto::Iv;

struct MmKeys {
  Secret skeyid;
  Secret skeyid_d;
  Secret skeyid_a;
  Secret skeyid_e;
  Secret cipher;  // Ka: 8 octets for DES, 24 for 3DES
};

/// SKEYID of a pre-shared key: prf(psk, Ni_b | Nr_b).
Secret skeyid_psk(std::uint16_t hash, ByteView psk, ByteView ni_b, ByteView nr_b);
/// SKEYID of signatures and GSS-API: prf(Ni_b | Nr_b, g^xy).
Secret skeyid_signature(std::uint16_t hash, ByteView ni_b, ByteView nr_b, ByteView g_xy);

/// SKEYID_d, _a, _e and the cipher key from SKEYID. Errors: kWeakKey, when the negotiation has to start
/// again.
Result<MmKeys> derive_mm_keys(const MmSuite& suite, Secret skeyid, ByteView g_xy, const Cookie& cky_i,
                              const Cookie& cky_r);

/// Ka from SKEYID_e, RFC 2409 App. B. Errors: kWeakKey.
Result<Secret> cipher_key(const MmSuite& suite, ByteView skeyid_e);

/// HASH_I with (own, peer) = (i, r), HASH_R with (r, i); sai_b is the initiator's offer in both. `more` is what
/// GSS-API adds: the octets of its own name attribute and of the tokens it sent (draft gss-auth-07 s3.1).
Bytes auth_hash(std::uint16_t hash, ByteView skeyid, ByteView g_own, ByteView g_peer, const Cookie& cky_own,
                const Cookie& cky_peer, ByteView sai_b, ByteView id_b, ByteView more = {});

/// IV of message 5: hash(g^xi | g^xr), cut to a block.
Iv phase1_iv(std::uint16_t hash, ByteView g_xi, ByteView g_xr);

/// NAT-D of RFC 3947 s3.2: hash(CKY-I | CKY-R | address | port).
Bytes natd_hash(std::uint16_t hash, const Cookie& cky_i, const Cookie& cky_r, const esp::IpAddress& address,
                std::uint16_t port);

/// The algorithms behind the wire values.
constexpr crypto::Hash hash_of(std::uint16_t hash) {
  return hash == kMmMd5 ? crypto::Hash::kMd5 : crypto::Hash::kSha1;
}
constexpr crypto::BlockCipher cipher_of(std::uint16_t encryption) {
  return encryption == kMmDesCbc ? crypto::BlockCipher::kDes : crypto::BlockCipher::kTripleDes;
}
/// hash(octets), to tell duplicates apart.
Bytes digest_of(ByteView octets);

}  // namespace esplanade::ike
