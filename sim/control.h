// A socket on which a person injects faults into a simulated card that runs (ESPLANADE_SIM_CONTROL=PATH; espscope inject).
#pragma once

#include <memory>
#include <string>

#include "common/base/result.h"
#include "sim/front.h"

namespace esplanade::sim {

/// Listens at a path that only its owner can use. A client sends a plan, as of ESPLANADE_SIM_FAULTS, and an octet 0; it gets one line, "armed ..."
/// or why not, and the end.
class ControlSocket {
 public:
  /// A socket file that nobody listens on is replaced. kIo, kBadConfig.
  static Result<std::unique_ptr<ControlSocket>> create(const std::string& path);
  ~ControlSocket();
  ControlSocket(const ControlSocket&) = delete;
  ControlSocket& operator=(const ControlSocket&) = delete;

  /// Readable when a client waits.
  int fd() const { return fd_; }
  /// Serves the client that waits; one that is slow is sent away within a fifth of a second.
  void serve(ModelCard& card);

 private:
  ControlSocket(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  int fd_;
  std::string path_;
};

}  // namespace esplanade::sim
