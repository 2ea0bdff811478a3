// A simulator, esp-card-sim for one: stock XRT starts it through the launcher in the .xclbin when a program
// loads that in hardware emulation. Two processes: the front (this file) answers XRT; the model, its child,
// simulates the card.
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string_view>

#include "common/base/log.h"
#include "sim/control.h"
#include "sim/faults.h"
#include "sim/front.h"
#include "sim/model.h"
#include "sim/platform.h"
#include "sim/record.h"

namespace esplanade::sim {
namespace {

constexpr int kConnectMs = 10'000;
constexpr auto kSecondSocketPatience = std::chrono::seconds(30);
constexpr int kSecondSocketRetryMs = 5;

constexpr const char* kUsage = R"(Usage: {0} --platform FILE
       {0} --faults
       {0} --replay RECORDING [--wave file.fst[:from[:to]]]

A simulated card. Nobody runs this by hand: XRT starts it when a program loads its .hw_emu.xclbin with
XCL_EMULATION_MODE=hw_emu. FILE describes the platform. --faults lists the fault points. --replay runs
a recording again, without XRT, and tells where the model first does otherwise (exit status 1).

Environment: ESPLANADE_SIM_LOG log file; ESPLANADE_SIM_STATS statistics file (JSON); ESPLANADE_SIM_WAVE
file.fst[:from[:to]] or
file.fst:trigger[:cycles] waves; ESPLANADE_SIM_FAULTS TOML file of faults to inject;
ESPLANADE_SIM_RECORD file for a recording; ESPLANADE_SIM_CONFIG TOML file with a [sim] table; ESPLANADE_SIM_TIMEOUT seconds that the
model may take to answer (10; 0 for ever); ESPLANADE_SIM_MODEL rtl (the default) or functional. The second card
of a program has FILE@2 (waves FILE@2.fst) for each of _STATS, _WAVE, _RECORD and _CONTROL, and so on.
)";

std::string usage() { return fmt::format(kUsage, program_invocation_short_name); }

/// The name that the model's process shows: that of the program with `model` for `sim`. The kernel keeps 15
/// octets.
std::string model_name() {
  std::string name = program_invocation_short_name;
  const std::size_t at = name.rfind("-sim");
  return at == std::string::npos ? name + "-model" : name.replace(at, 4, "-model");
}

std::string env(const char* name, const std::string& otherwise = {}) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : otherwise;
}

/// Which of its program's cards this is, from 1 on. XRT counts them from 0 in EMULATION_SOCKETID, deviceN_M_PID.
unsigned card_number() {
  constexpr std::string_view kHead = "device";
  const std::string id = env("EMULATION_SOCKETID");
  unsigned n = 0;
  if (id.starts_with(kHead)) std::from_chars(id.data() + kHead.size(), id.data() + id.size(), n);
  return n + 1;
}

/// The file or socket that the variable `name` names: the second card of a program has PATH@2, the third PATH@3, as the driver's recordings have it. None: empty.
std::string own_path(const char* name) {
  const std::string path = env(name);
  return path.empty() || card_number() == 1 ? path : fmt::format("{}@{}", path, card_number());
}

/// The same of ESPLANADE_SIM_WAVE, where the name goes on with what to show, and must end as it does, for viewers go by that: FILE@2.fst:FROM:TO.
std::string own_wave() {
  std::string wave = env("ESPLANADE_SIM_WAVE");
  if (wave.empty() || card_number() == 1) return wave;
  const std::size_t end = std::min(wave.find(':'), wave.size()), dot = wave.substr(0, end).rfind('.');
  const std::size_t folder = wave.substr(0, end).rfind('/');
  const bool has_ending = dot != std::string::npos && (folder == std::string::npos || dot > folder);
  return wave.insert(has_ending ? dot : end, fmt::format("@{}", card_number()));
}

/// Standard output and error go to the log file from here on: XRT gives us /dev/null.
void open_log() {
  log_setup(program_invocation_short_name,
            env("ESPLANADE_SIM_DEBUG").empty() ? LogLevel::kInfo : LogLevel::kDebug);
  const std::string path = env("ESPLANADE_SIM_LOG", fmt::format("{}/{}.log", env("EMULATION_RUN_DIR", "."),
                                                                program_invocation_short_name));
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd < 0) {
    log_warn("cannot open the log {}: {}", path, std::strerror(errno));
    return;
  }
  ::dup2(fd, STDOUT_FILENO);
  ::dup2(fd, STDERR_FILENO);
  ::close(fd);
}

/// The host is dead only when it is: what its terminal or service manager sends to the whole group must not
/// take the simulator away under a host that is still shutting down, for XRT would wait for its answers for
/// ever.
void outlive_group_signals() {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE}) ::signal(signal, SIG_IGN);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

/// A descriptor that becomes readable when the host process ends; -1 when its id cannot be told. The id is
/// the last part of EMULATION_SOCKETID (device0_0_PID).
int watch_host(const std::string& socket_id) {
  const std::string_view digits = std::string_view(socket_id).substr(socket_id.rfind('_') + 1);
  pid_t pid = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), pid);
  if (error != std::errc() || end != digits.data() + digits.size() || pid <= 0) return -1;
  return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));  // glibc 2.36's header is not for C++
}

/// Forks the model. On any error the card is a dead one that says why.
std::unique_ptr<ModelCard> start_model(const std::string& platform_file) {
  const auto dead = [](const std::string& why) { return std::make_unique<ModelCard>(why); };
  auto text = read_platform_text(platform_file, env("ESPLANADE_SIM_CONFIG"));
  if (!text) return dead(text.error().detail);
  auto platform = parse_platform(*text);
  if (!platform) return dead(platform.error().detail);
  auto wave = parse_wave(own_wave());
  if (!wave) return dead(wave.error().detail);
  long patience_s = 10;
  if (const std::string seconds = env("ESPLANADE_SIM_TIMEOUT"); !seconds.empty()) {
    char* end = nullptr;
    patience_s = std::strtol(seconds.c_str(), &end, 10);
    if (*end != '\0' || patience_s < 0) return dead("ESPLANADE_SIM_TIMEOUT must be a number of seconds");
  }
  const std::string model_kind = env("ESPLANADE_SIM_MODEL", "rtl");
  if (model_kind != "rtl" && model_kind != "functional") {
    return dead(fmt::format("ESPLANADE_SIM_MODEL is \"{}\": it must be rtl or functional", printable(model_kind, 40)));
  }
  ModelOptions options{*wave, own_path("ESPLANADE_SIM_STATS"), model_kind == "functional", {}, !env("ESPLANADE_SIM_CONTROL").empty()};
  if (const std::string plan = env("ESPLANADE_SIM_FAULTS"); !plan.empty()) {
    auto faults = read_faults(plan);
    if (!faults) return dead(faults.error().detail);
    options.faults = std::move(*faults);
  }
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return dead(std::strerror(errno));
  const pid_t front = ::getpid();
  const pid_t model = ::fork();
  if (model < 0) return dead(std::string("cannot start the model process: ") + std::strerror(errno));
  if (model == 0) {
    ::close(ends[0]);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::prctl(PR_SET_NAME, model_name().c_str());
    if (::getppid() != front) std::_Exit(1);  // the front died before prctl
    if (const std::string record = own_path("ESPLANADE_SIM_RECORD"); !record.empty()) {
      auto link = RecordLink::create(ends[1], record, {text->description, text->overrides, model_kind, {}, false}, *platform);
      if (!link) {
        log_error("no recording, so no card: {}", link.error().detail);
        std::_Exit(1);
      }
      const int status = run_model(**link, *platform, options);
      link->reset();
      std::_Exit(status);
    }
    Link link(ends[1]);
    std::_Exit(run_model(link, *platform, options));
  }
  ::close(ends[1]);
  log_info("front {}, model {} ({})", front, model, model_kind);
  return std::make_unique<ModelCard>(std::make_unique<Link>(ends[0]), model,
                                     std::chrono::seconds(patience_s));
}

/// Serves host and model until the host closes the card or is gone.
int serve(XrtServer& xrt, ModelCard& card, ControlSocket* control, int host, const std::string& second_socket) {
  const auto give_up = std::chrono::steady_clock::now() + kSecondSocketPatience;
  bool connecting = true;  // the second socket, which XRT opens in a thread of its own
  for (;;) {
    pollfd waits[] = {{xrt.fd(), POLLIN, 0}, {card.fd(), POLLIN, 0}, {host, POLLIN, 0}, {control != nullptr ? control->fd() : -1, POLLIN, 0}};
    const int ready = ::poll(waits, std::size(waits), connecting ? kSecondSocketRetryMs : -1);
    if (ready < 0 && errno != EINTR) return 1;
    if (connecting) {
      if (auto fd = connect_xrt(second_socket, 0)) {
        card.set_host_memory(std::make_unique<HostMemoryClient>(*fd));
        connecting = false;
      } else if (std::chrono::steady_clock::now() > give_up) {
        log_warn("{}: the card has no access to host memory", fd.error().detail);
        connecting = false;
      }
    }
    if (ready <= 0) continue;
    if (waits[1].revents != 0) card.pump();
    if (waits[3].revents != 0) control->serve(card);
    if (waits[0].revents != 0) {
      auto more = xrt.serve(card);
      if (!more) log_error("{}", more.error().detail);
      if (!more || !*more) break;
    } else if (waits[2].revents != 0) {
      log_info("the host process is gone");
      break;
    }
  }
  card.close();  // no effect when XRT did it: after a host that went away, this is where the statistics get
                 // written
  return 0;
}

/// The model against a recording, without XRT. 0: it did the same, cycle by cycle and octet by octet; 1: it did not; 2: it
/// cannot be replayed.
int replay(const std::string& path, const std::string& wave_text) {
  log_setup(program_invocation_short_name, LogLevel::kWarn);
  const auto refuse = [](const Error& error) {
    std::fprintf(stderr, "%s: %s\n", program_invocation_short_name, error.detail.c_str());
    return 2;
  };
  auto recording = read_recording(path);
  if (!recording) return refuse(recording.error());
  PlatformText text{path + " (description)", recording->description, recording->overrides.empty() ? "" : path + " (overrides)", recording->overrides};
  if (const std::string config = env("ESPLANADE_SIM_CONFIG"); !config.empty()) {
    auto other = read_platform_text(config, "");
    if (!other) return refuse(other.error());
    text.overrides_path = config;
    text.overrides = other->description;
  }
  auto platform = parse_platform(text);
  if (!platform) return refuse(platform.error());
  auto wave = parse_wave(wave_text);
  if (!wave) return refuse(wave.error());
  ModelOptions options{*wave, env("ESPLANADE_SIM_STATS"), recording->model == "functional", {}, true};
  if (const std::string plan = env("ESPLANADE_SIM_FAULTS"); !plan.empty()) {
    auto faults = read_faults(plan);
    if (!faults) return refuse(faults.error());
    options.faults = std::move(*faults);
  }
  const bool complete = recording->complete;
  const std::uint64_t cycles = recording->frames.empty() ? 0 : recording->frames.back().cycle;
  ReplayLink link(std::move(*recording));
  const auto began = std::chrono::steady_clock::now();
  run_model(link, *platform, options);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  std::printf("%zu of %zu frames%s\n", link.position(), link.size(), complete ? "" : "; the recording has no end: its simulator was killed");
  if (link.divergence().empty()) std::printf("%llu cycles in %.3f s\n", static_cast<unsigned long long>(cycles), seconds);
  if (!link.divergence().empty()) std::printf("divergence at %s\n", link.divergence().c_str());
  return link.divergence().empty() ? 0 : 1;
}

int run(const std::string& platform_file) {
  outlive_group_signals();
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);  // the card's registers hold keys
  open_log();
  ::close_range(STDERR_FILENO + 1, ~0U, 0);  // XRT's descriptors: a socket kept open here would hide its end
  const std::string socket_id = env("EMULATION_SOCKETID");
  if (socket_id.empty()) {
    log_error("EMULATION_SOCKETID is not set: this program is started by XRT");
    return 1;
  }
  const int host = watch_host(socket_id);
  const auto card = start_model(platform_file);
  auto fd = connect_xrt(xrt_call_socket(socket_id), kConnectMs);
  if (!fd) {
    log_error("{}", fd.error().detail);
    return 1;
  }
  XrtServer xrt(*fd);
  std::optional<ControlSocket> control;
  if (const std::string path = own_path("ESPLANADE_SIM_CONTROL"); !path.empty()) {
    auto made = ControlSocket::create(path);
    if (made) {
      control.emplace(std::move(*made));
    } else {
      log_warn("no faults can be injected: {}", made.error().detail);
    }
  }
  return serve(xrt, *card, control ? &*control : nullptr, host, xrt_host_memory_socket(socket_id));
}

}  // namespace
}  // namespace esplanade::sim

int main(int argc, char** argv) {
  const std::string_view first = argc > 1 ? argv[1] : "";
  if (first == "--help" || first == "-h") {
    std::fputs(esplanade::sim::usage().c_str(), stdout);
    return 0;
  }
  if (first == "--faults") {
    std::fputs(esplanade::sim::list_faults().c_str(), stdout);
    return 0;
  }
  if (first == "--replay" && (argc == 3 || (argc == 5 && std::string_view(argv[3]) == "--wave"))) {
    return esplanade::sim::replay(argv[2], argc == 5 ? argv[4] : "");
  }
  if (first != "--platform" || argc < 3) {
    std::fputs(esplanade::sim::usage().c_str(), stderr);
    return 2;
  }
  return esplanade::sim::run(argv[2]);
}
