#include "keyd/holder/private_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "common/pfkey/socket.h"

namespace esplanade::ike {

Result<Secret> read_private_file(const std::string& path, std::size_t most) {
  const auto failed = [&](const char* what) {
    return Error{Errc::kIo, fmt::format("{}: {}: {}", path, what, std::strerror(errno))};
  };
  const pfkey::Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return failed("cannot open");
  struct stat st {};
  if (::fstat(fd.get(), &st) != 0) return failed("cannot look at it");
  if (!S_ISREG(st.st_mode)) return Error{Errc::kIo, fmt::format("{}: is not a regular file", path)};
  if (st.st_uid != 0 && st.st_uid != ::geteuid())
    return Error{Errc::kPermission,
                 fmt::format("{}: belongs to another user ({}), who could change it", path, st.st_uid)};
  if ((st.st_mode & 077) != 0)
    return Error{
        Errc::kPermission,
        fmt::format("{}: holds secrets, but others than its owner may use it (mode {:04o}): chmod 600 {}",
                    path, st.st_mode & 07777, path)};
  if (static_cast<std::uint64_t>(st.st_size) > most)
    return Error{Errc::kBadConfig, fmt::format("{}: is larger than {} octets", path, most)};
  Secret octets(Bytes(static_cast<std::size_t>(st.st_size)));
  std::size_t len = 0;
  while (len < octets.size()) {
    const ssize_t got = ::read(fd.get(), octets.reveal_mutable().data() + len, octets.size() - len);
    if (got < 0) return failed("cannot read");
    if (got == 0) return Error{Errc::kIo, fmt::format("{}: became shorter while it was read", path)};
    len += static_cast<std::size_t>(got);
  }
  return octets;
}

}  // namespace esplanade::ike
