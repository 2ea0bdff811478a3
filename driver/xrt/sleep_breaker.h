// Ends the sleep of ten seconds that XRT's hardware emulation shim takes inside load_xclbin.
#pragma once

#include <pthread.h>
#include <signal.h>

#include <string>
#include <thread>

namespace esplanade {

/// While it lives, a signal with an empty handler ends every sleep of the thread that made it. Only a sleep: the same
/// signal in XRT's select() for the simulator's connection would make XRT end the program.
class SleepBreaker {
 public:
  SleepBreaker();
  ~SleepBreaker();
  SleepBreaker(const SleepBreaker&) = delete;
  SleepBreaker& operator=(const SleepBreaker&) = delete;

 private:
  void watch(const std::stop_token& stop) const;
  pthread_t sleeper_;
  std::string syscall_file_;
  struct sigaction before_ {};
  std::jthread thread_;
};

}  // namespace esplanade
