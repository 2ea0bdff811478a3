#include "host/espd/routes.h"

#include <fmt/format.h>
#include <ifaddrs.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "common/pfkey/socket.h"

namespace esplanade::espd {

namespace {

// A route request with its attributes, each aligned to 4 octets.
class Request {
 public:
  Request(std::uint8_t family, const Prefix& destination) {
    at_->nlmsg_len = NLMSG_LENGTH(sizeof(rtmsg));
    at_->nlmsg_type = RTM_NEWROUTE;
    at_->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
    auto* route = static_cast<rtmsg*>(NLMSG_DATA(at_));
    route->rtm_family = family;
    route->rtm_dst_len = destination.len;
    route->rtm_table = RT_TABLE_MAIN;
    route->rtm_protocol = RTPROT_STATIC;
    route->rtm_scope = RT_SCOPE_LINK;
    route->rtm_type = RTN_UNICAST;
  }
  void attribute(std::uint16_t type, const void* data, std::size_t size) {
    auto* raw = reinterpret_cast<rtattr*>(octets_ + NLMSG_ALIGN(at_->nlmsg_len));
    raw->rta_type = type;
    raw->rta_len = static_cast<unsigned short>(RTA_LENGTH(size));
    std::memcpy(RTA_DATA(raw), data, size);
    at_->nlmsg_len = NLMSG_ALIGN(at_->nlmsg_len) + static_cast<std::uint32_t>(RTA_SPACE(size));
  }
  ByteView octets() const { return {octets_, at_->nlmsg_len}; }

 private:
  alignas(NLMSG_ALIGNTO) Byte octets_[128] = {};  // header 16, rtmsg 12, three attributes of at most 20
  nlmsghdr* at_ = reinterpret_cast<nlmsghdr*>(octets_);
};

// The kernel's answer: 0 or an errno.
Result<int> transact(ByteView request) {
  const pfkey::Fd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!fd) return Error{Errc::kIo, std::string("cannot open a netlink socket: ") + std::strerror(errno)};
  alignas(NLMSG_ALIGNTO) Byte answer[1024];
  if (::send(fd.get(), request.data(), request.size(), 0) < 0) return errno;
  const ssize_t got = ::recv(fd.get(), answer, sizeof answer, 0);
  if (got < 0) return errno;
  const auto* head = reinterpret_cast<const nlmsghdr*>(answer);
  if (static_cast<std::size_t>(got) < NLMSG_LENGTH(sizeof(nlmsgerr)) || head->nlmsg_type != NLMSG_ERROR) {
    return Error{Errc::kIo, "netlink gave an answer that is none"};
  }
  return -static_cast<const nlmsgerr*>(NLMSG_DATA(head))->error;
}

}  // namespace

Status add_route(const Prefix& destination, unsigned interface_index,
                 const std::optional<esp::IpAddress>& source) {
  Request request(destination.address.version == 4 ? AF_INET : AF_INET6, destination);
  request.attribute(RTA_DST, destination.address.bytes().data(), destination.address.bytes().size());
  const auto index = static_cast<std::uint32_t>(interface_index);
  request.attribute(RTA_OIF, &index, sizeof index);
  if (source) request.attribute(RTA_PREFSRC, source->bytes().data(), source->bytes().size());
  ESPLANADE_TRY(number, transact(request.octets()));
  if (number == 0) return ok();
  const Errc code = number == EPERM ? Errc::kPermission : number == EEXIST ? Errc::kState : Errc::kIo;
  return Error{code,
               fmt::format("cannot add the route to {}: {}", to_string(destination), std::strerror(number))};
}

std::optional<esp::IpAddress> own_address_in(const Prefix& prefix) {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return std::nullopt;
  std::optional<esp::IpAddress> found;
  for (const ifaddrs* i = list; i != nullptr && !found; i = i->ifa_next) {
    if (i->ifa_addr == nullptr) continue;
    esp::IpAddress address;
    if (i->ifa_addr->sa_family == AF_INET) {
      std::memcpy(address.octets.data(), &reinterpret_cast<const sockaddr_in*>(i->ifa_addr)->sin_addr, 4);
    } else if (i->ifa_addr->sa_family == AF_INET6) {
      address.version = 6;
      std::memcpy(address.octets.data(), &reinterpret_cast<const sockaddr_in6*>(i->ifa_addr)->sin6_addr, 16);
    } else {
      continue;
    }
    if (prefix.contains(address)) found = address;
  }
  ::freeifaddrs(list);
  return found;
}

}  // namespace esplanade::espd
