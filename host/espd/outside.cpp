#include "host/espd/outside.h"

#include <fmt/format.h>
#include <linux/errqueue.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <mutex>

#include "common/base/log.h"
#include "common/esp/ip.h"
#include "host/espd/oversize.h"

namespace esplanade::espd {

namespace {

constexpr int kSocketBuffer = 4 << 20;  // a burst while the card is busy
constexpr std::size_t kMaxPacket = 65535;

// Ancillary data of a message: addresses, and of IPv6 traffic class and hop limit. The largest set of them.
constexpr std::size_t kControl = CMSG_SPACE(sizeof(in6_pktinfo)) + 2 * CMSG_SPACE(sizeof(int));

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

// A socket address of either family.
struct Address {
  sockaddr_storage storage{};
  socklen_t len = 0;
  Address() = default;
  Address(const esp::IpAddress& address, std::uint16_t port) {
    if (address.version == 4) {
      auto& v4 = reinterpret_cast<sockaddr_in&>(storage);
      v4.sin_family = AF_INET;
      v4.sin_port = htons(port);
      std::memcpy(&v4.sin_addr, address.octets.data(), 4);
      len = sizeof v4;
    } else {
      auto& v6 = reinterpret_cast<sockaddr_in6&>(storage);
      v6.sin6_family = AF_INET6;
      v6.sin6_port = htons(port);
      std::memcpy(&v6.sin6_addr, address.octets.data(), 16);
      len = sizeof v6;
    }
  }
  sockaddr* raw() { return reinterpret_cast<sockaddr*>(&storage); }
  esp::IpAddress ip() const {
    esp::IpAddress out;
    if (storage.ss_family == AF_INET6) {
      out.version = 6;
      std::memcpy(out.octets.data(), &reinterpret_cast<const sockaddr_in6&>(storage).sin6_addr, 16);
    } else {
      std::memcpy(out.octets.data(), &reinterpret_cast<const sockaddr_in&>(storage).sin_addr, 4);
    }
    return out;
  }
  std::uint16_t port() const {  // at the same place in both
    return ntohs(reinterpret_cast<const sockaddr_in&>(storage).sin_port);
  }
};

// One message with its ancillary data; `address` and the octets that it points to must outlive it.
struct Message {
  Address address;
  iovec parts[2] = {};
  alignas(cmsghdr) char control[kControl] = {};

  // Fills `header` for sending.
  void send_to(msghdr& header, const Path& path, std::uint16_t port, ByteView first, ByteView second) {
    address = Address(path.dst, port);
    parts[0] = {const_cast<Byte*>(first.data()), first.size()};
    parts[1] = {const_cast<Byte*>(second.data()), second.size()};
    header = {};
    header.msg_name = address.raw();
    header.msg_namelen = address.len;
    header.msg_iov = parts;
    header.msg_iovlen = second.empty() ? 1 : 2;
    header.msg_control = control;
    std::memset(control, 0, sizeof control);
    if (path.dst.version == 4) {
      in_pktinfo info{};
      std::memcpy(&info.ipi_spec_dst, path.src.octets.data(), 4);
      add(header, IPPROTO_IP, IP_PKTINFO, info);
      add(header, IPPROTO_IP, IP_TOS, int{path.tos});
    } else {
      in6_pktinfo info{};
      std::memcpy(&info.ipi6_addr, path.src.octets.data(), 16);
      add(header, IPPROTO_IPV6, IPV6_PKTINFO, info);
      add(header, IPPROTO_IPV6, IPV6_TCLASS, int{path.tos});
      add(header, IPPROTO_IPV6, IPV6_HOPLIMIT, int{path.ttl});
    }
  }
  // Readies `header` for receiving to `room`.
  void receive_to(msghdr& header, MutableBytes room) {
    parts[0] = {room.data(), room.size()};
    header = {};
    header.msg_name = address.raw();
    header.msg_namelen = sizeof address.storage;
    header.msg_iov = parts;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof control;
  }
  // What a received message tells of its way.
  Path path(const msghdr& header) const {
    Path out;
    out.src = address.ip();
    out.src_port = address.port();
    out.dst_port = kNattPort;
    out.dst.version = out.src.version;
    for (const cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr;
         c = CMSG_NXTHDR(const_cast<msghdr*>(&header), const_cast<cmsghdr*>(c))) {
      if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
        const auto info = get<in_pktinfo>(*c);
        std::memcpy(out.dst.octets.data(), &info.ipi_addr, 4);
      } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) {
        out.tos = *CMSG_DATA(c);
      } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
        const auto info = get<in6_pktinfo>(*c);
        std::memcpy(out.dst.octets.data(), &info.ipi6_addr, 16);
      } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS) {
        out.tos = static_cast<std::uint8_t>(get<int>(*c));
      } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_HOPLIMIT) {
        out.ttl = static_cast<std::uint8_t>(get<int>(*c));
      }
    }
    return out;
  }

  template <class T>
  static T get(const cmsghdr& c) {
    T out;
    std::memcpy(&out, CMSG_DATA(&c), sizeof out);
    return out;
  }
  template <class T>
  void add(msghdr& header, int level, int type, const T& value) {
    auto* c = reinterpret_cast<cmsghdr*>(control + header.msg_controllen);
    c->cmsg_level = level;
    c->cmsg_type = type;
    c->cmsg_len = CMSG_LEN(sizeof value);
    std::memcpy(CMSG_DATA(c), &value, sizeof value);
    header.msg_controllen += CMSG_SPACE(sizeof value);
  }
};

struct Option {
  int level, name, value;
};

// Of both sockets of a family: where packets came from, and errors that the network tells (path MTU).
//
// IPv4: what ICMP errors say is for espd to believe or not (path_mtu.h), so the kernel shall neither learn from them for
// these sockets nor cut or refuse packets by it (IP_PMTUDISC_OMIT); DF is as the card wrote it.
const std::vector<Option> kIpv4{{IPPROTO_IP, IP_PKTINFO, 1},
                                {IPPROTO_IP, IP_RECVTOS, 1},
                                {IPPROTO_IP, IP_RECVERR, 1},
                                {IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_OMIT}};
// IPv6: routers do not cut, so the kernel does it for what is larger than the path as it knows it.
const std::vector<Option> kIpv6{{IPPROTO_IPV6, IPV6_RECVPKTINFO, 1},
                                {IPPROTO_IPV6, IPV6_RECVTCLASS, 1},
                                {IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1},
                                {IPPROTO_IPV6, IPV6_RECVERR, 1},
                                {IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_WANT}};

Result<pfkey::Fd> open_socket(int family, int type, int protocol, std::uint32_t mark, const std::vector<Option>& options) {
  const char* version = family == AF_INET ? "IPv4" : "IPv6";
  const std::string what = type == SOCK_DGRAM ? fmt::format("UDP socket of {}", version)
                                              : fmt::format("raw socket of {}, protocol {}", version, protocol);
  const char* privilege = type == SOCK_DGRAM ? "CAP_NET_ADMIN" : "CAP_NET_RAW and CAP_NET_ADMIN";
  pfkey::Fd fd(::socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol));
  if (!fd) return os_error("cannot open a " + what, privilege);
  if (!set_option(fd.get(), SOL_SOCKET, SO_MARK, static_cast<int>(mark))) return os_error("cannot mark the " + what, privilege);
  for (const Option& o : options) {
    if (!set_option(fd.get(), o.level, o.name, o.value)) return os_error("cannot set up the " + what, privilege);
  }
  widen_buffers(fd.get());
  return fd;
}

Result<pfkey::Fd> open_udp(int family, std::uint32_t mark, const std::vector<Option>& options) {
  ESPLANADE_TRY(fd, open_socket(family, SOCK_DGRAM, 0, mark, options));
  if (family == AF_INET6 && !set_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1))
    return os_error("cannot set up the UDP socket of IPv6", "CAP_NET_ADMIN");
  esp::IpAddress any;
  any.version = family == AF_INET ? 4 : 6;
  Address address(any, kNattPort);
  if (::bind(fd.get(), address.raw(), address.len) != 0) {
    return os_error(fmt::format("cannot bind UDP 4500 of IPv{} (does another IKE daemon run here?)", any.version),
                    "CAP_NET_BIND_SERVICE");
  }
  return fd;
}

bool kernel_has_ipv6() {
  const pfkey::Fd probe(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  return probe || errno != EAFNOSUPPORT;
}

// It only sends.
Result<pfkey::Fd> open_icmpv6(std::uint32_t mark) {
  ESPLANADE_TRY(fd, open_socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6, mark, {}));
  icmp6_filter filter;
  ICMP6_FILTER_SETBLOCKALL(&filter);
  if (::setsockopt(fd.get(), IPPROTO_ICMPV6, ICMP6_FILTER, &filter, sizeof filter) != 0)
    return os_error("cannot set up the raw socket of ICMPv6", "CAP_NET_RAW");
  return fd;
}

// The SPI of the packet that an error quotes, from its IP header on (`whole`) or from what follows IP or UDP.
std::uint32_t quoted_spi(ByteView quoted, std::uint8_t protocol, bool whole) {
  if (whole) {
    const std::size_t header = quoted.empty() ? 0 : std::size_t{quoted[0] & 15u} * 4;
    if (quoted.size() < header || header < 20 || quoted[9] != protocol) return 0;
    quoted = quoted.subspan(header);
  }
  const std::size_t at = protocol == esp::kProtoAh ? 4 : 0;  // RFC 4302 s2, RFC 4303 s2
  return quoted.size() < at + 4 ? 0 : load_be32(&quoted[at]);
}

std::optional<std::size_t> told_mtu(const msghdr& header) {
  for (const cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr;
       c = CMSG_NXTHDR(const_cast<msghdr*>(&header), const_cast<cmsghdr*>(c))) {
    if (!((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) ||
          (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR)))
      continue;
    const auto error = Message::get<sock_extended_err>(*c);
    const bool v4 = error.ee_origin == SO_EE_ORIGIN_ICMP && error.ee_type == ICMP_DEST_UNREACH && error.ee_code == ICMP_FRAG_NEEDED;
    const bool v6 = error.ee_origin == SO_EE_ORIGIN_ICMP6 && error.ee_type == ICMP6_PACKET_TOO_BIG;
    if (v4 || v6) return error.ee_info;
  }
  return std::nullopt;
}

}  // namespace

struct Outside::Room {
  static constexpr std::size_t kSlot = headers_len(6) + kMaxPacket;
  Bytes octets = Bytes(kBatch * kSlot);  // received packets, each behind room for headers
  std::array<mmsghdr, kBatch> headers{};
  std::array<Message, kBatch> messages;
  MutableBytes slot(std::size_t i) { return MutableBytes(octets).subspan(i * kSlot, kSlot); }
};

Outside::Outside() : room_(std::make_unique<Room>()), cutting_(std::make_unique<std::shared_mutex>()) {}
Outside::Outside(Outside&&) noexcept = default;
Outside::~Outside() = default;

Natt classify(ByteView payload) {
  if (payload.size() == 1 && payload[0] == 0xff) return Natt::kKeepalive;
  if (payload.size() < 4) return Natt::kShort;
  return load_be32(payload.data()) == 0 ? Natt::kIke : Natt::kEsp;
}

void write_headers(MutableBytes packet, const Path& path, std::uint8_t protocol) {
  Byte* ip = packet.data();
  std::fill_n(ip, headers_len(path.src.version), Byte{0});
  if (path.src.version == 6) {
    store_be32(ip, 0x60000000U | std::uint32_t{path.tos} << 20);
    store_be16(ip + 4, static_cast<std::uint16_t>(packet.size() - 40));
    ip[6] = protocol;
    ip[7] = path.ttl;
    std::ranges::copy(path.src.octets, ip + 8);
    std::ranges::copy(path.dst.octets, ip + 24);
    return;
  }
  ip[0] = 0x45;
  ip[1] = path.tos;
  store_be16(ip + 2, static_cast<std::uint16_t>(packet.size()));
  ip[8] = path.ttl;
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
  Outside out;
  const auto open = [&](Channel channel, int family, const std::vector<Option>& options) -> Status {
    ESPLANADE_TRY(fd, is_udp(channel) ? open_udp(family, mark, options) : open_socket(family, SOCK_RAW, protocol_of(channel), mark, options));
    // Packets with their headers: ESP, ESP in UDP with the DF bit of its own, AH, clear ones, ICMP.
    if (is_whole(channel) && !set_option(fd.get(), IPPROTO_IP, IP_HDRINCL, 1)) return os_error("cannot set up a raw socket", "CAP_NET_RAW");
    out.fds_[channel] = std::move(fd);
    return ok();
  };
  for (const Channel channel : {kUdp4, kEsp4, kAh4}) ESPLANADE_CHECK(open(channel, AF_INET, kIpv4));
  if (!kernel_has_ipv6()) {
    log_info("this kernel has no IPv6: no tunnels over it");
    return out;
  }
  for (const Channel channel : {kUdp6, kEsp6, kAh6}) ESPLANADE_CHECK(open(channel, AF_INET6, kIpv6));
  ESPLANADE_TRY(icmp6, open_icmpv6(mark));
  ESPLANADE_TRY(clear6, open_socket(AF_INET6, SOCK_RAW, IPPROTO_RAW, mark, {}));  // takes packets with their header
  out.icmp6_ = std::move(icmp6);
  out.clear6_ = std::move(clear6);
  return out;
}

std::size_t Outside::receive(Channel channel, std::size_t most, const Take& take,
                             const std::function<void(const TooBig&)>& too_big) {
  // In front of the octets that come is room for what the socket does not give.
  const std::size_t header = is_whole(channel) ? 0 : headers_len(channel == kUdp4 ? 4 : 6);
  most = std::min(most, kBatch);
  for (std::size_t i = 0; i < most; ++i)
    room_->messages[i].receive_to(room_->headers[i].msg_hdr, room_->slot(i).subspan(header));
  const int got = ::recvmmsg(fds_[channel].get(), room_->headers.data(), static_cast<unsigned>(most), 0, nullptr);
  if (got <= 0) {  // there may be no packet, but an error
    read_errors(channel, too_big);
    return 0;
  }
  const auto count = static_cast<std::size_t>(got);
  for (std::size_t i = 0; i < count; ++i) {
    const mmsghdr& m = room_->headers[i];
    take(room_->slot(i).first(header + m.msg_len), is_whole(channel) ? Path{} : room_->messages[i].path(m.msg_hdr));
  }
  return count;
}

void Outside::read_errors(Channel channel, const std::function<void(const TooBig&)>& too_big) {
  for (std::size_t i = 0; i < 4 * kBatch; ++i) {
    Byte quoted[128];  // the longest IPv4 header and more
    alignas(cmsghdr) char control[512];
    Address to;
    iovec part{quoted, sizeof quoted};
    msghdr header{};
    header.msg_name = to.raw();
    header.msg_namelen = sizeof to.storage;
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    const ssize_t got = ::recvmsg(fds_[channel].get(), &header, MSG_ERRQUEUE);
    if (got < 0) return;
    const auto mtu = told_mtu(header);
    if (!mtu) continue;
    const std::uint8_t protocol = protocol_of(channel);
    too_big({to.ip(), protocol == esp::kProtoAh ? esp::Protocol::kAh : esp::Protocol::kEsp,
             quoted_spi(ByteView(quoted).first(static_cast<std::size_t>(got)), protocol, is_whole(channel)), *mtu});
  }
}

bool Outside::send_udp(const Path& path, ByteView first, ByteView second) {
  Message message;
  msghdr header{};
  message.send_to(header, path, path.dst_port, first, second);
  const int fd = fds_[path.dst.version == 4 ? kUdp4 : kUdp6].get();
  // An error that the network told about an earlier packet shows at the next one, once.
  return ::sendmsg(fd, &header, MSG_NOSIGNAL) >= 0 || ::sendmsg(fd, &header, MSG_NOSIGNAL) >= 0;
}

bool Outside::send_clear(ByteView packet) {
  Address to(esp::destination_of(packet), 0);
  const int fd = packet[0] >> 4 == 4 ? fds_[kEsp4].get() : clear6_.get();
  const auto send = [&] { return ::sendto(fd, packet.data(), packet.size(), MSG_NOSIGNAL, to.raw(), to.len) >= 0; };
  return send() || send();  // as in send_udp()
}

bool Outside::send_ike(const pfkey::NattFrame& frame) {
  static constexpr Byte kMarker[4] = {};  // RFC 3948 s2.2
  static constexpr Byte kKeepalive[1] = {0xff};
  Path path;
  path.src = frame.src;
  path.dst = frame.dst;
  path.dst_port = frame.dst_port;
  return frame.keepalive ? send_udp(path, kKeepalive, {}) : send_udp(path, kMarker, frame.ike);
}

bool Outside::send_icmp(const esp::IpAddress& to, ByteView message) {
  Address address(to, 0);
  Bytes packet;
  if (to.version == 4) {
    // The kernel puts in source, identification and checksum of a header that is given without.
    packet.resize(20);
    packet[0] = 0x45;
    packet[1] = 0xc0;  // internetwork control, RFC 1812 s4.3.2.5
    packet[8] = 64;
    packet[9] = 1;
    store_be16(&packet[2], static_cast<std::uint16_t>(20 + message.size()));
    std::copy_n(to.octets.begin(), 4, packet.begin() + 16);
  }
  put(packet, message);
  const int fd = to.version == 4 ? fds_[kEsp4].get() : icmp6_.get();
  return ::sendto(fd, packet.data(), packet.size(), MSG_NOSIGNAL, address.raw(), address.len) >= 0;
}

struct OutsideSender::Batch {
  std::array<mmsghdr, Outside::kBatch> headers{};
  std::array<Message, Outside::kBatch> messages;
};

OutsideSender::OutsideSender(const Outside& outside) : outside_(outside), batch_(std::make_unique<Batch>()) {}
OutsideSender::OutsideSender(OutsideSender&&) noexcept = default;
OutsideSender::~OutsideSender() = default;

void OutsideSender::send(ByteView outer, std::size_t mtu, std::uint16_t udp_port) {
  if (outer.size() > 40 && outer[0] >> 4 == 6 && (outer[6] == esp::kProtoEsp || outer[6] == esp::kProtoAh))
    return queues_[outer[6] == esp::kProtoAh ? Outside::kAh6 : udp_port != 0 ? Outside::kUdp6 : Outside::kEsp6].push_back({outer, udp_port, outer.size() > mtu ? mtu : 0});
  const bool v4 = outer.size() > 28 && outer[0] == 0x45;
  // UDP leaves from 4500 alone; an SA with another source port would reach the peer from a wrong one.
  const bool udp = v4 && outer[9] == esp::kProtoUdp && load_be16(&outer[20]) == kNattPort;
  if (!udp && !(v4 && (outer[9] == esp::kProtoEsp || outer[9] == esp::kProtoAh))) {
    ++sent_.failed;
    return;
  }
  if (outer.size() <= mtu) return queues_[Outside::kEsp4].push_back({outer, 0, 0});
  fragment_ipv4(outer, mtu, [this](ByteView fragment) {
    fragments_.emplace_back(fragment.begin(), fragment.end());
    queues_[Outside::kEsp4].push_back({fragments_.back(), 0, 0});
  });
}

OutsideSender::Sent OutsideSender::flush() {
  for (const Channel channel : {Outside::kEsp4, Outside::kUdp6, Outside::kEsp6, Outside::kAh6}) flush(channel);
  fragments_.clear();
  return std::exchange(sent_, {});
}

void OutsideSender::flush(Channel channel) {
  const std::vector<Outgoing>& queue = queues_[channel];
  for (std::size_t at = 0; at < queue.size();) {
    // What the kernel shall cut goes on its own, for its size is a setting of the socket.
    if (const std::size_t cut_at = queue[at].cut_at; cut_at != 0) {
      const std::unique_lock alone(*outside_.cutting_);
      set_option(outside_.fds_[channel].get(), IPPROTO_IPV6, IPV6_MTU, static_cast<int>(cut_at));
      at += send_batch(channel, at, 1);
      set_option(outside_.fds_[channel].get(), IPPROTO_IPV6, IPV6_MTU, 0);
      continue;
    }
    const std::shared_lock together(*outside_.cutting_);
    std::size_t count = 1;
    while (count < Outside::kBatch && at + count < queue.size() && queue[at + count].cut_at == 0) ++count;
    at += send_batch(channel, at, count);
  }
  queues_[channel].clear();
}

std::size_t OutsideSender::send_batch(Channel channel, std::size_t at, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    const Outgoing& out = queues_[channel][at + i];
    msghdr& header = batch_->headers[i].msg_hdr;
    Path path;
    path.src = esp::source_of(out.outer);
    path.dst = esp::destination_of(out.outer);
    if (channel == Outside::kEsp4) {  // addresses and TOS are for the choice of a route
      path.tos = out.outer[1];
      batch_->messages[i].send_to(header, path, 0, out.outer, {});
    } else {
      path.tos = static_cast<std::uint8_t>(load_be16(out.outer.data()) >> 4);
      path.ttl = out.outer[7];
      batch_->messages[i].send_to(header, path, out.udp_port, out.outer.subspan(40), {});
    }
  }
  bool again = false;
  for (std::size_t done = 0; done < count;) {
    const int sent = ::sendmmsg(outside_.fds_[channel].get(), &batch_->headers[done], static_cast<unsigned>(count - done), MSG_NOSIGNAL);
    for (int i = 0; i < sent; ++i) {
      const bool udp = channel == Outside::kUdp6 || (channel == Outside::kEsp4 && queues_[channel][at + done].outer[9] == esp::kProtoUdp);
      ++(udp ? sent_.udp : sent_.raw);
      ++done;
    }
    if (sent > 0) {
      again = false;
    } else if (!again && errno != EAGAIN) {
      again = true;  // it may be an error that the network told about an earlier packet
    } else {
      again = false;
      ++sent_.failed;
      ++done;
    }
  }
  return count;
}

}  // namespace esplanade::espd
