// Secrets in files that others may read: AES-256-GCM (NIST SP 800-38D) under a key that lies elsewhere.
#pragma once

#include <cstdint>

#include "common/base/secret.h"

namespace esplanade::crypto {

inline constexpr std::size_t kSealKeyLen = 32, kSealTagLen = 16;

/// `plain` sealed under `key` (kSealKeyLen octets) with `number` as nonce: never the same number twice under one key.
/// As long as `plain`, and the tag behind it. `bound` is not in it, but must be the same when it is opened.
Bytes seal(ByteView key, std::uint64_t number, ByteView bound, ByteView plain);
/// What was sealed. kBadIcv: another key, number or `bound`, or octets that were changed.
Result<Secret> unseal(ByteView key, std::uint64_t number, ByteView bound, ByteView sealed);

}  // namespace esplanade::crypto
