#include "host/espd/reassembly.h"

#include <algorithm>

#include "common/esp/ip.h"

namespace esplanade::espd {

namespace {
constexpr std::uint16_t kMoreFragments = 0x2000, kOffset = 0x1fff;

// RFC 791 s3.2: identification, protocol and both addresses.
bool same_datagram(ByteView a, ByteView b) {
  return std::equal(&a[4], &a[6], &b[4]) && a[9] == b[9] && std::equal(&a[12], &a[20], &b[12]);
}
}  // namespace

void Reassembly::drop(std::deque<Partial>::iterator which) {
  dropped_(which->fragments);
  partial_.erase(which);
}

void Reassembly::tick(Time now) {
  while (!partial_.empty() && partial_.front().until <= now) drop(partial_.begin());
}

std::optional<Bytes> Reassembly::take(ByteView fragment, Time now) {
  tick(now);
  const std::size_t header = std::size_t{fragment[0] & 15U} * 4;
  const ByteView payload = fragment.first(load_be16(&fragment[2])).subspan(header);
  const std::uint16_t flags = load_be16(&fragment[6]);
  const std::size_t offset = static_cast<std::size_t>(flags & kOffset) * 8;
  auto found = std::ranges::find_if(partial_, [&](const Partial& p) { return same_datagram(p.datagram, fragment); });
  if (offset == 0) {
    if (found != partial_.end()) drop(found);  // begun anew
    if (partial_.size() >= kMost) drop(partial_.begin());
    partial_.push_back({Bytes(fragment.begin(), fragment.begin() + static_cast<std::ptrdiff_t>(header)), header, 0, now + kLife});
    found = std::prev(partial_.end());
  } else if (found == partial_.end()) {
    dropped_(1);
    return std::nullopt;
  }
  ++found->fragments;
  if (offset != found->datagram.size() - found->header || found->datagram.size() + payload.size() > kLargest) {
    drop(found);
    return std::nullopt;
  }
  put(found->datagram, payload);
  if ((flags & kMoreFragments) != 0) return std::nullopt;
  Bytes out = std::move(found->datagram);
  const std::size_t whole_header = found->header;
  partial_.erase(found);
  store_be16(&out[2], static_cast<std::uint16_t>(out.size()));
  store_be16(&out[6], 0);
  store_be16(&out[10], esp::ipv4_checksum(ByteView(out).first(whole_header)));
  return out;
}

}  // namespace esplanade::espd
