#include "sim/model/injector.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "common/base/log.h"

namespace esplanade::sim {

namespace {
constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();
constexpr std::uint64_t kSaIndexAt = 4;  // octet of a completion
}  // namespace

Status Injector::add(Fault fault) {
  using Kind = Trigger::Kind;
  Trigger& when = fault.when;
  const auto lacks = [&](const std::string& what) { return Error{Errc::kUnsupported, fmt::format("fault {}: {}", fault_name(fault.point), what)}; };
  if (!when.register_name.empty()) {
    const auto offset = sense_.register_offset ? sense_.register_offset(when.register_name) : std::nullopt;
    if (!offset) return lacks(fmt::format("the kernel has no register {}", printable(when.register_name, 40)));
    when.number = *offset;
  }
  const bool of_completions = fault.point == FaultPoint::kCompletionLost || fault.point == FaultPoint::kCompletionDuplicated;
  if ((when.kind == Kind::kPacket || when.kind == Kind::kSa || of_completions) && !sense_.is_completion) return lacks("this kernel does not tell completions from other writes");
  if (when.kind == Kind::kError && !sense_.error) return lacks("this kernel does not tell of errors");
  plan_.push_back({std::move(fault), 0, false, 0});
  next_cycle_ = 0;  // look at it in the next cycle
  return ok();
}

void Injector::look(std::uint64_t cycle) {
  next_cycle_ = kNever;
  watches_error_ = false;
  for (Armed& armed : plan_) {
    const Trigger& when = armed.fault.when;
    if (armed.fired) continue;
    if (when.kind == Trigger::Kind::kNow || (when.kind == Trigger::Kind::kCycle && cycle >= when.number) ||
        (when.kind == Trigger::Kind::kError && sense_.error())) {
      fire(armed);
    } else if (when.kind == Trigger::Kind::kCycle) {
      next_cycle_ = std::min(next_cycle_, when.number);
    } else if (when.kind == Trigger::Kind::kError) {
      watches_error_ = true;
    }
  }
}

void Injector::fire(Armed& armed) {
  if (Trigger& when = armed.fault.when; when.delay != 0) {
    when.kind = Trigger::Kind::kCycle;
    when.number = cycle_ + std::exchange(when.delay, 0);
    next_cycle_ = std::min(next_cycle_, when.number);
    return;
  }
  armed.fired = true;
  armed.left = armed.fault.count == 0 ? kNever : armed.fault.count;
  log_info("cycle {}: {} begins", cycle_, fault_name(armed.fault.point));
  if (const auto act = acts_.find(armed.fault.point); act != acts_.end()) act->second(armed.fault);
}

template <class Match>
void Injector::each(Trigger::Kind kind, Match match) {
  for (Armed& armed : plan_) {
    const Trigger& when = armed.fault.when;
    if (armed.fired || when.kind != kind || !match(when)) continue;
    if (++armed.seen >= when.nth) fire(armed);
  }
}

void Injector::at_register(bool write, std::uint32_t offset, std::uint32_t value) {
  if (write) shadow_[offset] = value;
  each(Trigger::Kind::kRegister, [offset](const Trigger& when) { return when.number == offset; });
}

bool Injector::at_write(std::uint64_t address, ByteView data) {
  if (!sense_.is_completion || !sense_.is_completion(shadow_, address)) return false;
  ++packets_;
  each(Trigger::Kind::kPacket, [this](const Trigger& when) { return when.number == packets_; });
  if (data.size() >= kSaIndexAt + 4) {
    const std::uint32_t sa = load_le32(&data[kSaIndexAt]);
    each(Trigger::Kind::kSa, [sa](const Trigger& when) { return when.number == sa; });
  }
  return true;
}

bool Injector::take(FaultPoint point) {
  for (Armed& armed : plan_) {
    if (!armed.fired || armed.left == 0 || armed.fault.point != point) continue;
    if (armed.left != kNever) --armed.left;
    last_ = armed.fault;
    log_info("cycle {}: {}", cycle_, fault_name(point));
    return true;
  }
  return false;
}

std::string arm_plan(Injector* injector, const std::string& plan, std::uint64_t cycle) {
  if (injector == nullptr) return "this card was opened without ESPLANADE_SIM_CONTROL";
  auto faults = parse_faults("plan", plan);
  if (!faults) return faults.error().detail;
  for (Fault& fault : *faults) {
    if (const Status armed = injector->add(std::move(fault)); !armed) return armed.error().detail;
  }
  log_info("cycle {}: {} more fault(s) armed", cycle, faults->size());
  return fmt::format("armed {} at cycle {}", faults->size(), cycle);
}

}  // namespace esplanade::sim
