#include "keyd/shell/udp.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/log.h"

namespace esplanade::ike {
namespace {

constexpr int kReadsInARow = 64;  // then timers and other sockets have their turn

asio::ip::udp::endpoint to_asio(const Endpoint& e) {
  if (e.address.version == 4) {
    asio::ip::address_v4::bytes_type b{};
    std::copy_n(e.address.octets.begin(), b.size(), b.begin());
    return {asio::ip::address_v4(b), e.port};
  }
  asio::ip::address_v6::bytes_type b{};
  std::copy_n(e.address.octets.begin(), b.size(), b.begin());
  return {asio::ip::address_v6(b), e.port};
}

Endpoint from_asio(const asio::ip::udp::endpoint& e) {
  Endpoint out;
  out.port = e.port();
  if (e.address().is_v4()) {
    std::ranges::copy(e.address().to_v4().to_bytes(), out.address.octets.begin());
  } else {
    out.address.version = 6;
    std::ranges::copy(e.address().to_v6().to_bytes(), out.address.octets.begin());
  }
  return out;
}

}  // namespace

Result<pfkey::Fd> bind_udp(const Endpoint& local) {
  asio::io_context io;
  const auto endpoint = to_asio(local);
  asio::ip::udp::socket socket(io);
  asio::error_code ec;
  socket.open(endpoint.protocol(), ec);
  if (!ec) socket.bind(endpoint, ec);
  if (!ec) return pfkey::Fd(socket.release(ec));
  const bool denied = ec == asio::error::access_denied || ec == asio::error::no_permission;
  return Error{denied ? Errc::kPermission : Errc::kIo,
               fmt::format("cannot bind UDP {}: {}{}", to_string(local), ec.message(),
                           denied ? "; run as root or with CAP_NET_BIND_SERVICE"
                           : ec == asio::error::address_in_use ? "; another IKE daemon may be running"
                                                               : "")};
}

Status UdpSockets::add(const Endpoint& local, pfkey::Fd fd) {
  asio::ip::udp::socket socket(io_);
  asio::error_code ec;
  socket.assign(to_asio(local).protocol(), fd.get(), ec);
  if (!ec) (void)fd.release();
  if (!ec) socket.non_blocking(true, ec);
  if (ec) return Error{Errc::kIo, fmt::format("UDP {}: {}", to_string(local), ec.message())};
  sockets_.push_back(std::make_unique<Socket>(Socket{local, std::move(socket)}));
  wait(*sockets_.back());
  return ok();
}

void UdpSockets::wait(Socket& s) {
  s.socket.async_wait(asio::ip::udp::socket::wait_read, [this, &s](const asio::error_code& ec) {
    if (ec == asio::error::operation_aborted) return;
    read_all(s);
    wait(s);
  });
}

void UdpSockets::read_all(Socket& s) {
  for (int i = 0; i < kReadsInARow; ++i) {
    asio::ip::udp::endpoint from;
    asio::error_code ec;
    const std::size_t len = s.socket.receive_from(asio::buffer(buffer_), from, 0, ec);
    if (ec == asio::error::would_block) return;
    if (ec) continue;  // an ICMP error about an earlier datagram
    on_datagram_(Path{s.local, from_asio(from)}, ByteView(buffer_).first(len));
  }
}

void UdpSockets::send(const Path& path, ByteView octets) {
  auto it = std::ranges::find_if(sockets_, [&](const auto& s) { return s->local == path.local; });
  if (it == sockets_.end()) return log_warn("no UDP socket for {}", to_string(path.local));
  asio::error_code ec;
  (*it)->socket.send_to(asio::buffer(octets.data(), octets.size()), to_asio(path.remote), 0, ec);
  if (ec) log_warn("sending to {}: {}", to_string(path.remote), ec.message());
}

}  // namespace esplanade::ike
