// A model without a clock: a kernel as a C++ object behind the same link, memories and registers as the Verilated one.
#pragma once

#include <functional>
#include <memory>

#include "common/base/bytes.h"
#include "sim/link.h"
#include "sim/model.h"
#include "sim/model/injector.h"
#include "sim/platform.h"

namespace esplanade::sim {

/// What a functional kernel sees of memory. Addresses are the card's. False: no memory there, or it failed.
class CardBus {
 public:
  virtual ~CardBus() = default;
  virtual bool read(std::uint64_t address, MutableBytes to) = 0;
  virtual bool write(std::uint64_t address, ByteView data) = 0;
  /// Like read(), for a look at what may be wanted soon: no memory outside the model is asked, where it is false.
  virtual bool peek(std::uint64_t /*address*/, MutableBytes /*to*/) { return false; }
  /// The kernel must take up no more work on AXI4 master `port`: it hangs, or a reset is due.
  virtual bool halted(std::uint32_t /*port*/) const { return false; }
};

class FunctionalKernel {
 public:
  virtual ~FunctionalKernel() = default;
  /// A register; `offset`, a multiple of 4, counts from the kernel's base. What a write starts is done when it returns.
  virtual std::uint32_t read(std::uint32_t offset) = 0;
  virtual void write(std::uint32_t offset, std::uint32_t value) = 0;
  /// Clock cycles since reset, and those of them with work in flight.
  virtual std::uint64_t cycles() const = 0;
  virtual std::uint64_t busy_cycles() const = 0;
  /// Time that passed without work.
  virtual void skip(std::uint64_t cycles) = 0;
  /// Level of the interrupt line.
  virtual bool interrupt() const { return false; }

  // For faults, as Traits of sim/model/kernel.h.
  virtual bool error() const { return false; }
  virtual bool flip_sa(std::uint64_t /*index*/, std::uint64_t /*bit*/) { return false; }
  virtual bool flip_packet(std::uint64_t /*row*/, std::uint64_t /*bit*/) { return false; }
};

using MakeFunctional = std::function<std::unique_ptr<FunctionalKernel>(CardBus& bus, const Platform& platform)>;

/// run_model() with kernels that `make` makes, one a compute unit, and another whenever one is reset. `sense` has no `error`: the kernel tells.
int run_functional(Link& link, const Platform& platform, const ModelOptions& options, const MakeFunctional& make, KernelSense sense);

}  // namespace esplanade::sim
