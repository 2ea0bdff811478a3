// The event loop's epoll set: a callback a descriptor. Callbacks may add and remove descriptors, their own
// too.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <unordered_map>

#include "common/pfkey/socket.h"

namespace esplanade::espd {

class Poller {
 public:
  using Callback = std::function<void()>;
  static Result<Poller> create();
  Poller(Poller&&) noexcept = default;

  /// Calls `readable` whenever `fd` can be read (or broke), `writable` while want_write(fd, true).
  Status add(int fd, Callback readable, Callback writable = {});
  void want_write(int fd, bool on);
  /// Before the descriptor is closed.
  void remove(int fd);
  /// Waits up to `wait` for the first event and calls back for all that there are.
  Status run_once(std::chrono::milliseconds wait);

 private:
  struct Entry {
    int fd;
    Callback readable, writable;
  };
  explicit Poller(pfkey::Fd epoll) : epoll_(std::move(epoll)) {}

  pfkey::Fd epoll_;
  // Events name entries by a number that is never used twice: one that comes after remove() finds nothing,
  // even when the descriptor's number is in use again.
  std::uint64_t last_id_ = 0;
  std::unordered_map<std::uint64_t, std::shared_ptr<Entry>> entries_;
  std::unordered_map<int, std::uint64_t> id_of_fd_;
};

}  // namespace esplanade::espd
