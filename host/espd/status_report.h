// What the status socket tells and does: JSON in, JSON out, one object a packet. Requests: {"command": "status"},
// "stats", "card", "policy", "health", "events" (the newest lines of the log); {"command": "sa", "offset": N} (SAs by
// pages: "total" says how many there are); "drain" and "resume" (no packet goes to the card; again as usual), "reset" (the
// card, keeping every SA); with "card": N, of several cards, the SAs of card N go to the others and come back, and it alone is
// reset; "reload" (the configuration, whole or not at all). A request that is not understood is answered {"error": "..."}. No keys.
#pragma once

#include <deque>
#include <mutex>
#include <string>

#include "host/espd/config.h"
#include "host/espd/data_plane.h"
#include "host/espd/pfkey_server.h"

namespace esplanade::espd {

inline constexpr std::size_t kMaxStatusRequest = 1024;  // octets
inline constexpr std::size_t kStatusPage = 128;         // SAs in one answer, well below what one packet holds

class StatusReport {
 public:
  struct Hooks {
    std::function<Result<std::size_t>()> reload;  // SAs that were removed
    std::function<void()> refresh;                // counters that are kept elsewhere
  };
  StatusReport(const Config& config, host::Backend& backend, const Sad& sad, const PfkeyServer& pfkey,
               DataPlane& data_plane, const Counters& counters, Hooks hooks);
  ~StatusReport();
  std::string answer(ByteView request);

 private:
  static constexpr std::size_t kEvents = 200;
  std::vector<std::string> problems() const;
  const Config& config_;
  host::Backend& backend_;
  const Sad& sad_;
  const PfkeyServer& pfkey_;
  DataPlane& data_plane_;
  const Counters& counters_;
  Hooks hooks_;
  Clock::time_point started_ = Clock::now();
  std::mutex events_mutex_;         // a log line may come from any thread
  std::deque<std::string> events_;  // lines of the log, newest last
  host::Totals totals_{};  // the last ones that the card gave: they stay to be seen when it is lost
};

}  // namespace esplanade::espd
