// A bounded queue from one thread to another, without locks, and the bell that wakes the one that waits for it.
#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "common/pfkey/socket.h"

namespace esplanade::espd {

/// `kSize`, a power of two, values at most. One thread pushes, one other pops.
template <class T, std::size_t kSize>
class SpscRing {
  static_assert((kSize & (kSize - 1)) == 0);

 public:
  /// False: it is full.
  bool push(T value) {
    const std::size_t end = end_.load(std::memory_order_relaxed);
    if (end - begin_.load(std::memory_order_acquire) == kSize) return false;
    values_[end % kSize] = value;
    end_.store(end + 1, std::memory_order_release);
    return true;
  }
  /// False: it is empty.
  bool pop(T& value) {
    const std::size_t begin = begin_.load(std::memory_order_relaxed);
    if (begin == end_.load(std::memory_order_acquire)) return false;
    value = values_[begin % kSize];
    begin_.store(begin + 1, std::memory_order_release);
    return true;
  }
  bool empty() const { return begin_.load(std::memory_order_acquire) == end_.load(std::memory_order_acquire); }

 private:
  // Each on a cache line of its own, so that the two threads do not take it from each other.
  alignas(64) std::atomic<std::size_t> begin_{0};
  alignas(64) std::atomic<std::size_t> end_{0};
  alignas(64) std::array<T, kSize> values_{};
};

/// Wakes one thread that waits for its descriptor to be readable; a call to the system only when it does wait.
///
/// Whoever waits arms it, looks once more at what it waits for, and then waits: what was pushed before ring() it finds at that
/// look, and what is pushed later rings.
class Doorbell {
 public:
  static Result<Doorbell> create() {
    pfkey::Fd fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!fd) return Error{Errc::kIo, std::string("cannot make an eventfd: ") + std::strerror(errno)};
    return Doorbell(std::move(fd));
  }
  Doorbell(Doorbell&& other) noexcept : fd_(std::move(other.fd_)) {}
  int fd() const { return fd_.get(); }

  void ring() {
    if (!armed_.exchange(false, std::memory_order_acq_rel)) return;
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(fd_.get(), &one, sizeof one);
  }
  void arm() { armed_.exchange(true, std::memory_order_acq_rel); }
  void disarm() { armed_.exchange(false, std::memory_order_acq_rel); }
  /// The descriptor is readable: no longer.
  void answer() {
    std::uint64_t count;
    [[maybe_unused]] const auto got = ::read(fd_.get(), &count, sizeof count);
  }

 private:
  explicit Doorbell(pfkey::Fd fd) : fd_(std::move(fd)) {}
  pfkey::Fd fd_;
  std::atomic<bool> armed_{false};
};

}  // namespace esplanade::espd
