// TCP and UDP in large packets, between espd and the kernel (virtual I/O device 1.2, s5.1.6): one that the kernel hands out is split into
// those that go on the wire, and those that came are put together to one that the kernel takes, so that not every segment or datagram
// costs a way through the TUN device and the kernel. What others see is the same as without.
#pragma once

#include <sys/uio.h>

#include <array>
#include <functional>
#include <vector>

#include "common/base/bytes.h"
#include "common/esp/ip.h"

namespace esplanade::espd {

/// struct virtio_net_hdr of <linux/virtio_net.h>, which is no C++: what stands in front of each packet of the TUN device. The machine's
/// byte order.
struct Offload {
  static constexpr std::uint8_t kNeedsChecksum = 1;             // of flags
  static constexpr std::uint8_t kNone = 0, kTcp4 = 1, kTcp6 = 4, kUdp = 5;  // of gso_type
  std::uint8_t flags = 0;
  std::uint8_t gso_type = kNone;
  std::uint16_t hdr_len = 0;      // octets of IP and TCP or UDP headers
  std::uint16_t gso_size = 0;     // octets of data a segment
  std::uint16_t csum_start = 0;   // from where on the checksum counts
  std::uint16_t csum_offset = 0;  // and where it stands, from there
};
static_assert(sizeof(Offload) == 10);

/// Sum of 16-bit words in network order (RFC 1071), folded but not inverted, on top of `start`. An odd octet
/// counts as the high one of a word.
std::uint16_t internet_sum(ByteView octets, std::uint32_t start = 0);

/// The checksum of a whole IPv4 or IPv6 packet's upper layer, which has 0 in its place, with addresses, protocol and length (RFC 9293 s3.1,
/// RFC 8200 s8.1). Never 0 of UDP, where that means that there is none (RFC 768). `ip_header`: octets in front of the upper layer.
std::uint16_t upper_checksum(ByteView packet, std::size_t ip_header, std::uint8_t protocol);

/// Hands the packets that `packet` stands for to `take`, in order: TCP segments or UDP datagrams with their checksums, or the packet with
/// the checksum that the kernel left to us. Each is valid until `take` returns; `packet` is used up. False: what the
/// kernel says does not fit the packet.
bool split(const Offload& offload, MutableBytes packet, const std::function<void(ByteView)>& take);

/// TCP segments or UDP datagrams of one flow that follow each other, or one packet of any kind.
class Run {
 public:
  /// Begins anew with a packet, which must stay, as those that join(), until the run is written.
  void begin(ByteView packet);
  bool empty() const { return packets_.empty(); }
  std::size_t size() const { return packets_.size(); }
  bool is_udp() const { return protocol_ == esp::kProtoUdp; }
  /// Whether the packet is of the same TCP connection or pair of UDP ports, and direction.
  bool same_flow(ByteView packet) const;
  /// Takes the packet in where it goes on where the last one ended, with all else as in the first one, and all of them have right
  /// checksums, for nobody looks at those later; none of UDP is larger than the first, and all but the last are as large. False: it does not.
  bool join(ByteView packet);
  /// What to write to the TUN device, valid until the next begin(). Empties the run.
  const std::vector<iovec>& take();

 private:
  bool fits(ByteView packet) const;
  bool pushed(ByteView packet) const;

  std::vector<ByteView> packets_;
  std::uint8_t protocol_ = 0;  // TCP or UDP, whole; 0: anything else
  std::size_t headers_ = 0;    // octets of IP and TCP or UDP headers; 0: it cannot be joined
  std::size_t total_ = 0;
  bool closed_ = false;  // the last one was short or pushed
  Offload offload_{};
  std::array<Byte, 120> head_{};
  std::vector<iovec> parts_;
};

}  // namespace esplanade::espd
