// The sockets towards the peers: UDP 4500, which IKE and ESP share (RFC 3948), raw ESP and raw AH. IPv4. The card
// takes and gives whole IP packets: for UDP the 28 octets in front of the payload are made here from what the
// socket says, and taken off again.
#pragma once

#include "common/pfkey/natt_frame.h"
#include "common/pfkey/socket.h"

namespace esplanade::espd {

inline constexpr std::uint16_t kNattPort = 4500;    // RFC 3948
inline constexpr std::size_t kUdpHeaders = 20 + 8;  // IPv4 without options, UDP

/// What the payload of a datagram on UDP 4500 is (RFC 3948 s2).
enum class Natt : std::uint8_t { kEsp, kIke, kKeepalive, kShort };
Natt classify(ByteView payload);

/// Addresses of a datagram.
struct UdpPath {
  esp::IpAddress src, dst;  // IPv4
  std::uint16_t src_port = 0, dst_port = 0;
  std::uint8_t tos = 0;
};

/// Writes IPv4 and UDP headers for the payload behind the first 28 octets of `packet`. The UDP checksum is 0
/// (RFC 3948 s2.1), TTL 64: the socket does not tell the real ones.
void write_udp_headers(MutableBytes packet, const UdpPath& path);

class Outside {
 public:
  /// Opens the sockets. What they send has the firewall mark `mark`, by which it finds its way past the policies' routes.
  /// kPermission says which privilege is missing, kState that the port is taken.
  static Result<Outside> open(std::uint32_t mark);
  int udp_fd() const { return udp_.get(); }
  int esp_fd() const { return esp_.get(); }
  int ah_fd() const { return ah_.get(); }

  /// The next datagram to the front of `room` (65,535 octets): 28 octets left free, then its payload. The
  /// length of both, 0 when none is waiting. kIo: try again later.
  Result<std::size_t> receive_udp(MutableBytes room, UdpPath& path);
  /// The next whole IP packet of esp_fd() or ah_fd(); its length, 0 when none is waiting.
  Result<std::size_t> receive_raw(int fd, MutableBytes room);

  /// Sends what the card made: ESP in UDP through the UDP socket, plain ESP and AH as they are. kNot: the network did
  /// not take it, or it is none of these.
  enum class Sent : std::uint8_t { kUdp, kRaw, kNot };
  Sent send_ipsec(ByteView outer_packet);
  /// Sends a packet that has whole headers as it is, by the host's own routes. False: the network did not take it.
  bool send_clear(ByteView packet);
  /// Sends keyd's message with the non-ESP marker, or a keepalive.
  bool send_ike(const pfkey::NattFrame& frame);

 private:
  Outside(pfkey::Fd udp, pfkey::Fd esp, pfkey::Fd ah, pfkey::Fd clear6) : udp_(std::move(udp)), esp_(std::move(esp)), ah_(std::move(ah)), clear6_(std::move(clear6)) {}
  bool send_udp(const UdpPath& path, ByteView first, ByteView second);
  pfkey::Fd udp_, esp_, ah_, clear6_;
};

}  // namespace esplanade::espd
