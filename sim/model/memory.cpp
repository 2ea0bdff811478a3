#include "sim/model/memory.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace esplanade::sim {

namespace {
constexpr std::uint64_t kNoRow = std::numeric_limits<std::uint64_t>::max();
}  // namespace

TimedMemory::TimedMemory(sc_core::sc_module_name name, const MemoryRegion& region, const MemoryTiming& timing)
    : sc_module(name), socket("socket"), region_(region), timing_(timing), open_rows_(timing.banks, kNoRow) {
  socket.register_b_transport(this, &TimedMemory::b_transport);
  socket.register_transport_dbg(this, &TimedMemory::transport_dbg);
}

bool TimedMemory::transfer(tlm::tlm_generic_payload& access) {
  const std::size_t size = access.get_data_length();
  const std::uint64_t address = access.get_address() - region_.base;
  if (access.is_read()) return read(address, {access.get_data_ptr(), size});
  if (!access.is_write()) return false;
  const ByteView enables(access.get_byte_enable_ptr(), access.get_byte_enable_ptr() ? access.get_byte_enable_length() : 0);
  return write(address, {access.get_data_ptr(), size}, enables);
}

unsigned TimedMemory::transport_dbg(tlm::tlm_generic_payload& access) {
  return transfer(access) ? access.get_data_length() : 0;
}

void TimedMemory::b_transport(tlm::tlm_generic_payload& access, sc_core::sc_time& delay) {
  const std::size_t size = access.get_data_length();
  access.set_response_status(transfer(access) ? tlm::TLM_OK_RESPONSE : tlm::TLM_GENERIC_ERROR_RESPONSE);
  const sc_core::sc_time now = sc_core::sc_time_stamp();
  const sc_core::sc_time start = after_refresh(std::max(now + delay, free_at_));
  const sc_core::sc_time row = open_row(access.get_address() - region_.base);
  free_at_ = start + row + timing_.byte_time * static_cast<double>(size);
  delay = start + row + (access.is_read() ? timing_.read_latency : timing_.write_latency) - now;
}

/// When an access that could begin at `start` does: behind the refresh that is due by then.
sc_core::sc_time TimedMemory::after_refresh(sc_core::sc_time start) {
  if (timing_.refresh_interval == sc_core::SC_ZERO_TIME) return start;
  const auto due = static_cast<std::uint64_t>(start / timing_.refresh_interval);
  if (due == refreshes_) return start;
  refreshes_ = due;
  std::ranges::fill(open_rows_, kNoRow);
  return std::max(start, timing_.refresh_interval * static_cast<double>(due) + timing_.refresh);
}

/// What opening the row of `address` costs, if it is not open.
sc_core::sc_time TimedMemory::open_row(std::uint64_t address) {
  if (timing_.row_miss == sc_core::SC_ZERO_TIME || timing_.row_bytes == 0) return sc_core::SC_ZERO_TIME;
  const std::uint64_t row = address / timing_.row_bytes;
  std::uint64_t& open = open_rows_[row % open_rows_.size()];
  return std::exchange(open, row) == row ? sc_core::SC_ZERO_TIME : timing_.row_miss;
}

bool CardMemory::flip(std::uint64_t address, std::uint64_t bit) {
  if (address < region().base || address - region().base >= region().size) return false;
  *bytes_.at(address - region().base) ^= static_cast<Byte>(1U << (bit % 8));
  return true;
}

bool CardMemory::read(std::uint64_t address, MutableBytes to) {
  std::copy_n(bytes_.at(address), to.size(), to.data());
  return true;
}

bool CardMemory::write(std::uint64_t address, ByteView data, ByteView enables) {
  if (std::ranges::find(enables, Byte{0}) == enables.end()) {
    std::ranges::copy(data, bytes_.at(address));
  } else {
    for (std::size_t i = 0; i < data.size(); ++i) {
      if (enables[i % enables.size()] != 0) *bytes_.at(address + i) = data[i];
    }
  }
  return true;
}

bool HostMemory::read(std::uint64_t address, MutableBytes to) {
  return read_host(link_, region().base + address, to);
}

bool HostMemory::write(std::uint64_t address, ByteView data, ByteView enables) {
  // XRT's call knows no byte enables: each run of enabled bytes is a call of its own.
  const auto enabled = [&](std::size_t i) { return enables.empty() || enables[i % enables.size()] != 0; };
  for (std::size_t at = 0; at < data.size();) {
    std::size_t end = at;
    while (end < data.size() && enabled(end)) ++end;
    if (end > at && !write_host(link_, region().base + address + at, data.subspan(at, end - at))) return false;
    at = std::max(end, at + 1);
  }
  return true;
}

Router::Router(sc_core::sc_module_name name, const std::vector<MemoryRegion>& regions,
               std::size_t kernel_ports)
    : sc_module(name),
      from_dma("from_dma"),
      from_kernel("from_kernel", kernel_ports),
      to_memory("to_memory", regions.size()),
      regions_(regions) {
  for (auto& socket : from_kernel) socket.register_b_transport(this, &Router::b_transport);
  from_dma.register_transport_dbg(this, &Router::transport_dbg);
}

std::optional<std::size_t> Router::holding(const tlm::tlm_generic_payload& access) const {
  const std::uint64_t address = access.get_address();
  const std::uint64_t size = access.get_data_length();
  for (std::size_t i = 0; i < regions_.size(); ++i) {
    const MemoryRegion& region = regions_[i];
    if (address >= region.base && address - region.base < region.size && size <= region.size - (address - region.base)) return i;
  }
  return std::nullopt;
}

void Router::b_transport(tlm::tlm_generic_payload& access, sc_core::sc_time& delay) {
  if (const auto i = holding(access)) {
    to_memory[*i]->b_transport(access, delay);
  } else {
    access.set_response_status(tlm::TLM_ADDRESS_ERROR_RESPONSE);
  }
}

unsigned Router::transport_dbg(tlm::tlm_generic_payload& access) {
  if (const auto i = holding(access)) return to_memory[*i]->transport_dbg(access);
  access.set_response_status(tlm::TLM_ADDRESS_ERROR_RESPONSE);
  return 0;
}

}  // namespace esplanade::sim
