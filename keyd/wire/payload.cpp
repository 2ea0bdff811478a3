#include "keyd/wire/payload.h"

#include <algorithm>
#include <cstdlib>

namespace esplanade::ike {

Result<Payloads> split_payloads(PayloadType first, ByteView octets, bool padded) {
  Payloads out;
  std::size_t at = 0;
  for (PayloadType type = first; type != PayloadType::kNone;) {
    if (out.size() == kPayloadsMax) return Error{Errc::kMalformed, "too many payloads in one message", at};
    if (octets.size() - at < kGenericHeaderLen)
      return Error{Errc::kTruncated, "message ends inside a payload header", at};
    const Byte* p = octets.data() + at;
    if (p[1] != 0) return Error{Errc::kMalformed, "reserved octet of a payload header is not 0", at + 1};
    const std::size_t len = load_be16(p + 2);
    if (len < kGenericHeaderLen || len > octets.size() - at)
      return Error{Errc::kBadLength, "payload length does not fit the message", at + 2};
    ByteView whole = octets.subspan(at, len);
    out.push_back({type, whole.subspan(kGenericHeaderLen), whole});
    type = static_cast<PayloadType>(p[0]);
    at += len;
  }
  if (!padded && at != octets.size()) return Error{Errc::kBadLength, "octets after the last payload", at};
  return out;
}

const RawPayload* find(const Payloads& payloads, PayloadType type) {
  auto it = std::ranges::find(payloads, type, &RawPayload::type);
  return it == payloads.end() ? nullptr : &*it;
}

std::size_t count(const Payloads& payloads, PayloadType type) {
  return static_cast<std::size_t>(std::ranges::count(payloads, type, &RawPayload::type));
}

void ChainBuilder::add(PayloadType type, ByteView body) {
  const std::size_t len = body.size() + kGenericHeaderLen;
  if (len > 0xffff) std::abort();
  if (out_.empty()) {
    first_ = type;
  } else {
    out_[last_at_] = static_cast<Byte>(type);
  }
  last_at_ = out_.size();
  out_.push_back(0);
  out_.push_back(0);
  put_be16(out_, static_cast<std::uint16_t>(len));
  put(out_, body);
}

void ChainBuilder::append(const ChainBuilder& chain) {
  if (chain.out_.empty()) return;
  if (out_.empty()) {
    first_ = chain.first_;
  } else {
    out_[last_at_] = static_cast<Byte>(chain.first_);
  }
  last_at_ = out_.size() + chain.last_at_;
  put(out_, chain.out_);
}

Bytes clear_message(Header header, const ChainBuilder& chain) {
  header.next = chain.first();
  header.length = static_cast<std::uint32_t>(kHeaderLen + chain.octets().size());
  Bytes out;
  put_header(out, header);
  put(out, chain.octets());
  return out;
}

}  // namespace esplanade::ike
