// The card's SA table. Keys go in and never come out: the driver keeps none, the card returns none.
#pragma once

#include <array>
#include <vector>

#include "esplanade/device.h"

namespace esplanade {

/// Index of an entry in the card's table.
using SaIndex = std::uint32_t;

class SaTable {
 public:
  /// Takes the table over and clears it.
  static Result<SaTable> create(Device& device);

  /// An SPI whose low bits are a free entry, which stays reserved for it (RFC 4303 s2.1: 256 and up).
  Result<std::uint32_t> allocate_spi();
  /// Frees the reservation of an SPI that was not installed.
  void release_spi(std::uint32_t spi);

  /// Validates and installs an SA, atomically to traffic. kUnsupported names what the card lacks (nothing is sent to
  /// it then); kTableFull: no free entry, or an inbound SPI's entry is taken; kBadConfig, kWeakKey from validate().
  Result<SaIndex> install(const esp::SaParams& sa);
  /// Removes an SA; returns when no packet holds it and its keys are wiped. After kTimeout it may be called again.
  Status remove(SaIndex index);
  /// Keyless state, format SaView of card_regs.h.
  Result<std::array<Byte, card::sa_view::kSize>> view(SaIndex index);

  /// Which of CAPS an SA needs and `caps` lacks, in words; empty when the card can do it.
  static std::string lacking(const esp::SaParams& sa, std::uint32_t caps, std::uint32_t replay_max);
  /// The SA entry as the card takes it (format SaEntry). It holds keys: the caller wipes it.
  static std::array<Byte, card::sa_entry::kSize> encode(const esp::SaParams& sa, std::uint32_t caps);

 private:
  explicit SaTable(Device& device);
  Result<card::SaResult> command(card::SaCommand command, SaIndex index);
  Result<card::SaResult> wait_idle(card::SaCommand command, SaIndex index);
  Result<SaIndex> pick(const esp::SaParams& sa);

  enum class Use : std::uint8_t { kFree, kReserved, kInstalled, kRemoving };
  struct Entry {
    Use use = Use::kFree;
    std::uint32_t spi = 0;  // of a reserved entry
  };
  Device* device_;
  std::vector<Entry> entries_;
  std::uint32_t next_outbound_ = 0;
  bool overdue_ = false;       // the card was still busy with a command when its time was up
  bool window_dirty_ = true;  // the SA entry window may hold octets of a refused entry
};

}  // namespace esplanade
