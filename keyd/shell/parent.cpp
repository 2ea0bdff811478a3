#include "keyd/shell/parent.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <thread>

#include "common/base/log.h"
#include "keyd/shell/message_socket.h"
#include "keyd/shell/settings.h"
#include "keyd/shell/udp.h"

namespace esplanade::ike {
namespace {

constexpr auto kEspdWait = std::chrono::seconds(10);      // for espd to come up when both are started at once
constexpr auto kAnswerWait = std::chrono::seconds(30);    // a token may be slow to give its keys
constexpr auto kEngineEnd = std::chrono::seconds(5);      // deletions are sent and confirmed
constexpr auto kHolderEnd = std::chrono::seconds(2);

std::string end_of(int status) {
  if (WIFSIGNALED(status))
    return fmt::format("was ended by signal {} ({})", WTERMSIG(status), ::strsignal(WTERMSIG(status)));
  return fmt::format("ended with code {}", WEXITSTATUS(status));
}

Result<pfkey::Fd> connect_espd(const std::string& path) {
  const auto give_up = std::chrono::steady_clock::now() + kEspdWait;
  for (bool said = false;;) {
    auto fd = pfkey::connect_to(path);
    if (fd || fd.error().code == Errc::kPermission) return fd;
    if (std::chrono::steady_clock::now() >= give_up)
      return Error{fd.error().code, fmt::format("{}: is espd running?", fd.error().detail)};
    if (!std::exchange(said, true)) log_info("waiting for espd at {}", path);
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

}  // namespace

Parent::~Parent() { stop_children(); }

Status Parent::load_config_text() {
  ESPLANADE_TRY(text, read_config_text(options_.config_path));
  ESPLANADE_TRY(config, parse_config(text, options_.config_path));
  text_ = std::move(text);
  config_ = std::move(config);
  return ok();
}

Status Parent::configure(Child& child) {
  ESPLANADE_TRY(fd, text_to_fd(text_));
  ESPLANADE_CHECK(send_message(child.socket.get(), "config " + options_.config_path, fd.get()));
  for (;;) {
    auto reply = wait_message(child.socket.get(), kAnswerWait);
    if (!reply && reply.error().code == Errc::kIo)
      return Error{Errc::kIo, fmt::format("the process {} did not start or ended", child.role)};
    if (!reply) return reply.error();
    if (reply->text == "reload") {  // asked for while this one runs: it is the same
      reload_wanted_ = true;
      continue;
    }
    return from_reply(reply->text);
  }
}

Status Parent::check() {
  ESPLANADE_CHECK(load_config_text());
  ESPLANADE_TRY(holder, start_child_process("holder", std::nullopt));
  holder_ = std::move(holder);
  return configure(holder_);
}

Status Parent::run() {
  if (auto started = start(); !started) {
    stop_children();
    return started;
  }
  const Status result = wait_for_end();
  stop_children();
  return result;
}

Status Parent::start() {
  sigset_t set;
  sigemptyset(&set);
  for (const int s : {SIGTERM, SIGINT, SIGHUP, SIGCHLD}) sigaddset(&set, s);
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
  signals_ = pfkey::Fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_) return Error{Errc::kIo, "signalfd fails"};

  ESPLANADE_CHECK(load_config_text());
  apply_log_settings("keyd", config_, !options_.keylog_dir.empty());
  std::optional<Account> account;
  if (::geteuid() == 0) {
    ESPLANADE_TRY(found, find_account(config_.user));
    account = found;
  }
  ESPLANADE_TRY(holder, start_child_process("holder", std::nullopt));
  holder_ = std::move(holder);
  ESPLANADE_CHECK(configure(holder_));
  ESPLANADE_TRY(engine, start_child_process("ike", account));
  engine_ = std::move(engine);
  if (!options_.keylog_dir.empty()) ESPLANADE_CHECK(open_keylog());
  ESPLANADE_CHECK(configure(engine_));
  ESPLANADE_CHECK(open_sockets());
  return give("start", -1);
}

Status Parent::give(std::string_view text, int fd) { return send_message(engine_.socket.get(), text, fd); }

Status Parent::open_sockets() {
  ESPLANADE_CHECK(open_ports());
  ESPLANADE_TRY(ends, message_pair());
  ESPLANADE_CHECK(send_message(holder_.socket.get(), "engine", ends.first.get()));
  ESPLANADE_CHECK(give("holder", ends.second.get()));
  ESPLANADE_TRY(pfkey_fd, connect_espd(config_.pfkey_socket));
  ESPLANADE_CHECK(give("pfkey", pfkey_fd.get()));
  ESPLANADE_TRY(natt_fd, connect_espd(config_.natt_socket));
  ESPLANADE_CHECK(give("natt", natt_fd.get()));
  ESPLANADE_TRY(control, pfkey::Listener::create(config_.control_socket));
  control_.emplace(std::move(control));
  return give("control", control_->fd());
}

Status Parent::open_ports() {
  for (const auto& c : config_.connections) {
    const Endpoint local{c->local, config_.port};
    const std::string name = fmt::format("udp {} {}", esp::to_string(local.address), local.port);
    if (ports_.contains(name)) continue;
    ESPLANADE_TRY(fd, bind_udp(local));
    ESPLANADE_CHECK(give(name, fd.get()));
    ports_.insert(name);
  }
  return ok();
}

Status Parent::open_keylog() {
  for (const char* name : {"ikev1_decryption_table", "esp_sa"}) {
    const std::string path = fmt::format("{}/{}", options_.keylog_dir, name);
    const pfkey::Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!fd || ::fchmod(fd.get(), 0600) != 0)
      return Error{Errc::kIo, fmt::format("{}: {}", path, std::strerror(errno))};
    ESPLANADE_CHECK(give(fmt::format("keylog {}", name), fd.get()));
  }
  log_warn("--insecure-keylog: every key of IKE and ESP is written to {}", options_.keylog_dir);
  return ok();
}

Status Parent::wait_for_end() {
  for (;;) {
    pollfd wait[2] = {{signals_.get(), POLLIN, 0}, {engine_.socket.get(), POLLIN, 0}};
    if (::poll(wait, 2, -1) < 0 && errno != EINTR) return Error{Errc::kIo, "poll fails"};
    if (wait[1].revents != 0) ESPLANADE_CHECK(on_engine_message());
    if (std::exchange(reload_wanted_, false)) {
      const Status reloaded = reload();
      if (!reloaded) log_error("not reloaded, the configuration before stays: {}", reloaded.error().detail);
      ESPLANADE_CHECK(give("reloaded " + to_reply(reloaded), -1));
    }
    signalfd_siginfo info{};
    while (::read(signals_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
      switch (info.ssi_signo) {
        case SIGHUP:
          reload_wanted_ = true;
          break;
        case SIGCHLD:
          ESPLANADE_CHECK(reap());
          break;
        default:
          log_info("stopping on {}", info.ssi_signo == SIGINT ? "SIGINT" : "SIGTERM");
          return ok();
      }
    }
    if (reload_wanted_) {
      const Status reloaded = reload();
      reload_wanted_ = false;
      if (!reloaded) log_error("not reloaded, the configuration before stays: {}", reloaded.error().detail);
    }
  }
}

Status Parent::on_engine_message() {
  auto message = take_message(engine_.socket.get());
  if (!message) {
    // It closed its end: it is ending, or it never will be of use again.
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    ::kill(engine_.pid, SIGKILL);
    int status = 0;
    (void)::waitpid(std::exchange(engine_.pid, -1), &status, 0);
    return Error{Errc::kIo, "the process that faces the network " + end_of(status)};
  }
  if (!*message) return ok();
  const auto [word, rest] = split_word((**message).text);
  if (word == "reload") {
    reload_wanted_ = true;
  } else if (word == "failed") {
    // Where the holder died, that is the reason, and the engine only the first to notice.
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    int status = 0;
    if (::waitpid(holder_.pid, &status, WNOHANG) == holder_.pid) {
      holder_.pid = -1;
      return Error{Errc::kIo, "the process that holds the secrets " + end_of(status)};
    }
    return from_reply(rest);
  }
  return ok();
}

Status Parent::check_fixed(const Config& next) const {
  const auto fixed = [&](const char* what) {
    return Error{Errc::kBadConfig,
                 fmt::format("{}: {} needs a restart of keyd", options_.config_path, what)};
  };
  if (next.port != config_.port) return fixed("another ike.port");
  if (next.pfkey_socket != config_.pfkey_socket || next.natt_socket != config_.natt_socket)
    return fixed("another socket of espd");
  if (next.user != config_.user) return fixed("another process.user");
  if (next.control_socket != config_.control_socket) return fixed("another process.control");
  return ok();
}

Status Parent::reload() {
  ESPLANADE_TRY(text, read_config_text(options_.config_path));
  ESPLANADE_TRY(next, parse_config(text, options_.config_path));
  ESPLANADE_CHECK(check_fixed(next));
  std::swap(text_, text);
  std::swap(config_, next);
  const auto apply = [&]() -> Status {
    ESPLANADE_CHECK(configure(holder_));  // reads the secrets; on an error it keeps the ones before
    ESPLANADE_CHECK(open_ports());
    return configure(engine_);
  };
  Status applied = apply();
  if (!applied) {
    std::swap(text_, text);
    std::swap(config_, next);
    return applied;
  }
  apply_log_settings("keyd", config_, !options_.keylog_dir.empty());
  log_info("reloaded: {} connections", config_.connections.size());
  return ok();
}

Status Parent::reap() {
  for (;;) {
    int status = 0;
    const pid_t pid = ::waitpid(-1, &status, WNOHANG);
    if (pid <= 0) return ok();
    Child& child = pid == holder_.pid ? holder_ : engine_;
    if (child.pid != pid) continue;
    child.pid = -1;
    // It may have said why.
    if (auto last = take_message(child.socket.get()); last && *last && (**last).text.starts_with("failed "))
      return from_reply((**last).text.substr(7));
    return Error{Errc::kIo, fmt::format("the process {} {}", child.role == "ike" ? "that faces the network" : "that holds the secrets",
                                        end_of(status))};
  }
}

void Parent::stop_children() {
  if (std::exchange(stopping_, true)) return;
  if (engine_.pid > 0) {
    (void)give("stop", -1);
    stop_child(engine_, kEngineEnd);
  }
  if (holder_.pid > 0) stop_child(holder_, kHolderEnd);
}

// The engine ends on its own after "stop", the holder when its socket closes.
void Parent::stop_child(Child& child, std::chrono::milliseconds patience) {
  if (child.role == "holder") child.socket.reset();
  const auto give_up = std::chrono::steady_clock::now() + patience;
  for (bool killed = false; child.pid > 0;) {
    const pid_t pid = ::waitpid(child.pid, nullptr, WNOHANG);
    if (pid == child.pid || (pid < 0 && errno == ECHILD)) {
      child.pid = -1;
      return;
    }
    if (std::chrono::steady_clock::now() >= give_up && !std::exchange(killed, true)) {
      log_warn("the process {} does not end by itself", child.role);
      ::kill(child.pid, SIGKILL);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

}  // namespace esplanade::ike
