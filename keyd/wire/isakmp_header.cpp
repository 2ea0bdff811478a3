#include "keyd/wire/isakmp_header.h"

#include <algorithm>

namespace esplanade::ike {

Result<Header> parse_header(ByteView datagram) {
  Reader in(datagram);
  Header h;
  ESPLANADE_TRY(cky_i, in.take(8, "initiator cookie"));
  ESPLANADE_TRY(cky_r, in.take(8, "responder cookie"));
  ESPLANADE_TRY(next, in.u8("next payload"));
  ESPLANADE_TRY(version, in.u8("version"));
  ESPLANADE_TRY(exchange, in.u8("exchange type"));
  ESPLANADE_TRY(flags, in.u8("flags"));
  ESPLANADE_TRY(message_id, in.u32("message id"));
  ESPLANADE_TRY(length, in.u32("length"));
  std::ranges::copy(cky_i, h.cky_i.begin());
  std::ranges::copy(cky_r, h.cky_r.begin());
  h.next = static_cast<PayloadType>(next);
  h.version = version;
  h.exchange = static_cast<Exchange>(exchange);
  h.flags = flags;
  h.message_id = message_id;
  h.length = length;
  if (h.version >> 4 != kVersion >> 4) return Error{Errc::kUnsupported, "ISAKMP major version is not 1", 17};
  if (h.length != datagram.size())
    return Error{Errc::kBadLength, "ISAKMP header length differs from the datagram's", 24};
  if (h.cky_i == kNoCookie) return Error{Errc::kMalformed, "initiator cookie is zero", 0};
  return h;
}

void put_header(Bytes& out, const Header& header) {
  put(out, header.cky_i);
  put(out, header.cky_r);
  out.push_back(static_cast<Byte>(header.next));
  out.push_back(header.version);
  out.push_back(static_cast<Byte>(header.exchange));
  out.push_back(header.flags);
  put_be32(out, header.message_id);
  put_be32(out, header.length);
}

}  // namespace esplanade::ike
