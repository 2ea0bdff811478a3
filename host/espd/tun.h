// The TUN device: where the host's packets for the tunnels come out and where those from the peers go in. It
// goes when espd ends. TCP and UDP pass between it and the kernel in large packets (segments.h).
#pragma once

#include <string>

#include "common/pfkey/socket.h"
#include "host/espd/segments.h"

namespace esplanade::espd {

/// One queue of the device. Each may have a thread of its own. The kernel spreads flows over the queues, each to that where packets
/// of its other direction were written last.
class TunQueue {
 public:
  /// `joins_udp`: whether the kernel takes UDP in large packets.
  TunQueue(pfkey::Fd fd, bool joins_udp) : fd_(std::move(fd)), joins_udp_(joins_udp), room_(65535 + 1) {}
  int fd() const { return fd_.get(); }

  /// Hands the next packet, or those that the kernel gives as one, to `take`; each is valid until that returns. False:
  /// none is waiting. kIo: the device is gone. kMalformed: what came is dropped.
  Result<bool> read(const std::function<void(ByteView)>& take);
  /// Has a packet handed to the host. The octets must stay until flush(). Packets of a TCP connection, or a pair of UDP ports, keep
  /// their order, and those of all other kinds theirs.
  void write(ByteView packet);
  struct Written {
    std::size_t packets = 0, failed = 0;  // failed: the host did not take it
  };
  /// Hands them over; what became of all since the last flush.
  Written flush();

 private:
  void write(Run& run);
  pfkey::Fd fd_;
  bool joins_udp_;
  Bytes room_;
  std::array<Run, 8> runs_;  // flows that are put together at the same time
  std::size_t oldest_ = 0;
  Written written_;
};

class Tun {
 public:
  static constexpr std::size_t kMaxQueues = 16;
  /// Makes the device `name` (not persistent) with 1 to kMaxQueues queues, sets its MTU and brings it up. kPermission says which
  /// privilege is missing; kState: the name is taken.
  static Result<Tun> create(const std::string& name, int mtu, std::size_t queues);
  unsigned index() const { return index_; }
  std::vector<TunQueue>& queues() { return queues_; }

 private:
  Tun(std::vector<TunQueue> queues, unsigned index) : queues_(std::move(queues)), index_(index) {}
  std::vector<TunQueue> queues_;
  unsigned index_;
};

}  // namespace esplanade::espd
