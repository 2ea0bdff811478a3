// espd's answers as Prometheus metrics (text format 0.0.4).
#pragma once

#include <string>

#include "host/espctl/client.h"

namespace esplanade::espweb {

/// `status`, `stats` and `card` are espd's answers; what is missing in them is missing here. `up` 0 stands alone when espd did not answer.
std::string metrics(const espctl::Json& status, const espctl::Json& stats, const espctl::Json& card, const espctl::Json& health);
/// espd does not answer.
std::string metrics_down();

}  // namespace esplanade::espweb
