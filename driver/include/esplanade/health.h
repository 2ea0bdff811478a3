// What the card says of its own state: errors that are not those of a packet.
#pragma once

#include <optional>
#include <string>

#include "esplanade/device.h"

namespace esplanade {

struct Health {
  bool idle, seeded;
  std::uint32_t causes;                   // sticky bits of ERROR_CAUSE; 0 when all is well
  std::optional<std::uint64_t> bus_error;  // address of the first one, while ERROR_CAUSE has a bus error
};

/// Reads STATUS, ERROR_CAUSE and what belongs to it; changes nothing. Errors as Device::read32.
Result<Health> read_health(Device& device);
/// Clears the given bits of ERROR_CAUSE.
Status clear_causes(Device& device, std::uint32_t causes);
/// Names and meanings of ERROR_CAUSE bits for a person, "none" for 0.
std::string describe_causes(std::uint32_t causes);

}  // namespace esplanade
