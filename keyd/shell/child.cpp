#include "keyd/shell/child.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "keyd/shell/message_socket.h"

namespace esplanade::ike {

Result<Child> start_child_process(const std::string& role, const std::optional<Account>& account) {
  ESPLANADE_TRY(ends, message_pair());
  const std::string argument = "--role=" + role;
  const char* argv[] = {"keyd", argument.c_str(), nullptr};
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return Error{Errc::kIo, fmt::format("cannot start a process: {}", std::strerror(errno))};
  if (pid == 0) {
    // Only calls that are safe after fork().
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::signal(SIGTERM, SIG_IGN);  // stays so over exec(): the parent ends us
    ::signal(SIGINT, SIG_IGN);
    ::signal(SIGHUP, SIG_IGN);
    if (ends.second.get() == kParentFd) {
      ::fcntl(kParentFd, F_SETFD, 0);
    } else if (::dup2(ends.second.get(), kParentFd) < 0) {
      ::_exit(1);
    }
    ::close_range(kParentFd + 1, ~0U, 0);
    if (!give_up_privileges(account)) ::_exit(1);
    if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || ::getppid() != parent) ::_exit(1);
    ::execv("/proc/self/exe", const_cast<char* const*>(argv));
    ::_exit(127);
  }
  return Child{role, pid, std::move(ends.first)};
}

void enter_child_process() {
  forbid_dumps();
  ::fcntl(kParentFd, F_SETFD, FD_CLOEXEC);
}

}  // namespace esplanade::ike
