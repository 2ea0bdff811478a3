#include "host/espd/daemon.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <filesystem>

#include "common/esp/ip.h"
#include "host/backend/failover_backend.h"
#include "host/espd/guard.h"
#include "host/espd/natt_relay.h"
#include "host/espd/routes.h"
#include "host/espd/service_notify.h"
#include "host/espd/status_report.h"

namespace esplanade::espd {

namespace {

constexpr std::chrono::milliseconds kTick{1000};
constexpr std::chrono::milliseconds kCardPatience{
    1};  // a look at the card, so that the descriptors are served too

// Signals add to this eventfd: each its own unit. A handler and not signalfd: XRT has threads of its own, in which the
// signals cannot be blocked from here, and child processes, which would inherit the mask.
constexpr std::uint64_t kStopUnit = 1, kReloadUnit = std::uint64_t{1} << 32;
int g_signal_fd = -1;
extern "C" void on_signal(int signal) {
  const std::uint64_t unit = signal == SIGHUP ? kReloadUnit : kStopUnit;
  const int saved = errno;
  [[maybe_unused]] const auto written = ::write(g_signal_fd, &unit, sizeof unit);
  errno = saved;
}

class Signals {
 public:
  static Result<Signals> create() {
    pfkey::Fd fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!fd) return Error{Errc::kIo, std::string("eventfd: ") + std::strerror(errno)};
    g_signal_fd = fd.get();
    struct sigaction action {};
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    for (const int signal : {SIGTERM, SIGINT, SIGHUP}) ::sigaction(signal, &action, nullptr);
    struct sigaction ignore {};
    ignore.sa_handler = SIG_IGN;
    ::sigaction(SIGPIPE, &ignore, nullptr);
    return Signals(std::move(fd));
  }
  int fd() const { return fd_.get(); }
  struct Came {
    bool stop = false, reload = false;
  };
  Came take() {
    std::uint64_t units = 0;
    if (::read(fd_.get(), &units, sizeof units) != sizeof units) return {};
    return {static_cast<std::uint32_t>(units) != 0, units >= kReloadUnit};
  }

 private:
  explicit Signals(pfkey::Fd fd) : fd_(std::move(fd)) {}
  pfkey::Fd fd_;
};

// Parts that know each other; made once everything that can fail is open.
class Daemon {
 public:
  Daemon(const std::string& path, Config config, host::Backend& backend, Tun& tun, Outside& outside, Doorbell& bell, PolicyRouting& routing, std::optional<Guard>& guard)
      : path_(path),
        config_(std::move(config)),
        backend_(backend),
        tun_(tun),
        outside_(outside),
        bell_(bell),
        routing_(routing),
        guard_(guard),
        policies_(config_.policies),
        sad_(backend, policies_),
        pfkey_(backend, sad_, counters_,
               {[this](std::uint32_t reqid) { outbound_ready(reqid); },
                [this](std::uint32_t reqid, bool silent) { data_plane_.acquire_failed(reqid, silent); },
                [this] { data_plane_.tick(Clock::now()); }}),
        data_plane_(backend, sad_, policies_, tun, outside, counters_,
                    {[this](const Policy& policy) { return pfkey_.acquire(policy); },
                     [this](const pfkey::NattFrame& frame) { return relay_->deliver(frame); },
                     [mark = config_.table](const esp::IpAddress& to) { return link_mtu(to, mark); }}),
        report_(config_, backend, sad_, pfkey_, data_plane_, counters_, {[this] { return reload(); }, [this] { count_guarded(); }}) {}

  Status run(Poller& poller, Signals& signals) {
    bool stopping = false;
    Status broken = ok();
    ESPLANADE_CHECK(poller.add(signals.fd(), [&] {
      const Signals::Came came = signals.take();
      stopping = stopping || came.stop;
      if (!came.reload) return;
      if (const auto done = reload(); !done) log_error("the configuration is not taken over, the former one stays: {}", done.error().detail);
    }));
    ESPLANADE_TRY(relay, NattRelay::create(poller, config_.natt_socket(), outside_, counters_));
    relay_ = std::move(relay);
    ESPLANADE_CHECK(pfkey_.listen(poller, config_.pfkey_socket()));
    if (config_.tun_threads == 0) {
      ESPLANADE_CHECK(poller.add(tun_.queues().front().fd(), [&] { if (const Status read = data_plane_.on_tun(); !read) broken = read; }));
    } else {
      ESPLANADE_CHECK(poller.add(bell_.fd(), [this] { bell_.answer(); }));
      ESPLANADE_CHECK(data_plane_.start_threads(bell_));
    }
    for (const Outside::Channel channel : Outside::kChannels) {
      if (outside_.fd(channel) < 0) continue;  // no IPv6 here
      ESPLANADE_CHECK(poller.add(outside_.fd(channel), [this, channel] { data_plane_.on_outside(channel); }));
    }
    ESPLANADE_CHECK(open_status(poller));  // last: who sees this socket finds everything ready
    log_info("ready: card {}, TUN {}, {} policies, sockets in {}", backend_.name(), config_.tun_name,
             config_.policies.size(), config_.run_dir);

    service_notify(fmt::format("READY=1\nSTATUS=card {}, {} policies", backend_.name(), config_.policies.size()));
    auto next_tick = Clock::now() + kTick;
    while (!stopping) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(next_tick - Clock::now());
      const auto wait =
          data_plane_.busy() ? std::chrono::milliseconds(0) : std::max(left, std::chrono::milliseconds(0));
      bell_.arm();
      ESPLANADE_CHECK(poller.run_once(data_plane_.has_received() ? std::chrono::milliseconds(0) : wait));
      bell_.disarm();
      if (config_.tun_threads != 0) broken = data_plane_.on_tun();
      ESPLANADE_CHECK(broken);
      data_plane_.reap(kCardPatience);
      expire(sad_.take_reached());
      if (Clock::now() >= next_tick) {
        tick();
        service_notify(fmt::format("WATCHDOG=1\nSTATUS=card {} ({}), {} SAs", backend_.name(), data_plane_.lost() ? "lost" : data_plane_.drained() ? "drained" : "up", sad_.size()));
        next_tick = Clock::now() + kTick;
      }
    }
    service_notify("STOPPING=1");
    log_info("stopping: {} SAs are removed", sad_.size());
    sad_.remove_all();
    if (config_.block_on_stop) log_info("what the policies protect stays blocked: `espd --release` lets it pass");
    return ok();
  }

 private:
  Status open_status(Poller& poller) {
    PacketServer::Options options;
    options.path = config_.status_socket();
    options.name = "status";
    options.max_packet = kMaxStatusRequest;
    PacketServer::Handlers handlers{
        [this](ClientId client, ByteView request) {
          data_plane_.collect();
          const std::string text = report_.answer(request);
          status_->send(client, ByteView(reinterpret_cast<const Byte*>(text.data()), text.size()));
        },
        {}};
    ESPLANADE_TRY(server, PacketServer::create(poller, std::move(options), std::move(handlers)));
    status_ = std::move(server);
    return ok();
  }

  std::function<bool(const Policy&)> open_ones() {
    return [this](const Policy& policy) { return data_plane_.falls_back(policy); };
  }

  void outbound_ready(std::uint32_t reqid) {
    const Policy* policy = policies_.by_reqid(reqid);
    const bool was_open = policy != nullptr && data_plane_.falls_back(*policy);
    data_plane_.outbound_ready(reqid);
    if (!was_open || data_plane_.falls_back(*policy) || !guard_) return;
    if (const Status applied = guard_->apply(policies_.all(), open_ones()); !applied) log_error("{}", applied.error().detail);
  }

  /// Reads the configuration anew and takes it over, or keeps the former one whole. SAs of policies that are gone or changed
  /// are told as expired and removed: the IKE daemon makes new ones when traffic asks.
  Result<std::size_t> reload() {
    ESPLANADE_TRY(next, load_config(path_));
    if (const auto what = needs_restart(config_, next))
      return Error{Errc::kState, fmt::format("{}: {} cannot change while espd runs: restart it", path_, *what)};
    Status applied = routing_.apply(next.policies);
    if (applied && guard_) applied = guard_->apply(next.policies, open_ones());
    if (!applied) {
      if (const Status back = routing_.apply(config_.policies); !back) log_error("{}", back.error().detail);
      return applied.error();
    }
    std::vector<Expiry> ended;
    for (const Policy& former : config_.policies) {
      if (former.action != Action::kProtect) continue;
      if (const auto now = std::ranges::find(next.policies, former.reqid, &Policy::reqid); now != next.policies.end()) {
        Policy same = *now;
        same.name = former.name;
        same.fallback_clear = former.fallback_clear;
        if (same == former) continue;
      }
      for (const host::SaHandle handle : sad_.give_up(former.reqid)) ended.push_back({handle, true});
      data_plane_.policy_changed(former.reqid);
    }
    expire(ended);
    config_ = std::move(next);
    policies_.replace(config_.policies);
    routing_.keep(config_.block_on_stop);
    if (guard_) guard_->keep(config_.block_on_stop);
    log_setup("espd", config_.log_level);
    log_info("took over {}: {} policies, {} SAs removed", path_, config_.policies.size(), ended.size());
    return ended.size();
  }

  void count_guarded() {
    if (!guard_) return;
    const Guard::Counts counts = guard_->counts();
    counters_.drops[static_cast<std::size_t>(Drop::kClearIn)] = counts.in;
    counters_.drops[static_cast<std::size_t>(Drop::kClearOut)] = counts.out;
  }

  void tick() {
    const auto now = Clock::now();
    data_plane_.tick(now);
    std::vector<Expiry> expiries;
    collect_events(expiries);
    sad_.tick(now, expiries);
    expire(expiries);
  }

  void expire(const std::vector<Expiry>& expiries) {
    for (const Expiry& expiry : expiries) {
      const Sa* sa = sad_.find(expiry.sa);
      if (sa == nullptr) continue;
      pfkey_.expire(*sa, expiry.hard);
      if (!expiry.hard) continue;
      if (const Status removed = sad_.remove(expiry.sa); !removed)
        log_warn("cannot remove an SA: {}", removed.error().detail);
    }
  }

  void collect_events(std::vector<Expiry>& expiries) {
    if (data_plane_.lost()) return;
    std::vector<host::SaEvent> events;
    if (const Status polled = backend_.poll_events(events);
        !polled && polled.error().code == Errc::kDeviceLost) {
      data_plane_.set_lost(polled.error().detail);
    }
    const auto reached = [&](host::SaHandle sa, bool hard) {
      if (sad_.tell(sa, hard)) expiries.push_back({sa, hard});
    };
    for (const host::SaEvent& event : events) {
      switch (event.type) {
        case card::EventType::kSoftBytes:
        case card::EventType::kSoftPackets:
        case card::EventType::kSoftSeconds:
        case card::EventType::kSeqSoon:
          reached(event.sa, false);
          break;
        case card::EventType::kHardBytes:
        case card::EventType::kHardPackets:
        case card::EventType::kHardSeconds:
        case card::EventType::kSeqOverflow:
          reached(event.sa, true);
          break;
        case card::EventType::kError:
          log_error("the card reports an error (ERROR_CAUSE)");
          break;
      }
    }
  }

  const std::string& path_;
  Config config_;
  host::Backend& backend_;
  Tun& tun_;
  Outside& outside_;
  Doorbell& bell_;
  PolicyRouting& routing_;
  std::optional<Guard>& guard_;
  Counters counters_;
  PolicyTable policies_;
  Sad sad_;
  PfkeyServer pfkey_;
  DataPlane data_plane_;
  StatusReport report_;
  std::unique_ptr<NattRelay> relay_;
  std::unique_ptr<PacketServer> status_;
};

Status make_run_dir(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return Error{Errc::kIo, fmt::format("cannot make the folder {}: {}", path, error.message())};
  return ok();
}

}  // namespace

Status run_daemon(const std::string& path, const Config& config) {
  ESPLANADE_TRY(poller, Poller::create());
  ESPLANADE_CHECK(make_run_dir(config.run_dir));
  // Privileges and names first: they fail at once. The card may take seconds.
  ESPLANADE_TRY(outside, Outside::open(config.table));
  std::optional<Guard> guard;
  if (config.guard) {
    ESPLANADE_TRY(made, Guard::create(config.tun_name, config.table, config.policies, [](const Policy& policy) { return policy.fallback_clear; }));
    guard.emplace(std::move(made));
    guard->keep(config.block_on_stop);
  }
  ESPLANADE_TRY(tun, Tun::create(config.tun_name, config.tun_mtu, std::max<std::size_t>(config.tun_threads, 1)));
  ESPLANADE_TRY(bell, Doorbell::create());
  ESPLANADE_TRY(routing, PolicyRouting::create(config.table, tun.index()));
  routing.keep(config.block_on_stop);
  ESPLANADE_CHECK(routing.apply(config.policies));
  const auto open = [](const std::string& card) {
    log_info("opening card {}", card);
    return host::open_backend({card, false});
  };
  ESPLANADE_TRY(backend, config.recover ? host::open_failover_backend(config.cards, config.cards_in_use, open) : open(config.cards.front()));
  ESPLANADE_TRY(signals, Signals::create());
  Daemon daemon(path, config, *backend, tun, outside, bell, routing, guard);
  return daemon.run(poller, signals);
}

Status release(const Config& config) {
  ESPLANADE_CHECK(PolicyRouting::remove_all(config.table));
  return config.guard ? Guard::remove_all() : ok();
}

}  // namespace esplanade::espd
