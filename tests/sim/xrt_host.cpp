#include "tests/sim/xrt_host.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <stdexcept>

#include "driver/xrt/sleep_breaker.h"

namespace esplanade::test {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kSyncBytesMax = 512 * 1024;  // below XRT's first message, as make_folder in driver/xrt/emulation.cpp explains
const fs::path kData = ESPLANADE_SIM_DATA;

xrt::uuid load(xrt::device& device) {
  const SleepBreaker breaker;
  return device.load_xclbin((kData / "esp_card.hw_emu.xclbin").string());
}

}  // namespace

Folder::Folder() {
  std::string pattern = (fs::temp_directory_path() / "esplanade-test-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp: " + pattern);
  path_ = pattern;
  ::setenv("ESPLANADE_SIM_LOG", log().c_str(), 1);
  ::setenv("ESPLANADE_SIM_STATS", statistics().c_str(), 1);
  auto made = EmulatedCard::create(kData);
  if (!made) throw std::runtime_error(made.error().detail);
  emulation_ = std::move(*made);
}

Folder::~Folder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

SimCard::SimCard() : device_(0), ip_(device_, load(device_), "esp_card") {}

void sync(xrt::bo& buffer, xclBOSyncDirection direction, std::size_t offset, std::size_t size) {
  for (std::size_t at = 0; at < size; at += kSyncBytesMax) {
    buffer.sync(direction, std::min(kSyncBytesMax, size - at), offset + at);
  }
}

std::string read_file(const fs::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace esplanade::test
