// Fall back to clear: what becomes of the traffic of a policy that may go in clear when its peer does not speak IKE.
// Logic only; the data plane holds, sends and drops the packets.
//
// A policy without SA holds its packets while the IKE daemon negotiates. When the daemon reports a silent peer, a
// policy with fallback gets a "soft SA": its packets go in clear, and every five minutes, as long as there is
// traffic, the daemon is asked again. An SA that comes ends it, and for good: a flow that was ever protected never
// goes in clear (an attacker who cuts the peer off would gain the traffic). So does a peer that answers and would not
// agree or failed to authenticate.
#pragma once

#include <chrono>
#include <cstdint>
#include <set>
#include <unordered_map>

#include "host/espd/policy.h"

namespace esplanade::espd {

class Fallback {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::seconds kAttemptInterval{300};

  /// An outbound SA of the policy was installed.
  void protect(std::uint32_t reqid);
  /// The IKE daemon gave up, or has no answer so far (`silent`). True: the policy has a soft SA now; its packets, also
  /// those that wait, go in clear.
  bool failed(const Policy& policy, bool silent, Time now);

  enum class Verdict : std::uint8_t { kHold, kClear, kClearAndAsk };
  /// A packet of a policy without SA. kClearAndAsk: in clear, and the IKE daemon is to be asked for an SA.
  Verdict packet(std::uint32_t reqid, Time now);
  /// Whether traffic of the policy may be in clear: it falls back, and never had an SA.
  bool open(const Policy& policy) const { return policy.fallback_clear && !protected_.contains(policy.reqid); }
  std::size_t num_soft() const { return soft_.size(); }

 private:
  struct Soft {
    Time next_attempt;
    Time last_packet;
  };
  std::unordered_map<std::uint32_t, Soft> soft_;  // by reqid
  std::set<std::uint32_t> protected_;
};

}  // namespace esplanade::espd
