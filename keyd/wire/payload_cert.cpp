#include "keyd/wire/payload_cert.h"

namespace esplanade::ike {

Result<CertPayload> parse_cert(ByteView body) {
  Reader in(body);
  ESPLANADE_TRY(encoding, in.u8("certificate encoding"));
  return CertPayload{static_cast<CertEncoding>(encoding), body.subspan(in.offset())};
}

Bytes build_cert(ByteView data) {
  Bytes out;
  out.reserve(1 + data.size());
  out.push_back(static_cast<Byte>(CertEncoding::kX509Signature));
  put(out, data);
  return out;
}

}  // namespace esplanade::ike
