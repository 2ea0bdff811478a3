// Packets between TUN, card and network. Outbound: policy, outbound SA, card, network; a packet that has no
// SA yet waits while the IKE daemon is asked. Inbound: network, card, policy of the SA, TUN. Nothing ever
// passes in clear, but for a policy that says so while its peer does not speak IKE (fallback.h).
#pragma once

#include <deque>
#include <unordered_map>

#include "host/espd/counters.h"
#include "host/espd/fallback.h"
#include "host/espd/outside.h"
#include "host/espd/sad.h"
#include "host/espd/tun.h"

namespace esplanade::espd {

class DataPlane {
 public:
  struct Hooks {
    std::function<bool(const Policy&)> acquire;        // false: no IKE daemon
    std::function<bool(const pfkey::NattFrame&)> ike;  // an IKE message from UDP 4500; false: no IKE daemon
  };
  DataPlane(host::Backend& backend, Sad& sad, const PolicyTable& policies, Tun& tun, Outside& outside,
            Counters& counters, Hooks hooks);

  /// Each reads up to a batch of packets and hands them to the card.
  void on_tun();
  void on_udp();
  void on_raw();
  /// Takes finished packets out of the card and passes them on, waiting up to `wait` for the first.
  void reap(std::chrono::milliseconds wait);

  /// An outbound SA came: the packets that waited go. Or none will come, or none yet from a `silent` peer: they are
  /// dropped, or go in clear where the policy falls back.
  void outbound_ready(std::uint32_t reqid);
  void acquire_failed(std::uint32_t reqid, bool silent);
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

 private:
  struct Waiting {  // for an SA of one policy
    std::deque<std::pair<Clock::time_point, Bytes>> packets;
    Clock::time_point next_acquire{};
  };
  struct Job {  // for the card, which was full
    std::optional<host::SaHandle> encap;
    Bytes packet;
    Clock::time_point arrived;
  };
  template <class Receive>
  void read_batch(Receive receive);
  void from_tun(ByteView packet);
  void from_udp(MutableBytes packet, const UdpPath& path);
  void protect(const Policy& policy, const Sa& sa, ByteView packet);
  void without_sa(const Policy& policy, ByteView packet);
  void send_clear(const Policy& policy, ByteView packet);
  void wait_for_sa(const Policy& policy, ByteView packet);
  void ask(const Policy& policy, Waiting& waiting, Clock::time_point now);
  void submit(std::optional<host::SaHandle> encap, ByteView packet);
  Status try_submit(std::optional<host::SaHandle> encap, ByteView packet, Clock::time_point arrived);
  void arrives();
  void drain_backlog();
  void finish(const host::Outcome& outcome);
  void finish_encap(const host::Outcome& outcome);
  void finish_decap(const host::Outcome& outcome);

  host::Backend& backend_;
  Sad& sad_;
  const PolicyTable& policies_;
  Tun& tun_;
  Outside& outside_;
  Counters& counters_;
  Hooks hooks_;
  bool lost_ = false, drained_ = false;
  Fallback fallback_;
  std::unordered_map<std::uint32_t, Waiting> waiting_;  // by reqid
  std::deque<Job> backlog_;
  std::vector<host::Outcome> outcomes_;
  Bytes room_;
  Clock::time_point arrived_{};  // when the packet under way was read, where somebody records it
};

}  // namespace esplanade::espd
