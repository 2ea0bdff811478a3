#include "host/espd/tun.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
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

Result<Tun> Tun::create(const std::string& name, int mtu, std::size_t queues) {
  std::vector<pfkey::Fd> fds;
  for (std::size_t i = 0; i < queues; ++i) {
    pfkey::Fd fd(::open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK));
    if (!fd && errno == ENOENT) {
      return Error{Errc::kIo,
                   "/dev/net/tun is missing: load the kernel module `tun`, or give the container this device"};
    }
    if (!fd) return os_error("cannot open /dev/net/tun");
    ifreq request = request_for(name);
    request.ifr_flags = static_cast<short>(IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | (queues > 1 ? IFF_MULTI_QUEUE : 0) | (i == 0 ? IFF_TUN_EXCL : 0));
    if (::ioctl(fd.get(), TUNSETIFF, &request) != 0) return os_error(i == 0 ? "cannot make the TUN device " + name : fmt::format("cannot open queue {} of the TUN device {}", i + 1, name));
    fds.push_back(std::move(fd));
  }
  constexpr unsigned kTcp = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6, kUdp = 0x20 | 0x40;  // TUN_F_USO4, TUN_F_USO6: Linux 6.2
  const bool joins_udp = ::ioctl(fds[0].get(), TUNSETOFFLOAD, kTcp | kUdp) == 0;
  if (!joins_udp && ::ioctl(fds[0].get(), TUNSETOFFLOAD, kTcp) != 0)
    return os_error("cannot have TCP in large packets from " + name);
  // No address of its own: the kernel's router solicitations would only fill the drop counters.
  const std::string path = "/proc/sys/net/ipv6/conf/" + name + "/addr_gen_mode";
  const pfkey::Fd setting(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  [[maybe_unused]] const auto written = setting ? ::write(setting.get(), "1", 1) : 0;
  ESPLANADE_CHECK(bring_up(name, mtu));
  std::vector<TunQueue> out;
  for (pfkey::Fd& fd : fds) out.emplace_back(std::move(fd), joins_udp);
  return Tun(std::move(out), ::if_nametoindex(name.c_str()));
}

Result<bool> TunQueue::read(const std::function<void(ByteView)>& take) {
  Offload offload;
  iovec parts[2] = {{&offload, sizeof offload}, {room_.data(), room_.size()}};
  const ssize_t got = ::readv(fd_.get(), parts, 2);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  if (got < 0) return os_error("the TUN device broke");
  if (got == 0) return Error{Errc::kIo, "the TUN device ended"};
  const auto size = static_cast<std::size_t>(got);
  if (size < sizeof offload || !split(offload, MutableBytes(room_).first(size - sizeof offload), take))
    return Error{Errc::kMalformed, fmt::format("the TUN device gave a packet of {} octets that is not what its header says", size)};
  return true;
}

void TunQueue::write(ByteView packet) {
  for (Run& run : runs_) {
    if (!run.same_flow(packet)) continue;
    if ((joins_udp_ || !run.is_udp()) && run.join(packet)) return;
    write(run);
    return run.begin(packet);
  }
  Run& run = runs_[oldest_++ % runs_.size()];
  if (!run.empty()) write(run);
  run.begin(packet);
}

void TunQueue::write(Run& run) {
  const std::size_t count = run.size();
  const std::vector<iovec>& parts = run.take();
  std::size_t size = 0;
  for (const iovec& part : parts) size += part.iov_len;
  const bool taken = ::writev(fd_.get(), parts.data(), static_cast<int>(parts.size())) == static_cast<ssize_t>(size);
  (taken ? written_.packets : written_.failed) += count;
}

TunQueue::Written TunQueue::flush() {
  for (std::size_t i = 0; i < runs_.size(); ++i) {
    Run& run = runs_[(oldest_ + i) % runs_.size()];
    if (!run.empty()) write(run);
  }
  return std::exchange(written_, {});
}

}  // namespace esplanade::espd
