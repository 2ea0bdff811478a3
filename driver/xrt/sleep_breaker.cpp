#include "driver/xrt/sleep_breaker.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <fstream>

namespace esplanade {

SleepBreaker::SleepBreaker()
    : sleeper_(::pthread_self()), syscall_file_("/proc/self/task/" + std::to_string(::gettid()) + "/syscall") {
  struct sigaction nothing {};
  nothing.sa_handler = [](int) {};
  ::sigaction(SIGALRM, &nothing, &before_);
  thread_ = std::jthread([this](const std::stop_token& stop) { watch(stop); });
}

SleepBreaker::~SleepBreaker() {
  thread_ = {};
  ::sigaction(SIGALRM, &before_, nullptr);
}

void SleepBreaker::watch(const std::stop_token& stop) const {
  while (!stop.stop_requested()) {
    long number = -1;
    std::ifstream(syscall_file_) >> number;
    if (number == SYS_clock_nanosleep || number == SYS_nanosleep) ::pthread_kill(sleeper_, SIGALRM);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

}  // namespace esplanade
