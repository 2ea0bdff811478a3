#include "common/crypto/dh.h"

#include <openssl/bn.h>

#include "common/crypto/library.h"
#include "common/crypto/random.h"

namespace esplanade::crypto {

namespace {
struct BnFree {
  void operator()(BIGNUM* n) const { BN_clear_free(n); }
};
using Bn = std::unique_ptr<BIGNUM, BnFree>;

// Everything of a group that is worth computing once.
struct Group {
  Bn p;
  Bn p_minus_1;
  BN_MONT_CTX* montgomery = BN_MONT_CTX_new();

  explicit Group(DhGroup g) {
    switch (g) {
      case DhGroup::kModp768: p.reset(BN_get_rfc2409_prime_768(nullptr)); break;
      case DhGroup::kModp1024: p.reset(BN_get_rfc2409_prime_1024(nullptr)); break;
      case DhGroup::kModp1536: p.reset(BN_get_rfc3526_prime_1536(nullptr)); break;
      case DhGroup::kModp2048: p.reset(BN_get_rfc3526_prime_2048(nullptr)); break;
    }
    p_minus_1.reset(BN_dup(p.get()));
    BN_CTX* scratch = BN_CTX_new();
    if (!p || !p_minus_1 || montgomery == nullptr || scratch == nullptr || BN_sub_word(p_minus_1.get(), 1) != 1 ||
        BN_MONT_CTX_set(montgomery, p.get(), scratch) != 1) {
      detail::die("MODP group");
    }
    BN_CTX_free(scratch);
  }
};

const Group& group_of(DhGroup g) {
  // Never destroyed, as keys in static storage may still use them.
  static const Group* const k768 = new Group(DhGroup::kModp768);
  static const Group* const k1024 = new Group(DhGroup::kModp1024);
  static const Group* const k1536 = new Group(DhGroup::kModp1536);
  static const Group* const k2048 = new Group(DhGroup::kModp2048);
  switch (g) {
    case DhGroup::kModp768: return *k768;
    case DhGroup::kModp1024: return *k1024;
    case DhGroup::kModp1536: return *k1536;
    case DhGroup::kModp2048: return *k2048;
  }
  detail::die("no such MODP group");
}

// base^exponent mod p, padded to the prime's length, in constant time for the exponent.
Bytes power(DhGroup g, const BIGNUM* base, const BIGNUM* exponent) {
  const Group& group = group_of(g);
  BN_CTX* scratch = BN_CTX_secure_new();
  Bn result(BN_new());
  Bytes out(prime_len(g));
  if (scratch == nullptr || !result ||
      BN_mod_exp_mont_consttime(result.get(), base, exponent, group.p.get(), scratch, group.montgomery) != 1 ||
      BN_bn2binpad(result.get(), out.data(), static_cast<int>(out.size())) < 0) {
    detail::die("modular exponentiation");
  }
  BN_CTX_free(scratch);
  return out;
}
}  // namespace

Bytes prime(DhGroup g) {
  Bytes out(prime_len(g));
  if (BN_bn2binpad(group_of(g).p.get(), out.data(), static_cast<int>(out.size())) < 0) detail::die("prime");
  return out;
}

struct DhKey::State {
  DhGroup group;
  Bn exponent;
  Bytes public_value;
};

DhKey::DhKey(std::unique_ptr<State> state) : state_(std::move(state)) {}
DhKey::DhKey(DhKey&&) noexcept = default;
DhKey& DhKey::operator=(DhKey&&) noexcept = default;
DhKey::~DhKey() = default;

Result<DhKey> DhKey::from_private(DhGroup g, ByteView exponent) {
  auto state = std::make_unique<State>();
  state->group = g;
  state->exponent.reset(BN_bin2bn(exponent.data(), static_cast<int>(exponent.size()), nullptr));
  Bn two(BN_new());
  if (!state->exponent || !two || BN_set_word(two.get(), 2) != 1) detail::die("DH exponent");
  if (BN_cmp(state->exponent.get(), BN_value_one()) <= 0) return Error{Errc::kMalformed, "DH exponent below 2"};
  BN_set_flags(state->exponent.get(), BN_FLG_CONSTTIME);
  state->public_value = power(g, two.get(), state->exponent.get());
  return DhKey(std::move(state));
}

Result<DhKey> DhKey::generate(DhGroup g) {
  // 320 random bits: more than twice the strength of the largest group, the most that RFC 3526 s8 asks of 2,048 bits.
  Secret exponent{Bytes(40)};
  random_bytes(exponent.reveal_mutable());
  return from_private(g, exponent.reveal());
}

DhGroup DhKey::group() const { return state_->group; }
const Bytes& DhKey::public_value() const { return state_->public_value; }

Result<Secret> DhKey::shared(ByteView peer_public) const {
  if (peer_public.size() != prime_len(state_->group)) {
    return Error{Errc::kMalformed, "DH public value does not have the length of the group's prime", peer_public.size()};
  }
  Bn peer(BN_bin2bn(peer_public.data(), static_cast<int>(peer_public.size()), nullptr));
  if (!peer) detail::die("DH public value");
  // 0, 1, p-1 and what is beyond give a secret that anybody can guess.
  if (BN_cmp(peer.get(), BN_value_one()) <= 0 || BN_cmp(peer.get(), group_of(state_->group).p_minus_1.get()) >= 0) {
    return Error{Errc::kMalformed, "DH public value outside 2..p-2"};
  }
  Bytes secret = power(state_->group, peer.get(), state_->exponent.get());
  return Secret(std::move(secret));
}

}  // namespace esplanade::crypto
