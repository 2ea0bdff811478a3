// A process of keyd's own: the same program, started anew with another role and an address space of its own.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "common/pfkey/socket.h"
#include "keyd/shell/sandbox.h"

namespace esplanade::ike {

/// The descriptor of a child's connection with its parent.
inline constexpr int kParentFd = 3;

struct Child {
  std::string role;
  pid_t pid = -1;
  pfkey::Fd socket;  // messages, message_socket.h
};

/// Starts this program with `--role ROLE`, as `account` where that is given. The child inherits standard error
/// and kParentFd, nothing else. Errors: kIo.
Result<Child> start_child_process(const std::string& role, const std::optional<Account>& account);

/// The first thing in a child: signals that are the parent's business are ignored, dumps forbidden.
void enter_child_process();

}  // namespace esplanade::ike
