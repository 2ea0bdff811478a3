// Scoreboard of the whole card: random mixed traffic on all queues while SAs come, change and go, every completion
// judged by the reference engine, every counter compared at the end.
//
// The reference sees an SA's packets in the order of their completions, which the card promises to be the order of
// submission. What the card decides earlier than the reference (a lookup happens before the ICV of packets in front
// is known) may give another of two true reasons for refusing a packet; both are accepted then, never a refusal of a
// good packet or the acceptance of a bad one.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "hw/tb/fullcard/coverage.h"

namespace esplanade::fullcard {

struct Mix {
  unsigned sas = 24;            // pairs alive at a time
  unsigned in_order = 2;        // every n-th queue completes in order; 0: none
  unsigned depth = 60;          // most packets in flight a queue
  unsigned batch = 12;          // most descriptors a doorbell
  unsigned churn = 150;         // packets between SA commands
  std::size_t most = 9000;      // octets of a packet
  bool damage = true;           // malformed packets and descriptors
  bool limits = true;           // lifetimes and numbers that run out
};

class Traffic {
 public:
  Traffic(Card& card, Coverage& coverage, const Mix& mix, std::uint64_t seed);
  /// Submits, reaps and checks until `packets` were completed, then empties the card.
  void run(std::uint64_t packets);
  /// Compares counters, views and events with the model. After run().
  void finish();

  std::vector<std::string> failures;  // the first 20
  std::uint64_t num_failures = 0, completed = 0, accepted = 0, refused = 0;

 private:
  struct Sa {
    esp::SaParams params;               // as the card knows it
    std::optional<esp::SaParams> before;  // as it knew it before the last update
    std::uint32_t index = 0, first_spi = 0;
    unsigned queue = 0, generation = 0;
    std::uint64_t base_seq = 0;
    std::uint16_t base_id = 0;
    bool limited = false, closing = false, gone = false;
    std::optional<esp::SoftSa> golden;  // inbound: the state; outbound: the next packet, or the state where limited
    std::optional<esp::SoftSa> peer;    // inbound: who sends
    std::uint64_t peer_seq = 0;
    std::uint64_t last_order = 0;       // of completions with an SA
    unsigned in_flight = 0;
    std::uint64_t packets = 0, bytes = 0, seq = 0;
    std::map<card::Status, std::uint32_t> drops;
    std::vector<std::pair<Bytes, std::uint64_t>> old;  // wires sent before, for replays
    bool bad_number = false;
  };
  using SaPtr = std::shared_ptr<Sa>;
  struct Expect {
    bool encap = true;
    SaPtr sa;                             // the one that the packet is meant for; none: never found
    std::set<card::Status> exactly{};     // not empty: one of these, without the model
    Bytes source{}, plain{};
    std::optional<std::array<Byte, 8>> iv{};
    std::size_t result_len = 0;           // 0: not known
    std::uint32_t dst_size = 0;
    unsigned generation = 0, inner = 4;
    std::uint64_t order = 0;
    bool icv_bad = false;
    const char* kind = "good";
  };

  void fail(const std::string& what, const Done* done = nullptr, const Expect* e = nullptr);
  SaPtr make(bool outbound, bool limited);
  void step_submit(unsigned queue);
  void submit(unsigned queue, Job job, Expect expect);
  void encap(unsigned queue);
  void decap(unsigned queue);
  bool damage_decap(Sa& sa, Expect& e, std::uint64_t number);
  bool bad_descriptor(unsigned queue);
  void cut(Job& job);
  SaPtr pick(bool outbound, unsigned queue);
  void check(const Done& done);
  void check_encap(const Done& done, Expect& e);
  void check_decap(const Done& done, Expect& e);
  bool loose_inner(const Done& done, const Expect& e, Errc why) const;
  void churn();
  void churn_poll();
  void take_limits(Sa& sa);
  void events();

  Card& card_;
  Coverage& coverage_;
  Mix mix_;
  Generator gen_;
  std::uint64_t orders_ = 0, ivs_seen_ = 0, next_churn_ = 0;
  std::map<std::uint32_t, SaPtr> table_;
  std::vector<SaPtr> out_, in_, retired_;
  std::unordered_map<std::uint64_t, Expect> waiting_;
  std::unordered_set<std::uint64_t> ivs_;
  enum class Command { kNone, kRemove } command_ = Command::kNone;
  SaPtr command_sa_;
  // Totals for the counters
  std::map<card::Status, std::uint32_t> by_status_;
  std::vector<std::map<card::Status, std::uint32_t>> by_queue_;
  std::uint64_t encap_packets_ = 0, encap_bytes_ = 0, decap_packets_ = 0, decap_bytes_ = 0;
  std::map<std::pair<card::EventType, std::uint32_t>, unsigned> want_events_, got_events_;  // by SPI
};

}  // namespace esplanade::fullcard
