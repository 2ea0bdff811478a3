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
    kMmRekey,
    kNoAnswer,  // the peer has been silent for long enough to tell espd
    kDelete,    // retransmission of a delete to a Microsoft peer
    kRenew,     // a renewal that failed is tried again
    kIdle,
    kDpd,
    kFragments
  } kind;
  // Number of the main mode SA, of the child's configuration, or of the peer watched; kRenew, kIdle: inbound SPI
  // of the pair.
  std::uint64_t owner = 0;
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
  /// When the timer fires, if it is armed.
  std::optional<Time> at(const TimerKey& key) const {
    auto it = at_.find(key);
    if (it == at_.end()) return std::nullopt;
    return it->second;
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
