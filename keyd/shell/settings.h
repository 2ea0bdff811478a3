// What every process of keyd does with the configuration before it works.
#pragma once

#include "keyd/policy/config.h"

namespace esplanade::ike {

/// The text of a configuration file of at most 1 MiB that nobody but root or this user may change.
/// Errors: kIo, kPermission, kBadConfig.
Result<std::string> read_config_text(const std::string& path);

/// Parses what text_to_fd() made of it; `path` is for messages. Errors: kIo, kBadConfig.
Result<Config> config_from_fd(const std::string& path, int fd);

/// Level and format of the log. With `keylog`, every line says that keys are written out.
void apply_log_settings(const std::string& part, const Config& config, bool keylog);

}  // namespace esplanade::ike
