// Unix sockets of type SOCK_SEQPACKET between our daemons: one message a packet, one owner a socket. Both
// ends check that the other is root or the same user (SO_PEERCRED). All sockets are non-blocking and
// close-on-exec.
#pragma once

#include <optional>
#include <string>

#include "common/base/bytes.h"
#include "common/base/unix_listener.h"

namespace esplanade::pfkey {

using esplanade::Fd;

/// A UnixListener that tells who connects.
class Listener {
 public:
  /// As UnixListener::create.
  static Result<Listener> create(const std::string& path);
  int fd() const { return socket_.fd(); }
  /// The next waiting connection whose other end may talk to us. nullopt: none is waiting. kPermission: the
  /// one there was came from another user, and is closed. kIo: out of descriptors and the like.
  Result<std::optional<Fd>> accept();

 private:
  explicit Listener(UnixListener socket) : socket_(std::move(socket)) {}
  UnixListener socket_;
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
