// What a debugger sees of a card that a program drives: a recording of every transaction (ESPLANADE_RECORD=FILE) and a socket that
// answers questions about the card without changing anything (ESPLANADE_SCOPE=PATH). docs/espscope.md has the file and the
// questions. No key and no packet goes into either; of a packet its lengths and the kind of its headers.
#pragma once

#include <memory>
#include <string>

#include "esplanade/device.h"

namespace esplanade {

struct ScopeOptions {
  std::string record;                           // file; empty: none
  std::uint64_t record_bytes = 256ull << 20;  // of the newest transactions that are kept, in two files of half that size
  std::string socket;                           // path; empty: none
};

/// What the environment asks for.
ScopeOptions scope_options_from_environment();

/// The same card, watched; with empty options `device` itself. kIo: the file or the socket cannot be made; kBadConfig.
Result<std::unique_ptr<Device>> watch(std::unique_ptr<Device> device, const ScopeOptions& options);

}  // namespace esplanade
