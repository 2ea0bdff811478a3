// The card without its clockwork: registers, rings, SA commands and events as hw/regs/card.toml has them, with the
// reference engine (common/esp) in place of the lanes. Everything that a register write starts is done when write()
// returns. docs/emulation.md says in what a host can tell it from the RTL.
//
// Descriptors are worked on one after the other. Before, the card looks ahead at those that wait and has their ciphers
// worked out side by side, which is tens of times faster (look_ahead.cpp); what the ciphers then really get is compared,
// so nothing that a host can see depends on it.
//
// Time is a formula, so that it repeats: a register access takes kAccessCycles, a descriptor kDescriptorCycles, a packet
// what a lane's ciphers and hashes need at least (docs/performance.md, roofline).
#pragma once

#include <array>
#include <optional>

#include "common/base/bytes.h"
#include "common/crypto/hash.h"
#include "hw/regs/card_regs.h"
#include "sim/functional/model.h"
#include "sim/functional/sa_table.h"

namespace esplanade::sim {

struct FunctionalBuild {
  std::uint32_t lanes = 1, queues = 4, slots = 256, sa_entries = 4096, max_packet = 9216, replay_max = 1024, clock_hz = 300'000'000;
  bool look_ahead = true;  // false: for comparison
};

class FunctionalCard final : public FunctionalKernel {
 public:
  FunctionalCard(CardBus& bus, const FunctionalBuild& build);

  /// A register of the map; `offset` is a multiple of 4. Others read 0, drop what is written and set AXIL_UNMAPPED.
  std::uint32_t read(std::uint32_t offset) override;
  void write(std::uint32_t offset, std::uint32_t value) override;

  std::uint64_t cycles() const override { return cycles_; }
  std::uint64_t busy_cycles() const override { return busy_cycles_; }
  void skip(std::uint64_t cycles) override { cycles_ += cycles; }
  bool interrupt() const override { return (irq_status_ & irq_enable_) != 0; }
  bool error() const override { return cause_ != 0; }
  /// The state of the SA at `index` fails its parity check from now on, whichever bit flipped; false: no such entry.
  bool flip_sa(std::uint64_t index, std::uint64_t bit) override;
  /// Flips bit `bit` (0 to 63) of the octets from 8 * `row` on of the next packet that is read, as often as it wraps.
  bool flip_packet(std::uint64_t row, std::uint64_t bit) override;

 private:
  struct Window {
    std::uint64_t base = 0;
    std::uint32_t pages = 0;
    bool enable = false;
  };
  /// What a descriptor will want, as far as it could be told before its turn.
  struct Foreseen {
    std::optional<std::size_t> cipher;       // in ciphers_
    std::optional<std::uint64_t> iv_number;  // that of `iv`, where the card makes it
    std::array<Byte, 8> iv{};
  };
  struct Queue {
    std::uint64_t sq_base = 0, cq_base = 0;
    std::uint32_t log2 = 0, sq_tail = 0, sq_head = 0, cq_head = 0, cq_tail = 0;
    bool enable = false, in_order = false, running = false, stopped = false, completes = false;
    std::array<std::uint32_t, 32> by_status{};
    std::vector<Foreseen> ahead;  // of the descriptors from ahead_from on
    std::uint32_t ahead_from = 0;
  };
  struct Segment {
    std::uint64_t address;
    std::uint32_t size;
  };
  /// A descriptor, and what becomes of it.
  struct Work {
    card::Op op{};
    std::uint64_t cookie = 0;
    std::uint32_t src_len = 0, dst_size = 0, sa_index = 0;
    std::vector<Segment> source, destination;
    std::optional<std::array<Byte, 8>> iv;
    Bytes packet, result;
    FunctionalSaTable::Entry* entry = nullptr;
    std::uint32_t index = 0xffffffff, spi = 0;
    std::uint64_t seq = 0;
    std::uint8_t next_header = 0;
    std::uint64_t work_cycles = 0;
    const Foreseen* foreseen = nullptr;
  };

  std::optional<std::uint32_t> read_known(std::uint32_t offset) const;
  std::uint32_t read_global(std::uint32_t offset) const;
  bool write_known(std::uint32_t offset, std::uint32_t value);
  void write_queue(std::uint32_t n, std::uint32_t offset, std::uint32_t value);
  void write_event_ring(std::uint32_t offset, std::uint32_t value);
  void write_control(std::uint32_t value);
  bool inside(std::uint64_t address, std::uint64_t size) const;
  void fail(const card::RegField& cause, std::optional<std::uint64_t> address = std::nullopt);
  void event(card::EventType type, std::uint32_t index, std::uint32_t spi, std::uint32_t arg);
  void limits(std::uint32_t index, FunctionalSaTable::Entry& entry);
  bool poisoned(FunctionalSaTable::Entry& entry);

  void run();
  bool works(std::size_t queue) const;
  bool idle() const;
  bool step(Queue& queue);
  card::Status check(ByteView descriptor, Work& work, bool ahead);
  card::Status segments(std::uint64_t at, std::uint32_t count, std::uint32_t total, bool ahead, std::vector<Segment>& out);
  bool fetch(std::uint64_t address, MutableBytes to, bool ahead);
  card::Status encap(Work& work);
  card::Status decap(Work& work);
  void look_ahead();
  Foreseen foresee(const Queue& queue, std::uint32_t head, std::uint64_t& ivs);
  const Foreseen* foreseen(Queue& queue);
  const esp::CipherAhead* cipher_ahead(const Work& work) const;
  static std::uint64_t place(const Queue& queue, std::uint32_t head);
  static card::Status find_spi(ByteView packet, const esp::IpPacket& ip, std::size_t& at);
  bool deliver(const Work& work);
  void complete(Queue& queue, const Work& work, card::Status status, std::uint64_t fetched);
  void count(Queue& queue, const Work& work, card::Status status);
  std::array<Byte, 8> iv(std::uint64_t number);
  std::array<Byte, 8> next_iv(const Work& work);

  CardBus& bus_;
  const FunctionalBuild build_;
  std::uint64_t cycles_ = 0, busy_cycles_ = 0;
  bool enable_ = false, test_mode_ = false;
  std::uint32_t cause_ = 0, irq_enable_ = 0, irq_status_ = 0;
  std::optional<std::uint64_t> error_address_;
  std::uint64_t shown_error_address_ = 0;
  std::array<Window, card::kNumWindows> windows_;
  std::array<std::uint32_t, 5> seed_words_{};
  std::optional<crypto::Hmac> iv_prf_;  // keyed with the seed
  std::uint64_t ivs_ = 0;               // made so far
  FunctionalSaTable table_;
  std::uint32_t sa_index_ = 0;
  card::SaResult sa_result_{};
  std::array<Byte, card::sa_entry::kSize> sa_window_{};
  FunctionalSaTable::View sa_view_{};
  struct {
    std::uint64_t base = 0;
    std::uint32_t log2 = 0, head = 0, tail = 0;
    bool enable = false, running = false;
  } events_;
  std::vector<Queue> queues_;
  std::vector<esp::CipherAhead> ciphers_;
  std::array<std::uint32_t, 32> by_status_{};
  std::uint32_t encap_packets_ = 0, decap_packets_ = 0;
  std::uint64_t encap_bytes_ = 0, decap_bytes_ = 0;
  std::vector<std::uint64_t> flips_;  // bits of the next packet
};

}  // namespace esplanade::sim
