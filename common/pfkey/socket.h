// Unix sockets of type SOCK_SEQPACKET between our daemons: one message a packet, one owner a socket. Both
// ends check that the other is root or the same user (SO_PEERCRED). All sockets are non-blocking and
// close-on-exec.
#pragma once

#include <optional>
#include <string>

#include "common/base/bytes.h"

namespace esplanade::pfkey {

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

/// A listening socket; its file has mode 0600 from the start and goes with the object.
class Listener {
 public:
  /// Binds `path`. A file left behind by a daemon that died is replaced; one that somebody listens on is not
  /// (kState). Errors name the path: kBadConfig (too long), kPermission, kIo.
  static Result<Listener> create(const std::string& path);
  Listener(Listener&&) noexcept = default;
  Listener& operator=(Listener&&) = delete;
  ~Listener();
  int fd() const { return fd_.get(); }
  /// The next waiting connection whose other end may talk to us. nullopt: none is waiting. kPermission: the
  /// one there was came from another user, and is closed. kIo: out of descriptors and the like.
  Result<std::optional<Fd>> accept();

 private:
  Listener(Fd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}
  Fd fd_;
  std::string path_;
};

/// Connects to the listener at `path`. kIo: nobody listens there; kPermission: not ours to use, or owned by
/// another user.
Result<Fd> connect_to(const std::string& path);

/// What receive() found.
enum class Received { kMessage, kNothing, kClosed };

/// Takes the next packet into `out` (resized to fit it; its capacity is kept, so that a caller can reserve
/// once). kBadLength: it was longer than `most` and is gone. kIo: the connection broke.
Result<Received> receive(int fd, Bytes& out, std::size_t most);

/// Sends one packet. kRingFull: the other end does not read; try again when writable. kIo: the connection
/// broke.
Status send(int fd, ByteView octets);

}  // namespace esplanade::pfkey
