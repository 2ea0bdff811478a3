#include "host/espd/routes.h"

#include <fmt/format.h>
#include <ifaddrs.h>
#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
#include <memory>
#include <utility>

#include "common/base/unix_listener.h"

namespace esplanade::espd {

namespace {

constexpr std::uint32_t kBlackholeMetric = 4096;
constexpr std::uint16_t kIkePort = 500;
constexpr std::uint8_t kFamilies[] = {AF_INET, AF_INET6};

int family_of(const Prefix& prefix) { return prefix.address.version == 4 ? AF_INET : AF_INET6; }

Error netlink_error(const std::string& what, int number) {
  return Error{number == EPERM ? Errc::kPermission : Errc::kIo, fmt::format("cannot {}: {}", what, std::strerror(number))};
}

// One message, built attribute by attribute.
class Request {
 public:
  template <class Header>
  Request(std::uint16_t type, std::uint16_t flags, const Header& header) {
    message_ = mnl_nlmsg_put_header(octets_);
    message_->nlmsg_type = type;
    message_->nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
    message_->nlmsg_seq = 1;
    *static_cast<Header*>(mnl_nlmsg_put_extra_header(message_, sizeof header)) = header;
  }
  void u32(std::uint16_t type, std::uint32_t value) { mnl_attr_put_u32(message_, type, value); }
  void bytes(std::uint16_t type, ByteView value) { mnl_attr_put(message_, type, value.size(), value.data()); }
  template <class T>
  void object(std::uint16_t type, const T& value) { mnl_attr_put(message_, type, sizeof value, &value); }
  const nlmsghdr* message() const { return message_; }

 private:
  alignas(NLMSG_ALIGNTO) char octets_[512] = {};
  nlmsghdr* message_ = nullptr;
};

// 0 or an errno. `each` sees the messages of a dump.
int transact(const Request& request, const std::function<void(const nlmsghdr*)>& each = {}) {
  const std::unique_ptr<mnl_socket, int (*)(mnl_socket*)> socket(mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC), &mnl_socket_close);
  if (!socket || mnl_socket_bind(socket.get(), 0, MNL_SOCKET_AUTOPID) < 0) return errno;
  const unsigned port = mnl_socket_get_portid(socket.get());
  if (mnl_socket_sendto(socket.get(), request.message(), request.message()->nlmsg_len) < 0) return errno;
  alignas(NLMSG_ALIGNTO) char answer[32768];
  const auto call = [](const nlmsghdr* message, void* data) {
    const auto& on_message = *static_cast<const std::function<void(const nlmsghdr*)>*>(data);
    if (on_message) on_message(message);
    return MNL_CB_OK;
  };
  int more = MNL_CB_OK;
  while (more == MNL_CB_OK) {
    const ssize_t got = mnl_socket_recvfrom(socket.get(), answer, sizeof answer);
    if (got < 0) return errno;
    more = mnl_cb_run(answer, static_cast<std::size_t>(got), 1, port, call, const_cast<std::function<void(const nlmsghdr*)>*>(&each));
  }
  return more == MNL_CB_STOP ? 0 : errno;
}

enum class Kind : std::uint8_t { kTun, kThrow, kBlackhole };

int change_route(bool add, std::uint32_t table, Kind kind, const Prefix& destination, unsigned tun_index, const std::optional<esp::IpAddress>& source) {
  rtmsg header{};
  header.rtm_family = static_cast<std::uint8_t>(family_of(destination));
  header.rtm_dst_len = destination.len;
  header.rtm_table = RT_TABLE_UNSPEC;  // RTA_TABLE has the number
  header.rtm_protocol = RTPROT_STATIC;
  header.rtm_scope = kind == Kind::kTun ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
  header.rtm_type = kind == Kind::kTun ? RTN_UNICAST : kind == Kind::kThrow ? RTN_THROW : RTN_BLACKHOLE;
  Request request(add ? RTM_NEWROUTE : RTM_DELROUTE, add ? NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL : NLM_F_ACK, header);
  request.u32(RTA_TABLE, table);
  request.bytes(RTA_DST, destination.address.bytes());
  request.u32(RTA_PRIORITY, kind == Kind::kBlackhole ? kBlackholeMetric : 1);
  if (kind == Kind::kTun) request.u32(RTA_OIF, tun_index);
  if (kind == Kind::kTun && source) request.bytes(RTA_PREFSRC, source->bytes());
  return transact(request);
}

// All but espd's own packets look into the table; IKE of this host does not.
int change_rules(bool add, std::uint8_t family, std::uint32_t number) {
  const auto flags = static_cast<std::uint16_t>(add ? NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL : NLM_F_ACK);
  const auto type = static_cast<std::uint16_t>(add ? RTM_NEWRULE : RTM_DELRULE);
  fib_rule_hdr header{};
  header.family = family;
  header.action = FR_ACT_TO_TBL;
  Request ike(type, flags, header);
  ike.u32(FRA_TABLE, RT_TABLE_MAIN);
  ike.u32(FRA_PRIORITY, number - 1);
  ike.object(FRA_IIFNAME, "lo");  // made on this host
  ike.object(FRA_IP_PROTO, std::uint8_t{IPPROTO_UDP});
  ike.object(FRA_SPORT_RANGE, fib_rule_port_range{kIkePort, kIkePort});
  header.flags = FIB_RULE_INVERT;
  Request unmarked(type, flags, header);
  unmarked.u32(FRA_TABLE, number);
  unmarked.u32(FRA_PRIORITY, number);
  unmarked.u32(FRA_FWMARK, number);
  unmarked.u32(FRA_FWMASK, UINT32_MAX);
  const int first = transact(ike);
  const int second = transact(unmarked);
  return first != 0 ? first : second;
}

// A kernel without IPv6 has no rules for it, and needs none.
bool is_absent(int number) { return number == EAFNOSUPPORT || number == EOPNOTSUPP; }

Status flush(std::uint32_t table) {
  for (const std::uint8_t family : kFamilies) {
    struct Found {
      rtmsg header;
      Bytes destination;
      std::uint32_t priority;
    };
    std::vector<Found> found;
    rtmsg header{};
    header.rtm_family = family;
    Request dump(RTM_GETROUTE, NLM_F_DUMP, header);
    const int dumped = transact(dump, [&](const nlmsghdr* message) {
      if (message->nlmsg_type != RTM_NEWROUTE || mnl_nlmsg_get_payload_len(message) < sizeof(rtmsg)) return;
      struct Seen {
        Found route;
        std::uint32_t table;
      };
      const auto& head = *static_cast<const rtmsg*>(mnl_nlmsg_get_payload(message));
      Seen seen{{head, {}, 0}, head.rtm_table};
      const auto on_attribute = [](const nlattr* attribute, void* into) {
        auto& [route, of_table] = *static_cast<Seen*>(into);
        const auto* data = static_cast<const Byte*>(mnl_attr_get_payload(attribute));
        if (mnl_attr_get_type(attribute) == RTA_TABLE) of_table = mnl_attr_get_u32(attribute);
        if (mnl_attr_get_type(attribute) == RTA_PRIORITY) route.priority = mnl_attr_get_u32(attribute);
        if (mnl_attr_get_type(attribute) == RTA_DST) route.destination.assign(data, data + mnl_attr_get_payload_len(attribute));
        return MNL_CB_OK;
      };
      mnl_attr_parse(message, sizeof(rtmsg), on_attribute, &seen);
      if (seen.table == table) found.push_back(std::move(seen.route));
    });
    if (is_absent(dumped)) continue;
    if (dumped != 0) return netlink_error("read the routes", dumped);
    for (const Found& route : found) {
      rtmsg gone = route.header;
      gone.rtm_table = RT_TABLE_UNSPEC;
      gone.rtm_flags = 0;
      Request request(RTM_DELROUTE, NLM_F_ACK, gone);
      request.u32(RTA_TABLE, table);
      if (!route.destination.empty()) request.bytes(RTA_DST, route.destination);
      if (route.priority != 0) request.u32(RTA_PRIORITY, route.priority);
      if (const int number = transact(request); number != 0 && number != ESRCH) return netlink_error("remove a route", number);
    }
  }
  return ok();
}

}  // namespace

std::vector<Route> routes_for(const std::vector<Policy>& policies) {
  std::vector<Route> out;
  for (std::size_t i = 0; i < policies.size(); ++i) {
    const Policy& p = policies[i];
    const Prefix& to = p.remote_ts.prefix;
    // Policies may share a destination; the first has its say, but a later one that needs the packets gets them.
    const bool everything = p.action == Action::kBypass && p.local_ts.prefix.len == 0 && p.local_ts.protocol == 0 && p.remote_ts.protocol == 0;
    const bool before = std::any_of(policies.begin(), policies.begin() + static_cast<std::ptrdiff_t>(i),
                                    [&](const Policy& earlier) { return earlier.action != Action::kBypass && earlier.remote_ts.prefix.overlaps(to); });
    if (p.action == Action::kBypass && (!everything || before)) continue;  // espd lets it pass, where it gets the packet at all
    if (std::ranges::find(out, to, &Route::destination) != out.end()) continue;
    Route route{to, p.action == Action::kBypass, {}};
    if (p.action == Action::kProtect) route.source = p.mode == esp::Mode::kTransport ? std::optional(p.local) : own_address_in(p.local_ts.prefix);
    out.push_back(route);
  }
  return out;
}

Result<PolicyRouting> PolicyRouting::create(std::uint32_t number, unsigned tun_index) {
  ESPLANADE_CHECK(remove_all(number));
  PolicyRouting out(number, tun_index);
  for (const std::uint8_t family : kFamilies) {
    if (const int wrong = change_rules(true, family, number); wrong != 0 && !is_absent(wrong)) return netlink_error(fmt::format("add the routing rules {} and {}", number - 1, number), wrong);
  }
  return out;
}

PolicyRouting::PolicyRouting(PolicyRouting&& other) noexcept
    : number_(std::exchange(other.number_, 0)), tun_index_(other.tun_index_), keep_(other.keep_), routes_(std::move(other.routes_)) {}

PolicyRouting::~PolicyRouting() {
  if (number_ != 0 && !keep_) (void)remove_all(number_);
}

Status PolicyRouting::apply(const std::vector<Policy>& policies) {
  std::vector<Route> wanted = routes_for(policies);
  const auto change = [&](bool add, const Route& route) -> Status {
    const auto one = [&](Kind kind) {
      const int number = change_route(add, number_, kind, route.destination, tun_index_, route.source);
      return number == (add ? EEXIST : ESRCH) ? 0 : number;
    };
    int number = one(route.thrown ? Kind::kThrow : Kind::kTun);
    if (number == 0 && !route.thrown) number = one(Kind::kBlackhole);
    if (number == 0) return ok();
    return netlink_error(fmt::format("{} the route to {}", add ? "add" : "remove", to_string(route.destination)), number);
  };
  // What becomes unprotected goes last: in between there is rather too much protection.
  for (const Route& route : wanted) {
    const auto former = std::ranges::find(routes_, route.destination, &Route::destination);
    if (former != routes_.end() && *former == route) continue;
    if (former != routes_.end()) {
      ESPLANADE_CHECK(change(false, *former));
      routes_.erase(former);
    }
    ESPLANADE_CHECK(change(true, route));
    routes_.push_back(route);
  }
  for (const Route& route : std::vector<Route>(routes_)) {
    if (std::ranges::find(wanted, route.destination, &Route::destination) != wanted.end()) continue;
    ESPLANADE_CHECK(change(false, route));
    std::erase(routes_, route);
  }
  return ok();
}

Status PolicyRouting::remove_all(std::uint32_t number) {
  for (const std::uint8_t family : kFamilies) {
    const int wrong = change_rules(false, family, number);
    if (wrong != 0 && wrong != ENOENT && !is_absent(wrong)) return netlink_error("remove the routing rules", wrong);
  }
  return flush(number);
}

std::optional<std::size_t> link_mtu(const esp::IpAddress& to, std::uint32_t mark) {
  rtmsg header{};
  header.rtm_family = to.version == 4 ? AF_INET : AF_INET6;
  header.rtm_dst_len = static_cast<std::uint8_t>(to.bytes().size() * 8);
  Request request(RTM_GETROUTE, NLM_F_ACK, header);
  request.bytes(RTA_DST, to.bytes());
  request.u32(RTA_MARK, mark);
  unsigned index = 0;
  const int wrong = transact(request, [&index](const nlmsghdr* message) {
    const auto on_attribute = [](const nlattr* attribute, void* into) {
      if (mnl_attr_get_type(attribute) == RTA_OIF && mnl_attr_get_payload_len(attribute) == sizeof(std::uint32_t)) *static_cast<unsigned*>(into) = mnl_attr_get_u32(attribute);
      return MNL_CB_OK;
    };
    mnl_attr_parse(message, sizeof(rtmsg), on_attribute, &index);
  });
  ifreq asked{};
  if (wrong != 0 || index == 0 || ::if_indextoname(index, asked.ifr_name) == nullptr) return std::nullopt;
  const Fd control(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!control || ::ioctl(control.get(), SIOCGIFMTU, &asked) != 0) return std::nullopt;
  return static_cast<std::size_t>(asked.ifr_mtu);
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
