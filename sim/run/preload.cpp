// Loaded into a program by esp-xrt-run: ways round five faults of XRT 2.13's hardware emulation library, for
// programs that know nothing of them. Only calls that come from that library are treated otherwise than by
// the C library.
#include <dlfcn.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string_view>

extern "C" void* __libc_realloc(void* block, std::size_t size);  // glibc's own, which needs no dlsym

namespace {

constexpr unsigned kLoadSleep =
    10;  // seconds that load_xclbin sleeps before it waits for the simulator anyway

/// The call comes from XRT's emulation library; from the function with this in its name, where one is given.
bool from_emulation(const void* caller, const char* function = nullptr) {
  Dl_info info{};
  if (::dladdr(caller, &info) == 0 || info.dli_fname == nullptr ||
      std::strstr(info.dli_fname, "libxrt_hwemu") == nullptr)
    return false;
  return function == nullptr ||
         (info.dli_sname != nullptr && std::strstr(info.dli_sname, function) != nullptr);
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

/// XRT looks whether a command is done in steps of a second, the first time, in load_xclbin, of ten. Its
/// thread that fetches messages sleeps ten seconds, too, and must: the simulator's connection is not there
/// yet.
unsigned sleep(unsigned seconds) {
  if (from_emulation(__builtin_return_address(0), "xclExecWait")) {
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

/// XRT's load_xclbin sets variables while its second thread reads one; glibc then frees the array under that
/// thread's feet. Here arrays and strings that somebody may look at stay for good.
int setenv(const char* name, const char* value, int overwrite) {
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  if (name == nullptr || *name == '\0' || std::strchr(name, '=') != nullptr) {
    errno = EINVAL;
    return -1;
  }
  const std::size_t length = std::strlen(name);
  std::size_t count = 0, at = 0;
  for (bool found = false; environ != nullptr && environ[count] != nullptr; ++count) {
    found = found || (std::strncmp(environ[count], name, length) == 0 && environ[count][length] == '=');
    if (!found) at = count + 1;
  }
  if (at < count && overwrite == 0) return 0;
  const std::size_t size = std::strlen(value) + 1;
  auto* entry = static_cast<char*>(std::malloc(length + 1 + size));
  auto** array = at < count ? environ : static_cast<char**>(std::malloc((count + 2) * sizeof(char*)));
  if (entry == nullptr || array == nullptr) {
    errno = ENOMEM;
    return -1;
  }
  std::memcpy(entry, name, length);
  entry[length] = '=';
  std::memcpy(entry + length + 1, value, size);
  if (at == count) {
    std::copy_n(environ, count, array);
    array[count + 1] = nullptr;
  }
  array[at] = entry;
  __atomic_store_n(&environ, array, __ATOMIC_RELEASE);
  return 0;
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
