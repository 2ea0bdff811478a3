#include "common/base/secret.h"

#include <cstring>

namespace esplanade {

void wipe(MutableBytes bytes) {
  if (!bytes.empty()) explicit_bzero(bytes.data(), bytes.size());
}

bool constant_time_equal(ByteView a, ByteView b) {
  if (a.size() != b.size()) return false;
  Byte difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i) difference = static_cast<Byte>(difference | (a[i] ^ b[i]));
  return difference == 0;
}

}  // namespace esplanade
