#define ESPLANADE_DES_VECTOR_BYTES 32
#include "common/crypto/des_bitslice_kernel.h"
#include "common/crypto/des_bitslice_variants.h"

namespace esplanade::crypto::detail {

const DesBitslice kDesBitslice256{64 * kWords, slice, cipher};

}  // namespace esplanade::crypto::detail
