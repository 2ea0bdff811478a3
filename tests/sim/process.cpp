#include "tests/sim/process.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <thread>

namespace esplanade::test {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

namespace {

struct Stat {
  std::string name;
  char state;
  int parent;
  unsigned long ticks;
};

std::optional<Stat> read_stat(int pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text((std::istreambuf_iterator<char>(file)), {});
  const auto open = text.find('('), close = text.rfind(')');
  if (open == std::string::npos || close == std::string::npos) return std::nullopt;
  Stat out{text.substr(open + 1, close - open - 1), '?', 0, 0};
  std::istringstream rest(text.substr(close + 1));
  std::string skip;
  rest >> out.state >> out.parent;
  for (int i = 0; i < 9; ++i) rest >> skip;  // pgrp .. cmajflt
  unsigned long user = 0, system = 0;
  rest >> user >> system;
  out.ticks = user + system;
  return out;
}

}  // namespace

Process::Process(const char* program) {
  int ends[2];
  if (::pipe(ends) != 0) throw std::runtime_error("pipe");
  pid_ = ::fork();
  if (pid_ < 0) throw std::runtime_error("fork");
  if (pid_ == 0) {
    ::dup2(ends[1], STDOUT_FILENO);
    ::close(ends[0]);
    ::close(ends[1]);
    ::execl(program, program, static_cast<char*>(nullptr));
    ::_exit(127);
  }
  ::close(ends[1]);
  out_ = ends[0];
}

Process::~Process() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  ::close(out_);
}

void Process::kill(int signal) const {
  if (pid_ > 0) ::kill(pid_, signal);
}

/// False at the end of its output or when the time is over.
bool Process::read_some(Clock::time_point until) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now());
  pollfd readable{out_, POLLIN, 0};
  if (::poll(&readable, 1, static_cast<int>(std::max<std::int64_t>(0, left.count()))) <= 0) return false;
  char buffer[4096];
  const ssize_t got = ::read(out_, buffer, sizeof buffer);
  if (got <= 0) return false;
  text_.append(buffer, static_cast<std::size_t>(got));
  return true;
}

std::optional<std::string> Process::wait_for_line(const std::string& start,
                                                  std::chrono::milliseconds patience) {
  const auto until = Clock::now() + patience;
  for (;;) {
    for (auto end = text_.find('\n', seen_); end != std::string::npos; end = text_.find('\n', seen_)) {
      const std::string line = text_.substr(seen_, end - seen_);
      seen_ = end + 1;
      if (line.starts_with(start)) return line;
    }
    if (!read_some(until)) return std::nullopt;
  }
}

std::optional<int> Process::wait(std::chrono::milliseconds patience) {
  const auto until = Clock::now() + patience;
  while (read_some(until)) {
  }
  int status = 0;
  while (::waitpid(pid_, &status, WNOHANG) == 0) {
    if (Clock::now() > until) return std::nullopt;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::optional<int> find_descendant(int parent, const std::string& name) {
  std::map<int, Stat> all;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string pid = entry.path().filename();
    if (!std::ranges::all_of(pid, [](char c) { return c >= '0' && c <= '9'; })) continue;
    if (const auto stat = read_stat(std::stoi(pid))) all.emplace(std::stoi(pid), *stat);
  }
  for (const auto& [pid, stat] : all) {
    if (stat.name != name || stat.state == 'Z') continue;
    int up = pid;
    for (auto at = all.find(up); at != all.end() && up != parent; at = all.find(up)) up = at->second.parent;
    if (up == parent) return pid;
  }
  return std::nullopt;
}

bool alive(int pid) {
  const auto stat = read_stat(pid);
  return stat && stat->state != 'Z';
}

double cpu_seconds(int pid) {
  const auto stat = read_stat(pid);
  return stat ? static_cast<double>(stat->ticks) / static_cast<double>(::sysconf(_SC_CLK_TCK)) : 0;
}

}  // namespace esplanade::test
