#include "keyd/keymat/main_mode_keys.h"

#include <algorithm>

namespace esplanade::ike {
namespace {

Bytes to_bytes(const Secret& s) { return Bytes(s.reveal().begin(), s.reveal().end()); }

Iv first_block(ByteView octets) {
  Iv iv{};
  std::copy_n(octets.begin(), iv.size(), iv.begin());
  return iv;
}

// RFC 2451 s2.3: K1 == K2 or K2 == K3 is single DES. Parity bits do not count.
bool degenerates(ByteView key24) {
  auto same = [&](std::size_t a, std::size_t b) {
    Byte diff = 0;
    for (std::size_t i = 0; i < 8; ++i) diff |= static_cast<Byte>((key24[a + i] ^ key24[b + i]) & 0xfe);
    return diff == 0;
  };
  return same(0, 8) || same(8, 16);
}

}  // namespace

Secret skeyid_psk(std::uint16_t hash, ByteView psk, ByteView ni_b, ByteView nr_b) {
  return crypto::prf(hash_of(hash), psk, {ni_b, nr_b});
}

Secret skeyid_signature(std::uint16_t hash, ByteView ni_b, ByteView nr_b, ByteView g_xy) {
  Bytes nonces(ni_b.begin(), ni_b.end());
  put(nonces, nr_b);
  return crypto::prf(hash_of(hash), nonces, {g_xy});
}

Result<Secret> cipher_key(const MmSuite& suite, ByteView skeyid_e) {
  const crypto::BlockCipher cipher = cipher_of(suite.encryption);
  const std::size_t want = crypto::key_len(cipher);
  Secret key;
  if (skeyid_e.size() >= want) {
    key = Secret(skeyid_e.first(want));
  } else {
    // K1 = prf(SKEYID_e, 0), Kn = prf(SKEYID_e, Kn-1): the keys are prf outputs in a row. Space for all of
    // them is reserved first, so that no copy stays behind in memory.
    Bytes octets;
    octets.reserve(want + crypto::hash_len(crypto::Hash::kSha1));
    const Byte zero = 0;
    Secret k = crypto::prf(hash_of(suite.hash), skeyid_e, {ByteView(&zero, 1)});
    for (;;) {
      put(octets, k.reveal());
      if (octets.size() >= want) break;
      k = crypto::prf(hash_of(suite.hash), skeyid_e, {k.reveal()});
    }
    wipe(MutableBytes(octets).subspan(want));
    octets.resize(want);
    key = Secret(std::move(octets));
  }
  const bool weak =
      cipher == crypto::BlockCipher::kDes ? crypto::is_weak_des_key(key.reveal()) : degenerates(key.reveal());
  if (weak)
    return Error{Errc::kWeakKey, "the negotiated IKE cipher key is weak: the negotiation has to start again"};
  return key;
}

Result<MmKeys> derive_mm_keys(const MmSuite& suite, Secret skeyid, ByteView g_xy, const Cookie& cky_i,
                              const Cookie& cky_r) {
  const crypto::Hash h = hash_of(suite.hash);
  constexpr std::array<Byte, 3> kOctet{0, 1, 2};
  auto octet = [&](std::size_t i) { return ByteView(kOctet).subspan(i, 1); };
  MmKeys keys;
  keys.skeyid_d = crypto::prf(h, skeyid.reveal(), {g_xy, cky_i, cky_r, octet(0)});
  keys.skeyid_a = crypto::prf(h, skeyid.reveal(), {keys.skeyid_d.reveal(), g_xy, cky_i, cky_r, octet(1)});
  keys.skeyid_e = crypto::prf(h, skeyid.reveal(), {keys.skeyid_a.reveal(), g_xy, cky_i, cky_r, octet(2)});
  keys.skeyid = std::move(skeyid);
  ESPLANADE_TRY(cipher, cipher_key(suite, keys.skeyid_e.reveal()));
  keys.cipher = std::move(cipher);
  return keys;
}

Bytes auth_hash(std::uint16_t hash, ByteView skeyid, ByteView g_own, ByteView g_peer, const Cookie& cky_own,
                const Cookie& cky_peer, ByteView sai_b, ByteView id_b, ByteView more) {
  return to_bytes(
      crypto::prf(hash_of(hash), skeyid, {g_own, g_peer, cky_own, cky_peer, sai_b, id_b, more}));
}

Iv phase1_iv(std::uint16_t hash, ByteView g_xi, ByteView g_xr) {
  return first_block(crypto::hash(hash_of(hash), {g_xi, g_xr}));
}

Bytes natd_hash(std::uint16_t hash, const Cookie& cky_i, const Cookie& cky_r, const esp::IpAddress& address,
                std::uint16_t port) {
  std::array<Byte, 2> port_octets{};
  store_be16(port_octets.data(), port);
  return crypto::hash(hash_of(hash), {cky_i, cky_r, address.bytes(), port_octets});
}

Bytes digest_of(ByteView octets) { return crypto::hash(crypto::Hash::kSha1, {octets}); }

}  // namespace esplanade::ike
