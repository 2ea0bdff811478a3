// The reference engine as a Backend: golden model, software card, fallback.
#pragma once

#include <memory>

#include "host/backend/backend.h"

namespace esplanade::host {

std::unique_ptr<Backend> open_soft_backend(const BackendOptions& options);

}  // namespace esplanade::host
