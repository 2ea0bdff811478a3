// Packets between TUN, card and network. Outbound: policy, outbound SA, card, network; a packet that has no
// SA yet waits while the IKE daemon is asked. Inbound: network, card, policy of the SA, TUN. Nothing ever
// passes in clear, but for policies that bypass, and those that say so while their peer does not speak IKE (fallback.h).
#pragma once

#include <algorithm>
#include <deque>
#include <unordered_map>

#include "host/espd/counters.h"
#include "host/espd/fallback.h"
#include "host/espd/flow_tracker.h"
#include "host/espd/io_thread.h"
#include "host/espd/outside.h"
#include "host/espd/path_mtu.h"
#include "host/espd/reassembly.h"
#include "host/espd/sad.h"
#include "host/espd/tun.h"

namespace esplanade::espd {

class DataPlane {
 public:
  struct Hooks {
    std::function<bool(const Policy&)> acquire;        // false: no IKE daemon
    std::function<bool(const pfkey::NattFrame&)> ike;  // an IKE message from UDP 4500; false: no IKE daemon
    PathMtu::LinkMtu link_mtu;
  };
  DataPlane(host::Backend& backend, Sad& sad, const PolicyTable& policies, Tun& tun, Outside& outside,
            Counters& counters, Hooks hooks);

  /// Gives each queue of the TUN device a thread, which rings `bell`; without, on_tun() itself reads the first one. kIo.
  Status start_threads(Doorbell& bell);
  /// Whether packets that threads read wait.
  bool has_received() const { return std::ranges::any_of(threads_, [](const auto& thread) { return thread->has_received(); }); }

  /// Each reads up to a batch of packets and hands them to the card. kIo: the TUN device is gone.
  Status on_tun();
  void on_outside(Outside::Channel channel);
  /// Takes finished packets out of the card and passes them on, waiting up to `wait` for the first.
  void reap(std::chrono::milliseconds wait);

  /// An outbound SA came: the packets that waited go. Or none will come, or none yet from a `silent` peer: they are
  /// dropped, or go in clear where the policy falls back.
  void outbound_ready(std::uint32_t reqid);
  void acquire_failed(std::uint32_t reqid, bool silent);
  /// The policy is gone, or another one now: packets that wait for its SA are dropped.
  void policy_changed(std::uint32_t reqid);
  /// Whether the traffic of the policy may pass in clear, for it never had an SA: fallback.h.
  bool falls_back(const Policy& policy) const { return fallback_.open(policy); }
  /// Counts what threads have passed on.
  void collect();
  /// Old waiting packets are dropped, due ACQUIREs sent.
  void tick(Clock::time_point now);

  bool busy() const { return !lost_ && (backend_.in_flight() != 0 || !backlog_.empty()); }
  bool lost() const { return lost_; }
  /// From now on no packet goes to the card, those inside finish; or again as usual.
  void drain(bool on) { drained_ = on; }
  bool drained() const { return drained_; }
  std::size_t num_inside() const { return backend_.in_flight() + backlog_.size(); }
  /// The card stopped answering: from now on every packet is dropped.
  void set_lost(const std::string& why);
  std::size_t num_waiting() const;

  struct Job {  // for the card
    std::optional<host::SaHandle> encap;
    std::size_t bytes = 0;             // that lifetimes count
    std::uint32_t bundle_reqid = 0;  // of the policy whose AH is still to be put around, or was taken off
    Clock::time_point arrived{};
  };

 private:
  struct Waiting {  // for an SA of one policy
    std::deque<std::pair<Clock::time_point, Bytes>> packets;
    Clock::time_point next_acquire{};
  };
  template <class Receive>
  void read_batch(Receive receive);
  void from_tun(ByteView packet);
  void from_udp(MutableBytes packet, const Path& path);
  void from_raw(MutableBytes packet, Outside::Channel channel, const Path& path);
  void protect(const Policy& policy, ByteView packet, bool cut = false);
  void protect_whole(const Policy& policy, ByteView packet);
  void hand_over(const Policy& policy, const Sa& sa, ByteView packet);
  std::size_t path_mtu(const Policy& policy, const Sa& sa);
  std::size_t largest_through(const Policy& policy, const Sa& sa);
  void too_big(ByteView packet, std::size_t mtu);
  void path_told(const TooBig& error);
  void without_sa(const Policy& policy, ByteView packet);
  void send_clear(ByteView packet);
  void wait_for_sa(const Policy& policy, ByteView packet);
  void ask(const Policy& policy, Waiting& waiting, Clock::time_point now);
  void submit(Job job, ByteView packet);
  Status try_submit(const Job& job, ByteView packet);
  void drain_backlog();
  void finish(host::Outcome& outcome);
  void add_ah(std::uint32_t reqid, ByteView esp_packet);
  void finish_encap(host::Outcome& outcome);
  void finish_decap(host::Outcome& outcome);
  void passes(const host::Outcome& outcome);
  void pass_on();
  void count(const IoThread::Passed& passed);
  void arrives(std::optional<Clock::time_point> when);  // none: now

  host::Backend& backend_;
  Sad& sad_;
  const PolicyTable& policies_;
  Tun& tun_;
  Outside& outside_;
  OutsideSender sender_;
  Counters& counters_;
  Hooks hooks_;
  bool lost_ = false, drained_ = false;
  Clock::time_point arrived_;  // the packet that is handled, where that is recorded
  Fallback fallback_;
  FlowTracker outbound_flows_, inbound_flows_;
  Reassembly reassembly_;
  PathMtu path_mtu_;
  std::size_t may_tell_;  // ICMP messages to senders until the next tick
  std::unordered_map<std::uint32_t, Waiting> waiting_;  // by reqid
  std::deque<std::pair<Job, Bytes>> backlog_;
  host::Outcomes outcomes_;
  std::vector<const host::Outcome*> passed_;  // of them, on their way; where they are recorded
  std::vector<std::unique_ptr<IoThread>> threads_;
};

}  // namespace esplanade::espd
