// A Unix SOCK_SEQPACKET server on the event loop: accepts clients of the same user, hands on their packets,
// keeps a bounded queue of packets for a client that reads slowly. PF_KEY, NAT-T and status sockets are three
// of these.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <string>

#include "common/base/secret.h"
#include "common/pfkey/socket.h"
#include "host/espd/poller.h"

namespace esplanade::espd {

/// Names a client for as long as espd runs; never used twice. 0 names none.
using ClientId = std::uint64_t;

class PacketServer {
 public:
  struct Options {
    std::string path;
    std::string name;  // for logs
    std::size_t max_packet = 4096;
    std::size_t max_clients = 16;
    std::size_t max_queued = 256;  // packets for one client; a client behind by more is cut off
  };
  struct Handlers {
    std::function<void(ClientId, ByteView)> message;
    std::function<void(ClientId)> closed;
  };
  static Result<std::unique_ptr<PacketServer>> create(Poller& poller, Options options, Handlers handlers);
  ~PacketServer();

  /// Sends or queues one packet. False: there is no such client (any more).
  bool send(ClientId client, Secret packet);
  bool send(ClientId client, ByteView packet) { return send(client, Secret(packet)); }
  /// The client that connected last; 0: none is there.
  ClientId newest() const { return clients_.empty() ? 0 : clients_.rbegin()->first; }

 private:
  struct Client {
    pfkey::Fd fd;
    std::deque<Secret> queue;
  };
  PacketServer(Poller& poller, Options options, Handlers handlers, pfkey::Listener listener);
  void accept_all();
  void read_from(ClientId id);
  void write_to(ClientId id);
  void close(ClientId id, const char* why);

  Poller& poller_;
  Options options_;
  Handlers handlers_;
  pfkey::Listener listener_;
  ClientId last_id_ = 0;
  std::map<ClientId, Client> clients_;
  Bytes buffer_;
};

}  // namespace esplanade::espd
