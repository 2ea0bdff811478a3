// A whole card in a bench: clock, registers, SA table, queues with rings and buffers, events, over any number of
// memory ports. Works as the driver does: descriptors in batches, one doorbell a batch, completions found by their
// phase bit, heads given back in batches. Every register and every limit is read from the card, so one bench fits
// all builds. Everything random comes from a seed that is printed and taken back from ESPLANADE_SEED.
#pragma once

#include <array>
#include <deque>
#include <optional>
#include <random>
#include <unordered_map>

#include "common/esp/sa.h"
#include "hw/regs/card_regs.h"
#include "hw/tb/fullcard/axi_port.h"
#include "hw/tb/fullcard/memory.h"
#include "hw/tb/fullcard/model.h"

namespace esplanade::fullcard {

/// Seed of this run: ESPLANADE_SEED, or a fixed default, so that a failure repeats. Printed once.
std::uint64_t seed_of_run();

/// What a descriptor says. Addresses are chosen by Card unless given.
struct Job {
  card::Op op = card::Op::kEncap;
  Bytes source{};
  std::uint32_t sa_index = 0;
  std::optional<std::array<Byte, 8>> iv{};
  std::uint32_t dst_size = 0;
  std::optional<std::uint32_t> src_len{};  // default: source.size()
  std::optional<std::uint64_t> src_addr{}, dst_addr{};
  std::vector<std::uint32_t> src_cut{}, dst_cut{};  // lengths of segments; none: no list
  std::uint32_t word0_more = 0;                     // bits to set beside Op and HostIv
  std::optional<Bytes> raw{};                       // the descriptor itself; the cookie is put in
};

/// What came back.
struct Done {
  card::Op op{};
  card::Status status{};
  std::uint32_t out_len = 0, sa_index = 0, spi = 0;
  std::uint64_t seq = 0, cookie = 0;
  unsigned next_header = 0, queue = 0;
  std::array<std::uint32_t, 5> stamps{};  // fetched, started, ciphered, hashed, done
  Bytes packet;                           // out_len octets of the destination
};

struct Event {
  card::EventType type{};
  std::uint32_t sa_index = 0, spi = 0, arg = 0;
};

struct Options {
  std::uint64_t seed = 1;
  PortTiming timing{};
  bool test_mode = true;
  bool keep_packets = true;  // off: destinations are neither filled with canaries nor looked at (benchmarks)
};

class Card {
 public:
  static constexpr std::uint64_t kEvents = Memory::kBase + 0x1000;
  static constexpr unsigned kEventLog2 = 9;
  static constexpr std::uint64_t kRings = Memory::kBase + 0x10'0000;     // of queue n: 4 MiB from n * 4 MiB on
  static constexpr std::uint64_t kRingStep = 0x40'0000, kCqOffset = 0x20'0000;
  static constexpr std::uint64_t kData = Memory::kBase + (std::uint64_t{96} << 20);
  static constexpr std::uint64_t kCycleLimit = 400'000;  // of one wait; a hang is a failure

  /// Out of reset, window 0 over all of memory, IV generator seeded, events on, CONTROL.ENABLE set.
  Card(std::unique_ptr<CardModel> model, const Options& options);
  ~Card();

  void tick();
  void run(std::uint64_t cycles);
  /// Lets seconds of the card's time pass while it is at rest; false where the model cannot.
  bool skip_seconds(std::uint32_t seconds);
  std::uint32_t read32(std::uint32_t offset);
  std::uint64_t read64(std::uint32_t lo) { return read32(lo) | std::uint64_t{read32(lo + 4)} << 32; }
  void write32(std::uint32_t offset, std::uint32_t value);
  std::uint64_t cycles() const { return cycles_; }
  bool interrupt() const { return *model_->interrupt != 0; }
  [[noreturn]] void die(const std::string& what);
  void reset();

  // What the build is
  bool has(card::RegField capability) const { return capability.get(caps) != 0; }
  std::uint32_t caps = 0, lanes = 0, queues = 0, slots = 0, sa_entries = 0, max_packet = 0, replay_max = 0, clock_hz = 0;
  /// Whether the build does all that the SA asks for.
  bool can(const esp::SaParams& sa) const;

  // SA table. A window that the last command wiped is only written where the entry is not 0.
  void write_entry(ByteView entry);
  card::SaResult sa_command(card::SaCommand command, std::uint32_t index);
  /// Starts a command without waiting for it; sa_result() is empty while it is under way.
  void start_sa_command(card::SaCommand command, std::uint32_t index);
  std::optional<card::SaResult> sa_result();
  card::SaResult install(std::uint32_t index, const esp::SaParams& sa);
  Bytes view(std::uint32_t index);

  // Queues
  void start_queue(unsigned queue, unsigned log2_size, bool in_order = false);
  void stop_queue(unsigned queue) { write32(card::reg::kQControl.at(queue), 0); }
  bool has_room(unsigned queue) const { return queue_[queue].flights.size() < (std::size_t{1} << queue_[queue].log2); }
  std::size_t outstanding(unsigned queue) const { return queue_[queue].flights.size(); }
  std::size_t outstanding() const;
  /// Writes the descriptor; rings no doorbell. Returns the cookie.
  std::uint64_t submit(unsigned queue, Job job);
  void ring(unsigned queue);
  bool completion_waits(unsigned queue) const;
  /// The next completion of the queue, when there is one. Its head goes to the card after `release_every` of them.
  std::optional<Done> poll(unsigned queue);
  /// Waits for one; ends the program after kCycleLimit cycles without.
  Done reap(unsigned queue);
  Done run_one(unsigned queue, Job job);
  void release(unsigned queue);
  unsigned release_every = 8;
  /// Forgets what was in flight on the queue (after a reset).
  void forget(unsigned queue);

  std::vector<Event> take_events();
  /// Runs until STATUS.IDLE and all ports are quiet; false after kCycleLimit cycles.
  bool settle();
  /// Window 0 to 3 of the card and of the memory's rules.
  void set_window(unsigned n, Range range, bool enable = true);

  Memory memory;
  std::vector<AxiPort> ports;
  std::mt19937_64 rng;

  /// Memory of the data area that nothing else uses: 64-aligned, at a random place against 4 KiB.
  std::uint64_t allocate(std::size_t size);
  void give_back(std::uint64_t address);

 private:
  struct Flight {
    std::vector<std::uint64_t> buffers;                              // to be given back
    std::vector<std::pair<std::uint64_t, std::uint32_t>> dst_parts;  // where the result goes
    std::uint32_t dst_size = 0;
    std::uint64_t order = 0;
  };
  struct Queue {
    bool live = false, in_order = false;
    unsigned log2 = 0, unreleased = 0;
    std::uint32_t sq_tail = 0, sq_rung = 0, cq_head = 0;
    std::uint64_t next_order = 0, next_done = 0;
    const Byte* cq = nullptr;
    std::unordered_map<std::uint64_t, Flight> flights;
  };
  void control_checks();
  std::uint64_t place(Flight& flight, const std::vector<std::uint32_t>& cut,
                      std::vector<std::pair<std::uint64_t, std::uint32_t>>& parts);
  void close(const Flight& flight);

  std::unique_ptr<CardModel> model_;
  Options options_;
  bool waves_ = false;
  std::uint64_t cycles_ = 0, next_cookie_ = 1;
  unsigned writes_open_ = 0, reads_open_ = 0, aw_open_ = 0, w_open_ = 0;
  std::vector<Queue> queue_;
  std::uint32_t event_head_ = 0;
  bool entry_clean_ = false;  // the entry window was wiped by a command

  // Buffers by size class: 512 << k octets
  std::array<std::vector<std::uint64_t>, 8> free_;
  std::unordered_map<std::uint64_t, std::pair<std::uint64_t, unsigned>> taken_;  // address: block, class
  std::uint64_t fresh_ = kData;
};

/// A SaEntry as the driver writes it.
Bytes entry_of(const esp::SaParams& sa);

}  // namespace esplanade::fullcard
