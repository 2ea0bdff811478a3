#include "common/pfkey/socket.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

namespace esplanade::pfkey {

namespace {

// Root, or the user that this process runs as.
bool trusted(int fd) {
  ucred peer{};
  socklen_t size = sizeof peer;
  return ::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
         (peer.uid == 0 || peer.uid == ::geteuid());
}

}  // namespace

Result<Listener> Listener::create(const std::string& path) {
  ESPLANADE_TRY(socket, UnixListener::create(path, SOCK_SEQPACKET, 8));
  return Listener(std::move(socket));
}

Result<std::optional<Fd>> Listener::accept() {
  Fd peer(::accept4(fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!peer) {
    if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED) return std::optional<Fd>();
    return os_error("cannot accept on " + socket_.path(), errno);
  }
  if (!trusted(peer.get()))
    return Error{Errc::kPermission, "refused a connection to " + socket_.path() + " from another user"};
  return std::optional<Fd>(std::move(peer));
}

Result<Fd> connect_to(const std::string& path) {
  ESPLANADE_TRY(fd, connect_unix(path, SOCK_SEQPACKET));
  if (!trusted(fd.get())) return Error{Errc::kPermission, path + " belongs to a process of another user"};
  return fd;
}

Result<Received> receive(int fd, Bytes& out, std::size_t most) {
  out.resize(most);
  iovec part{out.data(), out.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  const ssize_t got = ::recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (got < 0) {
    out.clear();
    if (errno == EAGAIN || errno == EINTR) return Received::kNothing;
    return os_error("connection broke", errno);
  }
  out.resize(static_cast<std::size_t>(got));
  if ((message.msg_flags & MSG_TRUNC) != 0)
    return Error{Errc::kBadLength, "packet is longer than the largest message", most};
  return got == 0 ? Received::kClosed : Received::kMessage;
}

Status send(int fd, ByteView octets) {
  const ssize_t sent = ::send(fd, octets.data(), octets.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent >= 0) return ok();
  if (errno == EAGAIN || errno == EINTR || errno == ENOBUFS)
    return Error{Errc::kRingFull, "the other end does not read"};
  return os_error("connection broke", errno);
}

}  // namespace esplanade::pfkey
