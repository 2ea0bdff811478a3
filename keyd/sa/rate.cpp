#include "keyd/sa/rate.h"

#include <algorithm>

namespace esplanade::ike {

bool SourceRates::allow(const esp::IpAddress& source, Time now) {
  Key key{source.version, {}};
  std::ranges::copy(source.bytes(), key.second.begin());
  auto [it, fresh] = buckets_.try_emplace(key, Bucket{burst_, now});
  Bucket& b = it->second;
  if (!fresh) by_age_.erase({b.at, key});
  const double seconds = std::chrono::duration<double>(std::max(now - b.at, Time(0))).count();
  b.tokens = std::min(burst_, b.tokens + seconds * per_second_);
  b.at = now;
  by_age_.emplace(now, key);
  const bool allowed = b.tokens >= 1;
  if (allowed) b.tokens -= 1;
  while (buckets_.size() > sources_max_) {
    const auto oldest = by_age_.begin();
    buckets_.erase(oldest->second);
    by_age_.erase(oldest);
  }
  return allowed;
}

}  // namespace esplanade::ike
