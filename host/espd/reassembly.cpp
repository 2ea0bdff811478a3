#include "host/espd/reassembly.h"

#include <algorithm>

#include "common/esp/ip.h"

namespace esplanade::espd {

namespace {

constexpr std::uint16_t kMoreFragments = 0x2000, kOffset = 0x1fff;  // RFC 791 s3.1
constexpr std::size_t kFragmentHeader = 8;                          // RFC 8200 s4.5

struct Piece {
  Bytes key;         // RFC 791 s3.2: identification, protocol and both addresses; RFC 8200 s4.5: the same without protocol
  ByteView header;   // what stands in front of each fragment
  ByteView payload;
  std::size_t offset = 0;
  bool more = false;
};

std::optional<Piece> read(ByteView fragment, const esp::IpPacket& ip) {
  Piece piece;
  piece.header = fragment.first(ip.upper_at);
  piece.payload = fragment.first(ip.total_len).subspan(ip.upper_at);
  if (ip.version == 4) {
    piece.key = {fragment[4], fragment[5], fragment[9]};
    put(piece.key, fragment.subspan(12, 8));
    const std::uint16_t flags = load_be16(&fragment[6]);
    piece.offset = static_cast<std::size_t>(flags & kOffset) * 8;
    piece.more = (flags & kMoreFragments) != 0;
    return piece;
  }
  if (piece.payload.size() < kFragmentHeader) return std::nullopt;
  put(piece.key, piece.payload.subspan(4, 4));
  put(piece.key, fragment.subspan(8, 32));
  const std::uint16_t flags = load_be16(&piece.payload[2]);
  piece.offset = flags & 0xfff8U;
  piece.more = (flags & 1) != 0;
  piece.payload = piece.payload.subspan(kFragmentHeader);
  return piece;
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
  const auto ip = esp::parse_ip(fragment);
  const auto piece = ip ? read(fragment, *ip) : std::nullopt;
  if (!piece) {
    dropped_(1);
    return std::nullopt;
  }
  auto found = std::ranges::find(partial_, piece->key, &Partial::key);
  if (piece->offset == 0) {
    if (found != partial_.end()) drop(found);  // begun anew
    if (partial_.size() >= kMost) drop(partial_.begin());
    partial_.push_back({piece->key, Bytes(piece->header.begin(), piece->header.end()), piece->header.size(), 0, now + kLife});
    found = std::prev(partial_.end());
    // Of the fragment headers the first one's names what follows.
    if (ip->version == 6) found->datagram[ip->protocol_at] = fragment[ip->upper_at];
  } else if (found == partial_.end()) {
    dropped_(1);
    return std::nullopt;
  }
  ++found->fragments;
  if (piece->offset != found->datagram.size() - found->header || found->datagram.size() + piece->payload.size() > kLargest) {
    drop(found);
    return std::nullopt;
  }
  put(found->datagram, piece->payload);
  if (piece->more) return std::nullopt;
  Bytes out = std::move(found->datagram);
  const std::size_t header = found->header;
  partial_.erase(found);
  if (ip->version == 6) {
    store_be16(&out[4], static_cast<std::uint16_t>(out.size() - 40));
    return out;
  }
  store_be16(&out[2], static_cast<std::uint16_t>(out.size()));
  store_be16(&out[6], 0);
  store_be16(&out[10], esp::ipv4_checksum(ByteView(out).first(header)));
  return out;
}

}  // namespace esplanade::espd
