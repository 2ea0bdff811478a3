// Loaded into a program by esp-xrt-run: ways round four faults of XRT 2.13's hardware emulation library, for
// programs that know nothing of them. Only calls that come from that library are treated otherwise than by
// the C library.
#include <dlfcn.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string_view>

extern "C" void* __libc_realloc(void* block, std::size_t size);  // glibc's own, which needs no dlsym

namespace {

constexpr unsigned kLoadSleep =
    10;  // seconds that load_xclbin sleeps before it waits for the simulator anyway

bool from_emulation(const void* caller) {
  Dl_info info{};
  return ::dladdr(caller, &info) != 0 && info.dli_fname != nullptr &&
         std::strstr(info.dli_fname, "libxrt_hwemu") != nullptr;
}

[[noreturn]] void end(std::string_view why) {
  static_cast<void>(!::write(STDERR_FILENO, why.data(), why.size()));
  ::_exit(EXIT_FAILURE);
}

template <class Function>
Function next(const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" {

/// XRT sleeps in two places: ten seconds in load_xclbin, before it waits for the simulator anyway, and a
/// second at a time where it looks again and again whether a command is done.
unsigned sleep(unsigned seconds) {
  if (from_emulation(__builtin_return_address(0))) {
    ::usleep(1000);
    return 0;
  }
  static const auto real = next<unsigned (*)(unsigned)>("sleep");
  return real(seconds);
}

/// XRT takes the end of the simulator's socket for no progress and reads again, for ever.
ssize_t read(int fd, void* to, std::size_t size) {
  static const auto real = next<ssize_t (*)(int, void*, std::size_t)>("read");
  const ssize_t got = real(fd, to, size);
  if (got == 0 && size != 0 && from_emulation(__builtin_return_address(0))) {
    struct stat status {};
    if (::fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode))
      end("esp-xrt-run: the simulator's front process is gone; XRT cannot go on\n");
  }
  return got;
}

/// XRT's handlers of SIGSEGV, SIGABRT and SIGFPE signal the whole process group: a program that crashes would
/// take the shell or the CI runner that started it along.
int kill(pid_t pid, int signal) {
  static const auto real = next<int (*)(pid_t, int)>("kill");
  if (pid != 0 || !from_emulation(__builtin_return_address(0))) return real(pid, signal);
  ::signal(signal, SIG_DFL);
  sigset_t one;
  sigemptyset(&one);
  sigaddset(&one, signal);
  ::pthread_sigmask(SIG_UNBLOCK, &one, nullptr);
  return real(::getpid(), signal);
}

/// XRT lets its message buffer grow, but goes on using the old one.
void* realloc(void* block, std::size_t size) {
  void* grown = __libc_realloc(block, size);
  if (block != nullptr && grown != block && size != 0 && from_emulation(__builtin_return_address(0))) {
    end("esp-xrt-run: a transfer is larger than XRT's message buffer; give esp-xrt-run a larger --largest\n");
  }
  return grown;
}

}  // extern "C"
