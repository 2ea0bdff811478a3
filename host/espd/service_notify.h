// Tells the service manager that started us how we are: the protocol of sd_notify(3), which is one datagram. Not by libsystemd, whose
// call waits when the manager does not read: packets must not wait for that.
#pragma once

#include <string_view>

namespace esplanade::espd {

/// Sends "READY=1", "WATCHDOG=1", "STATUS=..." and so on, one a line, to NOTIFY_SOCKET; nothing where there is none, or when it is full.
void service_notify(std::string_view state);

}  // namespace esplanade::espd
