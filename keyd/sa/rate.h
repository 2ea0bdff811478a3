// How often each source may do something: token buckets in a table of bounded size.
#pragma once

#include <map>
#include <set>

#include "keyd/sa/io.h"

namespace esplanade::ike {

class SourceRates {
 public:
  /// `per_second` on average, `burst` at once; at most `sources_max` sources are remembered, and the one that
  /// was quiet longest is forgotten first.
  SourceRates(std::uint32_t per_second, std::uint32_t burst, std::size_t sources_max)
      : per_second_(per_second), burst_(burst), sources_max_(sources_max) {}

  /// Takes a token of the source's bucket. False when it is empty.
  bool allow(const esp::IpAddress& source, Time now);
  std::size_t size() const { return buckets_.size(); }

 private:
  using Key = std::pair<std::uint8_t, std::array<Byte, 16>>;
  struct Bucket {
    double tokens = 0;
    Time at{0};  // of the last change
  };
  double per_second_;
  double burst_;
  std::size_t sources_max_;
  std::map<Key, Bucket> buckets_;
  std::set<std::pair<Time, Key>> by_age_;
};

}  // namespace esplanade::ike
