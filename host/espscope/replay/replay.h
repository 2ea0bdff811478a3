// Runs the steps of a plan on a card through the driver, and finds the first packet with which the card does otherwise than the recording says.
#pragma once

#include <deque>
#include <map>
#include <set>

#include "esplanade/event_queue.h"
#include "esplanade/packet_queue.h"
#include "esplanade/sa_table.h"
#include "host/espscope/replay/arena.h"
#include "host/espscope/replay/stand_in.h"

namespace esplanade::replay {

struct Divergence {
  std::uint64_t record = 0;
  std::string where;               // packet or event
  std::string field, was, is;      // what differs; what the recording has, what this card did
  std::optional<std::array<std::uint64_t, 2>> cycles;  // of this card, around it
};

class Replay {
 public:
  /// `sound`: all packets are good, also those that were refused for their content. `watch`: a packet whose cycles are wanted.
  static Result<std::unique_ptr<Replay>> create(Device& device, std::uint64_t seed, bool sound, std::optional<std::pair<std::uint32_t, std::uint64_t>> watch);

  /// One step. Errors: what this card cannot do at all (queues, SAs, sizes), so that the recording cannot be replayed on it. With a divergence nothing is done any more.
  Status step(const Step& step);
  /// Waits for what is inside, and compares the events.
  Status finish();

  const std::optional<Divergence>& divergence() const { return divergence_; }
  /// Where this card gave up as the recorded one did, and how; empty: it did not.
  const std::string& stopped() const { return stopped_; }
  struct Figures {
    std::uint64_t packets = 0, compared = 0, events = 0;
    std::map<card::Status, std::uint64_t> made_so;             // packets whose content was made for their status
    std::vector<std::uint32_t> cycles_then, cycles_now;        // of packets that both cards tell of
    std::optional<std::array<std::uint64_t, 2>> watched;       // cycles of the packet that was asked for
  };
  const Figures& figures() const { return figures_; }

 private:
  struct Sa {
    SaIndex index;  // on this card
    StandInSa stand_in;
    std::set<std::uint32_t> queues;  // that it was used from: with several nobody knows which packet gets a number first
  };
  struct Inside {
    PacketStep step;
    bool overtaken = false;
    bool twin = false;  // one with its number was inside when it came
    std::optional<SaIndex> sa;  // this card's of the recorded SA when it came, which may be replaced since
  };
  struct Queue {
    PacketQueue rings;
    bool in_order;
    std::map<std::uint64_t, Inside> inside;  // by the recording's number, in order of submission
  };
  Replay(Device& device, std::uint64_t seed, bool sound, std::optional<std::pair<std::uint32_t, std::uint64_t>> watch)
      : device_(device), random_(seed), sound_(sound), watch_(watch) {}

  Status run(const QueueStep& s);
  Status run(const SaStep& s);
  Status run(const RemoveStep& s);
  Status run(const PacketStep& s);
  Status run(const RingStep& s);
  Status run(const AwaitStep& s);
  Status run(const EventStep& s);
  Result<Queue*> queue(std::uint32_t number);
  StandInSa* sa_of(const PacketStep& s);
  /// Reaps `q` until `enough`; a card that gives up is a divergence of its oldest packet.
  template <class Enough>
  void reap(Queue& q, Enough enough);
  void gave_up(const Queue& q, const Error& error);
  bool over() const { return divergence_ || !stopped_.empty(); }
  void done(Queue& q, const Completed& c);
  void compare(const Inside& was, const Completed& c);
  void diverges(Divergence d);
  std::optional<std::array<std::uint64_t, 2>> span_of(const Completed& c) const;
  std::optional<std::uint32_t> recorded_index(SaIndex index) const;
  Status poll_events();

  Arena device_;
  Random random_;
  bool sound_;
  std::optional<std::pair<std::uint32_t, std::uint64_t>> watch_;
  std::optional<SaTable> table_;
  std::optional<EventQueue> events_;
  std::map<std::pair<std::uint32_t, std::uint64_t>, std::size_t> numbers_inside_;  // SPI and number of packets to be decapsulated -> how many
  std::unique_ptr<Device::Buffer> results_;                // for packets whose room is not that of their queue; outlives the queues
  std::map<std::uint32_t, Queue> queues_;
  std::map<std::uint32_t, Sa> sas_;                        // by the recording's index
  std::map<std::uint32_t, std::uint32_t> inbound_;         // SPI -> the recording's index
  std::vector<EventStep> recorded_events_;
  std::multiset<std::array<std::uint32_t, 3>> happened_;   // type, the recording's SA index, argument
  Figures figures_;
  std::optional<Divergence> divergence_;
  std::string stopped_;
};

}  // namespace esplanade::replay
