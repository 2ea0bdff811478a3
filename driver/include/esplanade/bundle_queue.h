// AH over ESP (an SA bundle: RFC 2401 s4.3, RFC 4301 s4.1) in two passes through the card: outbound ESP, then AH in transport mode
// around it; inbound AH, then ESP. The second pass starts when the first one's completion is reaped, so a packet takes twice
// the latency and twice the memory traffic. Plain packets pass too. One PacketQueue belongs to one BundleQueue, and nobody
// else submits to it or reaps from it. Does not judge: the caller checks that both SAs belong to one policy (RFC 4301 s5.2).
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <unordered_map>

#include "esplanade/packet_queue.h"
#include "esplanade/sa_table.h"

namespace esplanade {

class BundleQueue {
 public:
  /// The first of two passes, which ended with Ok.
  struct Pass {
    std::uint32_t sa_index, spi;
    std::uint64_t seq;
  };
  /// How a packet ended. Of a bundle, `last` is the second pass, or the first where it failed (then `first` is empty). A
  /// packet that was to be a bundle but has no ESP inside AH ends with BadNextHeader.
  using Done = std::function<void(const Completed& last, const std::optional<Pass>& first)>;

  explicit BundleQueue(PacketQueue queue) : queue_(std::move(queue)) {}

  /// A packet of one pass. Errors of all three as PacketQueue::submit.
  Status submit(const Submission& submission);
  Status submit_encap(SaIndex esp, SaIndex ah, ByteView packet, std::uint64_t cookie);
  Status submit_decap(ByteView outer, std::uint64_t cookie);
  /// As PacketQueue::flush, with second passes that found the ring full.
  Status flush();
  /// As PacketQueue::reap; starts second passes and hands them to the card.
  Status reap(const Done& done);
  /// Submitted and not yet told as done.
  std::size_t in_flight() const { return packets_.size(); }

 private:
  struct Packet {
    std::uint64_t cookie;
    bool bundle;
    SaIndex ah;                // outbound bundle
    std::optional<Pass> first;
  };
  struct Waiting {
    std::uint64_t number;
    Submission submission;
    Bytes octets;
  };
  Status start(Submission submission, Packet packet);
  Status again(std::uint64_t number, const Completed& first);

  PacketQueue queue_;
  std::uint64_t next_ = 0;
  std::unordered_map<std::uint64_t, Packet> packets_;  // by the cookie that the queue sees
  std::deque<Waiting> waiting_;                        // second passes without a place in the ring
};

}  // namespace esplanade
