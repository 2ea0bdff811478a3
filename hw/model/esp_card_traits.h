// What sim/model/kernel.h wants to know of the card and its description cannot say.
#pragma once

#include "hw/model/esp_card_model.h"
#include "sim/functional/card.h"
#include "sim/model/injector.h"

namespace esplanade::sim {

struct KernelTraits {
  template <class Card>
  static bool idle(const Card& card) {
    return card_model::idle(card);
  }
  template <class Card>
  static void skip(Card& card, std::uint64_t cycles, std::uint32_t clock_hz) {
    card_model::skip(card, cycles, clock_hz);
  }
  static std::optional<std::uint32_t> register_offset(const std::string& name) {
    for (const card::Reg& r : card::reg::kAll) {
      if (name == r.name) return r.offset;
    }
    return std::nullopt;
  }
  static bool is_completion(const RegisterShadow& registers, std::uint64_t address) {
    const auto value = [&registers](std::uint32_t offset) {
      const auto it = registers.find(offset);
      return it == registers.end() ? 0 : it->second;
    };
    for (std::uint32_t q = 0; q < card::kMaxQueues; ++q) {
      const std::uint32_t control = value(card::reg::kQControl.at(q));
      if (card::reg::kQControlEnable.get(control) == 0) continue;
      const std::uint64_t base = value(card::reg::kCqBaseLo.at(q)) | std::uint64_t{value(card::reg::kCqBaseHi.at(q))} << 32;
      if (address - base < std::uint64_t{card::kCompletionBytes} << card::reg::kQControlLog2Size.get(control)) return true;
    }
    return false;
  }
  template <class Card>
  static bool error(const Card& card) {
    return card_model::error_cause(card) != 0;
  }
  template <class Card>
  static bool flip_sa(Card& card, std::uint64_t index, std::uint64_t bit) {
    return card_model::flip_sa(card, index, bit);
  }
  template <class Card>
  static bool flip_packet(Card& card, std::uint64_t row, std::uint64_t bit) {
    return card_model::flip_packet(card, row, bit);
  }
  static std::unique_ptr<FunctionalKernel> functional(CardBus& bus, const Platform& platform) {
    FunctionalBuild build;
    build.clock_hz = platform.clock_mhz * 1'000'000;
    if (platform.kernel == "esp_card_x4") build = {4, 4, build.slots, 65'536, build.max_packet, build.replay_max, build.clock_hz};
    return std::make_unique<FunctionalCard>(bus, build);
  }
};

}  // namespace esplanade::sim
