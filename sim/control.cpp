#include "sim/control.h"

#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <chrono>

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

Result<ControlSocket> ControlSocket::create(const std::string& path) {
  ESPLANADE_TRY(listener, UnixListener::create(path, SOCK_STREAM, 2));
  return ControlSocket(std::move(listener));
}

void ControlSocket::serve(ModelCard& card) {
  const Fd client(::accept4(fd(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!client) return;
  const std::string plan = receive_plan(client.get());
  const std::string answer = (plan.empty() ? "a plan of at most 16 KiB with an octet 0 behind it is wanted" : card.inject(plan)) + "\n";
  static_cast<void>(::send(client.get(), answer.data(), answer.size(), MSG_NOSIGNAL));
}

}  // namespace esplanade::sim
