#include "keyd/shell/packet_socket.h"

namespace esplanade::ike {
namespace {
constexpr std::size_t kQueueMax = 4096;  // packets: then the other end counts as dead
}

PacketSocket::PacketSocket(asio::io_context& io, pfkey::Fd fd, std::size_t most, OnPacket on_packet,
                           OnClosed on_closed)
    : descriptor_(io, fd.release()),
      most_(most),
      on_packet_(std::move(on_packet)),
      on_closed_(std::move(on_closed)) {
  wait_read();
}

void PacketSocket::wait_read() {
  descriptor_.async_wait(asio::posix::stream_descriptor::wait_read, [this](const asio::error_code& ec) {
    if (!ec) read_all();
  });
}

void PacketSocket::read_all() {
  while (!closed_) {
    auto received = pfkey::receive(descriptor_.native_handle(), buffer_, most_);
    if (!received) {
      if (received.error().code == Errc::kBadLength) continue;  // that packet is gone
      return close(received.error().detail);
    }
    if (*received == pfkey::Received::kClosed) return close("closed by the other end");
    if (*received == pfkey::Received::kNothing) return wait_read();
    on_packet_(buffer_);
  }
}

void PacketSocket::send(Secret packet) {
  if (closed_) return;
  if (queue_.size() >= kQueueMax) return close("the other end does not read");
  queue_.push_back(std::move(packet));
  if (!writing_) write_all();
}

void PacketSocket::write_all() {
  while (!queue_.empty()) {
    auto sent = pfkey::send(descriptor_.native_handle(), queue_.front().reveal());
    if (!sent && sent.error().code == Errc::kRingFull) return wait_write();
    if (!sent) return close(sent.error().detail);
    queue_.pop_front();
  }
}

void PacketSocket::wait_write() {
  writing_ = true;
  descriptor_.async_wait(asio::posix::stream_descriptor::wait_write, [this](const asio::error_code& ec) {
    writing_ = false;
    if (!ec) write_all();
  });
}

void PacketSocket::close(const std::string& why) {
  if (closed_) return;
  closed_ = true;
  queue_.clear();
  asio::error_code ignored;
  descriptor_.close(ignored);
  on_closed_(why);
}

}  // namespace esplanade::ike
