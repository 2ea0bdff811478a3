// Which queue an SA's packets go through when a host has several. All packets of an SA stay in one queue, since only there
// their order is kept; SAs are spread so that lanes, then queues, have equally many. Plain bookkeeping: touches no card.
#pragma once

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "esplanade/sa_table.h"

namespace esplanade {

class QueueSpread {
 public:
  /// `queues` of the card's queues, from 0 on; `lanes` as in DeviceInfo. Fewer queues than lanes leave lanes idle.
  QueueSpread(std::uint32_t queues, std::uint32_t lanes);

  /// Queue of an SA: the one that it has, or a new place where the fewest are.
  std::uint32_t assign(SaIndex sa);
  /// The SA is gone; forget its place.
  void release(SaIndex sa);
  /// Where an SA is; none for one that was not assigned (its packets may take any queue: the card drops them).
  std::optional<std::uint32_t> find(SaIndex sa) const;

  std::uint32_t lane_of(std::uint32_t queue) const { return queue % lanes_; }
  std::uint32_t queues() const { return static_cast<std::uint32_t>(in_queue_.size()); }

 private:
  std::uint32_t lanes_;
  std::vector<std::uint32_t> in_queue_, in_lane_;  // SAs
  std::unordered_map<SaIndex, std::uint32_t> queue_of_;
};

}  // namespace esplanade
