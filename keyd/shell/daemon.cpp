#include "keyd/shell/daemon.h"

#include <fmt/format.h>

#include <csignal>
#include <thread>

#include "common/base/log.h"
#include "common/crypto/random.h"
#include "common/pfkey/natt_frame.h"

namespace esplanade::ike {
namespace {

constexpr auto kEspdWait = std::chrono::seconds(10);  // for espd to come up when both are started at once
constexpr auto kStopRound = std::chrono::milliseconds(20);
constexpr int kStopRounds = 100;  // 2 s for espd to confirm the deletions

Secret natt_packet(const Path& path, ByteView ike, bool keepalive) {
  pfkey::NattFrame f;
  f.keepalive = keepalive;
  f.src = path.local.address;
  f.src_port = path.local.port;
  f.dst = path.remote.address;
  f.dst_port = path.remote.port;
  f.ike = ike;
  return Secret(pfkey::serialize(f));
}

}  // namespace

void Daemon::SystemRng::fill(MutableBytes out) { crypto::random_bytes(out); }

Daemon::Daemon(Config config)
    : config_(std::make_shared<const Config>(std::move(config))),
      signals_(io_, SIGINT, SIGTERM),
      timer_(io_),
      stop_timer_(io_),
      engine_(config_, rng_),
      udp_(io_, [this](const Path& path, ByteView octets) {
        engine_.on_datagram(path, octets, clock());
        turn();
      }) {}

Time Daemon::clock() {
  return std::chrono::duration_cast<Time>(std::chrono::steady_clock::now().time_since_epoch());
}

Status Daemon::connect_espd() {
  const auto give_up = std::chrono::steady_clock::now() + kEspdWait;
  bool said = false;
  auto connect = [&](const std::string& path) -> Result<pfkey::Fd> {
    for (;;) {
      auto fd = pfkey::connect_to(path);
      if (fd || fd.error().code == Errc::kPermission) return fd;
      if (std::chrono::steady_clock::now() >= give_up)
        return Error{fd.error().code, fmt::format("{}: is espd running?", fd.error().detail)};
      if (!std::exchange(said, true)) log_info("waiting for espd at {}", path);
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
  };
  ESPLANADE_TRY(pfkey_fd, connect(config_->pfkey_socket));
  ESPLANADE_TRY(natt_fd, connect(config_->natt_socket));
  PfkeyClient::Handlers handlers;
  handlers.on_spi = [this](Ticket t, const Result<std::uint32_t>& spi) {
    engine_.on_spi(t, spi, clock());
    turn();
  };
  handlers.on_installed = [this](Ticket t, const Status& status) {
    engine_.on_installed(t, status, clock());
    turn();
  };
  handlers.on_use = [this](Ticket t, const Result<std::uint64_t>& packets) {
    engine_.on_use(t, packets, clock());
    turn();
  };
  handlers.on_acquire = [this](std::uint32_t reqid, const esp::IpAddress& remote) {
    engine_.on_acquire(reqid, remote, clock());
    turn();
  };
  handlers.on_expire = [this](std::uint32_t spi, bool hard) {
    engine_.on_expire(spi, hard, clock());
    turn();
  };
  auto gone = [this](const std::string& why) {
    asio::post(io_, [this, why] {
      stop(Error{Errc::kIo, fmt::format("the connection to espd ended: {}", why)});
    });
  };
  handlers.on_closed = gone;
  pfkey_ = std::make_unique<PfkeyClient>(io_, std::move(pfkey_fd), std::move(handlers));
  natt_ = std::make_unique<PacketSocket>(
      io_, std::move(natt_fd), pfkey::kMaxNattFrame, [this](ByteView p) { on_natt_packet(p); }, gone);
  return ok();
}

Status Daemon::open() {
  for (const auto& c : config_->connections) ESPLANADE_CHECK(udp_.add({c->local, config_->port}));
  ESPLANADE_CHECK(connect_espd());
  pfkey_->register_key_socket();
  return ok();
}

Status Daemon::run() {
  signals_.async_wait([this](const asio::error_code& ec, int number) {
    if (ec) return;
    log_info("stopping on {}", number == SIGINT ? "SIGINT" : "SIGTERM");
    stop(ok());
  });
  log_info("ready: {} connections, UDP port {}", config_->connections.size(), config_->port);
  engine_.start(clock());
  turn();
  io_.run();
  return result_;
}

void Daemon::turn() {
  for (auto outputs = engine_.take_outputs(); !outputs.empty(); outputs = engine_.take_outputs())
    for (Output& o : outputs) std::visit([this](auto& x) { perform(x); }, o);
  const auto next = engine_.next_timer();
  if (next == armed_) return;
  armed_ = next;
  if (!next) {
    timer_.cancel();
    return;
  }
  timer_.expires_at(std::chrono::steady_clock::time_point(*next));
  timer_.async_wait([this](const asio::error_code& ec) {
    if (ec) return;
    armed_.reset();
    engine_.on_timer(clock());
    turn();
  });
}

void Daemon::perform(SendDatagram& d) {
  if (d.path.local.port == kNattPort && config_->port != kNattPort) {
    natt_->send(natt_packet(d.path, d.octets, false));
  } else {
    udp_.send(d.path, d.octets);
  }
}

void Daemon::perform(SendKeepalive& k) { natt_->send(natt_packet(k.path, {}, true)); }

void Daemon::perform(Event& e) {
  const std::string who = e.child.empty() ? e.connection : fmt::format("{}/{}", e.connection, e.child);
  switch (e.kind) {
    case Event::Kind::kMainModeUp:
    case Event::Kind::kChildUp:
      return log_info("{}: up: {}", who, e.text);
    case Event::Kind::kMainModeDown:
    case Event::Kind::kChildDown:
      return log_info("{}: down: {}", who, e.text);
    case Event::Kind::kFailed:
      return log_warn("{}: failed: {}", who, e.text);
  }
}

void Daemon::on_natt_packet(ByteView packet) {
  auto frame = pfkey::parse_natt_frame(packet);
  if (!frame) return log_warn("packet on natt.sock dropped: {}", frame.error().detail);
  if (frame->keepalive) return;
  engine_.on_datagram({{frame->dst, frame->dst_port}, {frame->src, frame->src_port}}, frame->ike, clock());
  turn();
}

void Daemon::stop(Status result) {
  if (stopping_) return;
  stopping_ = true;
  result_ = std::move(result);
  engine_.shutdown(clock());
  turn();
  finish_when_idle(result_ ? kStopRounds : 0);
}

void Daemon::finish_when_idle(int rounds_left) {
  if (rounds_left == 0 || (pfkey_->idle() && natt_->idle())) return io_.stop();
  stop_timer_.expires_after(kStopRound);
  stop_timer_.async_wait([this, rounds_left](const asio::error_code& ec) {
    if (!ec) finish_when_idle(rounds_left - 1);
  });
}

}  // namespace esplanade::ike
