#include "sim/model/host_port.h"

#include <algorithm>
#include <cstring>

#include "common/base/log.h"

namespace esplanade::sim {

HostPort::HostPort(sc_core::sc_module_name name, const Platform& platform, Link& link,
                   std::vector<const KernelBase*> units, const InterruptController& interrupts, std::function<void()> at_end)
    : sc_module(name),
      registers("registers", units.size()),
      memory("memory"),
      messages("messages"),
      platform_(platform),
      link_(link),
      units_(std::move(units)),
      interrupts_(interrupts),
      at_end_(std::move(at_end)) {
  messages.register_b_transport(this, &HostPort::take_message);
  SC_HAS_PROCESS(HostPort);
  SC_THREAD(thread);
}

void HostPort::thread() {
  sc_core::wait(units_.front()->quantum());  // past the reset, which takes no simulated time
  for (;;) {
    // An interrupt of a card that fell asleep still reaches the host, whenever that calls next.
    while (!awake() && interrupts_.pending()) sc_core::wait(units_.front()->quantum());
    link_.tell_cycle(moment());
    auto call = link_.receive(std::chrono::milliseconds(awake() ? 0 : -1));
    if (!call) {
      at_end_();
      break;
    }
    if (!*call) {
      sc_core::wait(units_.front()->quantum());
    } else if (!serve(**call)) {
      break;
    }
  }
  sc_core::sc_stop();
}

void HostPort::take_message(tlm::tlm_generic_payload& message, sc_core::sc_time&) {
  message.set_response_status(tlm::TLM_OK_RESPONSE);
  log_debug("cycle {}: interrupt of compute unit {}", cycle(), load_le32(message.get_data_ptr()));
}

bool HostPort::awake() const {
  return std::ranges::any_of(units_, [](const KernelBase* unit) { return unit->awake(); });
}

/// Of the unit that ran most.
std::uint64_t HostPort::cycle() const {
  std::uint64_t cycles = 0;
  for (const KernelBase* unit : units_) cycles = std::max(cycles, unit->cycle());
  return cycles;
}

/// A number that tells every two moments apart between which a unit was clocked; with one unit its cycle. That of the unit which ran most would not do:
/// it stands still while that one sleeps and another works.
std::uint64_t HostPort::moment() const {
  std::uint64_t cycles = 0;
  for (const KernelBase* unit : units_) cycles += unit->cycle();
  return cycles;
}

/// One access from the host; the call's payload becomes the answer's. False: no memory or register there.
bool HostPort::access(bool write, bool to_registers, LinkFrame& call) {
  if (!write) call.payload.assign(call.size, 0xff);
  const std::size_t size = call.payload.size();
  if (size == 0) return true;
  if (injector_ != nullptr && injector_->take(FaultPoint::kLinkDown)) return false;
  std::uint64_t address = call.address;
  std::size_t unit = 0;
  if (to_registers) {
    const std::uint64_t range = platform_.control_range, offset = address - platform_.control_base;
    if (address < platform_.control_base || offset / range >= units_.size() ||
        size > range - offset % range) {
      log_warn("host access to 0x{:x}, which is no register of the kernel", address);
      return false;
    }
    unit = offset / range;
    address = offset % range;
  }
  tlm::tlm_generic_payload access;
  if (write) {
    access.set_write();
  } else {
    access.set_read();
  }
  access.set_address(address);
  access.set_data_ptr(call.payload.data());
  access.set_data_length(static_cast<unsigned>(size));
  access.set_streaming_width(static_cast<unsigned>(size));
  sc_core::sc_time delay = sc_core::SC_ZERO_TIME;
  if (to_registers) {
    registers[unit]->b_transport(access, delay);
  } else {
    memory->b_transport(access, delay);
  }
  if (access.is_response_ok()) return true;
  log_warn("host {} of {} bytes at 0x{:x}: {}", write ? "write" : "read", size, call.address,
           access.get_response_string());
  if (!write) call.payload.assign(call.size, 0xff);
  return false;
}

bool HostPort::serve(LinkFrame& call) {
  LinkFrame answer;
  switch (call.op) {
    case LinkOp::kReadRegisters:
    case LinkOp::kReadMemory:
      answer.valid = access(false, call.op == LinkOp::kReadRegisters, call);
      break;
    case LinkOp::kWriteRegisters:
    case LinkOp::kWriteMemory:
      answer.valid = access(true, call.op == LinkOp::kWriteRegisters, call);
      call.payload.clear();
      break;
    case LinkOp::kTime: {
      const std::uint64_t ns = cycle() * 1000 / platform_.clock_mhz;
      call.payload.resize(sizeof ns);
      std::memcpy(call.payload.data(), &ns, sizeof ns);
      answer.valid = true;
      break;
    }
    case LinkOp::kInject: {
      const std::string text = arm_plan(injector_, {call.payload.begin(), call.payload.end()}, cycle());
      call.payload.assign(text.begin(), text.end());
      answer.valid = true;
      break;
    }
    case LinkOp::kClose:
      at_end_();
      answer.valid = true;
      break;
    default:
      log_error("the front sent an operation that is none: {}", static_cast<unsigned>(call.op));
      return false;
  }
  link_.tell_cycle(moment());
  return static_cast<bool>(link_.send(answer, call.payload)) && call.op != LinkOp::kClose;
}

}  // namespace esplanade::sim
