// Bench of sad with sad_command: drives all lanes, and holds every answer against a plain model of the table. The
// model keeps replay windows as sets of numbers and works one operation at a time, in the order of the grants.
#pragma once

#include <Vsad_bench_top.h>
#include <Vsad_bench_top___024root.h>

#include <array>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "hw/regs/card_regs.h"
#include "hw/tb/lib/bench.h"

namespace esplanade::tb {

inline constexpr unsigned kLanes = 4;

/// An SA as the host writes it.
struct SaSetting {
  bool outbound = true, transport = false, ah = false, outer_v6 = false, natt = false, esn = false;
  bool check_outer = true, inner_v4 = true, inner_v6 = true;
  unsigned cipher = 2, auth = 2, df = 0;
  bool dscp_set = false, ecn_clear = false;
  unsigned dscp = 0, window = 64, ttl = 64;
  std::uint32_t spi = 0;
  std::uint16_t ip_id = 0, udp_src = 4500, udp_dst = 4500;
  std::uint64_t seq = 0;
  std::uint32_t soft_seconds = 0, hard_seconds = 0;
  std::uint64_t soft_bytes = 0, hard_bytes = 0, soft_packets = 0, hard_packets = 0;
  std::array<std::uint8_t, 16> src{}, dst{};
  std::array<std::uint8_t, 24> enc_key{};
  std::array<std::uint8_t, 20> auth_key{};
  std::array<std::uint32_t, 64> words() const;
};

struct Lookup {
  bool encap = true, ah = false, udp = false, v6 = false, fragment = false;
  std::uint32_t index = 0, spi = 0, seq = 0;
  std::array<std::uint8_t, 16> src{}, dst{};
  std::uint16_t len = 100, dst_size = 65535;
  std::uint8_t hdr_len = 20;
};
struct Answer {
  unsigned status = 0;
  bool found = false, epoch = false;
  std::uint32_t index = 0, spi = 0;
  std::uint64_t seq = 0;
  std::uint16_t ip_id = 0, out_len = 0;
};
struct Update {
  std::uint32_t index = 0;
  bool epoch = false, auth = false, ok = false;
  unsigned status = 0;
  std::uint64_t seq = 0;
  std::uint16_t bytes = 0;
};
struct EventSeen {
  unsigned type;
  std::uint32_t index, spi, arg;
  auto operator<=>(const EventSeen&) const = default;
};

/// What an inbound lookup depends on; kept for a while after it changed.
struct InboundState {
  std::uint64_t cycle;  // from this one on
  bool valid, expired;
  std::uint64_t top;
};

/// The model of one entry.
struct ModelEntry {
  bool valid = false;
  bool wiped = true;
  SaSetting sa;
  std::uint32_t installed = 0;
  std::uint64_t seq = 0, packets = 0, bytes = 0;
  std::uint16_t ip_id = 0;
  std::map<std::uint64_t, std::uint64_t> seen;  // number, and the cycle in which it was marked
  bool expired = false, over = false;
  std::set<unsigned> told;
  std::map<std::string, std::uint32_t> drops;
  int held = 0;
  std::deque<InboundState> history;
  unsigned check_window() const { return sa.outbound || sa.auth == 0 ? 0 : sa.window; }
};

class SadBench {
 public:
  SadBench(unsigned entries, unsigned replay_max, unsigned max_packet, std::uint64_t salt);

  Random random;
  Clocked<Vsad_bench_top> dut;
  std::vector<ModelEntry> model;
  std::vector<EventSeen> events;           // seen so far
  std::multiset<std::pair<unsigned, std::uint32_t>> expected;  // type, index
  // Of these, what time alone brought: the scan tells it when it comes by, unless the entry is closed before.
  std::multiset<std::pair<unsigned, std::uint32_t>> untouched, optional;
  unsigned poison_pulses = 0;
  std::uint64_t lookups_answered = 0, updates_answered = 0;
  unsigned event_stall = 0;                // percent of cycles without room for events
  bool strict = true;                      // hold answers against the model

  /// One cycle, everything watched.
  void step();
  void steps(unsigned n) { while (n-- != 0) step(); }

  // Lanes
  struct Lane {
    std::optional<Lookup> asking;
    std::optional<Update> updating;
    struct Expected {
      Lookup lookup;
      std::uint64_t granted, asked;
      std::optional<Answer> answer;        // outbound: exact
    };
    std::deque<Expected> lookups;
    std::deque<unsigned> updates;          // statuses expected
    std::deque<std::pair<Lookup, Answer>> answers;
    std::deque<unsigned> update_answers;
    std::uint64_t asked_at = 0;
  };
  std::array<Lane, kLanes> lanes;
  std::uint64_t max_latency = 0;

  /// One operation alone on lane 0.
  Answer lookup(const Lookup& l);
  unsigned update(const Update& u);

  // Registers
  void write(std::uint32_t addr, std::uint32_t value);
  std::uint32_t read(std::uint32_t addr);
  bool busy() { return (read(0x408) & 1) != 0; }
  void write_entry(const SaSetting& sa);
  /// Starts a command and returns; result() when not busy().
  void start(unsigned command, std::uint32_t index);
  unsigned result() { return read(0x408) >> 8 & 0xff; }
  unsigned run(unsigned command, std::uint32_t index);
  unsigned install(std::uint32_t index, const SaSetting& sa);
  std::array<std::uint32_t, 32> view();
  /// View of the entry against the model.
  void check_view(std::uint32_t index);

  /// Second hand; no operation of a lane may be under way.
  void set_seconds(std::uint32_t s);
  std::uint32_t seconds() const { return seconds_; }
  /// What time alone does to the model's entries.
  /// Nothing asked, nothing on its way; all events are out.
  void quiesce(unsigned cycles = 40);
  void check_events();

  // Copies of the last answer's wide fields
  std::vector<std::uint8_t> last_enc_key, last_istate, last_ostate;

 private:
  Answer model_outbound(const Lookup& l);
  void check_inbound(const Lane::Expected& e, const Answer& got);
  unsigned model_update(const Update& u);
  void note(ModelEntry& e, unsigned index, unsigned type);
  void remember(ModelEntry& e);
  bool clock_of(ModelEntry& e, unsigned index);
  void close(std::uint32_t index);
  unsigned out_len(const SaSetting& sa, const Lookup& l) const;
  void on_command(unsigned op);

  unsigned entries_, replay_max_, max_packet_;
  std::uint32_t seconds_ = 0;
  std::uint32_t command_index_ = 0;
  SaSetting command_sa_;
  bool epoch_ = false;
};

}  // namespace esplanade::tb
