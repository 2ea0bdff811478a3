#include "esplanade/device.h"

namespace esplanade {

Result<std::uint64_t> Device::read64(const card::Reg& lo, const card::Reg& hi) {
  ESPLANADE_TRY(high, read32(hi.at()));
  for (;;) {
    ESPLANADE_TRY(low, read32(lo.at()));
    ESPLANADE_TRY(again, read32(hi.at()));
    if (again == high) return std::uint64_t{high} << 32 | low;
    high = again;
  }
}

}  // namespace esplanade
