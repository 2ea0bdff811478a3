// The SAs of espcap, from a TOML file: an array of tables [[sa]].
#pragma once

#include <optional>
#include <vector>

#include "common/esp/sa.h"

namespace esplanade::host {

/// Addresses that share their first `length` bits with `prefix`.
struct Cidr {
  esp::IpAddress prefix;
  std::uint8_t length = 0;
  bool holds(const esp::IpAddress& address) const;
};
/// "10.0.0.0/8"; without a length, one address.
Result<Cidr> parse_cidr(std::string_view text);

struct FileSa {
  esp::SaParams params;
  // Outbound: inner packets that this SA takes; none means all.
  std::optional<Cidr> from, to;
};

/// Reads and validates `path`. Errors name file, line and reason, and never a key: kIo, kBadConfig, kWeakKey.
Result<std::vector<FileSa>> read_sa_file(const std::string& path);

}  // namespace esplanade::host
