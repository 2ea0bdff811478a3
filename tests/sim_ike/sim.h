// Deterministic simulation of two IKE engines over a hostile network: one seed decides the configuration, the
// faults and their times. After every step it checks what must never happen; after the network heals, what must
// happen in time; after both ends stop, that nothing is left. README.md lists faults and checks.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace esplanade::ike::sim {

/// A fault of the harness that its checks must find: kNone for real runs.
enum class Mutant : std::uint8_t {
  kNone,
  kSwapKeys,       // one espd keeps another key than it was given
  kDropDelete,     // one espd keeps SAs that keyd removes
  kReuseSpi,       // one espd allots an SPI twice
  kSkipInbound,    // one espd says that it installed an inbound SA, and did not
  kForgetInvalid,  // the harness takes a peer that proved its key for one that did not
  kDeaf,           // one end hears nothing after the network has healed
  kKeepMoved,      // one espd does not follow a peer that moved
};
inline constexpr Mutant kMutants[] = {Mutant::kSwapKeys,    Mutant::kDropDelete,    Mutant::kReuseSpi,
                                      Mutant::kSkipInbound, Mutant::kForgetInvalid, Mutant::kDeaf,
                                      Mutant::kKeepMoved};
std::string_view name(Mutant mutant);

/// What a run has gone through, to show that the faults do happen.
struct Coverage {
  std::uint64_t steps = 0;
  std::uint64_t datagrams = 0;
  std::uint64_t lost = 0;
  std::uint64_t doubled = 0;
  std::uint64_t corrupted = 0;
  std::uint64_t replayed = 0;
  std::uint64_t partitions = 0;
  std::uint64_t rebindings = 0;
  std::uint64_t clock_jumps = 0;
  std::uint64_t restarts = 0;
  std::uint64_t espd_errors = 0;
  std::uint64_t expiries = 0;
  std::uint64_t main_modes = 0;
  std::uint64_t quick_modes = 0;
  std::uint64_t packets = 0;
  std::uint64_t fragments = 0;
  std::uint64_t moved = 0;
  std::uint64_t dead_peers = 0;
  std::uint64_t wrong_secret = 0;
  void add(const Coverage& o);
};

struct Outcome {
  std::string fault;  // empty: every check held
  std::string scenario;
  std::chrono::milliseconds at{0};
  std::chrono::milliseconds heal_time{0};  // until traffic ran both ways again
  std::vector<std::string> trace;          // only with `trace`
  Coverage coverage;
};

/// Runs one seed. The same seed and mutant give the same outcome, octet for octet.
Outcome run(std::uint64_t seed, Mutant mutant, bool trace);

}  // namespace esplanade::ike::sim
