#include "driver/xrt/emulation.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>
#include <xrt/xrt_device.h>

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <fstream>

namespace esplanade {

namespace fs = std::filesystem;

namespace {
// /tmp and not TMPDIR: XRT puts its sockets into /tmp/$USER/, and USER leads it into this folder.
constexpr const char* kPrefix = "esplanade-sim-";

// Folders esplanade-sim-PID-XXXXXX of this user whose process is gone, left by one that was killed.
void remove_stale() {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator("/tmp", ignored)) {
    const std::string name = entry.path().filename();
    if (!name.starts_with(kPrefix)) continue;
    const std::string_view rest = std::string_view(name).substr(std::strlen(kPrefix));
    pid_t pid = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), pid);
    if (error != std::errc() || end == rest.data() + rest.size() || *end != '-') continue;
    // Another user's is not ours to remove, and remove_all fails on it.
    if (::kill(pid, 0) != 0 && errno == ESRCH) fs::remove_all(entry.path(), ignored);
  }
}
}  // namespace

Result<std::unique_ptr<EmulationFolder>> EmulationFolder::create(const fs::path& emconfig) {
  Dl_info xrt{};
  if (::dladdr(reinterpret_cast<void*>(&xrtDeviceOpen), &xrt) == 0 || xrt.dli_fname == nullptr) {
    return Error{Errc::kNoCard, "XRT's library is loaded, but its folder is unknown"};
  }
  remove_stale();
  std::string pattern = fmt::format("/tmp/{}{}-XXXXXX", kPrefix, ::getpid());
  if (::mkdtemp(pattern.data()) == nullptr) return Error{Errc::kIo, fmt::format("no run folder {}: {}", pattern, std::strerror(errno))};
  const fs::path path = pattern;
  std::unique_ptr<EmulationFolder> folder(new EmulationFolder(path));
  std::error_code error;
  fs::create_directory_symlink(fs::path(xrt.dli_fname).parent_path(), path / "lib", error);
  // XRT's first message carries the [Emulation] keys. Its buffer must never grow after that (Debian's 2.13 loses the
  // block then), so the padding makes it larger than every later message: XrtDevice syncs at most half of it at once.
  std::ofstream ini(path / "xrt.ini");
  ini << "[Runtime]\nkds=false\nruntime_log=" << (path / "xrt.log").string()
      << "\n[Emulation]\nsystem_dpa=false\nnew_mbscheduler=false\npadding=" << std::string(std::size_t{1} << 20, 'x') << "\n";
  ini.close();
  if (error || !ini) return Error{Errc::kIo, fmt::format("cannot write the run folder {}", path.string())};
  for (const auto& [name, value] : {std::pair{"XCL_EMULATION_MODE", std::string("hw_emu")}, {"XILINX_XRT", path.string()}, {"EMCONFIG_PATH", emconfig.string()},
                                    {"XRT_INI_PATH", (path / "xrt.ini").string()}, {"SDACCEL_EM_RUN_DIR", path.string()}, {"USER", path.filename().string()}}) {
    if (::setenv(name, value.c_str(), 1) != 0) return Error{Errc::kIo, "no memory for the environment"};
  }
  return folder;
}

EmulationFolder::~EmulationFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

}  // namespace esplanade
