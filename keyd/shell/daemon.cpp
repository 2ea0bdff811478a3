#include "keyd/shell/daemon.h"

#include <fmt/format.h>

#include <charconv>

#include "common/base/log.h"
#include "common/crypto/random.h"
#include "common/pfkey/natt_frame.h"
#include "keyd/control/commands.h"
#include "keyd/shell/child.h"
#include "keyd/shell/settings.h"

namespace esplanade::ike {
namespace {

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

Daemon::Daemon()
    : parent_(io_, kParentFd), timer_(io_), stop_timer_(io_), udp_(io_, [this](const Path& path, ByteView octets) {
        engine_->on_datagram(path, octets, clock());
        turn();
      }) {}

Time Daemon::clock() {
  return std::chrono::duration_cast<Time>(std::chrono::steady_clock::now().time_since_epoch());
}

int Daemon::run() {
  wait_parent();
  io_.run();
  return code_;
}

void Daemon::wait_parent() {
  parent_.async_wait(asio::posix::stream_descriptor::wait_read, [this](const asio::error_code& ec) {
    if (!ec && take_parent()) wait_parent();
  });
}

bool Daemon::take_parent() {
  for (;;) {
    auto message = take_message(kParentFd);
    if (!message) {
      stop();
      return false;
    }
    if (!*message) return true;
    on_parent(std::move(**message));
  }
}

void Daemon::on_parent(Message message) {
  const auto [word, rest] = split_word(message.text);
  auto gone = [this](const char* whose) {
    return [this, whose](const std::string& why) {
      asio::post(io_, [this, whose, why] { fail(fmt::format("the connection to {} ended: {}", whose, why)); });
    };
  };
  if (word == "config") {
    const Status done = configure(std::string(rest), message.fd.get());
    (void)send_message(kParentFd, to_reply(done));
  } else if (word == "udp") {
    if (auto added = add_port(rest, std::move(message.fd)); !added) fail(added.error().detail);
  } else if (word == "pfkey") {
    open_pfkey(std::move(message.fd));
  } else if (word == "natt") {
    natt_ = std::make_unique<PacketSocket>(io_, std::move(message.fd), pfkey::kMaxNattFrame,
                                           [this](ByteView p) { on_natt_packet(p); }, gone("espd"));
  } else if (word == "holder") {
    holder_ = std::make_unique<PacketSocket>(io_, std::move(message.fd), kHolderPacketMax,
                                             [this](ByteView p) { on_holder_packet(p); },
                                             gone("the holder of secrets"));
  } else if (word == "control") {
    control_ = std::make_unique<ControlServer>(
        io_, std::move(message.fd),
        [this](const Json& request, ControlServer::Reply reply) { on_command(request, std::move(reply)); });
    log_observe([this](std::string_view line) { control_->log(line); });
  } else if (word == "keylog") {
    keylog_.set_file(rest, std::move(message.fd));
  } else if (word == "start") {
    start();
  } else if (word == "reloaded") {
    for (auto& reply : std::exchange(reloads_, {})) reply(status_json(from_reply(rest)));
  } else if (word == "stop") {
    stop();
  }
}

Status Daemon::configure(const std::string& path, int fd) {
  if (engine_ == nullptr) {
    (void)crypto::prf(crypto::Hash::kSha1, {}, {});  // the library loads its parts before the doors close
    Bytes octets(8);
    rng_.fill(octets);
    ESPLANADE_CHECK(confine(Confinement::kNetwork));
  }
  ESPLANADE_TRY(config, config_from_fd(path, fd));
  config_ = std::make_shared<const Config>(std::move(config));
  apply_log_settings("keyd", *config_, keylog_.active());
  if (engine_ != nullptr) {
    engine_->reload(config_, clock());
    turn();
    return ok();
  }
  engine_ = std::make_unique<Engine>(config_, rng_);
  engine_->set_wall_clock([] {
    return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  });
  if (keylog_.active())
    engine_->log_keys([this](const Cookie& cky_i, ByteView key) { keylog_.main_mode(cky_i, key); });
  return ok();
}

Status Daemon::add_port(std::string_view address_and_port, pfkey::Fd fd) {
  const auto [address, port] = split_word(address_and_port);
  Endpoint local;
  ESPLANADE_TRY(parsed, esp::parse_address(address));
  local.address = parsed;
  const auto [end, ec] = std::from_chars(port.data(), port.data() + port.size(), local.port);
  if (ec != std::errc()) return Error{Errc::kMalformed, "the parent gives a port that is none"};
  return udp_.add(local, std::move(fd));
}

void Daemon::open_pfkey(pfkey::Fd fd) {
  PfkeyClient::Handlers handlers;
  handlers.on_spi = [this](Ticket t, const Result<std::uint32_t>& spi) {
    engine_->on_spi(t, spi, clock());
    turn();
  };
  handlers.on_installed = [this](Ticket t, const Status& status) {
    engine_->on_installed(t, status, clock());
    turn();
  };
  handlers.on_acquire = [this](std::uint32_t reqid, const esp::IpAddress& remote) {
    engine_->on_acquire(reqid, remote, clock());
    turn();
  };
  handlers.on_expire = [this](std::uint32_t spi, bool hard) {
    engine_->on_expire(spi, hard, clock());
    turn();
  };
  handlers.on_use = [this](Ticket t, const Result<std::uint64_t>& packets) {
    engine_->on_use(t, packets, clock());
    turn();
  };
  handlers.on_closed = [this](const std::string& why) {
    asio::post(io_, [this, why] { fail(fmt::format("the connection to espd ended: {}", why)); });
  };
  pfkey_ = std::make_unique<PfkeyClient>(io_, std::move(fd), std::move(handlers));
}

void Daemon::start() {
  pfkey_->register_key_socket();
  for (const std::string& warning : config_->warnings) log_warn("{}", warning);
  log_info("ready: {} connections, UDP port {}", config_->connections.size(), config_->port);
  started_ = clock();
  engine_->start(started_);
  turn();
}

void Daemon::turn() {
  for (auto outputs = engine_->take_outputs(); !outputs.empty(); outputs = engine_->take_outputs())
    for (Output& o : outputs) std::visit([this](auto& x) { perform(x); }, o);
  const auto next = engine_->next_timer();
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
    engine_->on_timer(clock());
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

void Daemon::perform(InstallSa& i) {
  keylog_.sa(i.sa);
  pfkey_->request(std::move(i));
}

void Daemon::perform(CredentialRequest& c) {
  auto packet = encode_request(c);
  if (packet) return holder_->send(std::move(*packet));
  asio::post(io_, [this, ticket = c.ticket, error = packet.error()] {
    engine_->on_credential(ticket, error, clock());
    turn();
  });
}

void Daemon::on_holder_packet(ByteView packet) {
  auto reply = decode_reply(packet);
  if (!reply) return log_warn("a reply of the holder of secrets is dropped: {}", reply.error().detail);
  engine_->on_credential(reply->ticket, reply->credential, clock());
  turn();
}

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
  engine_->on_datagram({{frame->dst, frame->dst_port}, {frame->src, frame->src_port}}, frame->ike, clock());
  turn();
}

void Daemon::on_command(const Json& request, ControlServer::Reply reply) {
  if (is_reload(request)) {
    if (auto asked = send_message(kParentFd, "reload"); !asked) return reply(status_json(asked));
    reloads_.push_back(std::move(reply));
    return;
  }
  Json answer = execute_command(*engine_, request, clock(), {started_, keylog_.active()});
  turn();
  reply(std::move(answer));
}

void Daemon::fail(std::string why) {
  if (stopping_) return;
  code_ = 1;
  (void)send_message(kParentFd, "failed " + to_reply(Error{Errc::kIo, std::move(why)}));
  stop();
}

void Daemon::stop() {
  if (stopping_) return;
  stopping_ = true;
  if (engine_ == nullptr || pfkey_ == nullptr || natt_ == nullptr) return io_.stop();
  engine_->shutdown(clock());
  turn();
  finish_when_idle(code_ == 0 ? kStopRounds : 0);
}

void Daemon::finish_when_idle(int rounds_left) {
  if (rounds_left == 0 || (pfkey_->idle() && natt_->idle())) return io_.stop();
  stop_timer_.expires_after(kStopRound);
  stop_timer_.async_wait([this, rounds_left](const asio::error_code& ec) {
    if (!ec) finish_when_idle(rounds_left - 1);
  });
}

}  // namespace esplanade::ike
