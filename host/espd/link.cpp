#include "host/espd/link.h"

#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstring>

#include "common/pfkey/socket.h"

namespace esplanade::espd {

namespace {

// The interface of the kernel's answer to RTM_GETROUTE; 0: none.
unsigned interface_of(ByteView answer) {
  nlmsghdr head;
  if (answer.size() < NLMSG_LENGTH(sizeof(rtmsg))) return 0;
  std::memcpy(&head, answer.data(), sizeof head);
  if (head.nlmsg_type != RTM_NEWROUTE) return 0;
  for (ByteView rest = answer.subspan(NLMSG_LENGTH(sizeof(rtmsg))); rest.size() >= sizeof(rtattr);) {
    rtattr attribute;
    std::memcpy(&attribute, rest.data(), sizeof attribute);
    if (attribute.rta_len < sizeof attribute || attribute.rta_len > rest.size()) return 0;
    unsigned index = 0;
    if (attribute.rta_type == RTA_OIF && attribute.rta_len >= RTA_LENGTH(sizeof index)) {
      std::memcpy(&index, rest.data() + RTA_LENGTH(0), sizeof index);
      return index;
    }
    rest = rest.subspan(std::min<std::size_t>(RTA_ALIGN(attribute.rta_len), rest.size()));
  }
  return 0;
}

}  // namespace

std::optional<Link> link_towards(const esp::IpAddress& to) {
  struct {
    nlmsghdr head;
    rtmsg route;
    rtattr attribute;
    Byte address[16];
  } request{};
  const ByteView address = to.bytes();
  request.head.nlmsg_len = static_cast<std::uint32_t>(offsetof(decltype(request), address) + address.size());
  request.head.nlmsg_type = RTM_GETROUTE;
  request.head.nlmsg_flags = NLM_F_REQUEST;
  request.route.rtm_family = to.version == 4 ? AF_INET : AF_INET6;
  request.route.rtm_dst_len = static_cast<std::uint8_t>(address.size() * 8);
  request.attribute.rta_type = RTA_DST;
  request.attribute.rta_len = static_cast<unsigned short>(RTA_LENGTH(address.size()));
  std::memcpy(request.address, address.data(), address.size());

  const pfkey::Fd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  Byte answer[1024];
  if (!fd || ::send(fd.get(), &request, request.head.nlmsg_len, 0) < 0) return std::nullopt;
  const ssize_t got = ::recv(fd.get(), answer, sizeof answer, 0);
  if (got <= 0) return std::nullopt;
  ifreq asked{};
  const unsigned index = interface_of(ByteView(answer).first(static_cast<std::size_t>(got)));
  if (index == 0 || ::if_indextoname(index, asked.ifr_name) == nullptr) return std::nullopt;
  const pfkey::Fd control(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!control || ::ioctl(control.get(), SIOCGIFMTU, &asked) != 0) return std::nullopt;
  return Link{index, static_cast<std::size_t>(asked.ifr_mtu)};
}

}  // namespace esplanade::espd
