// espd's answers as tables for people.
#pragma once

#include <string>

#include "host/espctl/client.h"

namespace esplanade::espctl {

std::string status_table(const Json& status);
std::string sa_table(const Json& sas);
std::string stats_table(const Json& stats);

}  // namespace esplanade::espctl
