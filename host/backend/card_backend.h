// An esp_card, real or simulated, as a Backend: through libesplanade.
#pragma once

#include <memory>

#include "host/backend/backend.h"

namespace esplanade::host {

/// Opens the card that options.card names ("sim" or an XRT device). Errors as Device::open.
Result<std::unique_ptr<Backend>> open_card_backend(const BackendOptions& options);

}  // namespace esplanade::host
