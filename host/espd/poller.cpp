#include "host/espd/poller.h"

#include <sys/epoll.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace esplanade::espd {

namespace {
Error os_error(const char* what) { return Error{Errc::kIo, std::string(what) + ": " + std::strerror(errno)}; }
}  // namespace

Result<Poller> Poller::create() {
  pfkey::Fd fd(::epoll_create1(EPOLL_CLOEXEC));
  if (!fd) return os_error("epoll_create1");
  return Poller(std::move(fd));
}

Status Poller::add(int fd, Callback readable, Callback writable) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = ++last_id_;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) return os_error("epoll_ctl");
  entries_.emplace(last_id_, std::make_shared<Entry>(Entry{fd, std::move(readable), std::move(writable)}));
  id_of_fd_[fd] = last_id_;
  return ok();
}

void Poller::want_write(int fd, bool on) {
  const auto found = id_of_fd_.find(fd);
  if (found == id_of_fd_.end()) return;
  epoll_event event{};
  event.events = on ? EPOLLIN | EPOLLOUT : EPOLLIN;
  event.data.u64 = found->second;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event);
}

void Poller::remove(int fd) {
  const auto found = id_of_fd_.find(fd);
  if (found == id_of_fd_.end()) return;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  entries_.erase(found->second);
  id_of_fd_.erase(found);
}

Status Poller::run_once(std::chrono::milliseconds wait) {
  std::array<epoll_event, 32> events;
  const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()),
                                 static_cast<int>(wait.count()));
  if (count < 0) {
    if (errno == EINTR) return ok();
    return os_error("epoll_wait");
  }
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    const std::uint64_t id = event.data.u64;
    const auto call = [&](std::uint32_t mask, Callback Entry::*callback) {
      if ((event.events & mask) == 0) return;
      const auto found = entries_.find(id);
      if (found == entries_.end()) return;
      const std::shared_ptr<Entry> entry = found->second;  // lives on when its callback removes it
      if ((*entry).*callback) ((*entry).*callback)();
    };
    call(EPOLLIN | EPOLLHUP | EPOLLERR, &Entry::readable);
    call(EPOLLOUT, &Entry::writable);
  }
  return ok();
}

}  // namespace esplanade::espd
