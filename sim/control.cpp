#include "sim/control.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>

namespace esplanade::sim {

namespace {

constexpr std::size_t kPlanMax = 16 * 1024;
constexpr std::chrono::milliseconds kPatience{200};

/// The plan of a client, without the octet 0 behind it; empty when none came in time.
std::string receive_plan(int fd) {
  const timeval wait{0, 50'000};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
  ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
  const auto end = std::chrono::steady_clock::now() + kPatience;
  std::string plan;
  while (plan.size() <= kPlanMax && std::chrono::steady_clock::now() < end) {
    char part[2048];
    const ssize_t got = ::recv(fd, part, sizeof part, 0);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) break;
    if (got > 0) plan.append(part, static_cast<std::size_t>(got));
    if (const std::size_t stop = plan.find('\0'); stop != std::string::npos) return plan.substr(0, stop);
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<ControlSocket>> ControlSocket::create(const std::string& path) {
  sockaddr_un at{};
  at.sun_family = AF_UNIX;
  if (path.size() >= sizeof at.sun_path) return Error{Errc::kBadConfig, fmt::format("ESPLANADE_SIM_CONTROL: a socket's path has at most {} octets", sizeof at.sun_path - 1)};
  path.copy(at.sun_path, path.size());
  const auto* address = reinterpret_cast<const sockaddr*>(&at);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct stat old{};
  if (::lstat(path.c_str(), &old) == 0 && S_ISSOCK(old.st_mode)) {
    const int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (::connect(probe, address, sizeof at) != 0) ::unlink(path.c_str());
    ::close(probe);
  }
  if (fd < 0 || ::fchmod(fd, 0600) != 0 || ::bind(fd, address, sizeof at) != 0 || ::chmod(path.c_str(), 0600) != 0 || ::listen(fd, 2) != 0) {
    const Error error{Errc::kIo, fmt::format("ESPLANADE_SIM_CONTROL={}: {}", path, std::strerror(errno))};
    if (fd >= 0) ::close(fd);
    return error;
  }
  return std::unique_ptr<ControlSocket>(new ControlSocket(fd, path));
}

ControlSocket::~ControlSocket() {
  ::close(fd_);
  ::unlink(path_.c_str());
}

void ControlSocket::serve(ModelCard& card) {
  const int client = ::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC);
  if (client < 0) return;
  const std::string plan = receive_plan(client);
  const std::string answer = (plan.empty() ? "a plan of at most 16 KiB with an octet 0 behind it is wanted" : card.inject(plan)) + "\n";
  static_cast<void>(::send(client, answer.data(), answer.size(), MSG_NOSIGNAL));
  ::close(client);
}

}  // namespace esplanade::sim
