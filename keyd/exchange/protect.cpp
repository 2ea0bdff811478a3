#include "keyd/exchange/protect.h"

#include <algorithm>

namespace esplanade::ike {
namespace {

constexpr std::size_t kBlockLen = crypto::kBlockLen;

Iv last_block(ByteView octets) {
  Iv iv{};
  std::ranges::copy(octets.last(kBlockLen), iv.begin());
  return iv;
}

}  // namespace

Result<Bytes> protect(const MmKeys& keys, std::uint16_t encryption, Iv& iv, Header header,
                      const ChainBuilder& chain) {
  Bytes plain = chain.octets();
  plain.resize((plain.size() + kBlockLen - 1) / kBlockLen * kBlockLen, 0);
  header.next = chain.first();
  header.flags |= kFlagEncryption;
  header.length = static_cast<std::uint32_t>(kHeaderLen + plain.size());
  Bytes out;
  put_header(out, header);
  out.resize(header.length);
  crypto::Cbc cbc(cipher_of(encryption), keys.cipher.reveal());
  ESPLANADE_CHECK(cbc.encrypt(iv, plain, MutableBytes(out).subspan(kHeaderLen)));
  iv = last_block(out);
  return out;
}

Result<Opened> open(const MmKeys& keys, std::uint16_t encryption, const Iv& iv, const Header& header,
                    ByteView datagram) {
  if (datagram.size() < kHeaderLen + kBlockLen)
    return Error{Errc::kBadLength, "encrypted message without content"};
  const ByteView ciphertext = datagram.subspan(kHeaderLen);
  Opened o;
  o.plain.resize(ciphertext.size());
  crypto::Cbc cbc(cipher_of(encryption), keys.cipher.reveal());
  ESPLANADE_CHECK(cbc.decrypt(iv, ciphertext, o.plain));
  ESPLANADE_TRY(payloads, split_payloads(header.next, o.plain, true));
  if (payloads.empty()) return Error{Errc::kMalformed, "encrypted message without payload"};
  o.payloads = std::move(payloads);
  o.next_iv = last_block(ciphertext);
  return o;
}

ByteView after_hash(const Payloads& payloads) {
  if (payloads.size() < 2) return {};
  const Byte* begin = payloads[1].whole.data();
  const ByteView last = payloads.back().whole;
  return ByteView(begin, last.data() + last.size());
}

}  // namespace esplanade::ike
