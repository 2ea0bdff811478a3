// The reference engine as a Backend: golden model, software card, fallback.
#pragma once

#include <memory>

#include "host/backend/backend.h"

namespace esplanade::host {

std::unique_ptr<Backend> open_soft_backend(const BackendOptions& options);

/// The completion status that says the same as an engine's error.
card::Status to_status(Errc code);

}  // namespace esplanade::host
