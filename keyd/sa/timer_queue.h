// Pending timers, each named by what it is for: arming a name again moves it.
#pragma once

#include <compare>
#include <map>
#include <optional>
#include <set>

#include "keyd/sa/io.h"

namespace esplanade::ike {

struct TimerKey {
  enum class Kind : std::uint8_t {
    kMmRetransmit,
    kMmExpire,
    kKeepalive,
    kQmRetransmit,
    kQmExpire,
    kStartChild,
    kDpd,
    kFragments
  } kind;
  std::uint64_t owner = 0;       // number of the main mode SA, of the child's configuration, or of the peer watched
  std::uint32_t message_id = 0;  // of the quick mode
  auto operator<=>(const TimerKey&) const = default;
};

class TimerQueue {
 public:
  void arm(const TimerKey& key, Time at) {
    cancel(key);
    at_[key] = at;
    order_.emplace(at, key);
  }
  void cancel(const TimerKey& key) {
    auto it = at_.find(key);
    if (it == at_.end()) return;
    order_.erase({it->second, key});
    at_.erase(it);
  }
  std::size_t size() const { return at_.size(); }
  std::optional<Time> next() const {
    if (order_.empty()) return std::nullopt;
    return order_.begin()->first;
  }
  /// Takes the earliest timer that is due.
  std::optional<TimerKey> pop_due(Time now) {
    if (order_.empty() || order_.begin()->first > now) return std::nullopt;
    TimerKey key = order_.begin()->second;
    cancel(key);
    return key;
  }

 private:
  std::map<TimerKey, Time> at_;
  std::set<std::pair<Time, TimerKey>> order_;
};

}  // namespace esplanade::ike
