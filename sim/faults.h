// Fault points: what can be made to go wrong in a simulation, and when. A plan is a TOML file; docs/faults.md has the keys.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace esplanade::sim {

/// When something happens: a text like "cycle=1000", "packet=3", "sa=17", "register=SQ_TAIL*2", "error", "now"; with +N
/// behind it, N cycles later.
struct Trigger {
  enum class Kind : std::uint8_t {
    kNow,
    kCycle,     // clock cycle `number`
    kPacket,    // the `number`-th completion since reset, counted from 1
    kSa,        // the `nth` completion that names SA `number`
    kRegister,  // the `nth` access to the register at `number`, or of that name
    kError,     // the kernel tells of an error
  };
  Kind kind = Kind::kNow;
  std::uint64_t number = 0;
  std::uint64_t nth = 1;
  std::uint64_t delay = 0;    // cycles
  std::string register_name;  // to be looked up; empty where `number` has it
};

/// kBadConfig: not one of these.
Result<Trigger> parse_trigger(std::string_view text);

enum class FaultPoint : std::uint8_t {
  kWaves,  // no fault: the wave window of ESPLANADE_SIM_WAVE; not for plans
  kAxiReadError, kAxiWriteError, kDmaStall, kDmaReorder, kCompletionLost, kCompletionDuplicated, kMemoryBitFlip, kSaBitFlip,
  kPacketBitFlip, kInterruptLost, kLaneHung, kLinkDown, kRemoval, kReset,
};

struct Fault {
  FaultPoint point{};
  Trigger when{};
  std::uint64_t count = 1;    // how many accesses, or packets, it hits
  std::uint64_t cycles = 0;   // how long; 0: for ever, where that makes sense
  std::uint64_t address = 0;  // memory address, SA index or buffer row
  std::uint64_t bit = 0;
  std::uint64_t port = 0;     // AXI4 master
};

/// Name of a point, as plans have it.
const char* fault_name(FaultPoint point);
/// For `--faults`: every point with what it does and the keys that it takes beside `when`.
std::string list_faults();
/// Reads a plan, strictly. kBadConfig: `name`, line and reason.
Result<std::vector<Fault>> parse_faults(const std::string& name, std::string_view text);
/// The same of a file; kIo.
Result<std::vector<Fault>> read_faults(const std::string& path);

}  // namespace esplanade::sim
