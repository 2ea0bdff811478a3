// Files that hold secrets: nobody but their owner may read or write them.
#pragma once

#include <string>

#include "common/base/secret.h"

namespace esplanade::ike {

/// The octets of a regular file of at most `most` octets that belongs to root or to this user and has no
/// permission for group and others. Errors name the path and what to do: kIo, kPermission, kBadConfig (size).
Result<Secret> read_private_file(const std::string& path, std::size_t most);

}  // namespace esplanade::ike
