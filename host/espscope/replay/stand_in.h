// Packets and keys in the place of those that no recording has: of the recorded lengths and kind of headers, with filler for content, and such that the card
// does with them what the recording says where the content decides (a bad ICV, bad padding, ...).
#pragma once

#include <random>

#include "common/crypto/cbc.h"
#include "common/crypto/hash.h"
#include "common/esp/sa.h"
#include "host/espscope/replay/plan.h"

namespace esplanade::replay {

using Random = std::mt19937_64;

/// Whether what a packet holds, which no recording has, and not the card's state decides on this status.
bool is_of_content(card::Status status);

/// An SA with keys of its own.
class StandInSa {
 public:
  /// Keys from `random` for `params`, which has none. Errors: those of esp::validate().
  static Result<StandInSa> create(esp::SaParams params, Random& random);
  const esp::SaParams& params() const { return params_; }
  /// Other addresses, ports and lifetimes; the keys stay (SaTable::update).
  void update(const esp::SaParams& params);

  /// `packet` as the peer would have sent it: its outer header stands there, the rest up to `total_len` is filler so far. Does as much as the length
  /// allows; what is then no sound ESP or AH the card must find.
  void protect(const PacketStep& step, bool as_recorded, MutableBytes packet, Random& random);

 private:
  explicit StandInSa(esp::SaParams params) : params_(std::move(params)) {}
  void protect_esp(const PacketStep& step, bool as_recorded, MutableBytes esp, Random& random);
  void protect_ah(const PacketStep& step, bool as_recorded, MutableBytes packet);
  std::uint8_t fill(const PacketStep& step, bool as_recorded, std::size_t header_len, MutableBytes payload, std::size_t* pad);
  void icv(ByteView first, ByteView rest, std::uint64_t seq, MutableBytes out);

  esp::SaParams params_;
  std::optional<crypto::Cbc> cipher_;
  std::optional<crypto::Hmac> hmac_;
};

/// The packet of a step. `sa`: to encapsulate it with, or the inbound one of its SPI; none: there is none. `as_recorded` false: its content is good whatever the
/// recording says became of it.
Bytes make_packet(const PacketStep& step, StandInSa* sa, bool as_recorded, Random& random);

}  // namespace esplanade::replay
