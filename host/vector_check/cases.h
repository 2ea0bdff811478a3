// The kinds of vector files, and how each is checked.
#pragma once

#include <string>

#include "host/backend/backend.h"
#include "host/vector_check/report.h"

namespace esplanade::host {

/// Runs every case of one file. An error means that the file (kMalformed, kIo) or the backend (kDeviceLost) cannot
/// go on; failures of cases go to `report`.
Status run_file(const std::string& path, Backend& backend, Report& report);

}  // namespace esplanade::host
