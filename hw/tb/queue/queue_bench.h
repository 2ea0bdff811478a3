// Bench of the queue side: a host with rings, a read-only memory behind AXI, and a consumer that holds every
// record, beat and segment against a model of its own.
#pragma once

#include <Vqueue_side.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "hw/regs/card_regs.h"
#include "hw/tb/lib/bench.h"

namespace esplanade::tb {

inline constexpr unsigned kQueues = 3;
inline constexpr std::uint64_t kMaxPacket = 9216;
// Window 0: rings, then lists, then packets. What stands below kPackets changes under way.
inline constexpr std::uint64_t kRings = 0x1'0000'0000, kLists = 0x1'0010'0000, kPackets = 0x1'0018'0000;
using Beat = std::array<std::uint8_t, 64>;

enum Status : std::uint8_t {
  kOk = 0,
  kBadDescriptor = 1,
  kBadAddress = 2,
  kBadAlign = 3,
  kBadLength = 4,
  kBusError = 6,
  kHostIvRefused = 22
};

struct Window {
  std::uint64_t base;
  unsigned __int128 size;
  bool enabled;
};
struct Segment {
  std::uint64_t addr;
  std::uint32_t len, unused = 0;
};
struct Descriptor {
  std::uint8_t op = 1;
  bool host_iv = false;
  std::uint8_t num_src = 0, num_dst = 0;
  std::uint32_t sa_index = 0;
  std::uint64_t cookie = 0, src = 0, dst = 0;
  std::uint32_t src_len = 64, dst_size = 2048;
  std::array<std::uint8_t, 8> iv{};
  Beat encode() const;
  static Descriptor decode(const Beat& b);
};
/// What the consumer must see for one descriptor.
struct Expected {
  Descriptor d;
  std::uint8_t status = kOk;
  bool in_order = false;
  std::vector<std::uint64_t> beats;  // addresses
  std::vector<Segment> segments;
};

class QueueBench {
 public:
  explicit QueueBench(std::uint64_t salt);

  // --- memory
  Beat beat_at(std::uint64_t addr) const;
  void store(std::uint64_t addr, const Beat& b) { stored_[addr] = b; }
  /// A segment list at a fresh address inside a window.
  std::uint64_t store_list(const std::vector<Segment>& s);
  bool fails(std::uint64_t addr) const { return failing_.contains(addr & ~63ull); }
  void fail(std::uint64_t addr) { failing_.insert(addr & ~63ull); }
  void heal() { failing_.clear(); }
  unsigned latency = 20, ar_stall = 0, r_stall = 0, out_stall = 0;  // cycles, percent
  unsigned cpl_delay = 5;

  // --- model
  bool in_window(std::uint64_t addr, std::uint64_t len) const;
  Expected judge(const Beat& raw, bool in_order) const;
  std::vector<Window> windows;
  bool test_mode = true;
  void apply_windows();

  // --- host
  void write(std::uint16_t addr, std::uint32_t value);  // runs the clock
  std::uint32_t read(std::uint16_t addr);
  std::uint16_t reg(unsigned q, std::uint16_t base) const {
    return static_cast<std::uint16_t>(base + 64 * q);
  }
  void start(unsigned q, std::uint64_t sq, unsigned log2, bool in_order, std::uint64_t cq = 0x1'0008'0000);
  void stop(unsigned q) { write(reg(q, 0x1010), 0); }
  /// Puts a descriptor in the ring; ring() tells the card. False when the ring is full.
  bool submit(unsigned q, const Beat& raw);
  void ring(unsigned q);
  bool settled() const;  // all submitted descriptors were consumed and completed
  void acknowledge(unsigned q);

  void step();
  bool run_until_settled(std::uint64_t cycles);

  Clocked<Vqueue_side> dut;
  Random rng;
  struct Queue {
    bool running = false, in_order = false;
    std::uint64_t sq = 0, cq = 0;
    std::uint32_t size = 0, tail = 0, rung = 0, done = 0, acked = 0, consumed = 0, issued = 0;
    std::deque<Expected> expected,
        former;  // former: of the life before, may still come before the new life's first
    unsigned life = 0;
  };
  std::array<Queue, kQueues> queues;
  std::vector<std::string> complaints;
  std::uint64_t consumed = 0, beats_consumed = 0, bad_doorbells = 0, bad_configs = 0;
  std::array<std::uint64_t, 32> by_status{};
  std::vector<std::uint64_t> pd_cycles;  // of each record's leaving
  std::uint64_t most_outstanding = 0, first_ring_beat = 0, first_packet_ar = 0;
  bool consume = true;
  bool hold_data = false, hold_headers = false, hold_segments = false;  // the lane does not take these
  void forget();  // soft reset: nothing is on its way any more

 private:
  void complain(const std::string& what);
  void drive_memory();
  void drive_consumer();
  void take(unsigned q, std::deque<Expected>& from, unsigned life);  // checks the record that leaves

  std::map<std::uint64_t, Beat> stored_;
  std::set<std::uint64_t> failing_;
  std::uint64_t next_list_ = 0;
  struct Burst {
    std::uint64_t addr;
    unsigned beats, at;
    std::uint64_t due;
  };
  std::deque<Burst> bursts_;
  bool r_on_ = false, ar_held_ = false;
  std::uint64_t ar_held_addr_ = 0;
  unsigned ar_held_len_ = 0;
  struct Out {
    std::uint64_t addr;
    bool last;
  };
  std::deque<Out> want_db_, want_hb_;
  std::deque<Segment> want_seg_;
  struct Completion {
    unsigned queue, life;
    std::uint64_t due;
    bool issued;
  };
  std::deque<Completion> completing_;
};

}  // namespace esplanade::tb
