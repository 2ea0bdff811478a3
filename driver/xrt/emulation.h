// What stock XRT's hardware emulation wants of a process before its first call: files and environment.
#pragma once

#include <filesystem>
#include <memory>

#include "common/base/result.h"

namespace esplanade {

/// A simulated card of this process, and the private folder under /tmp that they share: with xrt.ini, emconfig.json, XILINX_XRT's `lib` and XRT's sockets and run
/// folders, and the environment variables that lead XRT there. XRT finds kCardsMax cards; each object is one of them. The folder goes with the last of
/// them; folders of processes that are gone are removed when the next one is made. Thread-safe.
class EmulatedCard {
 public:
  static constexpr unsigned kCardsMax = 8;
  /// `data`: folder that holds emconfig.json. Errors: kNoCard, which names what emulation needs and is missing (XRT's
  /// libraries, unzip, emconfig.json, the simulator); kState when this process has kCardsMax simulated cards open; kIo.
  static Result<std::unique_ptr<EmulatedCard>> create(const std::filesystem::path& data);
  ~EmulatedCard();
  EmulatedCard(const EmulatedCard&) = delete;
  EmulatedCard& operator=(const EmulatedCard&) = delete;
  const std::filesystem::path& folder() const { return folder_; }
  /// XRT's index of it: the lowest that is free.
  unsigned index() const { return index_; }

 private:
  EmulatedCard(std::filesystem::path folder, unsigned index) : folder_(std::move(folder)), index_(index) {}
  const std::filesystem::path folder_;
  const unsigned index_;
};

}  // namespace esplanade
