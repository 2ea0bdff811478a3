#include "common/pfkey/socket.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace esplanade::pfkey {

namespace {

Error os_error(const std::string& what, int number) {
  const Errc code = number == EACCES || number == EPERM ? Errc::kPermission : Errc::kIo;
  return Error{code, what + ": " + std::strerror(number)};
}

Result<sockaddr_un> make_address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return Error{Errc::kBadConfig, "socket path is empty or longer than 107 octets: " + path};
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

const sockaddr* generic(const sockaddr_un& address) { return reinterpret_cast<const sockaddr*>(&address); }

Result<Fd> make_socket() {
  Fd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return os_error("cannot make a Unix socket", errno);
  return fd;
}

// Root, or the user that this process runs as.
bool trusted(int fd) {
  ucred peer{};
  socklen_t size = sizeof peer;
  return ::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
         (peer.uid == 0 || peer.uid == ::geteuid());
}

// Removes the file of a dead listener, so that bind() can succeed.
Status clear_stale(const std::string& path, const sockaddr_un& address) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) return ok();  // nothing there, or bind() will say what is wrong
  if (!S_ISSOCK(info.st_mode))
    return Error{Errc::kState, path + " exists and is not a socket; remove it or choose another path"};
  ESPLANADE_TRY(probe, make_socket());
  if (::connect(probe.get(), generic(address), sizeof address) == 0 || errno == EAGAIN) {
    return Error{Errc::kState, path + " is in use: is another instance running?"};
  }
  if (errno != ECONNREFUSED) return os_error(path, errno);
  if (::unlink(path.c_str()) != 0) return os_error("cannot remove the stale socket " + path, errno);
  return ok();
}

}  // namespace

Fd& Fd::operator=(Fd&& o) noexcept {
  if (this != &o) {
    reset();
    fd_ = o.release();
  }
  return *this;
}

int Fd::release() {
  const int fd = fd_;
  fd_ = -1;
  return fd;
}

void Fd::reset() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

Result<Listener> Listener::create(const std::string& path) {
  ESPLANADE_TRY(address, make_address(path));
  ESPLANADE_CHECK(clear_stale(path, address));
  ESPLANADE_TRY(fd, make_socket());
  // Linux takes the file's mode from the socket's own: set before bind(), there is no moment with a wider
  // one.
  if (::fchmod(fd.get(), 0600) != 0) return os_error("cannot set the mode of a socket", errno);
  if (::bind(fd.get(), generic(address), sizeof address) != 0) return os_error("cannot bind " + path, errno);
  Listener listener(std::move(fd), path);
  if (::listen(listener.fd(), 8) != 0) return os_error("cannot listen on " + path, errno);
  return listener;
}

Listener::~Listener() {
  if (fd_) ::unlink(path_.c_str());
}

Result<std::optional<Fd>> Listener::accept() {
  Fd fd(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!fd) {
    if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED) return std::optional<Fd>();
    return os_error("cannot accept on " + path_, errno);
  }
  if (!trusted(fd.get()))
    return Error{Errc::kPermission, "refused a connection to " + path_ + " from another user"};
  return std::optional<Fd>(std::move(fd));
}

Result<Fd> connect_to(const std::string& path) {
  ESPLANADE_TRY(address, make_address(path));
  ESPLANADE_TRY(fd, make_socket());
  if (::connect(fd.get(), generic(address), sizeof address) != 0)
    return os_error("cannot connect to " + path, errno);
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
