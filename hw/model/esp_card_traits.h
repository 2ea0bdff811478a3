// What sim/model/kernel.h wants to know of the card and its description cannot say.
#pragma once

#include "hw/model/esp_card_model.h"

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
};

}  // namespace esplanade::sim
