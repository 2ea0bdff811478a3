// A backend that outlives its cards, and spreads the SAs over several: each SA lives on one of the cards in use, those of a policy on the same. When a card is
// lost, hangs or answers nonsense, it is opened anew, or another of the list is, and its SAs are installed there, or on the other cards in use. What was in
// the card is lost and counted; no sequence number is used twice, none is accepted twice.
#pragma once

#include <functional>

#include "host/backend/backend.h"

namespace esplanade::host {

using OpenBackend = std::function<Result<std::unique_ptr<Backend>>(const std::string& card)>;

/// Opens the first `in_use` of `cards` that can be opened, at least one; later ones stand in for one of them, in order, then the first again. A card that fails
/// three times in a minute is left alone for an hour. "soft" in the list is the software engine as the last resort. Errors: of the last one tried.
///
/// Which card carries a policy follows from its reqid and the cards that are up, by the highest of a weight for each (rendezvous hashing): the loss of a card
/// moves its own SAs alone. Where nothing stands in for it, they go to the others; it takes its share again with reset(), and not by itself, since opening a
/// card stops the traffic of all for as long as it takes. The entry of an inbound SPI is kept free on every card, so that its SA can go anywhere. A card
/// that takes packets and finishes none fills up to its share of what may be inside; then its packets end with kBusError and the others' pass.
///
/// After a loss: outbound SAs go on behind the highest number that may have been sent (RFC 4303 s3.3.3: none twice); inbound ones behind the highest
/// number that was accepted, so that packets which were under way in disorder are dropped rather than a replay accepted (s3.4.3). Lifetimes go
/// on with what is left of them. Packets inside the lost card end with kBusError. Keys stay in the memory of this process, as Secrets, until their SA is removed.
Result<std::unique_ptr<Backend>> open_failover_backend(std::vector<std::string> cards, std::size_t in_use, OpenBackend open);

}  // namespace esplanade::host
