// The whole card in a bench: clock, registers, SA table, one queue with its rings and buffers, memory with
// stalls. Everything random comes from one seed, printed, and taken back from ESPLANADE_SEED.
// ESPLANADE_WAVES=FILE.fst writes the waves of the last bench of the program (run one test case with
// -tc=...).
#pragma once

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <optional>

#include "common/esp/sa.h"
#include "Vesp_card.h"
#include "Vesp_card___024root.h"
#include "esp_card_model.h"
#include "hw/regs/card_regs.h"
#include "hw/tb/card/axi_memory.h"

class VerilatedFstC;

namespace esplanade::tb {

/// Seed of this run: ESPLANADE_SEED, or a fixed default, so that a failure repeats.
std::uint64_t seed_of_run();

/// What a descriptor says. Addresses are chosen by Bench unless given.
struct Job {
  card::Op op = card::Op::kEncap;
  Bytes source{};
  std::uint32_t sa_index = 0;
  std::optional<std::array<Byte, 8>> iv{};
  std::uint32_t dst_size = 9216;
  std::optional<std::uint32_t> src_len{};  // default: source.size()
  std::optional<std::uint64_t> src_addr{}, dst_addr{};
  std::uint32_t word0_more = 0;  // bits to set beside Op and HostIv
};

/// What came back.
struct Done {
  card::Status status{};
  std::uint32_t out_len = 0, sa_index = 0, spi = 0;
  std::uint64_t seq = 0, cookie = 0;
  unsigned next_header = 0;
  std::array<std::uint32_t, 5> stamps{};  // fetched, started, ciphered, hashed, done
  Bytes packet;                           // out_len octets of the destination
  bool canary_ok = true;                  // nothing behind out_len was touched
};

class Bench {
 public:
  static constexpr std::uint64_t kBase = 0x1'0000'0000;
  static constexpr std::size_t kMemory = 1 << 22;
  static constexpr std::uint64_t kSq = kBase + 0x1000, kCq = kBase + 0x5000, kEvents = kBase + 0x9000;
  static constexpr std::uint64_t kBuffers = kBase + 0x10000;  // source, destination by turns
  static constexpr std::uint64_t kBufferStep = 16384;
  static constexpr unsigned kSlots = 100;
  static constexpr std::uint64_t kCycleLimit = 100'000;  // of one wait; a hang is a failure

  /// Out of reset, window over memory, IV generator seeded, events on, CONTROL.ENABLE and TEST_MODE set.
  explicit Bench(std::uint64_t seed, unsigned stall_percent = 0, unsigned latency = 0);
  ~Bench();

  void tick();
  void close_waves();
  void run(std::uint64_t cycles);
  std::uint32_t read32(std::uint32_t offset);
  void write32(std::uint32_t offset, std::uint32_t value);
  std::uint64_t cycles() const { return cycles_; }
  /// Entries of the SA table; the low bits of an inbound SPI are its index.
  std::uint32_t sa_entries() { return read32(card::reg::kSaEntries.at()); }

  void start_queue(unsigned log2_size);
  /// Fills the entry window (nothing is known of the entry's sense) and runs a command; result code.
  void write_entry(ByteView entry);
  card::SaResult sa_command(card::SaCommand command, std::uint32_t index);
  card::SaResult install(std::uint32_t index, const esp::SaParams& sa);
  Bytes view(std::uint32_t index);

  /// Rings the doorbell for one job, waiting for room; returns its cookie. The order of submission is
  /// remembered.
  std::uint64_t submit(const Job& job);
  /// Next completion, in ring order; aborts the test after kCycleLimit cycles without one.
  Done reap();
  Done run_one(const Job& job);
  bool completion_waits();
  unsigned outstanding() const { return static_cast<unsigned>(in_flight_.size()); }
  /// Events in memory that were not taken yet.
  std::vector<Bytes> take_events();
  /// Runs until STATUS.IDLE; false after kCycleLimit cycles.
  bool settle();

  VerilatedContext context;  // before the card, which uses it
  Vesp_card card{&context};
  AxiMemory memory;
  std::mt19937_64 rng;

 private:
  struct Flight {
    std::uint64_t cookie, dst_addr;
    unsigned slot;
    std::uint32_t dst_size;
  };
  std::unique_ptr<VerilatedFstC> waves_;
  std::uint64_t cycles_ = 0, next_cookie_ = 1;
  std::uint32_t sq_tail_ = 0, cq_head_ = 0, event_head_ = 0, log2_ = 0;
  std::deque<Flight> in_flight_;
  std::deque<unsigned> free_slots_;
};

/// Recomputes the checksum of the IPv4 header at the start (RFC 791).
void fix_checksum(Bytes& packet);
/// A whole IPv4 packet of `size` octets, at least 20.
Bytes ipv4_packet(std::size_t size);

/// A SaEntry as the driver writes it.
Bytes entry_of(const esp::SaParams& sa);

}  // namespace esplanade::tb
