#include "esplanade/health.h"

#include <fmt/format.h>

namespace esplanade {

namespace reg = card::reg;

Result<Health> read_health(Device& device) {
  ESPLANADE_TRY(status, device.read32(reg::kStatus.at()));
  ESPLANADE_TRY(causes, device.read32(reg::kErrorCause.at()));
  Health out{reg::kStatusIdle.get(status) != 0, reg::kStatusSeeded.get(status) != 0, causes, std::nullopt};
  const std::uint32_t bus = reg::kErrorCauseRingRead.mask() | reg::kErrorCausePacketRead.mask() | reg::kErrorCausePacketWrite.mask() | reg::kErrorCauseRingWrite.mask();
  if ((causes & bus) != 0) {
    ESPLANADE_TRY(lo, device.read32(reg::kErrorAddrLo.at()));
    ESPLANADE_TRY(hi, device.read32(reg::kErrorAddrHi.at()));
    out.bus_error = std::uint64_t{hi} << 32 | lo;
  }
  return out;
}

Status clear_causes(Device& device, std::uint32_t causes) { return device.write32(reg::kErrorCause.at(), causes); }

std::string describe_causes(std::uint32_t causes) {
  std::string out;
  for (const card::RegField& field : reg::kErrorCause.fields) {
    if (field.get(causes) != 0) out += fmt::format("{}{} ({})", out.empty() ? "" : ", ", field.name, field.doc);
    causes &= ~field.mask();
  }
  if (causes != 0) out += fmt::format("{}unknown bits 0x{:x}", out.empty() ? "" : ", ", causes);
  return out.empty() ? "none" : out;
}

}  // namespace esplanade
