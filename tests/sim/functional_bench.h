// What the tests of the functional model have in common: randomness, SAs with the peer that sends to them, and how a card is set up. `Cards` is whatever
// takes register writes, of one card or of several: write(offset, value), write64(offset of the low word, value).
#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <random>
#include <utility>

#include "common/base/bytes.h"
#include "common/esp/engine.h"
#include "common/esp/ip.h"
#include "esplanade/sa_table.h"
#include "hw/regs/card_regs.h"

namespace esplanade::sim::functional_bench {

class Random {
 public:
  explicit Random(std::uint64_t seed) : rng_(seed) {}
  std::uint64_t any() { return rng_(); }
  std::uint64_t below(std::uint64_t n) { return rng_() % n; }
  bool percent(unsigned p) { return below(100) < p; }
  Bytes octets(std::size_t n) {
    Bytes out(n);
    std::ranges::generate(out, [this] { return static_cast<Byte>(rng_()); });
    return out;
  }
  std::array<Byte, 8> iv() {
    std::array<Byte, 8> out;
    std::ranges::copy(octets(8), out.begin());
    return out;
  }

 private:
  std::mt19937_64 rng_;
};

/// An SA of the table, with what makes its packets: for an inbound one the peer that sends.
struct Sa {
  explicit Sa(esp::SaParams of) : params(std::move(of)) {
    if (params.outbound) return;
    esp::SaParams out;
    out.protocol = params.protocol, out.mode = params.mode, out.outbound = true, out.spi = params.spi, out.cipher = params.cipher, out.auth = params.auth;
    out.enc_key = Secret(params.enc_key.reveal()), out.auth_key = Secret(params.auth_key.reveal());
    out.src = params.src, out.dst = params.dst, out.natt = params.natt, out.esn = params.esn, out.seq = params.seq, out.check_outer = false;
    auto made = esp::SoftSa::create(std::move(out), [] { return std::uint64_t{0}; });
    if (made) peer.emplace(std::move(*made));  // weak keys are the host's to refuse: none by chance
  }
  esp::SaParams params;
  std::optional<esp::SoftSa> peer;
};

struct Places {
  std::uint64_t base, events;  // of memory window and event ring
  std::uint32_t bytes;         // of the window, whole pages
  unsigned events_log2;
};

/// Window 0, a seed, the event ring, and CONTROL with TEST_MODE.
template <class Cards, class Seed>
void open_card(Cards& cards, const Places& at, Seed seed) {
  namespace reg = card::reg;
  cards.write64(reg::kWindowBaseLo.at(0), at.base);
  cards.write(reg::kWindowSize.at(0), at.bytes >> 12);
  cards.write(reg::kWindowControl.at(0), 1);
  for (std::uint32_t n = 0; n < 5; ++n) cards.write(reg::kRngSeed.at(n), seed(n));
  cards.write64(reg::kEventBaseLo.offset, at.events);
  cards.write(reg::kEventControl.offset, 1 | at.events_log2 << 8);
  cards.write(reg::kControl.offset, 3);
}

template <class Cards>
void start_queue(Cards& cards, std::uint32_t queue, std::uint64_t submissions, std::uint64_t completions, unsigned log2) {
  namespace reg = card::reg;
  cards.write64(reg::kSqBaseLo.at(queue), submissions);
  cards.write64(reg::kCqBaseLo.at(queue), completions);
  cards.write(reg::kQControl.at(queue), 1 | log2 << 8);
}

/// The SA entry window, for Install and Update.
template <class Cards>
void write_entry(Cards& cards, ByteView entry) {
  for (std::uint32_t n = 0; n < entry.size() / 4; ++n) cards.write(card::reg::kSaEntry.at(n), load_le32(&entry[4 * n]));
}

/// Makes octets a whole IPv4 packet: version, length, fragment field and checksum; addresses and the rest stay.
inline void make_ipv4(Bytes& packet, std::uint16_t fragment, Byte protocol) {
  packet[0] = 0x45;
  store_be16(&packet[2], static_cast<std::uint16_t>(packet.size()));
  store_be16(&packet[6], fragment);
  packet[9] = protocol;
  store_be16(&packet[10], 0);
  store_be16(&packet[10], esp::ipv4_checksum(ByteView(packet).first(20)));
}

}  // namespace esplanade::sim::functional_bench
