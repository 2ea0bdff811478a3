#include "sim/model/memory_bytes.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "sim/model/die.h"

namespace esplanade::sim {

SparseBytes::SparseBytes(const MemoryRegion& region) : size_(region.size) {
  void* at = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) {
    die(fmt::format("no address space for {} bytes of {}: {}", size_, region.tag, std::strerror(errno)));
  }
  bytes_ = static_cast<Byte*>(at);
}

SparseBytes::~SparseBytes() { ::munmap(bytes_, size_); }

namespace {

bool call(Link& link, LinkOp op, std::uint64_t address, std::uint64_t size, ByteView data, MutableBytes answer) {
  if (!link.send(LinkFrame{op, false, address, size, {}}, data)) die("the front is gone");
  for (;;) {
    auto frame = link.receive_new();
    if (!frame) die(frame.error().detail);
    if (frame->op != LinkOp::kHostAnswer) {
      link.put_back(std::move(*frame));  // a call of the host that crossed ours
      continue;
    }
    if (!frame->valid || frame->payload.size() != answer.size()) return false;
    std::ranges::copy(frame->payload, answer.begin());
    return true;
  }
}

}  // namespace

bool read_host(Link& link, std::uint64_t address, MutableBytes to) {
  return call(link, LinkOp::kHostRead, address, to.size(), {}, to);
}

bool write_host(Link& link, std::uint64_t address, ByteView data) {
  return call(link, LinkOp::kHostWrite, address, data.size(), data, {});
}

}  // namespace esplanade::sim
