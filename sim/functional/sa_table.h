// The SA table of the functional card: entries as the host writes them, each run by the reference engine. Keys stay in
// it; nothing here gives one back.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "common/esp/engine.h"
#include "hw/regs/card_regs.h"

namespace esplanade::sim {

class FunctionalSaTable {
 public:
  struct Entry {
    esp::SoftSa sa;
    std::uint64_t installed_at;                    // seconds of the card
    std::array<std::uint32_t, 32> drops{};         // by status
    bool used_up = false;                          // no sequence number is left
    bool flipped = false, poisoned = false;        // a bit is wrong; and that was seen
  };
  using View = std::array<Byte, card::sa_view::kSize>;

  /// `entries`: a power of two. `seconds` is the card's clock.
  FunctionalSaTable(std::uint32_t entries, std::uint32_t replay_max, esp::Clock seconds);

  /// The command on entry `index`, with `window` (format SaEntry) for Install and Update and `view` for View to fill.
  card::SaResult command(std::uint32_t command, std::uint32_t index, ByteView window, View& view);

  /// The valid entry at `index`, or null.
  Entry* find(std::uint32_t index) { return index < table_.size() ? table_[index].get() : nullptr; }
  /// The valid entry with that SPI and its index, or null.
  Entry* find_spi(std::uint32_t spi, std::uint32_t& index);
  std::uint32_t num_valid() const { return num_valid_; }
  std::uint32_t size() const { return static_cast<std::uint32_t>(table_.size()); }

 private:
  bool bad(ByteView window, std::uint32_t index, bool update) const;
  View view_of(const Entry& entry) const;

  const std::uint32_t replay_max_;
  const esp::Clock seconds_;
  std::vector<std::unique_ptr<Entry>> table_;
  std::uint32_t num_valid_ = 0;
};

}  // namespace esplanade::sim
