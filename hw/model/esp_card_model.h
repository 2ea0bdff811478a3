// What a simulator wants of the Verilated card beside its ports. `Card` is the Verilated class of any of its
// tops; include that, and its ___024root.h, before.
#pragma once

#include <cstdint>

namespace esplanade::card_model {

// A signal of card_core, whichever top is around it.
#define ESPLANADE_CORE_SIGNAL(function, signal)                                     \
  template <class Card>                                                             \
  auto& function(Card& card) {                                                      \
    if constexpr (requires { card.rootp->esp_card__DOT__u_core__DOT__##signal; }) { \
      return card.rootp->esp_card__DOT__u_core__DOT__##signal;                      \
    } else {                                                                        \
      return card.rootp->esp_card_x4__DOT__u_core__DOT__##signal;                   \
    }                                                                               \
  }
namespace signal {
ESPLANADE_CORE_SIGNAL(card_idle, card_idle)
ESPLANADE_CORE_SIGNAL(cycles, u_time__DOT__cycles_q)
ESPLANADE_CORE_SIGNAL(second, u_time__DOT__second_q)
ESPLANADE_CORE_SIGNAL(seconds, u_time__DOT__seconds_q)
}  // namespace signal
#undef ESPLANADE_CORE_SIGNAL

/// True while clocking the card changes nothing but its clock: no packet, ring access, SA command or event is
/// under way, or can start before the next register access. Valid after eval(); the AXI4-Lite face must be
/// quiet too.
template <class Card>
bool idle(const Card& card) {
  return signal::card_idle(card) != 0;
}

/// Level of the port `interrupt`, which Verilator renames since the word is one of C++'s.
template <class Card>
bool interrupt(const Card& card) {
  return card.__SYM__interrupt != 0;
}

/// Moves the card's time on by `cycles` clock cycles that were not simulated. Only while idle().
template <class Card>
void skip(Card& card, std::uint64_t cycles, std::uint32_t clock_hz) {
  signal::cycles(card) += cycles;
  const std::uint64_t second = signal::second(card) + cycles;
  signal::second(card) = static_cast<std::uint32_t>(second % clock_hz);
  signal::seconds(card) += static_cast<std::uint32_t>(second / clock_hz);
}

}  // namespace esplanade::card_model
