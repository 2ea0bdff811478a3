// The operator's commands on the engine, as JSON. No answer holds a key.
//
//   {"command":"list","offset":N}                    main modes and children, a page from N on
//   {"command":"initiate"|"terminate"|"rekey","connection":NAME[,"child":NAME]}
//   {"command":"reload"}                             goes to the parent, see is_reload()
//   {"command":"stats"}
//   {"command":"log"}                                answered by the server
// Every answer may be {"error":TEXT} instead.
#pragma once

#include "keyd/control/server.h"
#include "keyd/sa/engine.h"

namespace esplanade::ike {

/// Entries of one page of "list": an answer fits a packet.
inline constexpr std::size_t kListPage = 200;

struct DaemonFacts {
  Time started{0};
  bool keylog = false;
};

bool is_reload(const Json& request);
/// {"done":true}, or the error.
Json status_json(const Status& status);
/// Carries out any command but "reload" and "log".
Json execute_command(Engine& engine, const Json& request, Time now, const DaemonFacts& facts);

}  // namespace esplanade::ike
