// Watches a simulated kernel for the moments that triggers name, and says what is to go wrong then.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/base/bytes.h"
#include "sim/faults.h"

namespace esplanade::sim {

/// Last value written to each register, by offset.
using RegisterShadow = std::map<std::uint32_t, std::uint32_t>;

/// What only the kernel knows; each may be empty.
struct KernelSense {
  std::function<std::optional<std::uint32_t>(const std::string& name)> register_offset;
  std::function<bool(const RegisterShadow&, std::uint64_t address)> is_completion;  // a write there is one
  std::function<bool()> error;                                                      // the kernel shows an error
};

/// That which the traits of a kernel know (sim/model/kernel.h).
template <class Traits>
KernelSense sense_of() {
  KernelSense out;
  if constexpr (requires(const std::string& name) { Traits::register_offset(name); }) out.register_offset = Traits::register_offset;
  if constexpr (requires(const RegisterShadow& r) { Traits::is_completion(r, std::uint64_t{}); }) out.is_completion = Traits::is_completion;
  return out;
}

class Injector {
 public:
  /// What happens at once when its trigger comes, by point; the others wait for take().
  using Act = std::function<void(const Fault&)>;

  explicit Injector(KernelSense sense) : sense_(std::move(sense)) {}
  /// Arms one more fault. kUnsupported: its trigger needs a sense that the kernel does not have.
  Status add(Fault fault);
  void on(FaultPoint point, Act act) { acts_[point] = std::move(act); }

  // Moments. Each may fire triggers.
  void at_cycle(std::uint64_t cycle) {
    cycle_ = cycle;
    if (cycle >= next_cycle_ || watches_error_) look(cycle);
  }
  void at_register(bool write, std::uint32_t offset, std::uint32_t value);
  /// A write burst of the kernel to memory. True: it is a completion.
  bool at_write(std::uint64_t address, ByteView data);

  /// Whether the point is in force for one more access; counts it. The fault's keys are then those of the last() one.
  bool take(FaultPoint point);
  const Fault& last() const { return last_; }

 private:
  struct Armed {
    Fault fault;
    std::uint64_t seen = 0;  // moments of its kind
    bool fired = false;
    std::uint64_t left = 0;  // accesses that it still hits
  };
  void look(std::uint64_t cycle);
  void fire(Armed& armed);
  template <class Match>
  void each(Trigger::Kind kind, Match match);

  std::vector<Armed> plan_;
  const KernelSense sense_;
  std::map<FaultPoint, Act> acts_;
  RegisterShadow shadow_;
  std::uint64_t cycle_ = 0, next_cycle_ = 0, packets_ = 0;
  bool watches_error_ = false;
  Fault last_;
};

/// Arms the faults of a plan that comes at `cycle`, all or none of a plan that cannot be read. A line that says so, or why not; without an injector
/// it is that.
std::string arm_plan(Injector* injector, const std::string& plan, std::uint64_t cycle);

}  // namespace esplanade::sim
