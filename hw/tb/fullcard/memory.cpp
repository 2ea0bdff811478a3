#include "hw/tb/fullcard/memory.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <cstdlib>
#include <cstring>

namespace esplanade::fullcard {

namespace {
void* reserve(std::size_t size) {
  void* got = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (got == MAP_FAILED) std::abort();
  return got;
}
}  // namespace

Memory::Memory()
    : bytes_(static_cast<Byte*>(reserve(kSize))),
      mask_(static_cast<std::uint64_t*>(reserve(kSize / 8))),
      touched_(kSize / 4096) {}

Memory::~Memory() {
  ::munmap(bytes_, kSize);
  ::munmap(mask_, kSize / 8);
}

MutableBytes Memory::at(std::uint64_t address, std::size_t size) {
  if (!inside(address, size)) {
    fmt::print(stderr, "bench: {:#x} + {} is not in memory\n", address, size);
    std::abort();
  }
  for (std::uint64_t page = (address - kBase) / 4096; page * 4096 < address - kBase + size; ++page)
    touched_[page] = true;
  return {bytes_ + (address - kBase), size};
}

void Memory::set_mask(std::uint64_t address, std::size_t size, bool value) {
  if (!inside(address, size)) std::abort();
  std::uint64_t at = address - kBase;
  const std::uint64_t end = at + size;
  while (at < end) {
    const std::uint64_t n = std::min<std::uint64_t>(64 - at % 64, end - at);
    const std::uint64_t bits = (n == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << n) - 1) << (at % 64);
    if (value) {
      mask_[at / 64] |= bits;
    } else {
      mask_[at / 64] &= ~bits;
    }
    at += n;
  }
}

void Memory::write_line(std::uint64_t address, const std::uint32_t* data, std::uint64_t strobe) {
  Byte* to = bytes_ + (address - kBase);
  touched_[(address - kBase) / 4096] = true;
  if (strobe == ~std::uint64_t{0}) {
    std::memcpy(to, data, 64);
    return;
  }
  const Byte* from = reinterpret_cast<const Byte*>(data);
  for (unsigned i = 0; i < 64; ++i)
    if ((strobe >> i & 1) != 0) to[i] = from[i];
}

bool Memory::in_window(std::uint64_t address, std::uint64_t size) const {
  for (const Range& w : windows)
    if (w.holds(address, size)) return true;
  return false;
}

std::uint64_t Memory::find(ByteView needle) const {
  for (std::size_t page = 0; page < touched_.size(); ++page) {
    if (!touched_[page]) continue;
    // Up to the last start in this page; the needle may end in the next one.
    const std::size_t from = page * 4096;
    const std::size_t n = std::min<std::size_t>(4096 + needle.size() - 1, kSize - from);
    if (const void* hit = ::memmem(bytes_ + from, n, needle.data(), needle.size()); hit != nullptr)
      return kBase + static_cast<std::uint64_t>(static_cast<const Byte*>(hit) - bytes_);
  }
  return 0;
}

void Memory::complain(const std::string& what) {
  ++num_violations;
  if (violations.size() < 20) violations.push_back(fmt::format("cycle {}: {}", now, what));
}

}  // namespace esplanade::fullcard
