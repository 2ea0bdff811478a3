// The TUN device: where the host's packets for the tunnels come out and where those from the peers go in. It
// goes when espd ends. TCP passes between it and the kernel in large packets (segments.h).
#pragma once

#include <string>

#include "common/pfkey/socket.h"
#include "host/espd/segments.h"

namespace esplanade::espd {

class Tun {
 public:
  /// Makes the device `name` (not persistent), sets its MTU and brings it up. kPermission says which privilege is
  /// missing; kState: the name is taken.
  static Result<Tun> create(const std::string& name, int mtu);
  int fd() const { return fd_.get(); }
  unsigned index() const { return index_; }

  /// Hands the next packet, or the TCP segments that the kernel gives as one, to `take`; each is valid until that returns. False:
  /// none is waiting. kIo: the device is gone.
  Result<bool> read(const std::function<void(ByteView)>& take);
  /// Has a packet handed to the host. The octets must stay until flush(). Packets of a TCP connection keep their order, and those
  /// of all other kinds theirs.
  void write(ByteView packet);
  struct Written {
    std::size_t packets = 0, failed = 0;  // failed: the host did not take it
  };
  /// Hands them over; what became of all since the last flush.
  Written flush();

 private:
  Tun(pfkey::Fd fd, unsigned index) : fd_(std::move(fd)), index_(index), room_(65535 + 1) {}
  void write(Run& run);
  pfkey::Fd fd_;
  unsigned index_;
  Bytes room_;
  std::array<Run, 8> runs_;  // connections that are put together at the same time
  std::size_t oldest_ = 0;
  Written written_;
};

}  // namespace esplanade::espd
