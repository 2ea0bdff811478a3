#include "keyd/wire/payload_notify.h"

namespace esplanade::ike {

Result<Notify> parse_notify(ByteView body) {
  Reader in(body);
  Notify n;
  ESPLANADE_TRY(doi, in.u32("DOI"));
  if (doi > kDoiIpsec) return Error{Errc::kUnsupported, "DOI of the notify payload is not IPsec", 0};
  ESPLANADE_TRY(protocol, in.u8("protocol id"));
  ESPLANADE_TRY(spi_len, in.u8("SPI size"));
  ESPLANADE_TRY(type, in.u16("notify type"));
  ESPLANADE_TRY(spi, in.take(spi_len, "SPI"));
  ByteView data = body.subspan(in.offset());
  n.protocol = protocol;
  n.type = type;
  n.spi.assign(spi.begin(), spi.end());
  n.data.assign(data.begin(), data.end());
  return n;
}

Bytes build_notify(const Notify& notify) {
  Bytes out;
  put_be32(out, kDoiIpsec);
  out.push_back(notify.protocol);
  out.push_back(static_cast<Byte>(notify.spi.size()));
  put_be16(out, notify.type);
  put(out, notify.spi);
  put(out, notify.data);
  return out;
}

Result<Delete> parse_delete(ByteView body) {
  Reader in(body);
  Delete d;
  ESPLANADE_TRY(doi, in.u32("DOI"));
  if (doi > kDoiIpsec) return Error{Errc::kUnsupported, "DOI of the delete payload is not IPsec", 0};
  ESPLANADE_TRY(protocol, in.u8("protocol id"));
  ESPLANADE_TRY(spi_len, in.u8("SPI size"));
  ESPLANADE_TRY(num_spis, in.u16("number of SPIs"));
  const bool isakmp = protocol == static_cast<std::uint8_t>(ProtocolId::kIsakmp);
  if (spi_len != (isakmp ? 16 : 4))
    return Error{Errc::kBadLength, "SPI size of the delete payload is wrong", 5};
  if (in.left() != std::size_t{num_spis} * spi_len)
    return Error{Errc::kBadLength, "number of SPIs of the delete payload is wrong", 6};
  d.protocol = protocol;
  while (in.left() != 0) {
    ESPLANADE_TRY(spi, in.take(spi_len, "SPI"));
    d.spis.emplace_back(spi.begin(), spi.end());
  }
  return d;
}

Bytes build_delete(const Delete& del) {
  Bytes out;
  put_be32(out, kDoiIpsec);
  out.push_back(del.protocol);
  out.push_back(static_cast<Byte>(del.spis.empty() ? 4 : del.spis.front().size()));
  put_be16(out, static_cast<std::uint16_t>(del.spis.size()));
  for (const Bytes& spi : del.spis) put(out, spi);
  return out;
}

}  // namespace esplanade::ike
