// What sim/model/kernel.h wants to know of the card and its description cannot say.
#pragma once

#include "hw/model/esp_card_model.h"
#include "sim/functional/card.h"

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
  static std::unique_ptr<FunctionalKernel> functional(CardBus& bus, const Platform& platform) {
    FunctionalBuild build;
    build.clock_hz = platform.clock_mhz * 1'000'000;
    if (platform.kernel == "esp_card_x4") build = {4, 4, build.slots, 65'536, build.max_packet, build.replay_max, build.clock_hz};
    return std::make_unique<FunctionalCard>(bus, build);
  }
};

}  // namespace esplanade::sim
