// A child process with its standard output in a pipe. Killed with the object if it still runs.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>

namespace esplanade::test {

class Process {
 public:
  explicit Process(const char* program);
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process();

  void kill(int signal) const;
  /// The first line from now on that begins with `start`; nothing when it does not come in time.
  std::optional<std::string> wait_for_line(const std::string& start, std::chrono::milliseconds patience);
  /// Exit status, 128 + signal, or nothing when it still runs.
  std::optional<int> wait(std::chrono::milliseconds patience);
  /// Everything it has said.
  const std::string& text() const { return text_; }

 private:
  bool read_some(std::chrono::steady_clock::time_point until);
  pid_t pid_ = -1;
  int out_ = -1;
  std::string text_;
  std::size_t seen_ = 0;  // end of the last line given out
};

/// The process below `parent`, at any depth, whose command name is `name`.
std::optional<int> find_descendant(int parent, const std::string& name);
/// True while the process exists and is no zombie.
bool alive(int pid);
/// Processor time used by a process so far, seconds.
double cpu_seconds(int pid);

}  // namespace esplanade::test
