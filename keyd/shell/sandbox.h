// What keyd's processes give up: privileges, core files, other programs, most system calls.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "common/base/result.h"

namespace esplanade::ike {

struct Account {
  uid_t uid = 0;
  gid_t gid = 0;
};
/// Errors: kBadConfig, when there is no such user, or it is root.
Result<Account> find_account(const std::string& user);

/// Between fork() and exec(): as root, becomes `account` for good where there is one, and empties the capability
/// bounding set, so that the program that follows has no capability either way; no_new_privs. Only calls that
/// are allowed after fork(). False on failure.
bool give_up_privileges(const std::optional<Account>& account);

/// No core files, no reading of this process's memory by others of its user.
void forbid_dumps();

enum class Confinement : unsigned char {
  kNetwork,         // the process that parses what comes from the network: opens no file to write, no socket,
                    // starts no program, maps no memory as code
  kHolder,          // the holder of secrets: opens files to read; no sockets
  kHolderKerberos,  // and sockets to the KDC
  kHolderToken,     // and what the library of a PKCS #11 token does to files
  kHolderBoth,
};
/// Allows the system calls of the list and ends the process on any other (seccomp). Errors: kIo, when the
/// kernel does not filter. A build that does not filter only logs.
Status confine(Confinement confinement);
/// Whether this build filters: one with a sanitizer or counters of coverage does not, for their runtimes want calls of their own.
bool filters_system_calls();

}  // namespace esplanade::ike
