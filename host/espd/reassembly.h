// Whole datagrams from the fragments of this host's kernel, for transport mode, which protects whole datagrams alone (RFC 4303
// s3.3.4). The kernel sends the fragments of one in order, so only the end of what is there is looked at: one that overlaps another or
// leaves a gap ends the whole datagram (RFC 8200 s4.5, RFC 5722). IPv4 and IPv6.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <optional>

#include "common/base/bytes.h"

namespace esplanade::espd {

class Reassembly {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::size_t kLargest = 9000;  // octets of a datagram, as the card takes them
  static constexpr std::size_t kMost = 64;       // datagrams that wait for their end
  static constexpr std::chrono::seconds kLife{2};

  /// `dropped` is told of fragments that lead to nothing: out of order, too many octets, no whole header, the rest did not come.
  explicit Reassembly(std::function<void(std::size_t)> dropped) : dropped_(std::move(dropped)) {}

  /// Takes a fragment that parse_ip accepted, in IPv6 with its fragment header; with the last one the datagram, without.
  std::optional<Bytes> take(ByteView fragment, Time now);
  /// Those that waited too long are dropped.
  void tick(Time now);

 private:
  struct Partial {
    Bytes key;       // what its fragments have in common
    Bytes datagram;  // header of the first fragment, and what came
    std::size_t header = 0, fragments = 0;
    Time until;
  };
  void drop(std::deque<Partial>::iterator which);
  std::function<void(std::size_t)> dropped_;
  std::deque<Partial> partial_;  // oldest first
};

}  // namespace esplanade::espd
