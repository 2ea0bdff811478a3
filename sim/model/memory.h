// Memories of the platform as TLM-2.0 targets, loosely timed: an access is done when b_transport returns, and
// its `delay` says when it is over. None of them calls wait().
#pragma once

#include <tlm_utils/simple_initiator_socket.h>
#include <tlm_utils/simple_target_socket.h>
#include <systemc>
#include <tlm>

#include <memory>
#include <optional>
#include <vector>

#include "sim/link.h"
#include "sim/model/memory_bytes.h"
#include "sim/platform.h"

namespace esplanade::sim {

/// Latency and bandwidth of one memory. An access waits for those before it (its bytes take time on the wires), then for
/// the latency. DRAM has banks with one open row each: an access to another row of a bank closes and opens, and takes
/// `row_miss` longer. Rows follow each other over the banks. Every `refresh_interval` it is busy for `refresh`, and all rows
/// are closed.
struct MemoryTiming {
  sc_core::sc_time read_latency, write_latency, byte_time;
  std::size_t banks = 1, row_bytes = 0;  // no rows: every access is alike
  sc_core::sc_time row_miss = sc_core::SC_ZERO_TIME, refresh_interval = sc_core::SC_ZERO_TIME, refresh = sc_core::SC_ZERO_TIME;
};

class TimedMemory : public sc_core::sc_module {
 public:
  tlm_utils::simple_target_socket<TimedMemory> socket;

 protected:
  TimedMemory(sc_core::sc_module_name name, const MemoryRegion& region, const MemoryTiming& timing);
  /// `address` counts from the start of the region; the range lies inside it. False: the access failed.
  virtual bool read(std::uint64_t address, MutableBytes to) = 0;
  /// `enables` is empty (all) or has an octet a byte.
  virtual bool write(std::uint64_t address, ByteView data, ByteView enables) = 0;
  const MemoryRegion& region() const { return region_; }

 private:
  void b_transport(tlm::tlm_generic_payload& access, sc_core::sc_time& delay);
  unsigned transport_dbg(tlm::tlm_generic_payload& access);
  bool transfer(tlm::tlm_generic_payload& access);
  sc_core::sc_time after_refresh(sc_core::sc_time start);
  sc_core::sc_time open_row(std::uint64_t address);
  const MemoryRegion region_;
  const MemoryTiming timing_;
  sc_core::sc_time free_at_;
  std::vector<std::uint64_t> open_rows_;  // by bank
  std::uint64_t refreshes_ = 0;           // that lie behind
};

/// Memory on the card. Address space of the region's size; only what was touched takes the machine's memory.
class CardMemory final : public TimedMemory {
 public:
  CardMemory(sc_core::sc_module_name name, const MemoryRegion& region, const MemoryTiming& timing)
      : TimedMemory(name, region, timing), bytes_(region) {}
  /// Flips one bit of the octet at `address` of the card's address space; false: not in this memory.
  bool flip(std::uint64_t address, std::uint64_t bit);

 private:
  bool read(std::uint64_t address, MutableBytes to) override;
  bool write(std::uint64_t address, ByteView data, ByteView enables) override;
  SparseBytes bytes_;
};

/// Buffers of the host, through the front and XRT's second socket.
class HostMemory final : public TimedMemory {
 public:
  HostMemory(sc_core::sc_module_name name, const MemoryRegion& region, const MemoryTiming& timing, Link& link)
      : TimedMemory(name, region, timing), link_(link) {}

 private:
  bool read(std::uint64_t address, MutableBytes to) override;
  bool write(std::uint64_t address, ByteView data, ByteView enables) override;
  Link& link_;
};

/// Leads an access to the memory that holds all of it; otherwise TLM_ADDRESS_ERROR_RESPONSE.
class Router : public sc_core::sc_module {
 public:
  tlm_utils::simple_target_socket<Router> from_dma;                        // transport_dbg only: in no time
  sc_core::sc_vector<tlm_utils::simple_target_socket<Router>> from_kernel;  // one a memory port
  sc_core::sc_vector<tlm_utils::simple_initiator_socket<Router>> to_memory;

  Router(sc_core::sc_module_name name, const std::vector<MemoryRegion>& regions, std::size_t kernel_ports);

 private:
  void b_transport(tlm::tlm_generic_payload& access, sc_core::sc_time& delay);
  unsigned transport_dbg(tlm::tlm_generic_payload& access);
  std::optional<std::size_t> holding(const tlm::tlm_generic_payload& access) const;
  const std::vector<MemoryRegion> regions_;
};

}  // namespace esplanade::sim
