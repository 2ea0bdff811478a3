#include "host/espd/segments.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "common/esp/ip.h"

namespace esplanade::espd {

namespace {

constexpr std::size_t kMaxTotal = 65535, kMaxJoined = 64;
constexpr std::size_t kTcpChecksum = 16, kUdpChecksum = 6;  // RFC 9293 s3.1, RFC 768
constexpr std::size_t kUdpHeader = 8;
constexpr Byte kFin = 1, kPush = 8, kAck = 16, kCwr = 128;

std::size_t ip_header_of(ByteView p) { return p[0] >> 4 == 4 ? std::size_t{p[0] & 15u} * 4 : 40; }

// What goes into the sum of the upper layer besides its own octets: addresses, protocol and length.
std::uint32_t pseudo_header(ByteView packet, std::size_t ip_header, std::uint8_t protocol) {
  const ByteView addresses = packet[0] >> 4 == 4 ? packet.subspan(12, 8) : packet.subspan(8, 32);
  const std::size_t len = packet.size() - ip_header;
  return std::uint32_t{internet_sum(addresses)} + protocol + static_cast<std::uint32_t>(len >> 16) + static_cast<std::uint32_t>(len & 0xffff);
}

// Of IP, and of UDP, whose header is at `udp`; 0: it is TCP.
void set_length(MutableBytes packet, std::size_t len, std::size_t udp) {
  if (udp != 0) store_be16(&packet[udp + 4], static_cast<std::uint16_t>(len - udp));
  if (packet[0] >> 4 == 6) return store_be16(&packet[4], static_cast<std::uint16_t>(len - 40));
  store_be16(&packet[2], static_cast<std::uint16_t>(len));
  store_be16(&packet[10], esp::ipv4_checksum(ByteView(packet).first(ip_header_of(packet))));
}

// A checksum as it is sent: in UDP 0 would mean that there is none.
std::uint16_t checksum(std::uint16_t sum, bool udp) {
  const auto out = static_cast<std::uint16_t>(~sum);
  return udp && out == 0 ? 0xffff : out;
}

// TCP or UDP in a whole packet with a plain IP header: the protocol. 0: neither.
std::uint8_t protocol_of(ByteView p) {
  const bool v4 = p.size() >= 28 && p[0] == 0x45 && (load_be16(&p[6]) & 0x3fff) == 0;
  if (!v4 && (p.size() < 48 || p[0] >> 4 != 6)) return 0;
  const std::uint8_t protocol = v4 ? p[9] : p[6];
  if (protocol == esp::kProtoTcp && p.size() < (v4 ? 40 : 60)) return 0;
  return protocol == esp::kProtoTcp || protocol == esp::kProtoUdp ? protocol : 0;
}

// Octets of the headers, where it is data that nothing but its place in the stream sets apart: TCP with ACK and perhaps PSH, UDP
// with a checksum. 0: it is not.
std::size_t plain_headers(ByteView p, std::uint8_t protocol) {
  const std::size_t ip = ip_header_of(p);
  if (protocol == 0 || p.size() != (ip == 20 ? load_be16(&p[2]) : load_be16(&p[4]) + 40U)) return 0;
  if (protocol == esp::kProtoUdp)
    return load_be16(&p[ip + 4]) == p.size() - ip && load_be16(&p[ip + kUdpChecksum]) != 0 && p.size() > ip + kUdpHeader ? ip + kUdpHeader : 0;
  const std::size_t headers = ip + std::size_t{p[ip + 12]} / 16 * 4;
  const bool plain = (p[ip + 12] & 15) == 0 && (p[ip + 13] & ~kPush) == kAck;
  return plain && headers >= ip + 20 && headers < p.size() ? headers : 0;
}

bool checksums_right(ByteView p, std::uint8_t protocol) {
  const std::size_t ip = ip_header_of(p);
  if (ip == 20 && internet_sum(p.first(20)) != 0xffff) return false;
  return internet_sum(p.subspan(ip), pseudo_header(p, ip, protocol)) == 0xffff;
}

}  // namespace

std::uint16_t internet_sum(ByteView octets, std::uint32_t start) {
  // In the machine's order, 8 octets at a time: the sum is the same but for the order of its own octets (RFC 1071 s2).
  std::uint64_t sum = 0;
  const auto add = [&sum](std::uint64_t word) {
    sum += word;
    sum += sum < word ? 1 : 0;
  };
  std::size_t at = 0;
  for (; at + 8 <= octets.size(); at += 8) {
    std::uint64_t word;
    std::memcpy(&word, &octets[at], 8);
    add(word);
  }
  std::uint64_t rest = 0;
  if (at < octets.size()) std::memcpy(&rest, &octets[at], octets.size() - at);
  add(rest);
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffff) + ((sum >> 16) & 0xffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  const auto native = static_cast<std::uint16_t>(sum);
  std::uint32_t out = std::endian::native == std::endian::little ? static_cast<std::uint16_t>(native << 8 | native >> 8) : native;
  out += (start & 0xffff) + (start >> 16);
  out = (out & 0xffff) + (out >> 16);
  return static_cast<std::uint16_t>((out & 0xffff) + (out >> 16));
}

std::uint16_t upper_checksum(ByteView packet, std::size_t ip_header, std::uint8_t protocol) {
  return checksum(internet_sum(packet.subspan(ip_header), pseudo_header(packet, ip_header, protocol)), protocol == esp::kProtoUdp);
}

bool split(const Offload& offload, MutableBytes packet, const std::function<void(ByteView)>& take) {
  if (offload.gso_type == Offload::kNone) {
    if ((offload.flags & Offload::kNeedsChecksum) != 0) {
      const std::size_t from = offload.csum_start, at = from + offload.csum_offset;
      if (at + 2 > packet.size() || at < from) return false;
      // The sum of the pseudo header stands there already.
      store_be16(&packet[at], checksum(internet_sum(packet.subspan(from)), true));
    }
    take(packet);
    return true;
  }
  if (offload.gso_size == 0 || packet.size() < 40) return false;
  const bool udp = offload.gso_type == Offload::kUdp, v4 = packet[0] >> 4 == 4;
  if ((!v4 && packet[0] >> 4 != 6) || (!udp && offload.gso_type != (v4 ? Offload::kTcp4 : Offload::kTcp6))) return false;
  // csum_start is where TCP or UDP begins, behind options or extension headers too.
  const std::size_t ip = offload.csum_start;
  if (ip < (v4 ? std::max<std::size_t>(ip_header_of(packet), 20) : 40) || ip + (udp ? kUdpHeader : 20) > packet.size()) return false;
  const std::size_t headers = ip + (udp ? kUdpHeader : std::size_t{packet[ip + 12]} / 16 * 4);
  if (headers < ip + kUdpHeader || (!udp && headers < ip + 20) || headers > packet.size() || headers > 256) return false;
  std::array<Byte, 256> head;
  std::ranges::copy(packet.first(headers), head.begin());
  const std::uint32_t first = load_be32(&head[ip + 4]);  // sequence number of TCP
  const std::uint16_t id = load_be16(&head[4]);
  const std::size_t payload = packet.size() - headers;
  std::size_t number = 0;
  for (std::size_t at = 0; at < payload; at += offload.gso_size, ++number) {
    const std::size_t len = std::min<std::size_t>(offload.gso_size, payload - at);
    // Its headers go right in front of its data: over the end of the segment before, which is done with.
    const MutableBytes segment = packet.subspan(at, headers + len);
    std::copy_n(head.begin(), headers, segment.begin());
    if (!udp) {
      store_be32(&segment[ip + 4], static_cast<std::uint32_t>(first + at));
      if (at + len < payload) segment[ip + 13] &= static_cast<Byte>(~(kFin | kPush));
      if (at != 0) segment[ip + 13] &= static_cast<Byte>(~kCwr);
    }
    if (v4) store_be16(&segment[4], static_cast<std::uint16_t>(id + number));
    set_length(segment, segment.size(), udp ? ip : 0);
    Byte* sum = &segment[ip + (udp ? kUdpChecksum : kTcpChecksum)];
    store_be16(sum, 0);
    store_be16(sum, upper_checksum(segment, ip, udp ? esp::kProtoUdp : esp::kProtoTcp));
    take(segment);
  }
  return true;
}

void Run::begin(ByteView packet) {
  packets_.assign(1, packet);
  protocol_ = protocol_of(packet);
  headers_ = plain_headers(packet, protocol_);
  total_ = packet.size();
  closed_ = headers_ == 0 || pushed(packet);
}

bool Run::pushed(ByteView packet) const { return protocol_ == esp::kProtoTcp && (packet[ip_header_of(packet) + 13] & kPush) != 0; }

bool Run::same_flow(ByteView packet) const {
  if (packets_.empty() || protocol_ == 0 || protocol_of(packet) != protocol_) return false;
  const ByteView first = packets_.front();
  if (packet[0] >> 4 != first[0] >> 4) return false;
  const std::size_t ip = ip_header_of(first);
  const auto same = [&](std::size_t at, std::size_t len) { return std::ranges::equal(packet.subspan(at, len), first.subspan(at, len)); };
  return (ip == 20 ? same(12, 8) : same(8, 32)) && same(ip, 4);
}

bool Run::fits(ByteView packet) const {
  const ByteView first = packets_.front(), last = packets_.back();
  const std::size_t ip = ip_header_of(first);
  const auto same = [&](std::size_t at, std::size_t len) { return std::ranges::equal(packet.subspan(at, len), first.subspan(at, len)); };
  if (ip == 20) {
    const bool df = (load_be16(&first[6]) & 0x4000) != 0;
    const bool next_id = load_be16(&packet[4]) == static_cast<std::uint16_t>(load_be16(&last[4]) + 1);
    if (!same(1, 1) || !same(6, 3) || (!df && !next_id)) return false;
  } else if (!same(0, 4) || !same(7, 1)) {
    return false;
  }
  if (protocol_ == esp::kProtoTcp) {
    // Acknowledged, window and options as in the first one, which stands for all.
    if (!same(ip + 8, 5) || !same(ip + 14, 2) || !same(ip + 20, headers_ - ip - 20)) return false;
    const std::size_t had = last.size() - headers_;
    if (load_be32(&packet[ip + 4]) != static_cast<std::uint32_t>(load_be32(&last[ip + 4]) + had)) return false;
  }
  return packet.size() <= first.size() && total_ + packet.size() - headers_ <= kMaxTotal && packets_.size() < kMaxJoined;
}

bool Run::join(ByteView packet) {
  if (closed_ || !same_flow(packet) || plain_headers(packet, protocol_) != headers_ || !fits(packet)) return false;
  if (packets_.size() == 1 && !checksums_right(packets_.front(), protocol_)) {
    closed_ = true;
    return false;
  }
  if (!checksums_right(packet, protocol_)) return false;
  closed_ = pushed(packet) || packet.size() < packets_.front().size();
  packets_.push_back(packet);
  total_ += packet.size() - headers_;
  return true;
}

const std::vector<iovec>& Run::take() {
  const auto part = [](ByteView octets) { return iovec{const_cast<Byte*>(octets.data()), octets.size()}; };
  const ByteView first = packets_.front();
  offload_ = {};
  parts_.assign(1, {&offload_, sizeof offload_});
  if (packets_.size() == 1) {
    parts_.push_back(part(first));
  } else {
    const std::size_t ip = ip_header_of(first);
    const bool udp = protocol_ == esp::kProtoUdp;
    std::ranges::copy(first.first(headers_), head_.begin());
    if (!udp) head_[ip + 13] |= packets_.back()[ip + 13];  // PSH
    set_length(MutableBytes(head_).first(headers_), total_, udp ? ip : 0);
    // The kernel goes on from the sum of the pseudo header, as if it came from a device that does checksums.
    const std::size_t len = total_ - ip;
    const std::uint32_t pseudo = pseudo_header(ByteView(head_).first(headers_), headers_, protocol_) + static_cast<std::uint32_t>(len);
    const std::size_t sum_at = udp ? kUdpChecksum : kTcpChecksum;
    store_be16(&head_[ip + sum_at], internet_sum({}, pseudo));
    offload_.flags = Offload::kNeedsChecksum;
    offload_.gso_type = udp ? Offload::kUdp : ip == 20 ? Offload::kTcp4 : Offload::kTcp6;
    offload_.hdr_len = static_cast<std::uint16_t>(headers_);
    offload_.gso_size = static_cast<std::uint16_t>(first.size() - headers_);
    offload_.csum_start = static_cast<std::uint16_t>(ip);
    offload_.csum_offset = static_cast<std::uint16_t>(sum_at);
    parts_.push_back(part(ByteView(head_).first(headers_)));
    for (const ByteView packet : packets_) parts_.push_back(part(packet.subspan(headers_)));
  }
  packets_.clear();
  return parts_;
}

}  // namespace esplanade::espd
