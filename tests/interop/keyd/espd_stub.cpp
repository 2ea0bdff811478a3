// A stand-in for espd in tests of keyd alone: PF_KEY and natt.sock for one keyd, UDP 4500, and an end of the
// tunnel that answers pings. Keys prove themselves: an echo request of the real peer is decapsulated with the
// inbound SA that keyd installed, and the reply goes out through the outbound one; SAs without UDP encapsulation are
// only kept. Prints a line an event, for an SA with a digest of its keys, so that two ends can be compared.
//
//   espd-stub DIR LOCAL-IPV4[,LOCAL-IPV4...] [--acquire REQID PEER] [--expire-soft SECONDS] [--one-way]
//
// With --one-way it tells keyd that packets go out all the time and none come in.
#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "common/crypto/hash.h"
#include "common/crypto/random.h"
#include "common/esp/engine.h"
#include "common/esp/ip.h"
#include "common/esp/natt.h"
#include "common/pfkey/natt_frame.h"
#include "common/pfkey/sa_message.h"
#include "common/pfkey/socket.h"

using namespace esplanade;

namespace {

constexpr std::uint16_t kPort = 4500;
constexpr std::size_t kIpUdpLen = 20 + 8;

[[noreturn]] void die(const std::string& why) {
  std::fprintf(stderr, "espd-stub: %s\n", why.c_str());
  std::exit(1);
}

template <class T>
T need(Result<T> r) {
  if (!r) die(r.error().detail);
  return std::move(r).value();
}

sockaddr_in to_sockaddr(const esp::IpAddress& a, std::uint16_t port) {
  sockaddr_in s{};
  s.sin_family = AF_INET;
  s.sin_port = htons(port);
  std::memcpy(&s.sin_addr, a.octets.data(), 4);
  return s;
}

// Turns an ICMP echo request into its reply, in place. False when it is something else.
bool make_echo_reply(Bytes& packet) {
  auto ip = esp::parse_ip(packet);
  if (!ip || ip->version != 4 || ip->protocol != 1 || packet.size() < ip->upper_at + 8 ||
      packet[ip->upper_at] != 8)
    return false;
  for (std::size_t i = 0; i < 4; ++i) std::swap(packet[12 + i], packet[16 + i]);
  packet[ip->upper_at] = 0;
  // RFC 1624: the checksum's one's complement sum loses 0x0800.
  Byte* sum = packet.data() + ip->upper_at + 2;
  std::uint32_t v = load_be16(sum) + 0x0800u;
  store_be16(sum, static_cast<std::uint16_t>(v + (v >> 16)));
  return true;
}

// Eight hex digits that tell whether two ends have the same keys, and nothing else about them.
std::string digest(const esp::SaParams& sa) {
  const Bytes hash = crypto::hash(crypto::Hash::kSha1, {sa.enc_key.reveal(), sa.auth_key.reveal()});
  return to_hex(ByteView(hash).first(4));
}

class Stub {
 public:
  Stub(const std::string& dir, const std::vector<std::string>& locals)
      : pfkey_listener_(need(pfkey::Listener::create(dir + "/pfkey.sock"))),
        natt_listener_(need(pfkey::Listener::create(dir + "/natt.sock"))) {
    for (const std::string& local : locals) {
      const esp::IpAddress address = need(esp::parse_address(local));
      pfkey::Fd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
      const sockaddr_in s = to_sockaddr(address, kPort);
      if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&s), sizeof s) != 0) die("cannot bind UDP 4500");
      udp_.emplace_back(address, std::move(fd));
    }
    std::uint32_t random = 0;
    crypto::random_bytes(MutableBytes(reinterpret_cast<Byte*>(&random), sizeof random));
    next_spi_ = (random | 0x10000) & 0x7fffff00;
  }

  std::uint32_t acquire_reqid = 0;
  esp::IpAddress acquire_peer;
  int expire_soft_s = 0;
  bool one_way = false;

  [[noreturn]] void run() {
    std::puts("READY");
    std::fflush(stdout);
    for (;;) {
      std::vector<pollfd> fds{{pfkey_listener_.fd(), POLLIN, 0},
                              {natt_listener_.fd(), POLLIN, 0},
                              {pfkey_.get(), POLLIN, 0},
                              {natt_.get(), POLLIN, 0}};
      for (const auto& [address, fd] : udp_) fds.push_back({fd.get(), POLLIN, 0});
      ::poll(fds.data(), fds.size(), 100);
      accept(pfkey_listener_, pfkey_);
      accept(natt_listener_, natt_);
      if (fds[2].revents != 0) read(pfkey_, pfkey::kMaxMessage, [this](ByteView p) { on_pfkey(p); });
      if (fds[3].revents != 0) read(natt_, pfkey::kMaxNattFrame, [this](ByteView p) { on_natt(p); });
      for (std::size_t i = 0; i < udp_.size(); ++i)
        if (fds[4 + i].revents != 0) on_udp(udp_[i].first, udp_[i].second.get());
      expire();
      std::fflush(stdout);
    }
  }

 private:
  static void accept(pfkey::Listener& listener, pfkey::Fd& fd) {
    auto accepted = need(listener.accept());
    if (accepted) fd = std::move(*accepted);
  }

  template <class F>
  void read(pfkey::Fd& fd, std::size_t most, F&& f) {
    while (fd) {
      Bytes packet;
      auto received = pfkey::receive(fd.get(), packet, most);
      if (!received || *received == pfkey::Received::kClosed) {
        fd.reset();
        std::puts("KEYD GONE");
        return;
      }
      if (*received == pfkey::Received::kNothing) return;
      f(packet);
    }
  }

  void answer(pfkey::Message m) {
    auto octets = need(pfkey::serialize(m));
    if (pfkey_) (void)pfkey::send(pfkey_.get(), octets.reveal());
  }

  void on_pfkey(ByteView packet) {
    auto m = need(pfkey::parse(packet));
    pfkey::Message reply;
    reply.type = m.type;
    reply.satype = m.satype;
    reply.seq = m.seq;
    reply.pid = m.pid;
    switch (m.type) {
      case pfkey::Type::kRegister:
        acquire();
        break;
      case pfkey::Type::kGetspi:
        reply.sa = pfkey::SaExt{};
        reply.sa->spi = next_spi_++;
        std::printf("GETSPI %08x\n", reply.sa->spi);
        break;
      case pfkey::Type::kUpdate:
      case pfkey::Type::kAdd: {
        if (pfkey::is_move(m)) {
          std::printf("MOVE %08x\n", m.sa->spi);
          break;
        }
        const bool outbound = m.type == pfkey::Type::kAdd;
        auto params = need(pfkey::sa_params(std::move(m), outbound));
        const std::uint32_t spi = params.spi;
        const esp::IpAddress remote = outbound ? params.dst : params.src;
        std::printf("%s %08x life %u s %llu octets\n", outbound ? "ADD" : "UPDATE", spi, params.hard.seconds,
                    static_cast<unsigned long long>(params.hard.bytes));
        std::printf("KEYS %s %s %08x %s %s\n", outbound ? "out" : "in", params.protocol == esp::Protocol::kAh ? "AH" : "ESP",
                    spi, params.mode == esp::Mode::kTunnel ? "tunnel" : "transport", digest(params).c_str());
        auto sa = need(esp::SoftSa::create(std::move(params)));
        auto& table = outbound ? outbound_ : inbound_;
        table.insert_or_assign(spi, Held{std::move(sa), remote, ++order_});
        if (!outbound) added_[spi] = std::chrono::steady_clock::now();
        break;
      }
      case pfkey::Type::kGet: {
        const bool outbound = m.src && is_ours(m.src->address);
        auto& table = outbound ? outbound_ : inbound_;
        auto it = m.sa ? table.find(m.sa->spi) : table.end();
        reply.lifetime_current = pfkey::LifetimeExt{};
        if (it == table.end())
          reply.error = ESRCH;
        else
          reply.lifetime_current->allocations =
              !one_way ? static_cast<std::uint32_t>(it->second.sa.counters().packets) : outbound ? ++asked_ : 0;
        break;
      }
      case pfkey::Type::kDelete:
        if (m.sa) {
          std::printf("DELETE %08x\n", m.sa->spi);
          if (m.src && is_ours(m.src->address))
            outbound_.erase(m.sa->spi);
          else
            inbound_.erase(m.sa->spi);
        }
        break;
      default:
        break;
    }
    answer(std::move(reply));
  }

  void acquire() {
    if (acquire_reqid == 0) return;
    pfkey::Message m;
    m.type = pfkey::Type::kAcquire;
    m.satype = pfkey::SaType::kEsp;
    m.src = pfkey::host_address(udp_.front().first);
    m.dst = pfkey::host_address(acquire_peer);
    m.sa2 = pfkey::Sa2Ext{pfkey::kModeTunnel, 0, acquire_reqid};
    answer(std::move(m));
  }

  void expire() {
    if (expire_soft_s == 0) return;
    const auto now = std::chrono::steady_clock::now();
    for (auto it = added_.begin(); it != added_.end();) {
      if (now - it->second < std::chrono::seconds(expire_soft_s)) {
        ++it;
        continue;
      }
      pfkey::Message m;
      m.type = pfkey::Type::kExpire;
      m.satype = pfkey::SaType::kEsp;
      m.sa = pfkey::SaExt{};
      m.sa->spi = it->first;
      m.lifetime_soft = pfkey::LifetimeExt{0, 0, static_cast<std::uint64_t>(expire_soft_s), 0};
      std::printf("EXPIRE %08x\n", it->first);
      answer(std::move(m));
      it = added_.erase(it);
      expire_soft_s = 0;  // once
      return;
    }
  }

  bool is_ours(const esp::IpAddress& address) const {
    return std::ranges::any_of(udp_, [&](const auto& end) { return end.first == address; });
  }

  void send_udp(const esp::IpAddress& from, const esp::IpAddress& to, std::uint16_t port, ByteView payload) {
    const sockaddr_in s = to_sockaddr(to, port);
    const auto end = std::ranges::find(udp_, from, [](const auto& e) { return e.first; });
    if (end == udp_.end()) die("a datagram from an address that is not ours");
    ::sendto(end->second.get(), payload.data(), payload.size(), 0, reinterpret_cast<const sockaddr*>(&s), sizeof s);
  }

  void on_natt(ByteView packet) {
    auto f = need(pfkey::parse_natt_frame(packet));
    Bytes payload;
    if (f.keepalive)
      payload = {0xff};
    else
      put_be32(payload, 0);
    put(payload, f.ike);
    send_udp(f.src, f.dst, f.dst_port, payload);
  }

  void on_udp(const esp::IpAddress& local, int fd) {
    Bytes buffer(65536);
    sockaddr_in from{};
    socklen_t from_len = sizeof from;
    const ssize_t got = ::recvfrom(fd, buffer.data(), buffer.size(), 0,
                                   reinterpret_cast<sockaddr*>(&from), &from_len);
    if (got <= 0) return;
    const ByteView payload = ByteView(buffer).first(static_cast<std::size_t>(got));
    esp::IpAddress remote;
    std::memcpy(remote.octets.data(), &from.sin_addr, 4);
    const std::uint16_t port = ntohs(from.sin_port);
    switch (esp::classify_natt(payload)) {
      case esp::NattKind::kIke: {
        pfkey::NattFrame f;
        f.src = remote;
        f.src_port = port;
        f.dst = local;
        f.dst_port = kPort;
        f.ike = payload.subspan(esp::kNonEspMarkerLen);
        if (natt_) (void)pfkey::send(natt_.get(), pfkey::serialize(f));
        return;
      }
      case esp::NattKind::kEsp:
        return on_esp(local, remote, port, payload);
      default:
        return;
    }
  }

  void on_esp(const esp::IpAddress& local, const esp::IpAddress& remote, std::uint16_t port, ByteView payload) {
    auto sa = inbound_.find(load_be32(payload.data()));
    if (sa == inbound_.end()) {
      std::puts("ESP WITHOUT SA");
      return;
    }
    // The engine takes whole packets: the headers that the socket took away are put back.
    const std::size_t total = kIpUdpLen + payload.size();
    Bytes outer(20, 0);
    outer[0] = 0x45;
    store_be16(outer.data() + 2, static_cast<std::uint16_t>(total));
    outer[8] = 64;
    outer[9] = esp::kProtoUdp;
    std::copy_n(remote.octets.begin(), 4, outer.begin() + 12);
    std::copy_n(local.octets.begin(), 4, outer.begin() + 16);
    store_be16(outer.data() + 10, esp::ipv4_checksum(outer));
    put_be16(outer, port);
    put_be16(outer, kPort);
    put_be16(outer, static_cast<std::uint16_t>(total - 20));
    put_be16(outer, 0);
    put(outer, payload);
    auto inner = sa->second.sa.decap(outer);
    if (!inner) {
      std::printf("DECAP FAILED %s\n", inner.error().detail.c_str());
      return;
    }
    if (!make_echo_reply(inner->packet)) return;
    Held* newest = nullptr;
    for (auto& [spi, held] : outbound_)
      if (newest == nullptr || held.order > newest->order) newest = &held;
    if (newest == nullptr) return;
    auto wire = need(newest->sa.encap(inner->packet));
    send_udp(local, newest->remote, newest->sa.params().natt->dst_port, ByteView(wire.packet).subspan(kIpUdpLen));
    std::printf("ECHO in %08x out %08x\n", sa->first, newest->sa.params().spi);
  }

  struct Held {
    esp::SoftSa sa;
    esp::IpAddress remote;
    unsigned order;
  };
  pfkey::Listener pfkey_listener_;
  pfkey::Listener natt_listener_;
  std::vector<std::pair<esp::IpAddress, pfkey::Fd>> udp_;  // our ends of UDP 4500
  pfkey::Fd pfkey_;
  pfkey::Fd natt_;
  std::map<std::uint32_t, Held> inbound_;
  std::map<std::uint32_t, Held> outbound_;
  std::map<std::uint32_t, std::chrono::steady_clock::time_point> added_;
  unsigned order_ = 0;
  std::uint32_t asked_ = 0;
  std::uint32_t next_spi_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) die("usage: espd-stub DIR LOCAL-IPV4[,...] [--acquire REQID PEER] [--expire-soft SECONDS]");
  std::vector<std::string> locals;
  std::stringstream list(argv[2]);
  for (std::string one; std::getline(list, one, ',');) locals.push_back(one);
  if (locals.empty()) die("no local address");
  Stub stub(argv[1], locals);
  for (int i = 3; i < argc; ++i) {
    const std::string arg = argv[i];
    if (arg == "--acquire" && i + 2 < argc) {
      stub.acquire_reqid = static_cast<std::uint32_t>(std::strtoul(argv[i + 1], nullptr, 0));
      stub.acquire_peer = need(esp::parse_address(argv[i + 2]));
      i += 2;
    } else if (arg == "--one-way") {
      stub.one_way = true;
    } else if (arg == "--expire-soft" && i + 1 < argc) {
      stub.expire_soft_s = std::atoi(argv[++i]);
    } else {
      die("unknown argument " + arg);
    }
  }
  stub.run();
}
