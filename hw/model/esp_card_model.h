// What a simulator wants of the Verilated card beside its ports. Link esp_card_model.
#pragma once

#include <cstdint>

#include "Vesp_card.h"
#include "Vesp_card___024root.h"

namespace esplanade::card_model {

/// True while clocking the card changes nothing but its clock: no packet, ring access, SA command or event is under
/// way, or can start before the next register access. Valid after eval(); the AXI4-Lite face must be quiet too.
inline bool idle(const Vesp_card& card) { return card.rootp->esp_card__DOT__u_core__DOT__card_idle != 0; }

/// Level of the port `interrupt`, which Verilator renames since the word is one of C++'s.
inline bool interrupt(const Vesp_card& card) { return card.__SYM__interrupt != 0; }

/// Moves the card's time on by `cycles` clock cycles that were not simulated. Only while idle().
inline void skip(Vesp_card& card, std::uint64_t cycles, std::uint32_t clock_hz) {
  auto* root = card.rootp;
  root->esp_card__DOT__u_core__DOT__u_time__DOT__cycles_q += cycles;
  const std::uint64_t second = root->esp_card__DOT__u_core__DOT__u_time__DOT__second_q + cycles;
  root->esp_card__DOT__u_core__DOT__u_time__DOT__second_q = static_cast<std::uint32_t>(second % clock_hz);
  root->esp_card__DOT__u_core__DOT__u_time__DOT__seconds_q += static_cast<std::uint32_t>(second / clock_hz);
}

}  // namespace esplanade::card_model
