#include "host/espd/daemon.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <filesystem>

#include "host/backend/failover_backend.h"
#include "host/espd/natt_relay.h"
#include "host/espd/service_notify.h"
#include "host/espd/status_report.h"

namespace esplanade::espd {

namespace {

constexpr std::chrono::milliseconds kTick{1000};
constexpr std::chrono::milliseconds kCardPatience{
    1};  // a look at the card, so that the descriptors are served too

// A signal sets this eventfd. A handler and not signalfd: XRT has threads of its own, in which the signals
// cannot be blocked from here, and child processes, which would inherit the mask.
int g_stop_fd = -1;
extern "C" void on_stop_signal(int) {
  const std::uint64_t one = 1;
  const int saved = errno;
  [[maybe_unused]] const auto written = ::write(g_stop_fd, &one, sizeof one);
  errno = saved;
}

class StopSignal {
 public:
  static Result<StopSignal> create() {
    pfkey::Fd fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!fd) return Error{Errc::kIo, std::string("eventfd: ") + std::strerror(errno)};
    g_stop_fd = fd.get();
    struct sigaction action {};
    action.sa_handler = on_stop_signal;
    action.sa_flags = SA_RESTART;
    for (const int signal : {SIGTERM, SIGINT}) ::sigaction(signal, &action, nullptr);
    struct sigaction ignore {};
    ignore.sa_handler = SIG_IGN;
    ::sigaction(SIGPIPE, &ignore, nullptr);
    return StopSignal(std::move(fd));
  }
  int fd() const { return fd_.get(); }

 private:
  explicit StopSignal(pfkey::Fd fd) : fd_(std::move(fd)) {}
  pfkey::Fd fd_;
};

// Parts that know each other; made once everything that can fail is open.
class Daemon {
 public:
  Daemon(const Config& config, host::Backend& backend, Tun& tun, Outside& outside)
      : config_(config),
        backend_(backend),
        tun_(tun),
        outside_(outside),
        policies_(config.policies),
        sad_(backend, policies_),
        pfkey_(backend, sad_, counters_,
               {[this](std::uint32_t reqid) { data_plane_.outbound_ready(reqid); },
                [this](std::uint32_t reqid, bool silent) { data_plane_.acquire_failed(reqid, silent); },
                [this] { data_plane_.tick(Clock::now()); }}),
        data_plane_(backend, sad_, policies_, tun, outside, counters_,
                    {[this](const Policy& policy) { return pfkey_.acquire(policy); },
                     [this](const pfkey::NattFrame& frame) { return relay_->deliver(frame); }}),
        report_(config, backend, sad_, pfkey_, data_plane_, counters_) {}

  Status run(Poller& poller, const StopSignal& stop) {
    bool stopping = false;
    ESPLANADE_CHECK(poller.add(stop.fd(), [&] { stopping = true; }));
    ESPLANADE_TRY(relay, NattRelay::create(poller, config_.natt_socket(), outside_, counters_));
    relay_ = std::move(relay);
    ESPLANADE_CHECK(pfkey_.listen(poller, config_.pfkey_socket()));
    ESPLANADE_CHECK(poller.add(tun_.fd(), [this] { data_plane_.on_tun(); }));
    ESPLANADE_CHECK(poller.add(outside_.udp_fd(), [this] { data_plane_.on_udp(); }));
    ESPLANADE_CHECK(poller.add(outside_.raw_fd(), [this] { data_plane_.on_raw(); }));
    ESPLANADE_CHECK(open_status(poller));  // last: who sees this socket finds everything ready
    log_info("ready: card {}, TUN {}, {} policies, sockets in {}", backend_.name(), config_.tun_name,
             config_.policies.size(), config_.run_dir);

    service_notify(fmt::format("READY=1\nSTATUS=card {}, {} policies", backend_.name(), config_.policies.size()));
    auto next_tick = Clock::now() + kTick;
    while (!stopping) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(next_tick - Clock::now());
      const auto wait =
          data_plane_.busy() ? std::chrono::milliseconds(0) : std::max(left, std::chrono::milliseconds(0));
      ESPLANADE_CHECK(poller.run_once(wait));
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
          const std::string text = report_.answer(request);
          status_->send(client, ByteView(reinterpret_cast<const Byte*>(text.data()), text.size()));
        },
        {}};
    ESPLANADE_TRY(server, PacketServer::create(poller, std::move(options), std::move(handlers)));
    status_ = std::move(server);
    return ok();
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

  const Config& config_;
  host::Backend& backend_;
  Tun& tun_;
  Outside& outside_;
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

Status run_daemon(const Config& config) {
  ESPLANADE_TRY(poller, Poller::create());
  ESPLANADE_CHECK(make_run_dir(config.run_dir));
  // Privileges and names first: they fail at once. The card may take seconds.
  ESPLANADE_TRY(outside, Outside::open());
  ESPLANADE_TRY(tun, Tun::create(config.tun_name, config.tun_mtu, config.policies));
  const auto open = [](const std::string& card) {
    log_info("opening card {}", card);
    return host::open_backend({card, false});
  };
  ESPLANADE_TRY(backend, config.recover ? host::open_failover_backend(config.cards, config.cards_in_use, open) : open(config.cards.front()));
  ESPLANADE_TRY(stop, StopSignal::create());
  Daemon daemon(config, *backend, tun, outside);
  return daemon.run(poller, stop);
}

}  // namespace esplanade::espd
