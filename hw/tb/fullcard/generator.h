// Random SAs, IP packets and damage, from a seed. Only what the card's CAPS offer; what a packet must give is not
// decided here.
#pragma once

#include "common/esp/engine.h"
#include "hw/tb/fullcard/card.h"

namespace esplanade::fullcard {

/// A copy with keys of its own, made on purpose.
esp::SaParams copy_of(const esp::SaParams& sa);
/// The outer length that encapsulation of `plain_len` octets (`head_len` of them IP headers) gives.
std::size_t protected_len(const esp::SaParams& sa, std::size_t plain_len, std::size_t head_len);

/// Where ESP or AH starts in a wire packet, behind UDP; the packet is a good one.
std::size_t protection_at(ByteView wire);

/// Recomputes the checksum of an IPv4 header; leaves IPv6 alone.
void fix_checksum(Bytes& packet);
/// Sets IP (and UDP) lengths to the octets that are there.
void fix_lengths(Bytes& packet, bool natt);

/// What stands inside a protected packet, opened for changes and sealed again with a good ICV.
struct Opened {
  Bytes body;                // ESP: payload, padding, pad length, next header. AH: payload
  std::uint8_t next_header;  // AH only
};
Opened open_wire(const esp::SaParams& sa, ByteView wire);
/// The packet `wire` with another inside. `number` has the high word for ESN.
Bytes seal_wire(const esp::SaParams& sa, ByteView wire, std::uint64_t number, const Opened& inside);

class Generator {
 public:
  Generator(const Card& card, std::uint64_t seed) : card_(card), rng_(seed) {}
  std::uint64_t below(std::uint64_t n) { return rng_() % n; }
  bool percent(unsigned p) { return rng_() % 100 < p; }
  Bytes octets(std::size_t n);

  /// A pair of SAs, the second the receiver of the first; spi's low bits are `index`. Lifetimes are left to the
  /// caller.
  esp::SaParams sa(std::uint32_t index);
  /// A whole IP packet that the SA can take; about `size` octets, never below its headers.
  Bytes packet(const esp::SaParams& sa, std::size_t size);
  /// A size of the mix that the whole-card tests use, up to `most`.
  std::size_t size(std::size_t most);
  Bytes ipv4(std::size_t size, std::size_t options, bool fragment);
  Bytes ipv6(std::size_t size, bool extensions);
  esp::IpAddress address(unsigned version);

 private:
  /// What an SA is, apart from keys, numbers and options.
  struct Form {
    esp::Protocol protocol;
    esp::Cipher cipher;
    esp::Auth auth;
    esp::Mode mode;
    unsigned version;  // of the outer addresses
    bool natt;
  };
  Form form();

  const Card& card_;
  std::mt19937_64 rng_;
  std::vector<Form> deck_;  // forms still to come before any comes again
};

}  // namespace esplanade::fullcard
