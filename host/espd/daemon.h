// espd as a whole: opens what it needs, in an order that fails early and leaves nothing behind, and runs the
// loop until it is told to stop.
#pragma once

#include "host/espd/config.h"

namespace esplanade::espd {

/// Runs until SIGTERM or SIGINT; SIGHUP reads `path` anew. Errors are those of starting up: kPermission, kNoCard, kState, kIo...
Status run_daemon(const std::string& path, const Config& config);

/// Removes the rules and routes that an espd with on_stop = "block" left behind. kPermission, kIo.
Status release(const Config& config);

}  // namespace esplanade::espd
