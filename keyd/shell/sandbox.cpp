#include "keyd/shell/sandbox.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <initializer_list>
#include <memory>

#include "common/base/log.h"

namespace esplanade::ike {
namespace {

constexpr int kCapabilitiesMax = 64;

// Both processes: an event loop, memory, time, what is open already.
constexpr int kCommon[] = {
    SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(readv), SCMP_SYS(writev), SCMP_SYS(pread64), SCMP_SYS(close),
    SCMP_SYS(lseek), SCMP_SYS(fstat), SCMP_SYS(newfstatat), SCMP_SYS(stat), SCMP_SYS(statx),
    SCMP_SYS(recvmsg), SCMP_SYS(sendmsg), SCMP_SYS(recvfrom), SCMP_SYS(sendto), SCMP_SYS(poll),
    SCMP_SYS(ppoll), SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait), SCMP_SYS(eventfd2), SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_settime),
    SCMP_SYS(fcntl), SCMP_SYS(getsockopt), SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap),
    SCMP_SYS(madvise), SCMP_SYS(futex), SCMP_SYS(getrandom), SCMP_SYS(clock_gettime), SCMP_SYS(gettimeofday),
    SCMP_SYS(clock_nanosleep), SCMP_SYS(restart_syscall), SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn), SCMP_SYS(sigaltstack), SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(geteuid),
    SCMP_SYS(getuid), SCMP_SYS(getegid), SCMP_SYS(getgid), SCMP_SYS(sched_yield), SCMP_SYS(exit),
    SCMP_SYS(exit_group), SCMP_SYS(prlimit64), SCMP_SYS(uname), SCMP_SYS(sysinfo)};
constexpr int kNetworkOnly[] = {SCMP_SYS(accept4), SCMP_SYS(getsockname)};
// Threads of the holder, loading of plugins, look-ups of accounts and hosts in files.
constexpr int kHolderOnly[] = {
    SCMP_SYS(clone), SCMP_SYS(clone3), SCMP_SYS(set_robust_list), SCMP_SYS(rseq), SCMP_SYS(access),
    SCMP_SYS(faccessat), SCMP_SYS(faccessat2), SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(getcwd),
    SCMP_SYS(getdents64), SCMP_SYS(dup), SCMP_SYS(ioctl), SCMP_SYS(getresuid), SCMP_SYS(getresgid),
    SCMP_SYS(fstatfs), SCMP_SYS(statfs), SCMP_SYS(sched_getaffinity), SCMP_SYS(prctl), SCMP_SYS(umask)};
constexpr int kKerberos[] = {SCMP_SYS(connect), SCMP_SYS(bind), SCMP_SYS(setsockopt), SCMP_SYS(getsockname),
                             SCMP_SYS(getpeername), SCMP_SYS(shutdown), SCMP_SYS(sendmmsg), SCMP_SYS(flock)};
constexpr int kToken[] = {SCMP_SYS(openat), SCMP_SYS(open), SCMP_SYS(flock), SCMP_SYS(mkdir), SCMP_SYS(unlink),
                          SCMP_SYS(rename), SCMP_SYS(ftruncate), SCMP_SYS(fsync)};

class Filter {
 public:
  Filter() : context_(seccomp_init(SCMP_ACT_KILL_PROCESS)), failed_(context_ == nullptr) {}
  Filter(const Filter&) = delete;
  Filter& operator=(const Filter&) = delete;
  ~Filter() {
    if (context_ != nullptr) seccomp_release(context_);
  }
  template <std::size_t N>
  void allow(const int (&calls)[N]) {
    for (const int call : calls) allow(call, {});
  }
  void allow(int call, std::initializer_list<scmp_arg_cmp> conditions) {
    failed_ = failed_ || seccomp_rule_add_array(context_, SCMP_ACT_ALLOW, call,
                                                static_cast<unsigned>(conditions.size()), conditions.begin()) != 0;
  }
  void refuse(int call, int error) {
    failed_ = failed_ || seccomp_rule_add(context_, SCMP_ACT_ERRNO(static_cast<unsigned>(error)), call, 0) != 0;
  }
  Status load() {
    if (failed_ || seccomp_load(context_) != 0) return Error{Errc::kIo, "the kernel takes no system call filter"};
    return ok();
  }

 private:
  scmp_filter_ctx context_;
  bool failed_;
};

constexpr std::uint64_t kWriting = O_ACCMODE | O_CREAT | O_TRUNC | O_TMPFILE;

void allow_reading_files(Filter& filter) {
  // __O_TMPFILE without O_DIRECTORY: that bit alone is for reading folders.
  constexpr std::uint64_t mask = kWriting & ~static_cast<std::uint64_t>(O_DIRECTORY);
  filter.allow(SCMP_SYS(openat), {SCMP_A2(SCMP_CMP_MASKED_EQ, mask, O_RDONLY)});
  filter.allow(SCMP_SYS(open), {SCMP_A1(SCMP_CMP_MASKED_EQ, mask, O_RDONLY)});
}

void allow_for_network(Filter& filter) {
  filter.allow(kNetworkOnly);
  allow_reading_files(filter);
  filter.allow(SCMP_SYS(mmap), {SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)});
  filter.allow(SCMP_SYS(mprotect), {SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)});
  filter.allow(SCMP_SYS(ioctl), {SCMP_A1(SCMP_CMP_EQ, FIONBIO)});
  filter.allow(SCMP_SYS(tgkill), {SCMP_A0(SCMP_CMP_EQ, static_cast<scmp_datum_t>(::getpid()))});
}

void allow_for_holder(Filter& filter, bool kerberos, bool token) {
  filter.allow(kHolderOnly);
  filter.allow(SCMP_SYS(mmap), {});
  filter.allow(SCMP_SYS(mprotect), {});
  filter.allow(SCMP_SYS(tgkill), {SCMP_A0(SCMP_CMP_EQ, static_cast<scmp_datum_t>(::getpid()))});
  if (token) {
    filter.allow(kToken);
  } else {
    allow_reading_files(filter);
  }
  if (kerberos) {
    filter.allow(kKerberos);
    filter.allow(SCMP_SYS(socket), {});
  } else {
    filter.refuse(SCMP_SYS(socket), EAFNOSUPPORT);  // libraries that look for a name service go on without
  }
}

}  // namespace

Result<Account> find_account(const std::string& user) {
  const passwd* entry = ::getpwnam(user.c_str());
  if (entry == nullptr)
    return Error{Errc::kBadConfig,
                 fmt::format("there is no user {}: install the sysusers file of keyd, or name another one as user "
                             "under [process]",
                             printable(user))};
  if (entry->pw_uid == 0)
    return Error{Errc::kBadConfig, "the process that faces the network must not run as root: user under [process]"};
  return Account{entry->pw_uid, entry->pw_gid};
}

bool give_up_privileges(const std::optional<Account>& account) {
  if (::geteuid() == 0) {
    for (int cap = 0; cap < kCapabilitiesMax; ++cap)
      if (::prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 1 && ::prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0) return false;
    if (account) {
      // The capability to change users is still there: the bounding set counts at exec().
      if (::setgroups(0, nullptr) != 0 || ::setresgid(account->gid, account->gid, account->gid) != 0 ||
          ::setresuid(account->uid, account->uid, account->uid) != 0)
        return false;
      if (::setresuid(0, 0, 0) == 0) return false;
    }
  }
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}

void forbid_dumps() {
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  ::prctl(PR_SET_DUMPABLE, 0);
}

bool filters_system_calls() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(ESPLANADE_COVERAGE)
  return false;
#else
  return true;
#endif
}

Status confine(Confinement confinement) {
  if (!filters_system_calls()) {
    log_warn("built with a sanitizer or with counters of coverage: system calls are not filtered");
    return ok();
  }
  Filter filter;
  filter.allow(kCommon);
  if (confinement == Confinement::kNetwork) {
    allow_for_network(filter);
  } else {
    allow_for_holder(filter,
                     confinement == Confinement::kHolderKerberos || confinement == Confinement::kHolderBoth,
                     confinement == Confinement::kHolderToken || confinement == Confinement::kHolderBoth);
  }
  return filter.load();
}

}  // namespace esplanade::ike
