// A backend that outlives its card: when the card is lost, hangs or answers nonsense, it is opened anew, or the next of a list, and every SA is
// installed there. What was in the card is lost and counted; no sequence number is used twice, none is accepted twice.
#pragma once

#include <functional>

#include "host/backend/backend.h"

namespace esplanade::host {

using OpenBackend = std::function<Result<std::unique_ptr<Backend>>(const std::string& card)>;

/// Opens the first of `cards` that can be opened; later ones stand in, in order, then the first again. A card that fails three times in a
/// minute is left alone for an hour. "soft" in the list is the software engine as the last resort. Errors: of the last one tried.
///
/// After a loss: outbound SAs go on behind the highest number that may have been sent (RFC 4303 s3.3.3: none twice); inbound ones behind the highest
/// number that was accepted, so that packets which were under way in disorder are dropped rather than a replay accepted (s3.4.3). Lifetimes go
/// on with what is left of them. Packets inside the lost card end with kBusError. Keys stay in the memory of this process, as Secrets, until their SA is removed.
Result<std::unique_ptr<Backend>> open_failover_backend(std::vector<std::string> cards, OpenBackend open);

}  // namespace esplanade::host
