// What the status socket tells: JSON in, JSON out, one object a packet. Requests: {"command": "status"},
// {"command": "stats"}, {"command": "sa", "offset": N} (SAs by pages: "total" says how many there are). A
// request that is not understood is answered {"error": "..."}. No keys.
#pragma once

#include <string>

#include "host/espd/config.h"
#include "host/espd/data_plane.h"
#include "host/espd/pfkey_server.h"

namespace esplanade::espd {

inline constexpr std::size_t kMaxStatusRequest = 1024;  // octets
inline constexpr std::size_t kStatusPage = 128;         // SAs in one answer, well below what one packet holds

class StatusReport {
 public:
  StatusReport(const Config& config, host::Backend& backend, const Sad& sad, const PfkeyServer& pfkey,
               DataPlane& data_plane, const Counters& counters);
  std::string answer(ByteView request);

 private:
  const Config& config_;
  host::Backend& backend_;
  const Sad& sad_;
  const PfkeyServer& pfkey_;
  DataPlane& data_plane_;
  const Counters& counters_;
  Clock::time_point started_ = Clock::now();
  host::Totals totals_{};  // the last ones that the card gave: they stay to be seen when it is lost
};

}  // namespace esplanade::espd
