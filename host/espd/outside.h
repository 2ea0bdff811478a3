// The sockets towards the peers, over IPv4 and IPv6: UDP 4500, which IKE and ESP share (RFC 3948), raw ESP and raw AH. The card
// takes and gives whole IP packets, so what a socket does not give of the headers is made here from what it tells. Packets go in
// batches, a system call for many, through buffers that are made once.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <shared_mutex>

#include "common/esp/ip.h"
#include "common/pfkey/natt_frame.h"
#include "common/pfkey/socket.h"

namespace esplanade::espd {

inline constexpr std::uint16_t kNattPort = 4500;    // RFC 3948

/// What the payload of a datagram on UDP 4500 is (RFC 3948 s2).
enum class Natt : std::uint8_t { kEsp, kIke, kKeepalive, kShort };
Natt classify(ByteView payload);

/// Where a packet comes from and goes to: both addresses of one IP version; the ports where it is UDP.
struct Path {
  esp::IpAddress src, dst;
  std::uint16_t src_port = 0, dst_port = 0;
  std::uint8_t tos = 0;  // or traffic class
  std::uint8_t ttl = 64;  // or hop limit
};

/// What the card is given in front of a datagram's payload: IPv4 and UDP headers; over IPv6 its header alone, for there ESP in
/// UDP is plain ESP to the card (Sad::install).
constexpr std::size_t headers_len(std::uint8_t ip_version) { return ip_version == 4 ? 20 + 8 : 40; }
/// Writes these headers in front of the payload that is behind the first headers_len() octets of `packet`: over IPv6 a packet of
/// `protocol`. The UDP checksum is 0 (RFC 3948 s2.1).
void write_headers(MutableBytes packet, const Path& path, std::uint8_t protocol);

/// An ICMP error about a packet that was sent: it was too big.
struct TooBig {
  esp::IpAddress peer;      // where it was sent to
  esp::Protocol protocol{};
  std::uint32_t spi = 0;    // of it, as the error quotes it; 0: it does not
  std::size_t mtu = 0;      // what the error tells
};

class Outside {
 public:
  enum Channel : std::uint8_t { kUdp4, kUdp6, kEsp4, kEsp6, kAh4, kAh6, kNumChannels };
  static constexpr std::array<Channel, kNumChannels> kChannels{kUdp4, kUdp6, kEsp4, kEsp6, kAh4, kAh6};
  static constexpr std::size_t kBatch = 32;

  /// Opens all sockets; those of IPv6 where the kernel has it. What they send has the firewall mark `mark`, by which it finds
  /// its way past the policies' routes. kPermission says which privilege is missing, kState that the port is taken.
  static Result<Outside> open(std::uint32_t mark);
  /// Without sockets: nothing comes, and nothing can be sent.
  Outside();
  Outside(Outside&&) noexcept;
  ~Outside();
  /// -1: without IPv6.
  int fd(Channel channel) const { return fds_[channel].get(); }
  static bool is_udp(Channel channel) { return channel == kUdp4 || channel == kUdp6; }
  /// Whether it gives packets with their IP header.
  static bool is_whole(Channel channel) { return channel == kEsp4 || channel == kAh4; }
  static std::uint8_t protocol_of(Channel channel) { return channel == kAh4 || channel == kAh6 ? esp::kProtoAh : esp::kProtoEsp; }

  /// Takes up to `most` (at most kBatch) datagrams and hands each to `take`: a whole packet, or headers_len()
  /// octets of room and the payload behind it. How many. Errors that the network told since go to `too_big`.
  using Take = std::function<void(MutableBytes packet, const Path& path)>;
  std::size_t receive(Channel channel, std::size_t most, const Take& take, const std::function<void(const TooBig&)>& too_big);

  /// Sends a packet that has whole headers as it is, by the host's own routes. False: the network did not take it.
  bool send_clear(ByteView packet);
  /// Sends keyd's message with the non-ESP marker, or a keepalive.
  bool send_ike(const pfkey::NattFrame& frame);
  /// Sends an ICMP or ICMPv6 message (oversize.h) to a host inside, from the gateway's address on the way there.
  bool send_icmp(const esp::IpAddress& to, ByteView message);

 private:
  friend class OutsideSender;
  struct Room;  // for what comes in a batch
  bool send_udp(const Path& path, ByteView first, ByteView second);
  void read_errors(Channel channel, const std::function<void(const TooBig&)>& too_big);

  std::array<pfkey::Fd, kNumChannels> fds_;
  pfkey::Fd icmp6_, clear6_;
  std::unique_ptr<Room> room_;
  std::unique_ptr<std::shared_mutex> cutting_;  // held alone by a sender that has the kernel cut a packet
};

/// Sends what the card made. Each thread that does has one of its own; the sockets are those of an Outside that outlives it.
class OutsideSender {
 public:
  explicit OutsideSender(const Outside& outside);
  OutsideSender(OutsideSender&&) noexcept;
  ~OutsideSender();

  /// Has a packet sent: ESP, ESP in UDP, AH; in fragments of `mtu` octets where it is larger. The octets must
  /// stay until flush(). IPv4 goes as it is, DF and identification too. Over IPv6 it goes in UDP to `udp_port`, if that is not
  /// 0, with a checksum (RFC 8200 s8.1) from the kernel.
  void send(ByteView outer_packet, std::size_t mtu, std::uint16_t udp_port);
  struct Sent {
    std::size_t udp = 0, raw = 0, failed = 0;  // failed: the network did not take it, or it was neither
  };
  /// Sends them; what became of all since the last flush.
  Sent flush();

 private:
  using Channel = Outside::Channel;
  struct Batch;
  void flush(Channel channel);
  std::size_t send_batch(Channel channel, std::size_t at, std::size_t count);

  struct Outgoing {
    ByteView outer;
    std::uint16_t udp_port;
    std::size_t cut_at;  // IPv6: the kernel shall cut it; 0: it need not
  };
  const Outside& outside_;
  std::array<std::vector<Outgoing>, Outside::kNumChannels> queues_;  // for flush()
  std::vector<Bytes> fragments_;                                     // IPv4, of what is in them
  Sent sent_;
  std::unique_ptr<Batch> batch_;
};

}  // namespace esplanade::espd
