// Puts messages together from their fragments (keyd/wire/payload_fragment.h). What is kept is bounded in every
// direction: pieces and octets of a message, messages of a peer, octets in all, and time. Pieces carry no proof
// of their origin, so a whole message proves itself by what it decrypts to, like any other.
#pragma once

#include <map>
#include <optional>

#include "keyd/policy/config.h"
#include "keyd/sa/io.h"
#include "keyd/wire/payload_fragment.h"

namespace esplanade::ike {

class Reassembly {
 public:
  explicit Reassembly(const IkeLimits& limits) : limits_(limits) {}

  enum class Taken : std::uint8_t { kKept, kDuplicate, kRefused, kWhole };
  struct Result {
    Taken taken = Taken::kRefused;
    Bytes message;  // when kWhole
  };
  /// Takes a piece that came under the main mode SA `owner`. The pieces of a message share exchange type,
  /// Message-ID and fragment id. A piece that contradicts earlier ones (a second last one, a number above the
  /// last, more octets than allowed) is refused and changes nothing.
  Result add(std::uint64_t owner, const Header& outer, const Fragment& fragment, Time now);
  /// The main mode SA is gone.
  void forget(std::uint64_t owner);
  /// Drops what is older than its time.
  void sweep(Time now);
  /// When sweep() has something to do next.
  std::optional<Time> next() const;

  std::size_t messages() const { return open_.size(); }
  std::size_t octets() const { return octets_; }

 private:
  struct Key {
    std::uint64_t owner = 0;
    Exchange exchange = Exchange::kNone;
    std::uint32_t message_id = 0;
    std::uint16_t id = 0;
    auto operator<=>(const Key&) const = default;
  };
  struct Open {
    std::map<std::uint8_t, Bytes> pieces;
    std::uint8_t last = 0;  // number of the last piece; 0: not seen yet
    std::size_t octets = 0;
    Time deadline{0};
  };
  void erase(std::map<Key, Open>::iterator it);
  bool make_room(std::uint64_t owner, std::size_t octets);

  IkeLimits limits_;
  std::map<Key, Open> open_;
  std::size_t octets_ = 0;
};

}  // namespace esplanade::ike
