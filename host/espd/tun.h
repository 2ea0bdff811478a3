// The TUN device: where the host's packets for the tunnels come out and where those from the peers go in. It
// goes, with its routes, when espd ends.
#pragma once

#include <string>
#include <vector>

#include "common/pfkey/socket.h"
#include "host/espd/policy.h"

namespace esplanade::espd {

class Tun {
 public:
  /// Makes the device `name` (not persistent), sets its MTU and brings it up, and routes every policy's
  /// remote_ts into it. kPermission says which privilege is missing; kState: the name is taken.
  static Result<Tun> create(const std::string& name, int mtu, const std::vector<Policy>& policies);
  int fd() const { return fd_.get(); }

  /// The next packet to the front of `room` (65,535 octets); its length, 0 when none is waiting. kIo: the
  /// device is gone.
  Result<std::size_t> read(MutableBytes room);
  /// Hands a packet to the host. False: it did not take it.
  bool write(ByteView packet);

 private:
  explicit Tun(pfkey::Fd fd) : fd_(std::move(fd)) {}
  pfkey::Fd fd_;
};

}  // namespace esplanade::espd
