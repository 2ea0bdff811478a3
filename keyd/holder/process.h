// The process that holds the secrets: started by the parent, it answers the engine's requests over a socket
// and has nothing to do with the network, but for the KDC where Kerberos is configured.
#pragma once

namespace esplanade::ike {

/// Runs with the parent on kParentFd until the parent goes. Returns the exit code.
int run_holder_process();

}  // namespace esplanade::ike
