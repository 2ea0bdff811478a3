#include "keyd/wire/attribute.h"

namespace esplanade::ike {

Result<Attributes> parse_attributes(ByteView octets) {
  Attributes out;
  Reader in(octets);
  while (in.left() != 0) {
    ESPLANADE_TRY(type, in.u16("attribute type"));
    Attribute a;
    a.type = type & 0x7fff;
    a.basic = (type & 0x8000) != 0;
    std::size_t len = 2;
    if (!a.basic) {
      ESPLANADE_TRY(tlv_len, in.u16("attribute length"));
      len = tlv_len;
    }
    ESPLANADE_TRY(value, in.take(len, "attribute value"));
    a.value.assign(value.begin(), value.end());
    out.push_back(std::move(a));
  }
  return out;
}

void put_basic(Bytes& out, std::uint16_t type, std::uint16_t value) {
  put_be16(out, type | 0x8000);
  put_be16(out, value);
}

void put_u32(Bytes& out, std::uint16_t type, std::uint32_t value) {
  put_be16(out, type);
  put_be16(out, 4);
  put_be32(out, value);
}

Result<std::uint16_t> basic_value(const Attribute& attribute) {
  if (!attribute.basic) return Error{Errc::kMalformed, "basic attribute sent with a length"};
  return load_be16(attribute.value.data());
}

Result<std::uint64_t> variable_value(const Attribute& attribute) {
  if (attribute.value.empty() || attribute.value.size() > 8)
    return Error{Errc::kBadLength, "attribute value is not of 1 to 8 octets"};
  std::uint64_t v = 0;
  for (Byte b : attribute.value) v = (v << 8) | b;
  return v;
}

}  // namespace esplanade::ike
