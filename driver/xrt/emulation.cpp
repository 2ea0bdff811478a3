#include "driver/xrt/emulation.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>
#include <xrt/xrt_device.h>

#include <bit>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <mutex>
#include <sstream>

#include "common/base/log.h"

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

std::mutex mutex;         // of the two below
unsigned in_use = 0;      // a bit for each card of this process that is open
fs::path shared_folder;  // theirs

bool in_path(const std::string& program) {
  const char* path = std::getenv("PATH");
  std::istringstream folders(path != nullptr ? path : "/bin:/usr/bin");
  for (std::string folder; std::getline(folders, folder, ':');) {
    if (::access((fs::path(folder) / program).c_str(), X_OK) == 0) return true;
  }
  return false;
}

// XRT ends the process, or waits for minutes, where one of these is missing.
Status check_needs(const fs::path& data) {
  if (!in_path("unzip")) return Error{Errc::kNoCard, "XRT's emulation needs the program unzip: install the Debian package unzip"};
  if (::access((data / "emconfig.json").c_str(), R_OK) != 0) {
    return Error{Errc::kNoCard, fmt::format("no readable emconfig.json in {}: it belongs beside the .xclbin, the target esp_card_xclbin makes both", data.string())};
  }
  // The simulator stands in the tree of the .xclbin; else the launcher inside the .xclbin knows where it was built.
  const fs::path beside = data.parent_path().parent_path() / "bin/esp-card-sim";
  const char* given = std::getenv("ESPLANADE_SIM");
  if (given == nullptr && fs::exists(beside)) ::setenv("ESPLANADE_SIM", beside.c_str(), 1);
  if (given != nullptr && (::access(given, X_OK) != 0 || !fs::is_regular_file(given))) {
    return Error{Errc::kNoCard, fmt::format("ESPLANADE_SIM is {}, which is no program that can be run: build the target esp-card-sim", printable(given))};
  }
  return ok();
}

/// A copy of the .xclbin's emconfig.json, with so many cards as one process may want.
bool write_emconfig(const fs::path& from, const fs::path& to) {
  std::stringstream text;
  text << std::ifstream(from).rdbuf();
  const std::string one = "\"NumDevices\": \"1\"";
  std::string table = text.str();
  const std::size_t at = table.find(one);
  if (at == std::string::npos) return false;
  table.replace(at, one.size(), fmt::format("\"NumDevices\": \"{}\"", EmulatedCard::kCardsMax));
  std::ofstream out(to);
  out << table;
  out.close();
  return static_cast<bool>(out);
}

/// The folder that the cards of this process share, with all that XRT wants in it and in the environment.
Result<fs::path> make_folder(const fs::path& data) {
  Dl_info xrt{};
  if (::dladdr(reinterpret_cast<void*>(&xrtDeviceOpen), &xrt) == 0 || xrt.dli_fname == nullptr) {
    return Error{Errc::kNoCard, "XRT's library is loaded, but its folder is unknown"};
  }
  remove_stale();
  std::string pattern = fmt::format("/tmp/{}{}-XXXXXX", kPrefix, ::getpid());
  if (::mkdtemp(pattern.data()) == nullptr) return Error{Errc::kIo, fmt::format("no run folder {}: {}", pattern, std::strerror(errno))};
  const fs::path path = pattern;
  std::error_code error;
  fs::create_directory_symlink(fs::path(xrt.dli_fname).parent_path(), path / "lib", error);
  // XRT's first message carries the [Emulation] keys. Its buffer must never grow after that (Debian's 2.13 loses the
  // block then), so the padding makes it larger than every later message: XrtDevice syncs at most half of it at once.
  std::ofstream ini(path / "xrt.ini");
  ini << "[Runtime]\nkds=false\nruntime_log=" << (path / "xrt.log").string()
      << "\n[Emulation]\nsystem_dpa=false\nnew_mbscheduler=false\npadding=" << std::string(std::size_t{1} << 20, 'x') << "\n";
  ini.close();
  Status made = ok();
  if (!write_emconfig(data / "emconfig.json", path / "emconfig.json")) made = Error{Errc::kNoCard, fmt::format("{} is not an emconfig.json with one device", (data / "emconfig.json").string())};
  if (error || !ini) made = Error{Errc::kIo, fmt::format("cannot write the run folder {}", path.string())};
  for (const auto& [name, value] : {std::pair{"XCL_EMULATION_MODE", std::string("hw_emu")}, {"XILINX_XRT", path.string()}, {"EMCONFIG_PATH", path.string()},
                                    {"XRT_INI_PATH", (path / "xrt.ini").string()}, {"SDACCEL_EM_RUN_DIR", path.string()}, {"USER", path.filename().string()}}) {
    if (::setenv(name, value.c_str(), 1) != 0) made = Error{Errc::kIo, "no memory for the environment"};
  }
  if (made) return path;
  fs::remove_all(path, error);
  return made.error();
}
}  // namespace

Result<std::unique_ptr<EmulatedCard>> EmulatedCard::create(const fs::path& data) {
  ESPLANADE_CHECK(check_needs(data));
  const std::lock_guard lock(mutex);
  const auto index = static_cast<unsigned>(std::countr_one(in_use));
  if (index >= kCardsMax) return Error{Errc::kState, fmt::format("this process has {} simulated cards open already: XRT is told of no more", kCardsMax)};
  if (in_use == 0) {
    ESPLANADE_TRY(made, make_folder(data));
    shared_folder = std::move(made);
  }
  in_use |= 1U << index;
  return std::unique_ptr<EmulatedCard>(new EmulatedCard(shared_folder, index));
}

EmulatedCard::~EmulatedCard() {
  const std::lock_guard lock(mutex);
  in_use &= ~(1U << index_);
  std::error_code ignored;
  if (in_use == 0) fs::remove_all(folder_, ignored);
}

}  // namespace esplanade
