#include "keyd/wire/payload_fragment.h"

#include <algorithm>

namespace esplanade::ike {
namespace {
constexpr std::uint8_t kLast = 0x01;
constexpr std::size_t kNumberMax = 255;
}  // namespace

Result<Fragment> parse_fragment(ByteView after_header) {
  ESPLANADE_TRY(payloads, split_payloads(PayloadType::kFragment, after_header, false));
  if (payloads.size() != 1) return Error{Errc::kMalformed, "a payload follows the fragment"};
  Reader in(payloads.front().body);
  ESPLANADE_TRY(id, in.u16("fragment id"));
  ESPLANADE_TRY(number, in.u8("fragment number"));
  ESPLANADE_TRY(flags, in.u8("fragment flags"));
  if (number == 0) return Error{Errc::kMalformed, "fragment number is 0", kGenericHeaderLen + 2};
  if ((flags & ~kLast) != 0) return Error{Errc::kMalformed, "unknown fragment flag", kGenericHeaderLen + 3};
  if (in.left() == 0) return Error{Errc::kMalformed, "fragment without data", kGenericHeaderLen + 4};
  return Fragment{id, number, flags == kLast, payloads.front().body.subspan(in.offset())};
}

std::vector<Bytes> cut_message(ByteView message, std::size_t datagram_max, std::uint16_t id,
                               bool as_main_mode) {
  const std::size_t piece = std::max<std::size_t>(datagram_max, 64) - kFragmentOverhead;
  const std::size_t pieces = (message.size() + piece - 1) / piece;
  std::vector<Bytes> out;
  auto header = parse_header(message);
  if (!header || pieces > kNumberMax) return out;
  header->flags = 0;
  if (as_main_mode) {
    header->exchange = Exchange::kMainMode;
    header->message_id = 0;
  }
  for (std::size_t i = 0; i < pieces; ++i) {
    const ByteView data = message.subspan(i * piece, std::min(piece, message.size() - i * piece));
    Bytes body(4 + data.size());
    store_be16(body.data(), id);
    body[2] = static_cast<Byte>(i + 1);
    body[3] = i + 1 == pieces ? kLast : 0;
    std::ranges::copy(data, body.begin() + 4);
    ChainBuilder chain;
    chain.add(PayloadType::kFragment, body);
    out.push_back(clear_message(*header, chain));
  }
  return out;
}

}  // namespace esplanade::ike
