#include "host/espd/tun.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace esplanade::espd {

namespace {

Error os_error(const std::string& what) {
  const int number = errno;
  if (number == EPERM || number == EACCES) {
    return Error{Errc::kPermission, what + ": " + std::strerror(number) +
                                        "; espd needs root or CAP_NET_ADMIN, and access to /dev/net/tun"};
  }
  return Error{number == EBUSY ? Errc::kState : Errc::kIo, what + ": " + std::strerror(number)};
}

ifreq request_for(const std::string& name) {
  ifreq request{};
  name.copy(request.ifr_name, IFNAMSIZ - 1);
  return request;
}

Status bring_up(const std::string& name, int mtu) {
  const pfkey::Fd control(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!control) return os_error("cannot open a control socket");
  ifreq request = request_for(name);
  request.ifr_mtu = mtu;
  if (::ioctl(control.get(), SIOCSIFMTU, &request) != 0) return os_error("cannot set the MTU of " + name);
  request = request_for(name);
  if (::ioctl(control.get(), SIOCGIFFLAGS, &request) != 0)
    return os_error("cannot read the flags of " + name);
  request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
  if (::ioctl(control.get(), SIOCSIFFLAGS, &request) != 0) return os_error("cannot bring up " + name);
  return ok();
}

}  // namespace

Result<Tun> Tun::create(const std::string& name, int mtu) {
  pfkey::Fd fd(::open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK));
  if (!fd && errno == ENOENT) {
    return Error{Errc::kIo,
                 "/dev/net/tun is missing: load the kernel module `tun`, or give the container this device"};
  }
  if (!fd) return os_error("cannot open /dev/net/tun");
  ifreq request = request_for(name);
  request.ifr_flags = IFF_TUN | IFF_NO_PI | static_cast<short>(IFF_TUN_EXCL);
  if (::ioctl(fd.get(), TUNSETIFF, &request) != 0) return os_error("cannot make the TUN device " + name);
  // No address of its own: the kernel's router solicitations would only fill the drop counters.
  const std::string path = "/proc/sys/net/ipv6/conf/" + name + "/addr_gen_mode";
  const pfkey::Fd setting(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  [[maybe_unused]] const auto written = setting ? ::write(setting.get(), "1", 1) : 0;
  ESPLANADE_CHECK(bring_up(name, mtu));
  return Tun(std::move(fd), ::if_nametoindex(name.c_str()));
}

Result<std::size_t> Tun::read(MutableBytes room) {
  const ssize_t got = ::read(fd_.get(), room.data(), room.size());
  if (got >= 0) return static_cast<std::size_t>(got);
  if (errno == EAGAIN || errno == EINTR) return std::size_t{0};
  return os_error("the TUN device broke");
}

bool Tun::write(ByteView packet) {
  return ::write(fd_.get(), packet.data(), packet.size()) == static_cast<ssize_t>(packet.size());
}

}  // namespace esplanade::espd
