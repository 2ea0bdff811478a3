// One seed for everything random in a test program.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace esplanade::testing {

/// The seed of this run: the environment's ESPLANADE_SEED (decimal, or hexadecimal with 0x), else `preset`, else one
/// that nobody chose. The first call decides for the whole program and prints it on standard output. An
/// ESPLANADE_SEED that is no number ends the program: a run with another seed than asked for proves nothing.
std::uint64_t seed(std::optional<std::uint64_t> preset = std::nullopt);

/// The shell command that repeats this run of this program: its ESPLANADE_ variables, the seed when seed() was called,
/// its path and arguments.
std::string reproduction();

}  // namespace esplanade::testing
