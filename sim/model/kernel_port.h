// One AXI4 master of the kernel: slave and passive checker on the pins, TLM on the other side.
#pragma once

#include <tlm_utils/simple_initiator_socket.h>
#include <systemc>
#include <tlm>

#include <cstdint>
#include <optional>

#include "sim/model/axi_checker.h"
#include "sim/model/axi_slave.h"
#include "sim/model/injector.h"

namespace esplanade::sim {

/// The kernel's clock as its ports need it.
struct KernelClock {
  sc_core::sc_time period;
  std::uint64_t activation_start = 0;  // the cycle that SystemC's present time stands for
};

class KernelPort final : private BurstMemory {
 public:
  using Sockets = sc_core::sc_vector<tlm_utils::simple_initiator_socket<KernelPort>>;

  /// All arguments must outlive it.
  KernelPort(const AxiShape& shape, const Timing& timing, const KernelClock& clock,
             tlm_utils::simple_initiator_socket<KernelPort>& socket)
      : shape_(shape), timing_(timing), clock_(clock), socket_(socket), slave_(shape, *this, timing), checker_(shape) {}
  KernelPort(const KernelPort&) = delete;
  KernelPort& operator=(const KernelPort&) = delete;

  const AxiSlavePins& pins() const { return slave_.pins(); }
  /// From now on asks what is to go wrong; must outlive it.
  void inject(Injector& injector) { injector_ = &injector; }
  void hang(bool hung);
  /// The kernel goes into reset or comes out of it, and so does this side: nothing outstanding, nothing looked at meanwhile.
  void reset(bool active);
  bool quiet() const { return slave_.quiet() && !held_; }
  /// The next edge must be seen here even if the kernel shows no valid.
  bool awake() const { return awake_; }
  /// The rising edge that ends cycle `cycle`. True: something is under way.
  bool step(const AxiMasterPins& m, std::uint64_t cycle);

  std::uint64_t bytes_read() const { return slave_.bytes_read(); }
  std::uint64_t bytes_written() const { return slave_.bytes_written(); }

 private:
  Answer read(std::uint64_t address, MutableBytes to, std::uint64_t now) override;
  Answer write(std::uint64_t address, MutableBytes data, MutableBytes enables, std::uint64_t now) override;
  Answer burst(tlm::tlm_generic_payload& access, std::uint64_t now);
  Answer transport(tlm::tlm_generic_payload& access, std::uint64_t now);
  Answer write_now(std::uint64_t address, MutableBytes data, MutableBytes enables, std::uint64_t now);

  const AxiShape& shape_;
  const Timing& timing_;
  const KernelClock& clock_;
  tlm_utils::simple_initiator_socket<KernelPort>& socket_;
  AxiSlave slave_;
  AxiChecker checker_;
  bool awake_ = true;  // at first its readies are low
  bool in_reset_ = false;
  Injector* injector_ = nullptr;
  void release(std::uint64_t now);
  struct Held {
    std::uint64_t address, due;  // cycle
    Bytes data, enables;
  };
  std::optional<Held> held_;  // answered, not yet in memory
};

}  // namespace esplanade::sim
