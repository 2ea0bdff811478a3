#include "host/espd/fallback.h"

#include "common/base/log.h"

namespace esplanade::espd {

void Fallback::protect(std::uint32_t reqid) {
  protected_.insert(reqid);
  soft_.erase(reqid);
}

bool Fallback::failed(const Policy& policy, bool silent, Time now) {
  if (!silent || !policy.fallback_clear || protected_.contains(policy.reqid)) {
    if (soft_.erase(policy.reqid) != 0)
      log_warn("policy {}: the peer answers, but no SA comes; its traffic does not go in clear any more",
               policy.name);
    return false;
  }
  const auto [at, fresh] = soft_.try_emplace(policy.reqid, Soft{now + kAttemptInterval, now});
  if (fresh) log_warn("policy {}: the peer does not answer; its traffic goes in clear", policy.name);
  return true;
}

Fallback::Verdict Fallback::packet(std::uint32_t reqid, Time now) {
  const auto found = soft_.find(reqid);
  if (found == soft_.end()) return Verdict::kHold;
  Soft& soft = found->second;
  if (now - soft.last_packet >= kAttemptInterval) {  // no traffic for long: begin afresh
    soft_.erase(found);
    return Verdict::kHold;
  }
  soft.last_packet = now;
  if (now < soft.next_attempt) return Verdict::kClear;
  soft.next_attempt = now + kAttemptInterval;
  return Verdict::kClearAndAsk;
}

}  // namespace esplanade::espd
