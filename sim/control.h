// A socket on which a person injects faults into a simulated card that runs (ESPLANADE_SIM_CONTROL=PATH; espscope inject).
#pragma once

#include <string>

#include "common/base/unix_listener.h"
#include "sim/front.h"

namespace esplanade::sim {

/// Listens at a path that only its owner can use. A client sends a plan, as of ESPLANADE_SIM_FAULTS, and an octet 0; it gets one line, "armed ..."
/// or why not, and the end.
class ControlSocket {
 public:
  /// As UnixListener::create.
  static Result<ControlSocket> create(const std::string& path);

  /// Readable when a client waits.
  int fd() const { return listener_.fd(); }
  /// Serves the client that waits; one that is slow is sent away within a fifth of a second.
  void serve(ModelCard& card);

 private:
  explicit ControlSocket(UnixListener listener) : listener_(std::move(listener)) {}
  UnixListener listener_;
};

}  // namespace esplanade::sim
