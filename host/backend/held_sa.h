// The copy of an SA that outlives its card: what another card needs to go on with it. No number is used twice, none accepted twice, and limits go on with
// what is left of them. Keys stay in here, as Secrets.
#pragma once

#include <chrono>

#include "common/esp/sa.h"

namespace esplanade::host {

class HeldSa {
 public:
  explicit HeldSa(esp::SaParams params) : params_(std::move(params)) {}

  const esp::SaParams& params() const { return params_; }
  /// Other outer addresses and ports, as Backend::move.
  void move(const esp::IpAddress& src, const esp::IpAddress& dst, const std::optional<esp::Natt>& natt);
  /// Outbound: a packet went to the card, which may have used a number for it.
  void handed(std::uint64_t bytes);
  /// Inbound: the card accepted a number.
  void accepted(std::uint64_t seq, std::uint64_t bytes);
  /// What the cards before the present one have counted.
  const esp::Lifetime& before() const { return before_; }
  /// The SA as the next card shall have it, which is the present one from now on. Outbound: behind every number that may have been sent (RFC 4303 s3.3.3).
  /// Inbound: its window ends where the numbers begin that were never seen (s3.4.3).
  esp::SaParams for_next_card();

 private:
  esp::SaParams params_;
  std::uint64_t highest_ = 0;              // inbound: highest number accepted
  std::uint64_t packets_ = 0, bytes_ = 0;  // on the present card
  esp::Lifetime before_{};
  std::chrono::steady_clock::time_point born_ = std::chrono::steady_clock::now();
};

}  // namespace esplanade::host
