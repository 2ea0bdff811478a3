#include "host/backend/card_backend.h"
#include "host/backend/soft_backend.h"

namespace esplanade::host {

Result<std::unique_ptr<Backend>> open_backend(const BackendOptions& options) {
  if (options.card == "soft") return open_soft_backend(options);
  return open_card_backend(options);
}

}  // namespace esplanade::host
