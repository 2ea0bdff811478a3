#include "sim/link.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace esplanade::sim {

namespace {

struct WireHeader {
  std::uint32_t op, valid;
  std::uint64_t address, size, payload;
};

Error gone() { return Error{Errc::kDeviceLost, "the other process of the simulator is gone"}; }

}  // namespace

Link::~Link() {
  if (fd_ >= 0) ::close(fd_);
}

Status Link::send(const LinkFrame& head, ByteView payload) {
  WireHeader header{static_cast<std::uint32_t>(head.op), head.valid, head.address, head.size, payload.size()};
  std::array<iovec, 2> parts{{{&header, sizeof header}, {const_cast<Byte*>(payload.data()), payload.size()}}};
  std::size_t at = 0;
  while (at < parts.size()) {
    msghdr message{};
    message.msg_iov = &parts[at];
    message.msg_iovlen = parts.size() - at;
    ssize_t done = ::sendmsg(fd_, &message, MSG_NOSIGNAL);
    if (done < 0) {
      if (errno == EINTR) continue;
      return gone();
    }
    while (at < parts.size() && static_cast<std::size_t>(done) >= parts[at].iov_len) {
      done -= static_cast<ssize_t>(parts[at].iov_len);
      ++at;
    }
    if (at < parts.size()) {
      parts[at].iov_base = static_cast<Byte*>(parts[at].iov_base) + done;
      parts[at].iov_len -= static_cast<std::size_t>(done);
    }
  }
  return ok();
}

Status Link::read_exactly(void* to, std::size_t size) {
  auto* at = static_cast<Byte*>(to);
  while (size > 0) {
    const ssize_t got = ::recv(fd_, at, size, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return gone();
    at += got;
    size -= static_cast<std::size_t>(got);
  }
  return ok();
}

Result<std::optional<LinkFrame>> Link::receive(std::chrono::milliseconds wait) {
  if (!waiting_.empty()) {
    LinkFrame frame = std::move(waiting_.front());
    waiting_.pop_front();
    return std::optional<LinkFrame>(std::move(frame));
  }
  pollfd readable{fd_, POLLIN, 0};
  const int ready = ::poll(&readable, 1, wait.count() < 0 ? -1 : static_cast<int>(wait.count()));
  if (ready == 0 || (ready < 0 && errno == EINTR)) return std::optional<LinkFrame>();
  if (ready < 0) return gone();
  ESPLANADE_TRY(frame, receive_new());
  return std::optional<LinkFrame>(std::move(frame));
}

Result<LinkFrame> Link::receive_new() {
  WireHeader header{};
  ESPLANADE_CHECK(read_exactly(&header, sizeof header));
  if (header.op < static_cast<std::uint32_t>(LinkOp::kReadRegisters) ||
      header.op > static_cast<std::uint32_t>(LinkOp::kLast) || header.payload > kLinkPayloadMax ||
      header.size > kLinkPayloadMax) {
    return Error{Errc::kMalformed, "the other process of the simulator sent nonsense"};
  }
  LinkFrame frame{static_cast<LinkOp>(header.op), header.valid != 0, header.address, header.size,
                  Bytes(header.payload)};
  ESPLANADE_CHECK(read_exactly(frame.payload.data(), frame.payload.size()));
  return frame;
}

}  // namespace esplanade::sim
