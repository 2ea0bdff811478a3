// The card over XRT's native C++ API. XRT's exceptions end here.
#include <dlfcn.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>
#include <xrt/xrt_bo.h>
#include <xrt/xrt_device.h>
#include <experimental/xrt_ip.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <thread>

#include "common/base/log.h"
#include "common/crypto/random.h"
#include "driver/scope.h"
#include "driver/xrt/emulation.h"
#include "driver/xrt/front_watch.h"
#include "driver/xrt/sleep_breaker.h"
#include "esplanade/device.h"

namespace esplanade {

namespace fs = std::filesystem;
namespace reg = card::reg;

namespace {
constexpr std::uint32_t kIdValue = 0x43505345;  // ID register of an esp_card
constexpr std::uint32_t kAllOnes = 0xffffffff;  // what a card that fell off the bus reads
constexpr std::size_t kSyncMax = 512 * 1024;    // see make_folder in emulation.cpp: below the size of XRT's first message
constexpr std::uint32_t kMemoryGroup = 0;       // card memory, first in hw/xclbin/esp_card.toml
constexpr std::size_t kPage = 4096;
constexpr std::chrono::seconds kResetPatience{5};

/// XRT's emulation shim installs handlers for these; ours, or the defaults, come back at the end.
class SignalKeeper {
 public:
  SignalKeeper() {
    for (std::size_t i = 0; i < kSignals.size(); ++i) ::sigaction(kSignals[i], nullptr, &before_[i]);
  }
  ~SignalKeeper() {
    for (std::size_t i = 0; i < kSignals.size(); ++i) ::sigaction(kSignals[i], &before_[i], nullptr);
  }

 private:
  static constexpr std::array<int, 3> kSignals{SIGSEGV, SIGFPE, SIGABRT};
  std::array<struct sigaction, 3> before_{};
};

/// XRT talks on standard output and error while it opens and closes a device; both belong to the program. What it says
/// goes to a file, of which the caller may show the end.
class ChatterKeeper {
 public:
  ChatterKeeper() : file_(std::tmpfile()) {
    std::fflush(stdout);
    std::fflush(stderr);
    for (int fd : kStreams) {
      saved_[fd - 1] = ::fcntl(fd, F_DUPFD_CLOEXEC, 3);
      if (file_ != nullptr) ::dup2(::fileno(file_), fd);
    }
  }
  ~ChatterKeeper() {
    std::fflush(stdout);
    std::cout.flush();
    for (int fd : kStreams) {
      if (saved_[fd - 1] < 0) continue;
      ::dup2(saved_[fd - 1], fd);
      ::close(saved_[fd - 1]);
    }
    if (file_ != nullptr) std::fclose(file_);
  }
  /// The last words, for an error message.
  std::string last() const {
    if (file_ == nullptr) return {};
    std::fflush(stdout);
    std::cout.flush();
    char text[301] = "";
    const long size = std::fseek(file_, 0, SEEK_END) == 0 ? std::ftell(file_) : 0;
    if (std::fseek(file_, std::max(0L, size - 300), SEEK_SET) != 0) return {};
    text[std::fread(text, 1, 300, file_)] = '\0';
    return printable(text, 300);
  }

 private:
  static constexpr int kStreams[] = {STDOUT_FILENO, STDERR_FILENO};
  std::FILE* file_;
  int saved_[2] = {-1, -1};
};

/// The .xclbin of the build or installation that this program belongs to, else the one of this library (PREFIX/lib or below it).
fs::path default_xclbin(bool simulated) {
  if (const char* given = std::getenv("ESPLANADE_XCLBIN")) return given;
  std::error_code error;
  const fs::path file = fs::path("share/esplanade") / (simulated ? "esp_card.hw_emu.xclbin" : "esp_card.xclbin");
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  const fs::path of_program = program.parent_path().parent_path() / file;
  if (fs::exists(of_program, error)) return of_program;
  Dl_info self{};
  if (::dladdr(reinterpret_cast<void*>(&default_xclbin), &self) != 0 && self.dli_fname != nullptr) {
    fs::path prefix = fs::canonical(self.dli_fname, error).parent_path();
    for (int i = 0; i < 2; ++i) {
      prefix = prefix.parent_path();
      if (fs::exists(prefix / file, error)) return prefix / file;
    }
  }
  return of_program;
}

/// The kernel's name in the file: esp_card, or with several lanes esp_card_xN. Throws as XRT does.
std::string kernel_name(const fs::path& xclbin) {
  const std::string name = "esp_card";
  const xrt::xclbin file(xclbin.string());  // its IPs point into it
  for (const auto& ip : file.get_ips()) {
    const std::string full = ip.get_name();  // kernel:instance
    const std::string kernel = full.substr(0, full.find(':'));
    if (kernel == name || kernel.starts_with(name + "_x")) return kernel;
  }
  return name;
}

class XrtDevice;

class XrtBuffer final : public Device::Buffer {
 public:
  XrtBuffer(XrtDevice& device, xrt::bo bo, std::size_t size, std::uint32_t window)
      : device_(device), bo_(std::move(bo)), data_(bo_.map<Byte*>(), size), window_(window) {}
  ~XrtBuffer() override;
  XrtBuffer(const XrtBuffer&) = delete;
  XrtBuffer& operator=(const XrtBuffer&) = delete;
  MutableBytes data() override { return data_; }
  std::uint64_t address() const override { return bo_.address(); }
  Status sync_to_card(std::size_t offset, std::size_t size) override { return sync(XCL_BO_SYNC_BO_TO_DEVICE, offset, size); }
  Status sync_from_card(std::size_t offset, std::size_t size) override { return sync(XCL_BO_SYNC_BO_FROM_DEVICE, offset, size); }

 private:
  Status sync(xclBOSyncDirection direction, std::size_t offset, std::size_t size);
  XrtDevice& device_;
  xrt::bo bo_;
  MutableBytes data_;
  std::uint32_t window_;  // of the card, open for this buffer alone
};

class XrtDevice final : public Device {
 public:
  XrtDevice(std::unique_ptr<EmulatedCard> emulated, xrt::device device, xrt::ip ip)
      : emulated_(std::move(emulated)), front_(emulated_ ? std::make_unique<FrontWatch>(emulated_->folder(), emulated_->index()) : nullptr), device_(std::move(device)), ip_(std::move(ip)) {}
  ~XrtDevice() override {
    // A lost card takes no writes; a live one stops fetching.
    if (!lost_) static_cast<void>(write32(reg::kControl.at(), 0));
    const ChatterKeeper chatter;
    const FrontWatch::Call call(front_.get());
    if (front_gone()) {
      FrontWatch::abandon(std::move(ip_));
      FrontWatch::abandon(std::move(device_));
    }
    ip_ = {};
    device_ = {};
  }

  const DeviceInfo& info() const override { return info_; }

  Result<std::uint32_t> read32(std::uint32_t offset) override {
    const FrontWatch::Call call(front_.get());
    if (is_lost()) return lost();
    try {
      const std::uint32_t value = ip_.read_register(offset);
      // All ones may be a value. The ID register never is.
      if (value == kAllOnes && ip_.read_register(reg::kId.at()) != kIdValue) {
        lost_ = true;
        return lost();
      }
      return value;
    } catch (const std::exception& error) {
      return fail(error);
    }
  }

  Status write32(std::uint32_t offset, std::uint32_t value) override {
    const FrontWatch::Call call(front_.get());
    if (is_lost()) return lost();
    try {
      ip_.write_register(offset, value);
      return ok();
    } catch (const std::exception& error) {
      return fail(error);
    }
  }

  Result<std::unique_ptr<Buffer>> allocate(std::size_t bytes) override {
    const FrontWatch::Call call(front_.get());
    if (is_lost()) return lost();
    const auto n = static_cast<std::uint32_t>(std::countr_one(windows_));
    if (n >= card::kNumWindows) return Error{Errc::kTableFull, fmt::format("all {} memory windows of the card are in use", n)};
    const std::size_t size = (bytes + kPage - 1) / kPage * kPage;
    try {
      auto buffer = std::make_unique<XrtBuffer>(*this, xrt::bo(device_, size, xrt::bo::flags::normal, kMemoryGroup), size, n);
      windows_ |= 1u << n;
      ESPLANADE_CHECK(write32(reg::kWindowBaseLo.at(n), static_cast<std::uint32_t>(buffer->address())));
      ESPLANADE_CHECK(write32(reg::kWindowBaseHi.at(n), static_cast<std::uint32_t>(buffer->address() >> 32)));
      ESPLANADE_CHECK(write32(reg::kWindowSize.at(n), static_cast<std::uint32_t>(size / kPage)));
      ESPLANADE_CHECK(write32(reg::kWindowControl.at(n), reg::kWindowControlEnable.put(1)));
      return std::unique_ptr<Buffer>(std::move(buffer));
    } catch (const std::exception& error) {
      return fail(error);
    }
  }

  /// Shuts the window of a buffer that goes.
  void release(std::uint32_t window) {
    if (!is_lost()) static_cast<void>(write32(reg::kWindowControl.at(window), 0));
    windows_ &= ~(1u << window);
  }

  /// Reads what the card is, resets it, seeds its IV generator and switches it on.
  Status start(bool simulated, bool test_mode);

  bool is_lost() const { return lost_ || front_gone(); }
  bool front_gone() const { return front_ && front_->gone(); }
  FrontWatch* front() const { return front_.get(); }
  Error lost() const {
    return Error{Errc::kDeviceLost, info_.simulated ? "the simulated card is lost: its simulator ended (see ESPLANADE_SIM_LOG); open it again"
                                                    : "the card is lost: it reads all ones, as a card that fell off the bus; reset it and open it again"};
  }
  /// What an exception of XRT means: a call that failed, or a card that is gone.
  Error fail(const std::exception& error) {
    try {
      if (ip_.read_register(reg::kId.at()) != kIdValue) lost_ = true;
    } catch (const std::exception&) {
      lost_ = true;
    }
    return lost_ ? lost() : Error{Errc::kIo, fmt::format("XRT: {}", printable(error.what()))};
  }

 private:
  std::unique_ptr<EmulatedCard> emulated_;   // first in, last out: XRT uses its folder until its device is closed
  std::unique_ptr<FrontWatch> front_;        // of a simulated card
  xrt::device device_;
  xrt::ip ip_;
  DeviceInfo info_{};
  std::uint32_t windows_ = 0;      // a bit each that is in use
  std::atomic<bool> lost_ = false;  // queues of several threads learn it from each other
};

XrtBuffer::~XrtBuffer() {
  device_.release(window_);
  const FrontWatch::Call call(device_.front());
  if (device_.front_gone()) {
    FrontWatch::abandon(std::move(bo_));
  } else {
    bo_ = {};
  }
}

Status XrtBuffer::sync(xclBOSyncDirection direction, std::size_t offset, std::size_t size) {
  const FrontWatch::Call call(device_.front());
  if (device_.is_lost()) return device_.lost();
  try {
    for (std::size_t at = 0; at < size; at += kSyncMax) bo_.sync(direction, std::min(kSyncMax, size - at), offset + at);
    return ok();
  } catch (const std::exception& error) {
    return device_.fail(error);
  }
}

Status XrtDevice::start(bool simulated, bool test_mode) {
  info_.simulated = simulated;
  ESPLANADE_TRY(id, read32(reg::kId.at()));
  if (id != kIdValue) return Error{Errc::kNoCard, fmt::format("the kernel's ID register reads 0x{:08x}: not an esp_card", id)};
  for (const auto& [r, value] : {std::pair{&reg::kVersion, &info_.format_version}, {&reg::kBuild, &info_.build}, {&reg::kCaps, &info_.caps}, {&reg::kSaEntries, &info_.sa_entries},
                                 {&reg::kMaxPacket, &info_.max_packet}, {&reg::kReplayMax, &info_.replay_max}, {&reg::kClockHz, &info_.clock_hz}}) {
    ESPLANADE_TRY(word, read32(r->at()));
    *value = word;
  }
  ESPLANADE_TRY(sizes, read32(reg::kSizes.at()));
  info_.lanes = reg::kSizesLanes.get(sizes);
  info_.queues = reg::kSizesQueues.get(sizes);
  info_.slots = reg::kSizesSlots.get(sizes);
  if (info_.format_version != card::kFormatVersion) {
    return Error{Errc::kUnsupported, fmt::format("the card speaks format version {}, this driver {}: load an .xclbin of this release", info_.format_version, card::kFormatVersion)};
  }
  // The card's word on sizes is bounded before anything is allocated by it.
  if (info_.sa_entries == 0 || (info_.sa_entries & (info_.sa_entries - 1)) != 0 || info_.sa_entries > 1u << 20 || info_.max_packet < 28 || info_.max_packet > 65535 || info_.queues == 0 ||
      info_.queues > card::kMaxQueues) {
    return Error{Errc::kMalformed, fmt::format("the card reports impossible sizes: {} SA entries, packets of {}, {} queues", info_.sa_entries, info_.max_packet, info_.queues)};
  }
  if (test_mode && reg::kCapsTestMode.get(info_.caps) == 0) {
    return Error{Errc::kUnsupported, "this card is a production build: it takes no IV from the host"};
  }
  ESPLANADE_CHECK(write32(reg::kControl.at(), reg::kControlSoftReset.put(1)));
  const auto end = std::chrono::steady_clock::now() + kResetPatience;
  for (;;) {
    ESPLANADE_TRY(control, read32(reg::kControl.at()));
    if (reg::kControlSoftReset.get(control) == 0) break;
    if (std::chrono::steady_clock::now() > end) return Error{Errc::kTimeout, "the card did not finish its soft reset within 5 s"};
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  ESPLANADE_CHECK(write32(reg::kErrorCause.at(), kAllOnes));
  std::array<Byte, 4 * 5> seed;
  crypto::random_bytes(seed);
  for (std::uint32_t word = 0; word < reg::kRngSeed.count; ++word) {
    ESPLANADE_CHECK(write32(reg::kRngSeed.at(word), load_be32(&seed[4 * word])));
  }
  wipe(seed);
  return write32(reg::kControl.at(), reg::kControlEnable.put(1) | reg::kControlTestMode.put(test_mode));
}
}  // namespace

Result<std::unique_ptr<Device>> Device::open(const DeviceOptions& options) {
  const bool simulated = options.card == "sim";
  const fs::path xclbin = options.xclbin.empty() ? default_xclbin(simulated) : fs::path(options.xclbin);
  if (!fs::exists(xclbin)) {
    return Error{Errc::kNoCard, fmt::format("no .xclbin at {}: {}", xclbin.string(),
                                            simulated ? "build the target esp_card_xclbin, or set ESPLANADE_XCLBIN" : "set ESPLANADE_XCLBIN to the one of your card")};
  }
  std::unique_ptr<EmulatedCard> emulated;
  if (simulated) {
    ESPLANADE_TRY(made, EmulatedCard::create(fs::absolute(xclbin).parent_path()));
    emulated = std::move(made);
  }
  const auto load_watch = simulated ? std::make_unique<LoadWatch>(emulated->folder(), emulated->index()) : nullptr;
  const ChatterKeeper chatter;
  try {
    const SignalKeeper signal_keeper;
    xrt::device handle = simulated ? xrt::device(emulated->index()) : xrt::device(options.card);
    xrt::uuid uuid;
    {
      const SleepBreaker breaker;
      uuid = handle.load_xclbin(xclbin.string());
    }
    xrt::ip ip(handle, uuid, kernel_name(xclbin));
    auto device = std::make_unique<XrtDevice>(std::move(emulated), std::move(handle), std::move(ip));
    ESPLANADE_CHECK(device->start(simulated, options.test_mode));
    return watch(std::move(device), scope_options_from_environment());
  } catch (const std::exception& error) {
    return Error{Errc::kNoCard, fmt::format("XRT cannot open card \"{}\" with {}: {} ({})", printable(options.card), xclbin.string(), printable(error.what(), 300), chatter.last())};
  }
}

}  // namespace esplanade
