#include "keyd/shell/settings.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "common/base/log.h"
#include "keyd/shell/message_socket.h"

namespace esplanade::ike {
namespace {

constexpr std::size_t kFileMax = 1 << 20;  // octets: a configuration of a thousand connections fits

LogLevel level_of(const std::string& name) {
  return name == "debug"   ? LogLevel::kDebug
         : name == "warn"  ? LogLevel::kWarn
         : name == "error" ? LogLevel::kError
                           : LogLevel::kInfo;
}

}  // namespace

Result<std::string> read_config_text(const std::string& path) {
  const pfkey::Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return Error{Errc::kIo, fmt::format("{}: cannot open: {}", path, std::strerror(errno))};
  struct stat st {};
  if (::fstat(fd.get(), &st) != 0) return Error{Errc::kIo, fmt::format("{}: {}", path, std::strerror(errno))};
  if (!S_ISREG(st.st_mode)) return Error{Errc::kIo, fmt::format("{}: is not a regular file", path)};
  if (st.st_uid != 0 && st.st_uid != ::geteuid())
    return Error{Errc::kPermission, fmt::format("{}: belongs to another user ({})", path, st.st_uid)};
  if ((st.st_mode & 022) != 0)
    return Error{Errc::kPermission,
                 fmt::format("{}: says whom to trust, but others than its owner may write it (mode {:04o}): chmod "
                             "go-w {}",
                             path, st.st_mode & 07777, path)};
  auto text = text_from_fd(fd.get(), kFileMax);
  if (!text) return Error{Errc::kBadConfig, fmt::format("{}: {}", path, text.error().detail)};
  return text;
}

Result<Config> config_from_fd(const std::string& path, int fd) {
  ESPLANADE_TRY(text, text_from_fd(fd, kFileMax));
  return parse_config(text, path);
}

void apply_log_settings(const std::string& part, const Config& config, bool keylog) {
  log_setup(keylog ? part + "[INSECURE: writes keys]" : part, level_of(config.log_level),
            config.log_json ? LogFormat::kJson : LogFormat::kText);
}

}  // namespace esplanade::ike
