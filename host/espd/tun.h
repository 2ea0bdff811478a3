// The TUN device: where the host's packets for the tunnels come out and where those from the peers go in. It
// goes when espd ends.
#pragma once

#include <string>

#include "common/pfkey/socket.h"
#include "common/base/bytes.h"

namespace esplanade::espd {

class Tun {
 public:
  /// Makes the device `name` (not persistent), sets its MTU and brings it up. kPermission says which privilege is
  /// missing; kState: the name is taken.
  static Result<Tun> create(const std::string& name, int mtu);
  int fd() const { return fd_.get(); }
  unsigned index() const { return index_; }

  /// The next packet to the front of `room` (65,535 octets); its length, 0 when none is waiting. kIo: the
  /// device is gone.
  Result<std::size_t> read(MutableBytes room);
  /// Hands a packet to the host. False: it did not take it.
  bool write(ByteView packet);

 private:
  Tun(pfkey::Fd fd, unsigned index) : fd_(std::move(fd)), index_(index) {}
  pfkey::Fd fd_;
  unsigned index_;
};

}  // namespace esplanade::espd
