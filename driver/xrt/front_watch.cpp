#include "driver/xrt/front_watch.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <mutex>

#include "common/base/log.h"

namespace esplanade {

namespace fs = std::filesystem;

namespace {
constexpr std::chrono::seconds kLoadPatience{20};
constexpr std::chrono::milliseconds kCallPatience{500};

// Calls of this thread inside XRT. What XRT writes to a front that is gone raises SIGPIPE there.
thread_local int calls_inside = 0;
std::mutex pipe_mutex;
int pipe_users = 0;  // watches: the handler is there as long as one of them
struct sigaction pipe_before {};

void on_sigpipe(int number, siginfo_t* info, void* context) {
  // FrontWatch ends the process with a better word on it.
  while (calls_inside != 0) ::pause();
  if ((pipe_before.sa_flags & SA_SIGINFO) != 0) return pipe_before.sa_sigaction(number, info, context);
  if (pipe_before.sa_handler == SIG_IGN) return;
  if (pipe_before.sa_handler != SIG_DFL) return pipe_before.sa_handler(number);
  ::sigaction(SIGPIPE, &pipe_before, nullptr);
  ::raise(SIGPIPE);  // comes when this handler returns
}

/// The process at the other end of XRT's main socket of a card, deviceCARD_TURN_PID in `folder`; 0 when there is none. A card that is opened again
/// while another one of the process is open has a turn of its own; the last one counts.
pid_t find_front(const fs::path& folder, unsigned card) {
  const std::string head = (folder / fmt::format("device{}_", card)).string(), tail = fmt::format("_{}", ::getpid());
  pid_t found = 0;
  int last = -1;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/proc/self/fd", error)) {
    const int fd = std::atoi(entry.path().filename().c_str());
    sockaddr_un address{};
    socklen_t size = sizeof address;
    if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0 || address.sun_family != AF_UNIX) continue;
    const std::string_view name = address.sun_path;
    if (name.size() <= head.size() + tail.size() || !name.starts_with(head) || !name.ends_with(tail)) continue;
    const int turn = std::atoi(address.sun_path + head.size());
    ucred peer{};
    size = sizeof peer;
    if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.pid > 0 && turn > last) {
      found = peer.pid;
      last = turn;
    }
  }
  return found;
}

/// The last line of the simulator's log: its launcher writes there why it could not start.
std::string simulator_said(const fs::path& folder, unsigned card) {
  const char* given = std::getenv("ESPLANADE_SIM_LOG");
  const fs::path log = given != nullptr ? fs::path(given) : folder / fmt::format(".run/{}/hw_em/device{}/binary_0/esp-card-sim.log", ::getpid(), card);
  std::string last;
  std::ifstream file(log);
  for (std::string line; std::getline(file, line);) last = line;
  return last.empty() ? "it left no log" : printable(last, 300);
}
}  // namespace

LastWords::LastWords() : error_(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3)) {}

LastWords::~LastWords() {
  if (error_ >= 0) ::close(error_);
}

void LastWords::end_process(const fs::path& folder, const std::string& text) const {
  if (error_ >= 0) ::dup2(error_, STDERR_FILENO);
  log_error("{}", text);
  std::error_code ignored;
  fs::remove_all(folder, ignored);
  ::_exit(EXIT_FAILURE);
}

LoadWatch::LoadWatch(fs::path folder, unsigned card)
    : thread_([this, folder = std::move(folder), card](const std::stop_token& stop) {
        std::mutex mutex;
        std::unique_lock lock(mutex);
        std::condition_variable_any ended;
        ended.wait_for(lock, stop, kLoadPatience, [] { return false; });
        if (stop.stop_requested()) return;
        last_words_.end_process(folder, fmt::format("the card's simulator did not start within {} s ({}); XRT would go on waiting, so this process ends",
                                                    kLoadPatience.count(), simulator_said(folder, card)));
      }) {}

FrontWatch::FrontWatch(fs::path folder, unsigned card) : folder_(std::move(folder)), stop_(::eventfd(0, EFD_CLOEXEC)) {
  const pid_t pid = find_front(folder_, card);
  if (pid > 0) front_ = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));  // glibc 2.36's header is not for C++
  if (front_ < 0 || stop_ < 0) {
    log_warn("the simulator's front process cannot be watched: should it die, XRT hangs");
    return;
  }
  {
    const std::lock_guard lock(pipe_mutex);
    struct sigaction action {};
    action.sa_sigaction = on_sigpipe;
    action.sa_flags = SA_SIGINFO | SA_RESTART;
    if (pipe_users++ == 0) ::sigaction(SIGPIPE, &action, &pipe_before);
  }
  thread_ = std::thread([this] { watch(); });
}

FrontWatch::~FrontWatch() {
  if (thread_.joinable()) {
    ::eventfd_write(stop_, 1);
    thread_.join();
    const std::lock_guard lock(pipe_mutex);
    if (--pipe_users == 0) ::sigaction(SIGPIPE, &pipe_before, nullptr);
  }
  if (front_ >= 0) ::close(front_);
  if (stop_ >= 0) ::close(stop_);
}

FrontWatch::Call::Call(FrontWatch* watch) : watch_(watch) {
  if (watch_ == nullptr) return;
  ++calls_inside;
  ++watch_->inside_;
}

FrontWatch::Call::~Call() {
  if (watch_ == nullptr) return;
  --watch_->inside_;
  --calls_inside;
}

void FrontWatch::skip_end_of_xrt() {
  static const int registered = ::on_exit(
      [](int status, void*) {
        std::fflush(nullptr);
        ::_exit(status);
      },
      nullptr);
  static_cast<void>(registered);
}

void FrontWatch::watch() {
  pollfd waits[] = {{front_, POLLIN, 0}, {stop_, POLLIN, 0}};
  while (::poll(waits, 2, -1) < 0) {
  }
  if (waits[1].revents != 0) return;
  gone_ = true;
  const auto end = std::chrono::steady_clock::now() + kCallPatience;
  while (inside_ != 0) {
    if (std::chrono::steady_clock::now() > end) {
      last_words_.end_process(folder_, "the card's simulator was killed in the middle of a call; XRT cannot come back from that, so this process ends");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

}  // namespace esplanade
