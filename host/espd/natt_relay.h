// natt.sock: hands IKE messages from UDP 4500 to the IKE daemon and sends its own (RFC 3948; natt_frame.h).
// One daemon at a time: the last one that connected.
#pragma once

#include "host/espd/counters.h"
#include "host/espd/outside.h"
#include "host/espd/packet_server.h"

namespace esplanade::espd {

class NattRelay {
 public:
  static Result<std::unique_ptr<NattRelay>> create(Poller& poller, const std::string& path, Outside& outside,
                                                   Counters& counters);
  /// Hands a received message on. False: no daemon is there.
  bool deliver(const pfkey::NattFrame& frame);

 private:
  NattRelay(Outside& outside, Counters& counters) : outside_(outside), counters_(counters) {}
  void on_message(ClientId client, ByteView octets);
  Outside& outside_;
  Counters& counters_;
  std::unique_ptr<PacketServer> server_;
};

}  // namespace esplanade::espd
