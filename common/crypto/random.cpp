#include "common/crypto/random.h"

#include <openssl/rand.h>

#include "common/crypto/library.h"

namespace esplanade::crypto {

void random_bytes(MutableBytes out) {
  if (!out.empty() && RAND_bytes(out.data(), static_cast<int>(out.size())) != 1) detail::die("no random octets");
}

}  // namespace esplanade::crypto
