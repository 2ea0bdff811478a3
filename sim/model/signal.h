// Signals of a Verilated class, whichever type their width gave them: an integer, or an array of 32-bit
// words.
#pragma once

#include <cstring>

#include "common/base/bytes.h"

namespace esplanade::sim {

/// The octets of a signal, the lowest eight bits first.
template <class Signal>
Byte* signal_bytes(Signal& signal) {
  if constexpr (requires { signal.data(); }) {
    return reinterpret_cast<Byte*>(signal.data());
  } else {
    return reinterpret_cast<Byte*>(&signal);
  }
}

/// Sets an integer signal. The value must fit its width: Verilator does not mask inputs.
template <class Signal, class Value>
void set_signal(Signal& signal, Value value) {
  signal = static_cast<Signal>(value);
}

}  // namespace esplanade::sim
