// What stock XRT's hardware emulation wants of a process before its first call: files and environment.
#pragma once

#include <filesystem>
#include <memory>

#include "common/base/result.h"

namespace esplanade {

/// A private folder under /tmp with xrt.ini, XILINX_XRT's `lib` and XRT's sockets and run folders, and the environment
/// variables that lead XRT there. One a process, as XRT reads the variables once. Removed with the object; folders of
/// processes that are gone are removed when the next one is made.
class EmulationFolder {
 public:
  /// `data`: folder that holds emconfig.json. Errors: kNoCard, which names what emulation needs and is missing (XRT's
  /// libraries, unzip, emconfig.json, the simulator); kState when this process has the simulated card open; kIo.
  static Result<std::unique_ptr<EmulationFolder>> create(const std::filesystem::path& data);
  ~EmulationFolder();
  EmulationFolder(const EmulationFolder&) = delete;
  EmulationFolder& operator=(const EmulationFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  explicit EmulationFolder(std::filesystem::path path) : path_(std::move(path)) {}
  std::filesystem::path path_;
};

}  // namespace esplanade
