// The control socket: JSON objects, one a packet, over SOCK_SEQPACKET with mode 0600 and checked credentials.
// A client has one request in the making; its next is read when the answer is away, so that a slow or hostile
// one costs a bounded amount of memory and never any waiting.
#pragma once

#include <asio.hpp>

#include <deque>
#include <functional>
#include <list>
#include <nlohmann/json.hpp>
#include <string>

#include "common/pfkey/socket.h"

namespace esplanade::ike {

using Json = nlohmann::ordered_json;

class ControlServer {
 public:
  static constexpr std::size_t kClientsMax = 16;
  static constexpr std::size_t kRequestMax = 4096;   // octets
  static constexpr std::size_t kLinesKept = 200;     // of the log, for a client that begins to follow it
  static constexpr std::size_t kLinesQueued = 1000;  // for one client; the oldest go first

  using Reply = std::function<void(Json)>;
  /// Handles a request, an object with a "command" of text. `reply` is called once, now or later; it does no
  /// harm when the client is gone.
  using Handler = std::function<void(const Json& request, Reply reply)>;

  /// `listener` listens and is owned by the parent, as is its file.
  ControlServer(asio::io_context& io, pfkey::Fd listener, Handler handler);
  ~ControlServer();

  /// A line of the log, for the clients that follow it.
  void log(std::string_view line);
  std::size_t num_clients() const { return clients_.size(); }

 private:
  class Client;
  void wait_accept();
  void accept_all();
  void remove(Client* client);

  asio::io_context& io_;
  asio::posix::stream_descriptor listener_;
  Handler handler_;
  std::list<std::shared_ptr<Client>> clients_;
  std::deque<std::string> lines_;
};

}  // namespace esplanade::ike
