// The UDP sockets of IKE, one for each local address of the configuration.
#pragma once

#include <asio.hpp>

#include <functional>
#include <memory>
#include <set>
#include <vector>

#include "common/pfkey/socket.h"
#include "keyd/sa/io.h"

namespace esplanade::ike {

/// A UDP socket bound to `local`. Errors: kPermission, kIo, naming address and port and what to do.
Result<pfkey::Fd> bind_udp(const Endpoint& local);

class UdpSockets {
 public:
  using OnDatagram = std::function<void(const Path&, ByteView)>;
  UdpSockets(asio::io_context& io, OnDatagram on_datagram) : io_(io), on_datagram_(std::move(on_datagram)) {}

  /// Takes over a socket of bind_udp(). Errors: kIo.
  Status add(const Endpoint& local, pfkey::Fd fd);
  /// Sends from the socket of path.local. A failure is logged: the retransmission is the remedy.
  void send(const Path& path, ByteView octets);

 private:
  struct Socket {
    Endpoint local;
    asio::ip::udp::socket socket;
  };
  void wait(Socket& s);
  void read_all(Socket& s);

  asio::io_context& io_;
  OnDatagram on_datagram_;
  std::vector<std::unique_ptr<Socket>> sockets_;
  Bytes buffer_ = Bytes(65536);
};

}  // namespace esplanade::ike
