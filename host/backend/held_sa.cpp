#include "host/backend/held_sa.h"

#include <algorithm>
#include <limits>

namespace esplanade::host {

namespace {
/// What is left of a limit; a limit that is reached stays reached with the next packet or second.
template <class T>
T left_of(T limit, T used) {
  return limit == 0 ? 0 : limit > used ? static_cast<T>(limit - used) : T{1};
}
}  // namespace

void HeldSa::move(const esp::IpAddress& src, const esp::IpAddress& dst, const std::optional<esp::Natt>& natt) {
  params_.src = src;
  params_.dst = dst;
  params_.natt = natt;
}

void HeldSa::handed(std::uint64_t bytes) {
  ++packets_;
  bytes_ += bytes;
}

void HeldSa::accepted(std::uint64_t seq, std::uint64_t bytes) {
  highest_ = std::max(highest_, seq);
  ++packets_;
  bytes_ += bytes;
}

esp::SaParams HeldSa::for_next_card() {
  const std::uint64_t last = params_.esn ? std::numeric_limits<std::uint64_t>::max() : std::numeric_limits<std::uint32_t>::max();
  const auto add = [last](std::uint64_t a, std::uint64_t b) { return b > last - std::min(a, last) ? last : a + b; };
  if (params_.outbound) {
    params_.seq = add(params_.seq, packets_);
  } else if (params_.replay_window != 0 && highest_ != 0) {
    // Never back: what the cards before accepted lies below the window that the present one began with.
    params_.seq = std::max(params_.seq, add(highest_, params_.replay_window));
  }
  before_.packets += std::exchange(packets_, 0);
  before_.bytes += std::exchange(bytes_, 0);
  esp::SaParams next = params_.clone();
  const auto age = std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - born_).count();
  for (esp::Lifetime* limit : {&next.soft, &next.hard}) {
    limit->bytes = left_of(limit->bytes, before_.bytes);
    limit->packets = left_of(limit->packets, before_.packets);
    limit->seconds = left_of(limit->seconds, static_cast<std::uint32_t>(age));
  }
  return next;
}

}  // namespace esplanade::host
