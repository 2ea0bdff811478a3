// What vector-check found, and how it says so.
#pragma once

#include <unistd.h>

#include <cstdio>
#include <map>
#include <string>

#include "common/base/log.h"

namespace esplanade::host {

class Report {
 public:
  void pass() {
    ++passed_;
    show_progress();
  }
  /// One line at once: the case and why, both made safe to print.
  void fail(const std::string& id, const std::string& why) {
    ++failed_;
    std::printf("FAILED %s: %s\n", printable(id, 200).c_str(), printable(why, 1000).c_str());
  }
  /// Counted by reason and told at the end.
  void skip(const std::string& reason) {
    ++skipped_;
    ++reasons_[reason];
  }
  /// Prints the reasons and the closing line. True when something passed and nothing failed.
  bool close() const {
    for (const auto& [reason, count] : reasons_) std::printf("skipped %u: %s\n", count, reason.c_str());
    std::printf("%u passed, %u failed, %u skipped\n", passed_, failed_, skipped_);
    return failed_ == 0 && passed_ > 0;
  }

 private:
  // For a person who waits; a file or a pipe gets the result alone.
  void show_progress() const {
    if (terminal_ && passed_ % 100 == 0) std::fprintf(stderr, "\r%u passed\r", passed_);
  }

  bool terminal_ = ::isatty(STDERR_FILENO) == 1;
  unsigned passed_ = 0, failed_ = 0, skipped_ = 0;
  std::map<std::string, unsigned> reasons_;
};

}  // namespace esplanade::host
