// Dead peer detection, RFC 3706. A peer is watched from its first main mode SA on. When nothing authentic was
// heard of it for dpd_delay, espd is asked what the pairs carry: packets from the peer prove it alive, and
// without packets to it there is no reason to ask (s5.4: traffic is the proof of liveliness). Only traffic that
// gets no answer leads to R-U-THERE, or to a new main mode where no SA is left to carry it. A peer that stays
// silent for dpd_timeout is dead: its SAs go, and its children are negotiated anew by their dpd_action.
//
// A peer may live and still lack one pair: a Delete has no answer, and may be lost. So a pair that carries packets
// to a living peer and none back for dpd_timeout is renewed. So is one with a peer that does not know R-U-THERE: a
// quick mode without an answer asks as well, and leads to a new main mode. If that does not help, the main mode SA is too,
// once: what it found about NAT stood in payloads that no hash covers. One-way traffic costs this much and no more.
#pragma once

#include <functional>
#include <set>

#include "keyd/exchange/informational.h"
#include "keyd/exchange/main_mode.h"

namespace esplanade::ike {

class Dpd {
 public:
  Dpd(Core& core, MainMode& main, Informational& info) : core_(core), main_(main), info_(info) {}

  /// Starts to watch a peer with whom there are SAs; again for one that is watched does no harm.
  void watch(const std::shared_ptr<const Connection>& connection, const esp::IpAddress& remote);
  /// The timer of kind kDpd with this number is due.
  void on_timer(std::uint64_t number);
  /// True when the authenticated notify is one of ours: R-U-THERE is answered, an ACK checked.
  bool on_notify(MmSa& mm, const Notify& notify);
  /// espd's answer to QueryUse: packets so far, or why not. False when the ticket is not ours.
  bool on_use(Ticket ticket, const Result<std::uint64_t>& packets);
  /// Called to negotiate a child with the peer; with an inbound SPI: in place of that pair.
  std::function<void(const Core::ConfiguredChild&, const esp::IpAddress& remote,
                     std::optional<std::uint32_t> replaces)>
      negotiate;
  /// No peer is watched any more.
  void stop();
  std::size_t num_peers() const { return peers_.size(); }
  std::size_t num_tickets() const { return tickets_.size(); }

 private:
  struct Use {
    std::uint32_t spi_in = 0;  // of the pair
    bool outbound = false;
  };
  struct Pair {
    std::uint64_t in = 0;  // packets so far
    std::uint64_t out = 0;
    bool one_way = false;  // packets went and none came since `since`
    Time since{0};
    Time carried{0};  // when packets to the peer were last seen
    std::uint32_t attempts = 0;  // to renew it
  };
  struct Peer {
    std::shared_ptr<const Connection> connection;
    esp::IpAddress remote;
    Time heard{0};  // latest proof of life
    std::map<std::uint32_t, Pair> pairs;  // by inbound SPI
    std::set<Ticket> asked;               // answers of espd that are out
    Time carried{0};                      // when packets to the peer were last seen
    bool afresh = false;  // a new main mode was tried; until a packet comes back
    bool probing = false;
    Time probing_since{0};
    std::uint32_t sequence = 0;  // of the R-U-THERE that waits for its ACK
  };
  Peer* find(const Connection& connection, const esp::IpAddress& remote);
  MmSa* asked_by(const Peer& peer) const;
  Time heard(const Peer& peer);
  std::vector<const ChildSa*> pairs(const Peer& peer) const;
  std::vector<MmSa*> main_modes(const Peer& peer) const;
  void look(std::uint64_t number, Peer& peer);
  void judge(std::uint64_t number, Peer& peer);
  bool can_ask(const Peer& peer) const;
  void probe(std::uint64_t number, Peer& peer);
  void renew(Peer& peer);
  void remove_dead(Peer& peer);
  void bury(std::uint64_t number);
  void send(MmSa& mm, NotifyType type, std::uint32_t sequence);
  void arm(std::uint64_t number, Time at);

  Core& core_;
  MainMode& main_;
  Informational& info_;
  std::map<std::uint64_t, Peer> peers_;
  std::map<Ticket, std::pair<std::uint64_t, Use>> tickets_;  // to the peer's number
  std::uint64_t next_number_ = 1;
};

}  // namespace esplanade::ike
