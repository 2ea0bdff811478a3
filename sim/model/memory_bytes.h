// What lies behind the memories of every model: octets that take the machine's memory only where they were touched, and
// the way to the host's buffers.
#pragma once

#include "sim/link.h"
#include "sim/platform.h"

namespace esplanade::sim {

/// Address space of a region's size, zero at first. Ends the model when the machine has none.
class SparseBytes {
 public:
  explicit SparseBytes(const MemoryRegion& region);
  SparseBytes(const SparseBytes&) = delete;
  SparseBytes& operator=(const SparseBytes&) = delete;
  ~SparseBytes();
  /// `offset` counts from the region's start.
  Byte* at(std::uint64_t offset) { return bytes_ + offset; }

 private:
  Byte* bytes_;
  const std::uint64_t size_;
};

/// Memory of the host at `address`, through the front and XRT's second socket. Calls of the host that cross ours wait in
/// the link. False: XRT says no. Ends the model when the front is gone.
bool read_host(Link& link, std::uint64_t address, MutableBytes to);
bool write_host(Link& link, std::uint64_t address, ByteView data);

}  // namespace esplanade::sim
