// Watches over XRT's hardware emulation where XRT 2.13 itself would wait for ever.
#pragma once

#include <atomic>
#include <filesystem>
#include <thread>
#include <utility>

namespace esplanade {

/// Standard error as it was when this was made, wherever it leads later.
class LastWords {
 public:
  LastWords();
  ~LastWords();
  LastWords(const LastWords&) = delete;
  LastWords& operator=(const LastWords&) = delete;
  /// Says `text`, removes the run folder and ends the process with status 1, as nothing else can.
  [[noreturn]] void end_process(const std::filesystem::path& folder, const std::string& text) const;

 private:
  int error_;
};

/// While it lives, load_xclbin has 20 s to come back. XRT would wait five minutes for a simulator that could not start
/// and then end the process itself, without a word on why.
class LoadWatch {
 public:
  LoadWatch(std::filesystem::path folder, unsigned card);

 private:
  LastWords last_words_;
  std::jthread thread_;
};

/// Watches the simulator's front process, the one that XRT talks to. A model that dies is no trouble: the front goes on
/// answering for it. When the front itself is gone, XRT never comes back from a call. So gone() turns true, callers
/// then keep out of XRT for good, and if a call is still inside XRT a moment later, the process ends with a message.
class FrontWatch {
 public:
  /// `folder`: that of XRT's sockets, connected by now; `card`: XRT's index of it.
  FrontWatch(std::filesystem::path folder, unsigned card);
  ~FrontWatch();
  FrontWatch(const FrontWatch&) = delete;
  FrontWatch& operator=(const FrontWatch&) = delete;

  bool gone() const { return gone_; }
  /// Leaves an object of XRT to the end of the process, which then passes by XRT's own end: to give anything back
  /// would be a call that never returns.
  template <class T>
  static void abandon(T&& object) {
    static_cast<void>(new T(std::forward<T>(object)));
    skip_end_of_xrt();
  }

  /// Stands around each call into XRT; nullptr for a card that is not simulated.
  class Call {
   public:
    explicit Call(FrontWatch* watch);
    ~Call();
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;

   private:
    FrontWatch* watch_;
  };

 private:
  void watch();
  static void skip_end_of_xrt();
  std::filesystem::path folder_;
  LastWords last_words_;
  int front_ = -1, stop_ = -1;  // pidfd of the front; eventfd that ends the watch
  std::atomic<bool> gone_ = false;
  std::atomic<int> inside_ = 0;
  std::thread thread_;
};

}  // namespace esplanade
