// Asks a daemon over its socket: one JSON object a packet.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "common/base/result.h"

namespace esplanade::espctl {

using Json = nlohmann::ordered_json;

/// Who is asked, for messages.
struct Daemon {
  const char* name;
  const char* user;
};
inline constexpr Daemon kEspd{"espd", "espd"};

/// Sends one request and waits for its answer, 10 seconds at most (a simulated card is slow; keyd's reload may
/// take 60). Errors: kIo (the daemon does not run), kPermission, kTimeout, kMalformed (an answer that is none,
/// or one that says what was wrong).
Result<Json> ask(const std::string& socket_path, const Json& request, const Daemon& daemon = kEspd);

/// All SAs: asks with `command` for one page after the other.
Result<Json> ask_sas(const std::string& socket_path, const char* command = "sa", const Daemon& daemon = kEspd);

/// Sends one request and hands on every packet that comes, until the daemon ends (ok). Errors as ask().
Status follow(const std::string& socket_path, const Json& request, const Daemon& daemon,
              const std::function<void(const Json&)>& each);

}  // namespace esplanade::espctl
