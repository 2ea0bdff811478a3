// Rates, live.
#pragma once

#include <functional>
#include <string>

#include "host/espctl/client.h"

namespace esplanade::espctl {

/// Shows rates every `interval` seconds, `count` times (0: until interrupted); as JSON, the answers of `stats`. The exit status.
int run_top(const std::string& socket, double interval, unsigned count, bool json, const std::function<int(const Error&)>& complain,
            const std::function<void(const Json&)>& show_json);

}  // namespace esplanade::espctl
