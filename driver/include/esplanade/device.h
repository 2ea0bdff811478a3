// libesplanade: the host side of an esp_card. One code path for a card and for the simulation: both are reached
// through stock XRT. Thread rule: one Device, SaTable or PacketQueue is used by one thread at a time; different
// queues of one device may be used by different threads.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/bytes.h"
#include "common/esp/sa.h"
#include "hw/regs/card_regs.h"

namespace esplanade {

struct DeviceOptions {
  std::string card = "sim";  // "sim", or an XRT device: index ("0") or PCIe address ("0000:3b:00.1")
  std::string xclbin;        // empty: the one built or installed with this library for that kind of card
  bool test_mode = false;    // ask for CONTROL.TEST_MODE (host-given IVs); refused by production cards
};

/// What the card says of itself at open.
struct DeviceInfo {
  std::uint32_t format_version, build, caps, lanes, queues, slots, sa_entries, max_packet, replay_max, clock_hz;
  bool simulated;
};

class Device {
 public:
  /// Opens the card, loads the .xclbin, checks ID and VERSION, seeds the IV generator, registers the memory window.
  /// For "sim" it sets up what XRT's hardware emulation needs (environment, emconfig.json, xrt.ini) in a private
  /// run folder that is removed at the end. Errors: kNoCard (what is missing and how to get it), kPermission,
  /// kUnsupported (format version), kDeviceLost.
  static Result<std::unique_ptr<Device>> open(const DeviceOptions& options);
  virtual ~Device() = default;
  virtual const DeviceInfo& info() const = 0;

  /// Register access; `offset` in bytes. kDeviceLost once the card stopped answering: reads all ones forever after.
  virtual Result<std::uint32_t> read32(std::uint32_t offset) = 0;
  virtual Status write32(std::uint32_t offset, std::uint32_t value) = 0;
  Result<std::uint64_t> read64(const card::Reg& lo, const card::Reg& hi);  // HI, LO, HI until stable

  /// A buffer that card and host share. `data` is the host's view; sync moves a range.
  class Buffer {
   public:
    virtual ~Buffer() = default;
    virtual MutableBytes data() = 0;
    virtual std::uint64_t address() const = 0;  // the card's
    virtual Status sync_to_card(std::size_t offset, std::size_t size) = 0;
    virtual Status sync_from_card(std::size_t offset, std::size_t size) = 0;
  };
  virtual Result<std::unique_ptr<Buffer>> allocate(std::size_t bytes) = 0;

  /// What happens to packets outside the card, for those that write it down: nothing else comes of it. kSubmitted: number `first` of the queue begins a
  /// batch for the next doorbell; kDelivered: the program has taken the results of `count` packets from `first` on; kArrived: the program got the packet from
  /// where it comes from (espd: TUN or socket); kSent: its result is where it goes to. `when`: none is now.
  enum class Moment : std::uint8_t { kSubmitted, kDelivered, kArrived, kSent };
  virtual void note(Moment, std::uint32_t /*queue*/, std::uint64_t /*first*/, std::uint32_t /*count*/, std::chrono::steady_clock::time_point /*when*/ = {}) {}
  /// Whether moments are written down, so that nobody need look at the clock for nothing.
  virtual bool recording() const { return false; }
};

}  // namespace esplanade
