// A thread that does the system calls of one TUN queue: it reads packets there for the data plane, and takes from it what goes to the
// TUN device or to the network. So the kernel's way through its IP stack, which costs more than all else that happens to a packet in
// espd, is gone on several processors, while policies, SAs and the card stay with one thread.
#pragma once

#include <deque>
#include <memory>
#include <thread>

#include "host/backend/backend.h"
#include "host/espd/outside.h"
#include "host/espd/sad.h"
#include "host/espd/spsc_ring.h"
#include "host/espd/tun.h"

namespace esplanade::espd {

class IoThread {
 public:
  /// Called by the data plane's thread for each packet that write() or send() took, when it has gone.
  using Gone = std::function<void(const host::Outcome& outcome, Clock::time_point when)>;
  /// Begins to read. `queue`, `outside` and `data_plane`, the bell that it rings when something came, must outlive it. kIo: no thread.
  static Result<std::unique_ptr<IoThread>> start(std::size_t number, TunQueue& queue, const Outside& outside, Doorbell& data_plane, Gone gone);
  /// Passes on what it was given, and ends.
  ~IoThread();

  // All below is for the data plane's thread.

  /// Hands the next packet from the TUN device to `take`; it is valid until that returns. False: none waits. kIo: the device is gone.
  Result<bool> receive(const std::function<void(ByteView packet, Clock::time_point came)>& take);
  bool has_received() const { return !received_.empty() || broken_.load(std::memory_order_acquire); }

  /// Passes a packet on, in order: to the host, or to the network as OutsideSender::send. Waits while kMost of them are under way. What
  /// is left in `outcome` is an earlier one, for its memory.
  void write(host::Outcome& outcome) { pass(outcome, true, 0, 0); }
  void send(host::Outcome& outcome, std::size_t mtu, std::uint16_t udp_port) { pass(outcome, false, mtu, udp_port); }
  /// Wakes the thread; for after a batch of receive(), write() and send().
  void ring();

  struct Passed {
    TunQueue::Written tun;
    OutsideSender::Sent outside;
  };
  /// What became of the packets since the last call.
  Passed collect();

 private:
  static constexpr std::size_t kMost = 1024, kBatch = 64;
  struct Incoming {
    Clock::time_point came;
    Bytes packet;
  };
  struct Outgoing {
    host::Outcome outcome;
    bool to_tun;
    std::size_t mtu;
    std::uint16_t udp_port;
    Clock::time_point gone;
  };
  IoThread(TunQueue& queue, const Outside& outside, Doorbell& data_plane, Doorbell bell, Gone gone);
  void pass(host::Outcome& outcome, bool to_tun, std::size_t mtu, std::uint16_t udp_port);
  void take_back();

  // These run in the thread.
  void run();
  bool read();
  void came(ByteView packet, Clock::time_point when);
  bool pass_on();
  void wait();

  TunQueue& queue_;
  OutsideSender sender_;
  Doorbell& data_plane_;
  Doorbell bell_;
  Gone gone_;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> starved_{false};  // it cannot read before buffers are free
  std::atomic<bool> broken_{false};   // error_ says why it does not read any more
  std::optional<Error> error_;
  std::atomic<std::size_t> tun_packets_{0}, tun_failed_{0}, sent_udp_{0}, sent_raw_{0}, send_failed_{0};

  // Packets live here; pointers to them go round.
  std::vector<Incoming> incoming_ = std::vector<Incoming>(kMost);
  std::vector<Outgoing> outgoing_ = std::vector<Outgoing>(kMost);
  SpscRing<Incoming*, kMost> free_, received_;
  SpscRing<Outgoing*, kMost> to_pass_, passed_;
  std::vector<Outgoing*> spare_;      // the data plane's own
  std::deque<Incoming> overflow_;     // the thread's own: of a large packet, what free buffers did not suffice for
  bool took_ = false, gave_ = false;  // since the last ring()
  std::thread thread_;
};

}  // namespace esplanade::espd
