#include "host/espd/outside.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "common/esp/ip.h"

namespace esplanade::espd {

namespace {

constexpr int kSocketBuffer = 4 << 20;  // a burst while the card is busy

Error os_error(const std::string& what, const char* privilege) {
  const int number = errno;
  if (number == EPERM || number == EACCES) {
    return Error{Errc::kPermission,
                 fmt::format("{}: {}; espd needs root or {}", what, std::strerror(number), privilege)};
  }
  return Error{number == EADDRINUSE ? Errc::kState : Errc::kIo, what + ": " + std::strerror(number)};
}

bool set_option(int fd, int level, int name, int value) {
  return ::setsockopt(fd, level, name, &value, sizeof value) == 0;
}

// Sizes beyond the system's limit need CAP_NET_ADMIN; whatever we get will do.
void widen_buffers(int fd) {
  for (const int name : {SO_RCVBUFFORCE, SO_SNDBUFFORCE}) set_option(fd, SOL_SOCKET, name, kSocketBuffer);
}

sockaddr_in socket_address(const esp::IpAddress& address, std::uint16_t port) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_port = htons(port);
  std::memcpy(&out.sin_addr, address.octets.data(), 4);
  return out;
}

esp::IpAddress from_in_addr(const in_addr& raw) {
  esp::IpAddress out;
  std::memcpy(out.octets.data(), &raw, 4);
  return out;
}

bool set_mark(int fd, std::uint32_t mark) { return set_option(fd, SOL_SOCKET, SO_MARK, static_cast<int>(mark)); }

Result<pfkey::Fd> open_udp(std::uint32_t mark) {
  pfkey::Fd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd || !set_mark(fd.get(), mark)) return os_error("cannot open a UDP socket", "CAP_NET_ADMIN");
  // Path MTU discovery off: the ICMP answers to our packets end here, so DF would make black holes.
  if (!set_option(fd.get(), IPPROTO_IP, IP_PKTINFO, 1) || !set_option(fd.get(), IPPROTO_IP, IP_RECVTOS, 1) ||
      !set_option(fd.get(), IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT)) {
    return os_error("cannot set up the socket of UDP 4500", "CAP_NET_ADMIN");
  }
  widen_buffers(fd.get());
  const sockaddr_in any = socket_address({}, kNattPort);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any) != 0) {
    return os_error("cannot bind UDP 4500 (does another IKE daemon run here?)", "CAP_NET_BIND_SERVICE");
  }
  return fd;
}

Result<pfkey::Fd> open_raw(int protocol, std::uint32_t mark) {
  pfkey::Fd fd(::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol));
  if (!fd) return os_error("cannot open a raw socket", "CAP_NET_RAW");
  if (!set_option(fd.get(), IPPROTO_IP, IP_HDRINCL, 1) || !set_mark(fd.get(), mark))
    return os_error("cannot set up a raw socket", "CAP_NET_RAW and CAP_NET_ADMIN");
  widen_buffers(fd.get());
  return fd;
}

// To send whole IPv6 packets; none where the kernel has no IPv6.
Result<pfkey::Fd> open_clear6(std::uint32_t mark) {
  pfkey::Fd fd(::socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_RAW));
  if (!fd && errno == EAFNOSUPPORT) return fd;
  if (!fd || !set_mark(fd.get(), mark)) return os_error("cannot set up a raw socket of IPv6", "CAP_NET_RAW and CAP_NET_ADMIN");
  return fd;
}

bool would_wait() { return errno == EAGAIN || errno == EINTR; }

}  // namespace

Natt classify(ByteView payload) {
  if (payload.size() == 1 && payload[0] == 0xff) return Natt::kKeepalive;
  if (payload.size() < 4) return Natt::kShort;
  return load_be32(payload.data()) == 0 ? Natt::kIke : Natt::kEsp;
}

void write_udp_headers(MutableBytes packet, const UdpPath& path) {
  Byte* ip = packet.data();
  std::fill_n(ip, kUdpHeaders, Byte{0});
  ip[0] = 0x45;
  ip[1] = path.tos;
  store_be16(ip + 2, static_cast<std::uint16_t>(packet.size()));
  ip[8] = 64;
  ip[9] = esp::kProtoUdp;
  std::copy_n(path.src.octets.begin(), 4, ip + 12);
  std::copy_n(path.dst.octets.begin(), 4, ip + 16);
  store_be16(ip + 10, esp::ipv4_checksum(packet.first(20)));
  Byte* udp = ip + 20;
  store_be16(udp, path.src_port);
  store_be16(udp + 2, path.dst_port);
  store_be16(udp + 4, static_cast<std::uint16_t>(packet.size() - 20));
}

Result<Outside> Outside::open(std::uint32_t mark) {
  ESPLANADE_TRY(udp, open_udp(mark));
  ESPLANADE_TRY(esp, open_raw(IPPROTO_ESP, mark));
  ESPLANADE_TRY(ah, open_raw(IPPROTO_AH, mark));
  ESPLANADE_TRY(clear6, open_clear6(mark));
  return Outside(std::move(udp), std::move(esp), std::move(ah), std::move(clear6));
}

Result<std::size_t> Outside::receive_udp(MutableBytes room, UdpPath& path) {
  sockaddr_in from{};
  iovec part{room.data() + kUdpHeaders, room.size() - kUdpHeaders};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(in_pktinfo)) + CMSG_SPACE(sizeof(int))];
  msghdr message{};
  message.msg_name = &from;
  message.msg_namelen = sizeof from;
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t got = ::recvmsg(udp_.get(), &message, 0);
  if (got < 0) {
    if (would_wait()) return std::size_t{0};
    return Error{Errc::kIo, std::string("UDP 4500: ") + std::strerror(errno)};
  }
  path = {};
  path.src = from_in_addr(from.sin_addr);
  path.src_port = ntohs(from.sin_port);
  path.dst_port = kNattPort;
  for (const cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr;
       c = CMSG_NXTHDR(&message, const_cast<cmsghdr*>(c))) {
    if (c->cmsg_level != IPPROTO_IP) continue;
    if (c->cmsg_type == IP_PKTINFO) {
      in_pktinfo info;
      std::memcpy(&info, CMSG_DATA(c), sizeof info);
      path.dst = from_in_addr(info.ipi_addr);
    } else if (c->cmsg_type == IP_TOS) {
      path.tos = *CMSG_DATA(c);
    }
  }
  return kUdpHeaders + static_cast<std::size_t>(got);
}

Result<std::size_t> Outside::receive_raw(int fd, MutableBytes room) {
  const ssize_t got = ::recv(fd, room.data(), room.size(), 0);
  if (got >= 0) return static_cast<std::size_t>(got);
  if (would_wait()) return std::size_t{0};
  return Error{Errc::kIo, std::string("raw socket: ") + std::strerror(errno)};
}

bool Outside::send_udp(const UdpPath& path, ByteView first, ByteView second) {
  sockaddr_in to = socket_address(path.dst, path.dst_port);
  iovec parts[2] = {{const_cast<Byte*>(first.data()), first.size()},
                    {const_cast<Byte*>(second.data()), second.size()}};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(in_pktinfo)) + CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_name = &to;
  message.msg_namelen = sizeof to;
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* c = CMSG_FIRSTHDR(&message);
  c->cmsg_level = IPPROTO_IP;
  c->cmsg_type = IP_PKTINFO;
  c->cmsg_len = CMSG_LEN(sizeof(in_pktinfo));
  in_pktinfo info{};
  std::memcpy(&info.ipi_spec_dst, path.src.octets.data(), 4);
  std::memcpy(CMSG_DATA(c), &info, sizeof info);
  c = CMSG_NXTHDR(&message, c);
  c->cmsg_level = IPPROTO_IP;
  c->cmsg_type = IP_TOS;
  c->cmsg_len = CMSG_LEN(sizeof(int));
  const int tos = path.tos;
  std::memcpy(CMSG_DATA(c), &tos, sizeof tos);
  return ::sendmsg(udp_.get(), &message, MSG_NOSIGNAL) >= 0;
}

Outside::Sent Outside::send_ipsec(ByteView outer) {
  if (outer.size() < kUdpHeaders || outer[0] != 0x45) return Sent::kNot;
  const esp::IpAddress src = esp::source_of(outer);
  const esp::IpAddress dst = esp::destination_of(outer);
  if (outer[9] == esp::kProtoUdp) {
    const UdpPath path{src, dst, load_be16(&outer[20]), load_be16(&outer[22]), outer[1]};
    // The socket sends from 4500 alone; an SA with another source port would reach the peer from a wrong one.
    if (path.src_port != kNattPort) return Sent::kNot;
    return send_udp(path, outer.subspan(kUdpHeaders), {}) ? Sent::kUdp : Sent::kNot;
  }
  if (outer[9] != esp::kProtoEsp && outer[9] != esp::kProtoAh) return Sent::kNot;
  const sockaddr_in to = socket_address(dst, 0);
  const ssize_t sent = ::sendto(esp_.get(), outer.data(), outer.size(), MSG_NOSIGNAL,
                                reinterpret_cast<const sockaddr*>(&to), sizeof to);
  return sent >= 0 ? Sent::kRaw : Sent::kNot;
}

bool Outside::send_clear(ByteView packet) {
  const esp::IpAddress dst = esp::destination_of(packet);
  const auto send = [&](int fd, const auto& to) {
    return ::sendto(fd, packet.data(), packet.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&to), sizeof to) >= 0;
  };
  if (dst.version == 4) return send(esp_.get(), socket_address(dst, 0));
  sockaddr_in6 to{};
  to.sin6_family = AF_INET6;
  std::memcpy(&to.sin6_addr, dst.octets.data(), 16);
  return clear6_ && send(clear6_.get(), to);
}

bool Outside::send_ike(const pfkey::NattFrame& frame) {
  if (frame.dst.version != 4) return false;
  static constexpr Byte kMarker[4] = {};  // RFC 3948 s2.2
  static constexpr Byte kKeepalive[1] = {0xff};
  const UdpPath path{frame.src, frame.dst, kNattPort, frame.dst_port, 0};
  return frame.keepalive ? send_udp(path, kKeepalive, {}) : send_udp(path, kMarker, frame.ike);
}

}  // namespace esplanade::espd
