// The card's SA table. Keys go in and never come out: the driver keeps none, the card returns none.
#pragma once

#include <array>
#include <span>
#include <vector>

#include "esplanade/device.h"

namespace esplanade {

/// Index of an entry in the card's table.
using SaIndex = std::uint32_t;

/// Keyless state of an SA.
struct SaView {
  bool valid, outbound;
  bool expired;   // a hard limit closed it
  bool poisoned;  // its state failed the card's parity check
  card::Cipher cipher;
  card::Auth auth;
  std::uint32_t spi;
  std::uint64_t seq;  // outbound: last number used; inbound: highest authenticated
  std::uint64_t packets, bytes;
  std::uint32_t age_seconds;
  /// Packets dropped, by reason.
  struct Drops {
    std::uint32_t replay, icv, padding, next_header, inner, protocol, address, expired, seq, length, other;
    std::uint64_t total() const {
      return std::uint64_t{replay} + icv + padding + next_header + inner + protocol + address + expired + seq + length + other;
    }
  } drops;
};

class SaTable {
 public:
  /// Takes the table over and clears it.
  static Result<SaTable> create(Device& device);

  /// An SPI whose low bits are a free entry, which stays reserved for it (RFC 4303 s2.1: 256 and up).
  Result<std::uint32_t> allocate_spi();
  /// Reserves the entry of an SPI that another table chose, so that its SA can come here one day. kTableFull: the entry is taken.
  Status reserve_spi(std::uint32_t spi);
  /// Frees the reservation of an SPI that was not installed.
  void release_spi(std::uint32_t spi);

  /// Validates and installs an SA, atomically to traffic. kUnsupported names what the card lacks (nothing is sent to
  /// it then); kTableFull: no free entry, or an inbound SPI's entry is taken; kBadConfig, kWeakKey from validate().
  Result<SaIndex> install(const esp::SaParams& sa);
  /// Gives an installed SA new addresses (a peer that moved), ports, outer header fields and lifetimes, atomically to traffic:
  /// keys, algorithms, numbers, window and counters stay, and no key is read or sent. `sa` has the SPI and direction of the
  /// installed one. kUnsupported: the card lacks CAPS.SA_UPDATE or what `sa` asks; kUnknownSpi: no such SA; kBadConfig.
  Status update(SaIndex index, const esp::SaParams& sa);
  /// Removes an SA; returns when no packet holds it and its keys are wiped. After kTimeout it may be called again.
  Status remove(SaIndex index);
  Result<SaView> view(SaIndex index);
  /// Entry of an inbound SA with this SPI.
  SaIndex index_of(std::uint32_t spi) const { return spi & static_cast<SaIndex>(entries_.size() - 1); }

  /// Which of CAPS an SA needs and `caps` lacks, in words; empty when the card can do it.
  static std::string lacking(const esp::SaParams& sa, std::uint32_t caps, std::uint32_t replay_max);
  /// The SA entry as the card takes it (format SaEntry). It holds the keys of `sa`: the caller wipes it.
  static std::array<Byte, card::sa_entry::kSize> encode(const esp::SaParams& sa, std::uint32_t caps);
  /// The SA that an entry (format SaEntry, whole) asks for, without its keys. kBadConfig: an algorithm or DF policy that is none.
  static Result<esp::SaParams> decode(ByteView entry);

 private:
  explicit SaTable(Device& device);
  Result<card::SaResult> command(card::SaCommand command, SaIndex index);
  Result<card::SaResult> wait_idle(card::SaCommand command, SaIndex index);
  Status write_window(std::span<Byte, card::sa_entry::kSize> image);
  Result<SaIndex> pick(const esp::SaParams& sa);

  enum class Use : std::uint8_t { kFree, kReserved, kInstalled, kRemoving };
  struct Entry {
    Use use = Use::kFree;
    std::uint32_t spi = 0;  // of a reserved or installed entry
    bool outbound = false;  // of an installed one
  };
  Device* device_;
  std::vector<Entry> entries_;
  std::uint32_t next_outbound_ = 0;
  bool overdue_ = false;       // the card was still busy with a command when its time was up
  bool window_dirty_ = true;  // the SA entry window may hold octets of a refused entry
};

}  // namespace esplanade
