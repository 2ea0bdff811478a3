// Admission of strangers when many negotiations are half open: from then on a message 1 leaves no main mode SA
// behind and costs no Diffie-Hellman. The responder's cookie is a keyed hash over the addresses, the ports and
// the initiator's cookie (RFC 2408 s2.5.3), so whoever sends it back has proved that answers reach him.
//
// IKEv1's message 3 does not repeat the offer that the hashes of messages 5 and 6 cover, so the octets of
// message 1 wait in a ring of bounded size, where the oldest gives way. A peer that knows Microsoft's DOS_COOKIE
// (MS-IKEE 3.9) repeats message 1 with the cookie; for it not even that is kept.
#pragma once

#include <deque>
#include <map>
#include <optional>

#include "common/base/secret.h"
#include "keyd/sa/mm_sa.h"

namespace esplanade::ike {

class Admission {
 public:
  /// `rng` outlives it. At most `waiting_max` message 1s wait.
  Admission(Rng& rng, std::size_t waiting_max) : rng_(rng), waiting_max_(waiting_max) {}

  /// The responder's cookie for this path and initiator's cookie. Never zero.
  Cookie cookie(const Path& path, const Cookie& cky_i, Time now);
  /// True when `cky_r` is a cookie that we made for this path within the last kSecretLife to 2 * kSecretLife.
  bool proves(const Path& path, const Cookie& cky_i, const Cookie& cky_r, Time now);

  struct Waiting {
    Bytes message1;
    Bytes message2;  // our answer, for a duplicate of message 1
  };
  void wait(const CookiePair& cookies, Waiting waiting);
  const Waiting* find(const CookiePair& cookies) const;
  /// Takes it out: it is admitted.
  std::optional<Waiting> admit(const CookiePair& cookies);
  std::size_t waiting() const { return waiting_.size(); }

  static constexpr Time kSecretLife{120000};

 private:
  void rotate(Time now);
  Cookie hash(const Secret& secret, const Path& path, const Cookie& cky_i) const;

  Rng& rng_;
  std::size_t waiting_max_;
  Secret current_;
  Secret previous_;
  Time since_{0};
  std::map<CookiePair, Waiting> waiting_;
  std::deque<CookiePair> order_;  // oldest first; may name some that are gone
};

}  // namespace esplanade::ike
