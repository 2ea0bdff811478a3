// Random octets from OpenSSL's generator, which the operating system seeds.
#pragma once

#include "common/base/bytes.h"

namespace esplanade::crypto {

/// Fills `out`. Ends the program when there is no entropy: nothing safe can be done then.
void random_bytes(MutableBytes out);

}  // namespace esplanade::crypto
