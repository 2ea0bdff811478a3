// espd as a whole: opens what it needs, in an order that fails early and leaves nothing behind, and runs the
// loop until it is told to stop.
#pragma once

#include "host/espd/config.h"

namespace esplanade::espd {

/// Runs until SIGTERM or SIGINT. Errors are those of starting up: kPermission, kNoCard, kState, kIo...
Status run_daemon(const Config& config);

}  // namespace esplanade::espd
