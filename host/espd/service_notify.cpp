#include "host/espd/service_notify.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <cstdlib>

#include "common/pfkey/socket.h"

namespace esplanade::espd {

void service_notify(std::string_view state) {
  const char* name = ::secure_getenv("NOTIFY_SOCKET");
  if (name == nullptr) return;
  const std::string_view path = name;
  sockaddr_un to{};
  if (path.empty() || path.size() >= sizeof to.sun_path || (path.front() != '/' && path.front() != '@')) return;
  to.sun_family = AF_UNIX;
  path.copy(to.sun_path, path.size());
  if (path.front() == '@') to.sun_path[0] = '\0';  // the abstract name space
  const pfkey::Fd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) return;
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  static_cast<void>(::sendto(fd.get(), state.data(), state.size(), MSG_DONTWAIT | MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&to), length));
}

}  // namespace esplanade::espd
