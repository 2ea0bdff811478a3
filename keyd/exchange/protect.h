// Encryption of IKE messages, RFC 2409 App. B: CBC over everything after the header, zero padding, the IV
// chained from message to message. Opening returns the next IV instead of storing it, so that a message that
// proves wrong leaves no trace.
#pragma once

#include "keyd/keymat/main_mode_keys.h"
#include "keyd/wire/payload.h"

namespace esplanade::ike {

struct Opened {
  Bytes plain;  // payloads and padding; the views below point into it
  Payloads payloads;
  Iv next_iv{};  // the last ciphertext block
};

/// Encrypts the chain and moves `iv` on. Sets the header's next, length and encryption flag.
Result<Bytes> protect(const MmKeys& keys, std::uint16_t encryption, Iv& iv, Header header,
                      const ChainBuilder& chain);

/// Decrypts a datagram and splits it. A wrong key shows as kMalformed or kBadLength; ciphertext that is not
/// whole blocks as kBadLength.
Result<Opened> open(const MmKeys& keys, std::uint16_t encryption, const Iv& iv, const Header& header,
                    ByteView datagram);

/// What the HASH payload in front covers: all that follows it, generic headers included (RFC 2409 s5.5).
ByteView after_hash(const Payloads& payloads);

}  // namespace esplanade::ike
