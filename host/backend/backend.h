// What espd, espcap and vector-check run packets through: the card (real or simulated) or the reference engine.
// Callers cannot tell which one they have, except by name(). One thread at a time.
#pragma once

#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/bytes.h"
#include "common/esp/sa.h"
#include "hw/regs/card_regs.h"

namespace esplanade::host {

/// Names an installed SA until it is removed.
enum class SaHandle : std::uint32_t {};

/// The end of one packet's processing. `packet` is empty unless status is kOk.
struct Outcome {
  std::uint64_t cookie;
  card::Op op;
  card::Status status;
  std::optional<SaHandle> sa;  // the SA used, where one was found
  std::uint32_t spi;
  std::uint64_t seq;
  std::uint8_t next_header;
  Bytes packet;
  std::uint64_t number = 0;  // of the packet in the card's queue, for note_sent()
};

/// The outcomes of a poll. clear() keeps them, so that the memory of their packets serves those of the next poll.
class Outcomes {
 public:
  using value_type = Outcome;
  /// One more, with what an earlier one left in it.
  Outcome& add() {
    if (count_ == all_.size()) all_.emplace_back();
    return all_[count_++];
  }
  void push_back(Outcome outcome) { add() = std::move(outcome); }
  void clear() { count_ = 0; }
  std::size_t size() const { return count_; }
  bool empty() const { return count_ == 0; }
  Outcome& operator[](std::size_t i) { return all_[i]; }
  const Outcome& operator[](std::size_t i) const { return all_[i]; }
  Outcome* begin() { return all_.data(); }
  Outcome* end() { return all_.data() + count_; }
  const Outcome* begin() const { return all_.data(); }
  const Outcome* end() const { return all_.data() + count_; }

 private:
  std::vector<Outcome> all_;
  std::size_t count_ = 0;
};

/// Something that the SA's owner must know: lifetimes, sequence numbers.
struct SaEvent {
  card::EventType type;
  SaHandle sa;
  std::uint32_t spi;
};

/// State of an SA without its keys.
struct SaView {
  bool outbound, expired;
  std::uint32_t spi;
  std::uint64_t seq, packets, bytes;
  std::uint32_t replay_drops, icv_drops, other_drops;
};

/// Totals since the backend was opened. Cycles are 0 for the reference engine.
struct Totals {
  std::uint64_t encap_packets, encap_bytes, decap_packets, decap_bytes;
  std::uint64_t cycles, busy_cycles;
  std::uint32_t clock_hz;
  std::array<std::uint32_t, 32> by_status;  // index: card::Status
};

/// One of the cards that carry SAs at once.
struct CardView {
  enum class State : std::uint8_t { kUp, kDrained, kLost };
  std::string card;    // of the configuration, e.g. "0000:3b:00.1"
  std::string engine;  // name() of what runs there
  State state = State::kUp;
  std::size_t sas = 0, in_flight = 0, losses = 0;
  Totals totals{};
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::string name() const = 0;  // e.g. "reference engine", "esp_card (simulated)"

  /// An SPI for a new inbound SA of the policy `reqid`, never used by a live one (RFC 4303 s2.1: 256 and up).
  virtual Result<std::uint32_t> allocate_spi(std::uint32_t reqid) = 0;
  /// Keeps room for an inbound SA whose SPI another backend allotted; again for the same SPI is no error. kTableFull: its place is taken.
  virtual Status reserve_spi(std::uint32_t spi) = 0;
  /// Gives back an SPI that was allotted or reserved here and never installed.
  virtual void release_spi(std::uint32_t spi) = 0;
  /// Installs an SA; validate()d first. kUnsupported names what the card lacks; kTableFull.
  virtual Result<SaHandle> install(esp::SaParams params) = 0;
  /// Removes it; its keys are gone when this returns. Packets still inside complete with kNoSa or as usual.
  virtual Status remove(SaHandle sa) = 0;
  /// Gives an SA other outer addresses and UDP ports, for a peer behind NAT that was given new ones (RFC 3947 s7);
  /// keys, numbers, window and counters stay. kUnknownSpi; kBadConfig; kUnsupported: the card does not update SAs.
  virtual Status move(SaHandle sa, const esp::IpAddress& src, const esp::IpAddress& dst,
                      const std::optional<esp::Natt>& natt) = 0;
  virtual Result<SaView> view(SaHandle sa) = 0;
  virtual Result<Totals> totals() = 0;

  /// Hands in a packet (copied). kRingFull: poll first. `iv` needs a backend opened in test mode.
  virtual Status submit_encap(SaHandle sa, ByteView packet, std::uint64_t cookie,
                              std::optional<std::array<Byte, 8>> iv = std::nullopt) = 0;
  virtual Status submit_decap(ByteView outer_packet, std::uint64_t cookie) = 0;
  /// Packets handed in and not yet seen by poll().
  virtual std::size_t in_flight() const = 0;
  /// Appends finished packets, per SA in order of submission. Waits up to `wait` for the first. kDeviceLost when
  /// the card is gone: then nothing more will come.
  virtual Status poll(Outcomes& out, std::chrono::milliseconds wait) = 0;
  virtual Status poll_events(std::vector<SaEvent>& out) = 0;

  /// Whether the card's driver records (ESPLANADE_RECORD), so that the two below are worth a look at the clock: when the packet that is submitted next came,
  /// and when the result of one had gone to where it goes.
  virtual bool recording() const { return false; }
  virtual void note_arrival(std::chrono::steady_clock::time_point /*when*/) {}
  virtual void note_sent(const Outcome& /*outcome*/, std::chrono::steady_clock::time_point /*when*/) {}

  /// The cards that carry SAs at once, in the order of their numbers, which begin with 1.
  virtual std::vector<CardView> cards() { return {}; }
  /// Opens a card anew, or every card (0), and puts its SAs back, as after a loss; one that is not in use takes its share again. kUnsupported where the SAs are
  /// not held here; kBadConfig: no such number; kDeviceLost: it cannot be opened.
  virtual Status reset(std::size_t) { return Error{Errc::kUnsupported, "this card is not replaced when it is lost (on_card_loss), so it cannot be reset either"}; }
  /// Moves the SAs of one card of several to the others, or lets it take its share again. Errors as reset(); kState: no other card could carry them.
  virtual Status drain(std::size_t, bool) { return Error{Errc::kUnsupported, "one card of several (cards_in_use) can be drained alone; without a number all traffic stops"}; }
  /// How often a card was lost, or reset, since it was opened.
  virtual std::size_t losses() const { return 0; }
};

struct BackendOptions {
  std::string card = "sim";  // "soft", "sim", or an XRT device as in DeviceOptions
  bool test_mode = false;    // allow host-given IVs
};
/// Opens the engine that `card` names. Errors as Device::open.
Result<std::unique_ptr<Backend>> open_backend(const BackendOptions& options);

}  // namespace esplanade::host
