// A file descriptor with an owner, and Unix sockets that only their owner can reach.
#pragma once

#include <string>

#include "common/base/result.h"

namespace esplanade {

/// Owns a file descriptor.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& o) noexcept : fd_(o.release()) {}
  Fd& operator=(Fd&& o) noexcept;
  ~Fd() { reset(); }
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release();
  void reset();

 private:
  int fd_ = -1;
};

/// A listening socket, non-blocking; its file has mode 0600 from the start and goes with the object.
class UnixListener {
 public:
  /// Binds `path` with a socket of `type` (SOCK_STREAM...). A file left behind by a process that died is replaced; one that
  /// somebody listens on is not (kState). Errors name the path: kBadConfig (too long), kPermission, kIo.
  static Result<UnixListener> create(const std::string& path, int type, int backlog);
  UnixListener(UnixListener&&) noexcept = default;
  UnixListener& operator=(UnixListener&&) = delete;
  ~UnixListener();
  int fd() const { return fd_.get(); }
  const std::string& path() const { return path_; }

 private:
  UnixListener(Fd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}
  Fd fd_;
  std::string path_;
};

/// Connects a non-blocking socket of `type` to the listener at `path`. kBadConfig, kPermission; kIo: nobody listens there.
Result<Fd> connect_unix(const std::string& path, int type);

/// `what` and the system's words for `number`: kPermission or kIo.
Error os_error(const std::string& what, int number);

}  // namespace esplanade
