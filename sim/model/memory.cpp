#include "sim/model/memory.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "sim/model/die.h"

namespace esplanade::sim {

TimedMemory::TimedMemory(sc_core::sc_module_name name, const MemoryRegion& region, const MemoryTiming& timing)
    : sc_module(name), socket("socket"), region_(region), timing_(timing) {
  socket.register_b_transport(this, &TimedMemory::b_transport);
}

void TimedMemory::b_transport(tlm::tlm_generic_payload& access, sc_core::sc_time& delay) {
  const std::size_t size = access.get_data_length();
  const std::uint64_t address = access.get_address() - region_.base;
  bool done = false;
  if (access.is_read()) {
    done = read(address, {access.get_data_ptr(), size});
  } else if (access.is_write()) {
    const ByteView enables(access.get_byte_enable_ptr(),
                           access.get_byte_enable_ptr() ? access.get_byte_enable_length() : 0);
    done = write(address, {access.get_data_ptr(), size}, enables);
  }
  access.set_response_status(done ? tlm::TLM_OK_RESPONSE : tlm::TLM_GENERIC_ERROR_RESPONSE);
  const sc_core::sc_time now = sc_core::sc_time_stamp();
  const sc_core::sc_time start = std::max(now + delay, free_at_);
  free_at_ = start + timing_.byte_time * static_cast<double>(size);
  delay = start + (access.is_read() ? timing_.read_latency : timing_.write_latency) - now;
}

CardMemory::CardMemory(sc_core::sc_module_name name, const MemoryRegion& region, const MemoryTiming& timing)
    : TimedMemory(name, region, timing) {
  void* at = ::mmap(nullptr, region.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                    -1, 0);
  if (at == MAP_FAILED) {
    die(fmt::format("no address space for {} bytes of {}: {}", region.size, region.tag,
                    std::strerror(errno)));
  }
  bytes_ = static_cast<Byte*>(at);
}

CardMemory::~CardMemory() { ::munmap(bytes_, region().size); }

bool CardMemory::read(std::uint64_t address, MutableBytes to) {
  std::copy_n(bytes_ + address, to.size(), to.data());
  return true;
}

bool CardMemory::write(std::uint64_t address, ByteView data, ByteView enables) {
  if (std::ranges::find(enables, Byte{0}) == enables.end()) {
    std::ranges::copy(data, bytes_ + address);
  } else {
    for (std::size_t i = 0; i < data.size(); ++i) {
      if (enables[i % enables.size()] != 0) bytes_[address + i] = data[i];
    }
  }
  return true;
}

bool HostMemory::call(LinkOp op, std::uint64_t address, std::uint64_t size, ByteView data,
                      MutableBytes answer) {
  if (!link_.send(LinkFrame{op, false, region().base + address, size, {}}, data)) die("the front is gone");
  for (;;) {
    auto frame = link_.receive_new();
    if (!frame) die(frame.error().detail);
    if (frame->op != LinkOp::kHostAnswer) {
      link_.put_back(std::move(*frame));  // a call of the host that crossed ours
      continue;
    }
    if (!frame->valid || frame->payload.size() != answer.size()) return false;
    std::ranges::copy(frame->payload, answer.begin());
    return true;
  }
}

bool HostMemory::read(std::uint64_t address, MutableBytes to) {
  return call(LinkOp::kHostRead, address, to.size(), {}, to);
}

bool HostMemory::write(std::uint64_t address, ByteView data, ByteView enables) {
  // XRT's call knows no byte enables: each run of enabled bytes is a call of its own.
  const auto enabled = [&](std::size_t i) { return enables.empty() || enables[i % enables.size()] != 0; };
  for (std::size_t at = 0; at < data.size();) {
    std::size_t end = at;
    while (end < data.size() && enabled(end)) ++end;
    if (end > at && !call(LinkOp::kHostWrite, address + at, end - at, data.subspan(at, end - at), {}))
      return false;
    at = std::max(end, at + 1);
  }
  return true;
}

Router::Router(sc_core::sc_module_name name, const std::vector<MemoryRegion>& regions,
               std::size_t kernel_ports)
    : sc_module(name),
      from_host("from_host"),
      from_kernel("from_kernel", kernel_ports),
      to_memory("to_memory", regions.size()),
      regions_(regions) {
  for (auto& socket : from_kernel) socket.register_b_transport(this, &Router::b_transport);
  from_host.register_b_transport(this, &Router::b_transport);
}

void Router::b_transport(tlm::tlm_generic_payload& access, sc_core::sc_time& delay) {
  const std::uint64_t address = access.get_address();
  const std::uint64_t size = access.get_data_length();
  for (std::size_t i = 0; i < regions_.size(); ++i) {
    const MemoryRegion& region = regions_[i];
    if (address >= region.base && address - region.base < region.size &&
        size <= region.size - (address - region.base)) {
      to_memory[i]->b_transport(access, delay);
      return;
    }
  }
  access.set_response_status(tlm::TLM_ADDRESS_ERROR_RESPONSE);
}

}  // namespace esplanade::sim
