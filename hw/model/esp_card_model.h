// What a simulator wants of the Verilated card beside its ports. `Card` is the Verilated class of any of its
// tops; include that, and its ___024root.h, before.
#pragma once

#include <cstddef>
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
ESPLANADE_CORE_SIGNAL(error_cause, u_regs__DOT__cause_q)
ESPLANADE_CORE_SIGNAL(sa_state, u_sad__DOT__u_dyn__DOT__mem)
ESPLANADE_CORE_SIGNAL(packet_words, gen_lane__BRA__0__KET____DOT__u_lane__DOT__u_crypto__DOT__u_m1__DOT__gen_bank__BRA__0__KET____DOT__mem)
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

/// ERROR_CAUSE.
template <class Card>
std::uint32_t error_cause(const Card& card) {
  return signal::error_cause(card);
}

/// Flips a bit of the state that the SA table keeps of entry `index`; false: no such entry or bit.
template <class Card>
bool flip_sa(Card& card, std::uint64_t index, std::uint64_t bit) {
  auto& rows = signal::sa_state(card);
  constexpr std::size_t kRows = sizeof rows.m_storage / sizeof rows.m_storage[0];
  constexpr std::size_t kWords = sizeof rows[0].m_storage / sizeof rows[0].m_storage[0];
  if (index >= kRows || bit >= 32 * kWords) return false;
  rows[index].m_storage[bit / 32] ^= 1U << bit % 32;
  return true;
}

/// Flips a bit of the first word of a row of lane 0's buffer of received octets; false: no such row or bit.
template <class Card>
bool flip_packet(Card& card, std::uint64_t row, std::uint64_t bit) {
  auto& words = signal::packet_words(card);
  constexpr std::size_t kRows = sizeof words.m_storage / sizeof words.m_storage[0];
  if (row >= kRows || bit >= 64) return false;
  words[row] ^= std::uint64_t{1} << bit;
  return true;
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
