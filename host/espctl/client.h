// Asks espd over its status socket.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "common/base/result.h"

namespace esplanade::espctl {

using Json = nlohmann::ordered_json;

/// Sends one request and waits for its answer, 10 seconds at most (a simulated card is slow). Errors: kIo
/// (espd does not run), kPermission, kTimeout, kMalformed (an answer that is none, or one that says what was
/// wrong).
Result<Json> ask(const std::string& socket_path, const Json& request);

/// All SAs: asks for one page after the other.
Result<Json> ask_sas(const std::string& socket_path);

}  // namespace esplanade::espctl
