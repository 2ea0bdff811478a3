// A connected SOCK_SEQPACKET socket on the event loop: packets in by callback, packets out through a bounded
// queue when the other end is slow. The queue is wiped as it empties, for packets may hold keys.
#pragma once

#include <asio.hpp>

#include <deque>
#include <functional>
#include <string>

#include "common/base/secret.h"
#include "common/pfkey/socket.h"

namespace esplanade::ike {

class PacketSocket {
 public:
  using OnPacket = std::function<void(ByteView)>;
  using OnClosed = std::function<void(const std::string& why)>;

  /// `most`: octets of the longest packet taken. Callbacks run on `io`'s thread; on_closed at most once.
  PacketSocket(asio::io_context& io, pfkey::Fd fd, std::size_t most, OnPacket on_packet, OnClosed on_closed);

  void send(Secret packet);
  bool idle() const { return queue_.empty(); }

 private:
  void wait_read();
  void wait_write();
  void read_all();
  void write_all();
  void close(const std::string& why);

  asio::posix::stream_descriptor descriptor_;
  std::size_t most_;
  OnPacket on_packet_;
  OnClosed on_closed_;
  Bytes buffer_;
  std::deque<Secret> queue_;
  bool writing_ = false;
  bool closed_ = false;
};

}  // namespace esplanade::ike
