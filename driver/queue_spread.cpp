#include "esplanade/queue_spread.h"

#include <algorithm>
#include <utility>

namespace esplanade {

QueueSpread::QueueSpread(std::uint32_t queues, std::uint32_t lanes)
    : lanes_(std::max(lanes, 1u)), in_queue_(std::max(queues, 1u)), in_lane_(std::max(lanes, 1u)) {}

std::uint32_t QueueSpread::assign(SaIndex sa) {
  if (const auto known = find(sa)) return *known;
  const auto load = [this](std::uint32_t queue) { return std::pair(in_lane_[lane_of(queue)], in_queue_[queue]); };
  std::uint32_t best = 0;
  for (std::uint32_t queue = 1; queue < queues(); ++queue) {
    if (load(queue) < load(best)) best = queue;
  }
  ++in_queue_[best];
  ++in_lane_[lane_of(best)];
  queue_of_[sa] = best;
  return best;
}

void QueueSpread::release(SaIndex sa) {
  const auto at = queue_of_.find(sa);
  if (at == queue_of_.end()) return;
  --in_queue_[at->second];
  --in_lane_[lane_of(at->second)];
  queue_of_.erase(at);
}

std::optional<std::uint32_t> QueueSpread::find(SaIndex sa) const {
  const auto at = queue_of_.find(sa);
  return at == queue_of_.end() ? std::nullopt : std::optional(at->second);
}

}  // namespace esplanade
