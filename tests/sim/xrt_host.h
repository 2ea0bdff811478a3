// A host of the simulated card on bare XRT, for tests of the simulator itself; the driver's tests are
// elsewhere.
#pragma once

#include <experimental/xrt_ip.h>
#include <xrt/xrt_bo.h>
#include <xrt/xrt_device.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "driver/xrt/emulation.h"

namespace esplanade::test {

/// The environment that XRT and the simulator need, with log and statistics in a folder of its own. One a
/// process.
class Folder {
 public:
  Folder();
  ~Folder();
  std::filesystem::path log() const { return path_ / "sim.log"; }
  std::filesystem::path statistics() const { return path_ / "stats.json"; }
  std::filesystem::path file(const char* name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
  std::unique_ptr<EmulatedCard> emulation_;
};

/// The simulated card, open.
class SimCard {
 public:
  SimCard();
  std::uint32_t read(std::uint32_t offset) const { return ip_.read_register(offset); }
  void write(std::uint32_t offset, std::uint32_t value) { ip_.write_register(offset, value); }
  xrt::device& device() { return device_; }

 private:
  xrt::device device_;
  xrt::ip ip_;
};

/// Moves a range in pieces that the shim survives.
void sync(xrt::bo& buffer, xclBOSyncDirection direction, std::size_t offset, std::size_t size);

std::string read_file(const std::filesystem::path& path);

}  // namespace esplanade::test
