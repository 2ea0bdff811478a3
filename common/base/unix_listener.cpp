#include "common/base/unix_listener.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace esplanade {

namespace {

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

Result<Fd> make_socket(int type) {
  Fd fd(::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return os_error("cannot make a Unix socket", errno);
  return fd;
}

// Removes the file of a dead listener, so that bind() can succeed.
Status clear_stale(const std::string& path, const sockaddr_un& address, int type) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) return ok();  // nothing there, or bind() will say what is wrong
  if (!S_ISSOCK(info.st_mode))
    return Error{Errc::kState, path + " exists and is not a socket; remove it or choose another path"};
  ESPLANADE_TRY(probe, make_socket(type));
  if (::connect(probe.get(), generic(address), sizeof address) == 0 || errno == EAGAIN) {
    return Error{Errc::kState, path + " is in use: is another instance running?"};
  }
  if (errno != ECONNREFUSED) return os_error(path, errno);
  if (::unlink(path.c_str()) != 0) return os_error("cannot remove the stale socket " + path, errno);
  return ok();
}

}  // namespace

Error os_error(const std::string& what, int number) {
  const Errc code = number == EACCES || number == EPERM ? Errc::kPermission : Errc::kIo;
  return Error{code, what + ": " + std::strerror(number)};
}

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

Result<UnixListener> UnixListener::create(const std::string& path, int type, int backlog) {
  ESPLANADE_TRY(address, make_address(path));
  ESPLANADE_CHECK(clear_stale(path, address, type));
  ESPLANADE_TRY(fd, make_socket(type));
  // Linux takes the file's mode from the socket's own: set before bind(), there is no moment with a wider
  // one.
  if (::fchmod(fd.get(), 0600) != 0) return os_error("cannot set the mode of a socket", errno);
  if (::bind(fd.get(), generic(address), sizeof address) != 0) return os_error("cannot bind " + path, errno);
  UnixListener listener(std::move(fd), path);
  if (::listen(listener.fd(), backlog) != 0) return os_error("cannot listen on " + path, errno);
  return listener;
}

UnixListener::~UnixListener() {
  if (fd_) ::unlink(path_.c_str());
}

Result<Fd> connect_unix(const std::string& path, int type) {
  ESPLANADE_TRY(address, make_address(path));
  ESPLANADE_TRY(fd, make_socket(type));
  if (::connect(fd.get(), generic(address), sizeof address) != 0) return os_error("cannot connect to " + path, errno);
  return fd;
}

}  // namespace esplanade
