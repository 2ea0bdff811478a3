#include "host/espd/io_thread.h"

#include <fmt/format.h>
#include <poll.h>
#include <pthread.h>

#include <array>
#include <csignal>
#include <system_error>

namespace esplanade::espd {

IoThread::IoThread(TunQueue& queue, const Outside& outside, Doorbell& data_plane, Doorbell bell, Gone gone)
    : queue_(queue), sender_(outside), data_plane_(data_plane), bell_(std::move(bell)), gone_(std::move(gone)) {
  for (Incoming& buffer : incoming_) free_.push(&buffer);
  for (Outgoing& buffer : outgoing_) spare_.push_back(&buffer);
}

Result<std::unique_ptr<IoThread>> IoThread::start(std::size_t number, TunQueue& queue, const Outside& outside, Doorbell& data_plane, Gone gone) {
  ESPLANADE_TRY(bell, Doorbell::create());
  std::unique_ptr<IoThread> out(new IoThread(queue, outside, data_plane, std::move(bell), std::move(gone)));
  // Signals are for the main thread, whose wait they end.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::optional<Error> failed;
  try {
    out->thread_ = std::thread([raw = out.get()] { raw->run(); });
    pthread_setname_np(out->thread_.native_handle(), fmt::format("espd-io{}", number).c_str());
  } catch (const std::system_error& error) {
    failed = Error{Errc::kIo, fmt::format("cannot start I/O thread {}: {}", number, error.what())};
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (failed) return *failed;
  return out;
}

IoThread::~IoThread() {
  if (!thread_.joinable()) return;
  stopping_.store(true, std::memory_order_release);
  bell_.ring();
  thread_.join();
}

Result<bool> IoThread::receive(const std::function<void(ByteView packet, Clock::time_point came)>& take) {
  Incoming* next = nullptr;
  if (!received_.pop(next)) {
    if (broken_.load(std::memory_order_acquire) && received_.empty()) return *error_;
    return false;
  }
  take(next->packet, next->came);
  free_.push(next);
  took_ = true;
  return true;
}

void IoThread::pass(host::Outcome& outcome, bool to_tun, std::size_t mtu, std::uint16_t udp_port) {
  if (spare_.empty()) take_back();
  while (spare_.empty()) {
    bell_.ring();
    std::this_thread::yield();
    take_back();
  }
  Outgoing* const next = spare_.back();
  spare_.pop_back();
  std::swap(next->outcome, outcome);
  next->to_tun = to_tun;
  next->mtu = mtu;
  next->udp_port = udp_port;
  to_pass_.push(next);
  gave_ = true;
}

void IoThread::ring() {
  // Exchanged and not just read, so that of "it starves" and "there are buffers again" one side sees the other's.
  const bool fed = std::exchange(took_, false) && starved_.exchange(false, std::memory_order_acq_rel);
  if (std::exchange(gave_, false) || fed) bell_.ring();
}

void IoThread::take_back() {
  for (Outgoing* done = nullptr; passed_.pop(done);) {
    gone_(done->outcome, done->gone);
    spare_.push_back(done);
  }
}

IoThread::Passed IoThread::collect() {
  take_back();
  const auto take = [](std::atomic<std::size_t>& count) { return count.exchange(0, std::memory_order_relaxed); };
  return {{take(tun_packets_), take(tun_failed_)}, {take(sent_udp_), take(sent_raw_), take(send_failed_)}};
}

void IoThread::run() {
  while (!stopping_.load(std::memory_order_acquire)) {
    const bool passed = pass_on();
    if (!read() && !passed) wait();
  }
  while (pass_on()) {
  }
}

bool IoThread::read() {
  bool any = false;
  for (Incoming* buffer = nullptr; !overflow_.empty() && free_.pop(buffer); any = true) {
    *buffer = std::move(overflow_.front());
    overflow_.pop_front();
    received_.push(buffer);
  }
  if (overflow_.empty() && !broken_.load(std::memory_order_relaxed)) {
    const auto now = Clock::now();
    for (std::size_t i = 0; i < kBatch && !free_.empty(); ++i) {
      const auto got = queue_.read([&](ByteView packet) { came(packet, now); });
      if (got && !*got) break;
      any = true;
      if (got || got.error().code == Errc::kMalformed) continue;
      error_ = got.error();
      broken_.store(true, std::memory_order_release);
      break;
    }
  }
  if (any) data_plane_.ring();
  return any;
}

void IoThread::came(ByteView packet, Clock::time_point when) {
  Incoming* buffer = nullptr;
  if (!free_.pop(buffer)) return static_cast<void>(overflow_.push_back({when, Bytes(packet.begin(), packet.end())}));
  buffer->came = when;
  buffer->packet.assign(packet.begin(), packet.end());
  received_.push(buffer);
}

bool IoThread::pass_on() {
  std::array<Outgoing*, kBatch> batch;
  std::size_t count = 0;
  while (count < kBatch && to_pass_.pop(batch[count])) ++count;
  if (count == 0) return false;
  for (std::size_t i = 0; i < count; ++i) {
    const Outgoing& next = *batch[i];
    next.to_tun ? queue_.write(next.outcome.packet) : sender_.send(next.outcome.packet, next.mtu, next.udp_port);
  }
  const TunQueue::Written written = queue_.flush();
  const OutsideSender::Sent sent = sender_.flush();
  const auto add = [](std::atomic<std::size_t>& sum, std::size_t n) { sum.fetch_add(n, std::memory_order_relaxed); };
  add(tun_packets_, written.packets);
  add(tun_failed_, written.failed);
  add(sent_udp_, sent.udp);
  add(sent_raw_, sent.raw);
  add(send_failed_, sent.failed);
  const auto now = Clock::now();
  for (std::size_t i = 0; i < count; ++i) {
    batch[i]->gone = now;
    passed_.push(batch[i]);
  }
  return true;
}

void IoThread::wait() {
  bell_.arm();
  const bool reads = !broken_.load(std::memory_order_relaxed), starved = reads && free_.empty();
  starved_.exchange(starved, std::memory_order_acq_rel);
  if (to_pass_.empty() && !stopping_.load(std::memory_order_acquire) && !(starved && !free_.empty())) {
    std::array<pollfd, 2> waited{{{bell_.fd(), POLLIN, 0}, {reads && !starved ? queue_.fd() : -1, POLLIN, 0}}};
    ::poll(waited.data(), waited.size(), -1);
    if (waited[0].revents != 0) bell_.answer();
  }
  bell_.disarm();
}

}  // namespace esplanade::espd
