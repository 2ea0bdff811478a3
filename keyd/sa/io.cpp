#include "keyd/sa/io.h"

#include <fmt/format.h>

namespace esplanade::ike {

std::string to_string(const Endpoint& e) {
  return e.address.version == 4 ? fmt::format("{}:{}", esp::to_string(e.address), e.port)
                                : fmt::format("[{}]:{}", esp::to_string(e.address), e.port);
}

}  // namespace esplanade::ike
