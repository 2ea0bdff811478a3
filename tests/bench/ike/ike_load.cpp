// Many IKEv1 initiators in one process, for measuring a responder: each with an address of its own, main mode and quick
// mode once, its SAs kept by the responder. Prints one JSON object. In a network namespace where all of BASE/16 is local:
//
//   ike-load --responder IP --base 10.8.0.0 --first N --count N --concurrent N --suite 3des-sha1-modp1024 [--psk TEXT]
//            [--cert FILE --key FILE --ca FILE --id NAME --peer-id NAME]   {} in the certificate's file and name: the initiator's
//                                                                          number, for each an identity of its own
//   ike-load --ceiling [--key FILE --cert FILE]   set-ups a second that the public-key operations of a responder allow on one core
#include <CLI/CLI.hpp>
#include <arpa/inet.h>
#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <ctime>
#include <fstream>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "common/base/log.h"
#include "common/crypto/dh.h"
#include "common/crypto/random.h"
#include "common/crypto/private_key.h"
#include "common/crypto/x509.h"
#include "common/esp/natt.h"
#include "keyd/sa/engine.h"
#include "tests/unit/keyd/test_holder.h"

using namespace esplanade;
using namespace esplanade::ike;

namespace {

using Clock = std::chrono::steady_clock;

struct SystemRng final : Rng {
  void fill(MutableBytes out) override { crypto::random_bytes(out); }
};

Time now() { return std::chrono::duration_cast<Time>(Clock::now().time_since_epoch()); }

[[noreturn]] void die(const std::string& why) {
  fmt::print(stderr, "ike-load: {}\n", why);
  std::exit(1);
}

std::string read_file(const std::string& path) {
  std::ifstream in(path);
  std::ostringstream text;
  text << in.rdbuf();
  if (!in) die("cannot read " + path);
  return text.str();
}

struct Options {
  std::string responder, base = "10.8.0.0", suite = "3des-sha1-modp1024", psk = "bench", cert, key, ca, id, peer_id;
  std::size_t first = 1, count = 100, concurrent = 8;
};

std::string address_of(const Options& o, std::size_t number) {
  in_addr a{};
  if (::inet_pton(AF_INET, o.base.c_str(), &a) != 1) die("no address: " + o.base);
  a.s_addr = htonl(ntohl(a.s_addr) + static_cast<std::uint32_t>(number));
  char text[INET_ADDRSTRLEN];
  return ::inet_ntop(AF_INET, &a, text, sizeof text);
}

std::string numbered(std::string text, std::size_t number) {
  if (const auto at = text.find("{}"); at != text.npos) text.replace(at, 2, std::to_string(number));
  return text;
}

std::shared_ptr<const Config> config_of(const Options& o, std::size_t number, const std::string& local) {
  const std::string auth = o.cert.empty() ? "psk" : "pubkey";
  auto config = parse_config(
      fmt::format("[espd]\npfkey = \"/none\"\nnatt = \"/none\"\n[connections.c]\nlocal_addrs = \"{}\"\nremote_addrs = \"{}\"\n"
                  "proposals = \"{}\"\ndpd_delay = 0\n[connections.c.local]\nauth = \"{}\"\n{}[connections.c.remote]\nauth = \"{}\"\n{}"
                  "[connections.c.children.n]\nlocal_ts = \"dynamic\"\nremote_ts = \"10.2.0.0/16\"\nesp_proposals = \"3des-sha1\"\nreqid = 1\n"
                  "start_action = \"start\"\n",
                  local, o.responder, o.suite, auth,
                  o.cert.empty() ? "" : fmt::format("certs = [\"{}\"]\nid = \"{}\"\n", numbered(o.cert, number), numbered(o.id, number)), auth,
                  o.cert.empty() ? "" : fmt::format("cacerts = [\"{}\"]\nid = \"{}\"\n", o.ca, o.peer_id)),
      "ike-load");
  if (!config) die(config.error().detail);
  return std::make_shared<const Config>(std::move(*config));
}

/// One initiator from its first message to the installed pair.
class Initiator {
 public:
  Initiator(const Options& o, std::size_t number, const std::string& key, int epoll)
      : local_(address_of(o, number)), engine_(config_of(o, number, local_), rng_), began_(Clock::now()) {
    engine_.set_wall_clock([] { return static_cast<std::int64_t>(::time(nullptr)); });
    holder_.psk = o.psk;
    if (!key.empty()) holder_.keys = {key};
    for (const std::uint16_t port : {std::uint16_t{500}, kNattPort}) {
      const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
      const sockaddr_in a = to_sockaddr({*esp::parse_address(local_), port});
      if (::bind(fd, reinterpret_cast<const sockaddr*>(&a), sizeof a) != 0) die("cannot bind " + local_);
      epoll_event e{};
      e.events = EPOLLIN;
      e.data.ptr = this;
      ::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e);
      sockets_.emplace_back(port, fd);
    }
  }
  ~Initiator() {
    for (const auto& [port, fd] : sockets_) ::close(fd);
  }
  Initiator(const Initiator&) = delete;
  Initiator& operator=(const Initiator&) = delete;

  void start() {
    engine_.start(now());
    pump();
  }
  void receive() {
    Byte buffer[65536];
    for (const auto& [port, fd] : sockets_) {
      sockaddr_in from{};
      socklen_t len = sizeof from;
      ssize_t got = 0;
      while ((got = ::recvfrom(fd, buffer, sizeof buffer, 0, reinterpret_cast<sockaddr*>(&from), &len)) > 0) {
        ByteView octets(buffer, static_cast<std::size_t>(got));
        if (port == kNattPort) {
          if (esp::classify_natt(octets) != esp::NattKind::kIke) continue;
          octets = octets.subspan(esp::kNonEspMarkerLen);
        }
        Path path;
        path.local = {*esp::parse_address(local_), port};
        std::memcpy(path.remote.address.octets.data(), &from.sin_addr, 4);
        path.remote.port = ntohs(from.sin_port);
        engine_.on_datagram(path, octets, now());
        pump();
      }
    }
  }
  void tick() {
    if (const auto due = engine_.next_timer(); due && *due <= now()) {
      engine_.on_timer(now());
      pump();
    }
  }
  bool up() const { return up_; }
  const std::string& failure() const { return failure_; }
  double seconds() const { return std::chrono::duration<double>(ended_ - began_).count(); }

 private:
  static sockaddr_in to_sockaddr(const Endpoint& e) {
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_port = htons(e.port);
    std::memcpy(&a.sin_addr, e.address.octets.data(), 4);
    return a;
  }
  void pump() {
    for (auto outputs = engine_.take_outputs(); !outputs.empty(); outputs = engine_.take_outputs())
      for (Output& o : outputs) std::visit([this](auto& x) { on(x); }, o);
  }
  void on(SendDatagram& d) {
    const std::size_t marker = d.path.local.port == kNattPort ? esp::kNonEspMarkerLen : 0;
    Bytes octets(marker + d.octets.size());
    std::ranges::copy(d.octets, octets.begin() + static_cast<std::ptrdiff_t>(marker));
    const sockaddr_in to = to_sockaddr(d.path.remote);
    for (const auto& [port, fd] : sockets_)
      if (port == d.path.local.port) ::sendto(fd, octets.data(), octets.size(), 0, reinterpret_cast<const sockaddr*>(&to), sizeof to);
  }
  void on(GetSpi& g) { engine_.on_spi(g.ticket, spi_++, now()); }
  void on(InstallSa& i) { engine_.on_installed(i.ticket, ok(), now()); }
  void on(CredentialRequest& r) {
    auto result = holder_.answer(r);
    if (r.ticket != 0) engine_.on_credential(r.ticket, result, now());
  }
  void on(Event& e) {
    if (e.kind == Event::Kind::kChildUp && !up_) {
      up_ = true;
      ended_ = Clock::now();
    }
    if (e.kind == Event::Kind::kFailed) failure_ = e.text;
  }
  template <class T>
  void on(T&) {}

  SystemRng rng_;
  const std::string local_;
  Engine engine_;
  test::TestHolder holder_;
  std::vector<std::pair<std::uint16_t, int>> sockets_;
  std::uint32_t spi_ = 0x1000;
  const Clock::time_point began_;
  Clock::time_point ended_;
  bool up_ = false;
  std::string failure_;
};

nlohmann::json load(const Options& o) {
  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  const std::string key = o.key.empty() ? "" : read_file(o.key);
  std::map<Initiator*, std::unique_ptr<Initiator>> running;
  std::vector<double> latencies;
  std::size_t next = o.first, failed = 0;
  std::string why;
  const auto began = Clock::now();
  auto scanned = began;
  const auto reap = [&](Initiator* i) {
    if (!i->up() && i->failure().empty()) return;
    if (i->up()) {
      latencies.push_back(i->seconds());
    } else {
      ++failed;
      why = i->failure();
    }
    running.erase(i);
  };
  while (latencies.size() + failed < o.count) {
    while (running.size() < o.concurrent && next < o.first + o.count) {
      auto made = std::make_unique<Initiator>(o, next++, key, epoll);
      Initiator* i = made.get();
      running.emplace(i, std::move(made));
      i->start();
    }
    epoll_event events[64];
    const int n = ::epoll_wait(epoll, events, std::size(events), 50);
    std::vector<Initiator*> touched;
    for (int e = 0; e < n; ++e) {
      auto* i = static_cast<Initiator*>(events[e].data.ptr);
      if (std::ranges::find(touched, i) == touched.end()) touched.push_back(i);
    }
    for (Initiator* i : touched) {
      i->receive();
      reap(i);
    }
    if (Clock::now() - scanned > std::chrono::milliseconds(100)) {
      scanned = Clock::now();
      std::vector<Initiator*> all;
      for (const auto& [i, owner] : running) all.push_back(i);
      for (Initiator* i : all) {
        i->tick();
        reap(i);
      }
    }
  }
  const double wall = std::chrono::duration<double>(Clock::now() - began).count();
  ::close(epoll);
  std::ranges::sort(latencies);
  const auto at = [&](double q) { return latencies.empty() ? 0 : 1e3 * latencies[static_cast<std::size_t>(q * static_cast<double>(latencies.size() - 1))]; };
  return {{"done", latencies.size()}, {"failed", failed}, {"why", why}, {"wall_s", wall}, {"p50_ms", at(0.5)}, {"p99_ms", at(0.99)}};
}

/// Processor seconds of this process.
double cpu_seconds() {
  timespec t{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

/// Operations of `f` in a second of processor time, over about a second.
template <class F>
double rate(F&& f) {
  const double began = cpu_seconds();
  std::size_t n = 0;
  double spent = 0;
  do {
    f();
    ++n;
    spent = cpu_seconds() - began;
  } while (spent < 1.0);
  return static_cast<double>(n) / spent;
}

nlohmann::json ceiling(const std::string& key_pem, const std::string& certificate_pem) {
  nlohmann::json out;
  for (const auto& [name, group] : {std::pair("modp768", crypto::DhGroup::kModp768), {"modp1024", crypto::DhGroup::kModp1024}, {"modp2048", crypto::DhGroup::kModp2048}}) {
    const crypto::DhKey peer = std::move(crypto::DhKey::generate(group)).value();
    out[name] = rate([&, g = group] {
      const crypto::DhKey own = std::move(crypto::DhKey::generate(g)).value();
      if (!own.shared(peer.public_value())) die("Diffie-Hellman");
    });
  }
  if (!key_pem.empty()) {
    const auto octets = [](const std::string& text) { return ByteView(reinterpret_cast<const Byte*>(text.data()), text.size()); };
    auto key = crypto::PrivateKey::from_pem(octets(key_pem));
    if (!key) die("the RSA key: " + key.error().detail);
    auto files = crypto::certificates_of_file(octets(certificate_pem));
    if (!files || files->empty()) die("the certificate is none");
    auto certificate = crypto::Certificate::parse(files->front());
    if (!certificate) die("the certificate: " + certificate.error().detail);
    const Bytes hash(20, 0x42);
    out["rsa2048_sign"] = rate([&] {
      if (!key->sign_raw(hash)) die("RSA");
    });
    const Bytes signature = *key->sign_raw(hash);
    out["rsa2048_verify"] = rate([&] {
      if (!certificate->verify_raw(hash, signature)) die("RSA");
    });
  }
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  bool want_ceiling = false;
  CLI::App app{"IKEv1 initiators for measuring a responder"};
  app.add_flag("--ceiling", want_ceiling, "what the public-key operations alone allow on one core");
  app.add_option("--responder", o.responder);
  app.add_option("--base", o.base);
  app.add_option("--first", o.first);
  app.add_option("--count", o.count);
  app.add_option("--concurrent", o.concurrent);
  app.add_option("--suite", o.suite);
  app.add_option("--psk", o.psk);
  app.add_option("--cert", o.cert);
  app.add_option("--key", o.key);
  app.add_option("--ca", o.ca);
  app.add_option("--id", o.id);
  app.add_option("--peer-id", o.peer_id);
  CLI11_PARSE(app, argc, argv);
  log_setup("ike-load", LogLevel::kError);
  const auto result = want_ceiling ? ceiling(o.key.empty() ? "" : read_file(o.key), o.cert.empty() ? "" : read_file(o.cert)) : load(o);
  std::cout << result.dump() << std::endl;
  return !want_ceiling && result["failed"] != 0 ? 1 : 0;
}
