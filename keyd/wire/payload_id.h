// ID payload, RFC 2407 s4.6.2. Body: type(1) protocol(1) port(2) data.
#pragma once

#include "common/esp/sa.h"
#include "keyd/wire/doi_numbers.h"

namespace esplanade::ike {

struct Id {
  IdType type = IdType::kIpv4Addr;
  std::uint8_t protocol = 0;
  std::uint16_t port = 0;
  Bytes data;
  bool operator==(const Id&) const = default;
};

/// Parses the body and checks that the data has the length of an address type. Errors: kTruncated,
/// kBadLength.
Result<Id> parse_id(ByteView body);
Bytes build_id(const Id& id);

/// An identity of phase 1 from its text: an address, "user@host" (USER_FQDN) or a name (FQDN; one leading '@'
/// is dropped).
Id id_from_text(std::string_view text);
Id id_from_address(const esp::IpAddress& address);
/// For people: printable, of bounded length.
std::string to_string(const Id& id);

/// Traffic that an SA carries: an inclusive address range, protocol and port 0 for any.
struct Selector {
  esp::IpAddress first;
  esp::IpAddress last;
  std::uint8_t protocol = 0;
  std::uint16_t port = 0;
  bool operator==(const Selector&) const = default;
};
/// Quick Mode ID to selector; address, subnet (contiguous mask) and range types. Errors: kUnsupported,
/// kMalformed.
Result<Selector> selector_from_id(const Id& id);
/// The shortest ID for a selector: address, subnet, else range.
Id id_from_selector(const Selector& selector);
/// "10.1.0.0/16", "192.0.2.1", "10.1.0.5-10.1.0.9", "2001:db8::/32", each with an optional "[protocol]" or "[protocol/port]" in
/// numbers.
Result<Selector> parse_selector(std::string_view text);
std::string to_string(const Selector& selector);

}  // namespace esplanade::ike
