// The tables that the exchanges share, and what they may do to the world: append to `out`, arm timers, draw
// random octets. One thread; no I/O.
#pragma once

#include <functional>
#include <set>
#include <tuple>

#include "keyd/exchange/fragment.h"
#include "keyd/policy/config.h"
#include "keyd/sa/admission.h"
#include "keyd/sa/mm_sa.h"
#include "keyd/sa/rate.h"
#include "keyd/sa/timer_queue.h"

namespace esplanade::ike {

struct Counters {
  std::uint64_t datagrams = 0;
  std::uint64_t malformed = 0;   // header or payloads that do not parse
  std::uint64_t unknown_sa = 0;  // cookies that we do not know
  std::uint64_t unexpected = 0;  // well formed, but not what the state waits for
  std::uint64_t bad_crypto = 0;  // did not decrypt, or a hash was wrong
  std::uint64_t duplicates = 0;
  std::uint64_t retransmits = 0;
  std::uint64_t half_open_refused = 0;
  std::uint64_t rate_limited = 0;     // message 1s of sources that send too many
  std::uint64_t cookies_asked = 0;    // message 1s answered with a cookie and no state
  std::uint64_t cookies_proved = 0;   // and those who came back with it
  std::uint64_t cookies_wrong = 0;    // well-formed ones that are not ours
  std::uint64_t peer_limit = 0;       // refused or replaced because a peer has as many as it may
  std::uint64_t unanswered = 0;       // errors not told, for the allowance of answers was used up
  std::uint64_t fragments = 0;            // taken
  std::uint64_t fragments_duplicate = 0;
  std::uint64_t fragments_refused = 0;    // contradict others, or exceed a bound
  std::uint64_t fragments_expired = 0;    // messages that never became whole
  std::uint64_t fragmented_sent = 0;      // messages that we cut
  std::uint64_t dpd_probes = 0;
  std::uint64_t dead_peers = 0;
  std::uint64_t one_way_renewed = 0;  // pairs renewed because nothing came back under them
  std::uint64_t moved = 0;  // peers behind NAT that were found elsewhere
  std::uint64_t main_modes = 0;  // established
  std::uint64_t quick_modes = 0;
  std::uint64_t gss_contexts = 0;  // begun: each costs the authentication service a ticket (R45)
};

/// Which request a reply of espd, or of the holder of the secrets, belongs to.
struct TicketUse {
  std::uint64_t mm_number = 0;
  std::uint32_t message_id = 0;  // of the quick mode; 0: main mode itself
  std::optional<RemoveSa> larval;  // of GetSpi: how to give the SPI back when its exchange is gone by then
};

class Core {
 public:
  Core(std::shared_ptr<const Config> config_in, Rng& rng_in);

  std::shared_ptr<const Config> config;
  Rng& rng;
  Time now{0};
  std::vector<Output> out;
  TimerQueue timers;
  Counters counters;
  std::map<std::uint32_t, ChildSa> children;  // by inbound SPI
  std::map<Ticket, TicketUse> tickets;
  Admission admission;
  SourceRates sources;
  Reassembly reassembly;
  bool stopping = false;
  std::function<void(const Cookie& cky_i, ByteView key)> key_log;  // see Engine::log_keys

  // Main mode SAs.
  MmSa& add_mm(const CookiePair& cookies, bool initiator, const Path& path,
               std::shared_ptr<const Connection> connection);
  void set_responder_cookie(MmSa& mm, const Cookie& cky_r);
  MmSa* find_mm(const CookiePair& cookies);
  MmSa* find_mm(std::uint64_t number);
  const MmSa* find_mm(std::uint64_t number) const;
  /// The responder's half-open SA for a message 1 that comes again.
  MmSa* find_half_open(const Cookie& cky_i, const Endpoint& remote);
  /// True when no quick mode may begin under it any more: expired, or its number of quick modes is reached.
  static bool used_up(const MmSa& mm) {
    const std::uint32_t max = mm.connection->quick_modes_max();
    return mm.expired || (max != 0 && mm.quick_modes >= max);
  }
  /// The newest established SA of a connection with a peer, used up or not: to tell the peer something.
  MmSa* find_established(const Connection& connection, const esp::IpAddress& remote);
  /// The newest established SA of a connection with a peer that is not used up; else one that we are
  /// negotiating as initiator. `peer`: behind NAT, where an address is not one host's alone, with this identity.
  MmSa* find_usable(const Connection& connection, const esp::IpAddress& remote, const std::optional<Id>& peer = std::nullopt);
  /// All main mode SAs of a connection with a peer, oldest first.
  std::vector<MmSa*> mms_of(const Connection& connection, const esp::IpAddress& remote) const;
  /// Whether a datagram by this path may belong to the SA: it comes from the peer's address, or from any where
  /// a peer behind NAT may have been given another (RFC 3947 s7). What it says must be proved all the same.
  static bool may_come_from(const MmSa& mm, const Path& path);
  /// An authentic message that is no replay came by this path: the peer lives, and behind NAT its endpoint may
  /// be a new one. Then the installed SAs move with it.
  void follow(MmSa& mm, const Path& path);
  /// True when there is no other main mode SA with this peer, not even a half-open one.
  bool is_only_one(const MmSa& mm) const;
  /// Another connection turns out to be the one of this peer.
  void move_to(MmSa& mm, const std::shared_ptr<const Connection>& connection);
  /// Arms the timers of the end of its life, counted from now, and of its renewal before.
  void arm_life(const MmSa& mm);
  /// Becomes usable for quick modes; its life starts.
  void mark_established(MmSa& mm);
  /// Removes the SA with its unfinished quick modes; installed pairs stay (R112). `mm` is gone afterwards.
  void remove_mm(MmSa& mm, const std::string& why);
  bool half_open_allowed(const esp::IpAddress& source) const;
  std::size_t half_open() const { return half_open_; }
  /// True when so many negotiations are half open that strangers must show a cookie first.
  bool under_attack() const { return half_open_ >= config->limits.cookie_threshold; }
  std::vector<std::uint64_t> mm_numbers() const;
  /// What a peer has by the identity that it proved to a connection: established main mode SAs by number, oldest
  /// first, and pairs by inbound SPI.
  struct Proved {
    std::set<std::uint64_t> main_modes;
    std::set<std::uint32_t> children;
  };
  Proved proved(const Connection& connection, const Id& id) const;
  /// The pairs of a connection with a peer's address, by inbound SPI.
  std::set<std::uint32_t> children_at(const Connection& connection, const esp::IpAddress& remote) const;

  /// Asks the holder of the secrets; the reply comes to MainMode::on_credential.
  void ask(const MmSa& mm, decltype(CredentialRequest::what) what);
  /// Tells the holder that the GSS context of `mm` is over, if there is one.
  void end_gss(MmSa& mm);
  /// Seconds since 1970, for certificates. Without a clock nothing is valid.
  std::function<std::int64_t()> wall_clock = [] { return std::int64_t{0}; };

  // Quick modes and installed pairs.
  Ticket new_ticket(const MmSa& mm, const QmExchange& qm);
  /// A ticket that belongs to no quick mode.
  Ticket next_ticket() { return next_ticket_++; }
  /// Ends an unfinished quick mode: its SPIs and SAs go back to espd; then as negotiation_failed, unless the
  /// negotiation `goes_on` under another main mode SA. `qm` is gone afterwards.
  void drop_qm(MmSa& mm, QmExchange& qm, const std::string& why, bool goes_on = false);
  /// Unfinished quick modes of ours, and those that wait, go on under another main mode SA: what comes next removes `mm`.
  void move_quick_modes(MmSa& mm);
  /// A quick mode of ours has ended, or had no answer at once: the next one that waits may start.
  void start_next(MmSa& mm);
  /// Records the installed pair; the exchange stays for a while to answer duplicates.
  void finish_qm(MmSa& mm, QmExchange& qm);
  /// Removes an installed pair from espd and from the table.
  void remove_child(std::uint32_t spi_in, const std::string& why);
  /// A child's negotiation failed or its pair went away: tried again later when it is one to keep up.
  void child_lost(const ChildConfig& child);
  /// The negotiation of a pair failed: a renewal is tried again later; else espd is told, and the child tried
  /// again where it should be. `answered`: the peer has spoken IKE.
  void negotiation_failed(const MmSa::Pending& pending, bool answered);
  /// The pair that an SPI of either direction belongs to.
  ChildSa* find_child(std::uint32_t spi);
  /// True when a newer pair serves the same traffic of the same peer. Of two made at the same time by two
  /// initiators both ends name the same one.
  bool superseded(const ChildSa& child) const;
  /// Counts octets under the keys of a main mode SA; at its limit its time is over (R21).
  void count_octets(MmSa& mm, std::size_t octets);
  /// A Message-ID of the peer. False when it was used before.
  bool remember_message_id(MmSa& mm, std::uint32_t message_id);
  /// A fresh one of ours.
  std::uint32_t new_message_id(MmSa& mm);

  /// Negotiations to start once the input at hand is dealt with.
  struct Wanted {
    std::shared_ptr<const Connection> connection;
    esp::IpAddress remote;
    MmSa::Pending pending;
  };
  std::vector<Wanted> wanted;
  std::map<Ticket, std::uint32_t> use_tickets;  // QueryUse: the SPI asked about

  // Children of the configuration by number, for timers.
  struct ConfiguredChild {
    std::shared_ptr<const Connection> connection;
    const ChildConfig* child = nullptr;
  };
  std::vector<ConfiguredChild> configured;

  // Helpers of the exchanges.
  /// Sends a message; in fragments where it is too long for the path and the peer takes them.
  void send(const Path& path, ByteView octets);
  void event(Event::Kind kind, const Connection& connection, const ChildConfig* child, std::string text);
  Bytes random(std::size_t len);
  Cookie random_cookie();
  Result<crypto::DhKey> new_dh(std::uint16_t group);
  /// Answers a duplicate with the last message sent, a bounded number of times.
  void answer_duplicate(Reliability& r, const Path& path);
  /// The wait after the n-th sending (0: the first): base, then doubled; the last wait equals the one before.
  Time retransmit_wait(std::uint32_t n) const;
  /// False when this second's allowance of answers to strangers is used up: bounds what can be bounced off
  /// us.
  bool may_answer_stranger();

 private:
  using PeerKey = std::pair<const Connection*, Bytes>;
  static PeerKey peer_key(const Connection& c, const esp::IpAddress& remote);
  void drop_qm_state(MmSa& mm, QmExchange& qm);
  // Connections by name, which stays over a reload.
  using ProvedKey = std::tuple<std::string, IdType, std::uint8_t, std::uint16_t, Bytes>;
  static ProvedKey proved_key(const Connection& c, const Id& id) { return {c.name, id.type, id.protocol, id.port, id.data}; }
  using PlaceKey = std::pair<std::string, std::string>;
  static PlaceKey place_key(const Connection& c, const esp::IpAddress& remote) { return {c.name, to_string(remote)}; }
  void list(const ChildSa& child);
  void unlist(const ChildSa& child);

  std::map<CookiePair, std::unique_ptr<MmSa>> mms_;
  std::map<std::uint64_t, MmSa*> by_number_;
  std::map<PeerKey, std::vector<MmSa*>> by_peer_;  // oldest first
  std::map<ProvedKey, Proved> proved_;
  std::map<PlaceKey, std::set<std::uint32_t>> children_at_;
  std::map<Bytes, std::uint32_t> half_open_by_source_;
  std::uint32_t half_open_ = 0;
  std::uint64_t next_number_ = 1;
  Ticket next_ticket_ = 1;
  std::uint64_t next_child_ = 1;
  Time stranger_since_{0};
  std::uint32_t stranger_answers_ = 0;

  void leave_half_open(const MmSa& mm);
  void leave_peer(MmSa& mm);
  bool send_fragments(const Path& path, ByteView octets);
  void move(MmSa& mm, const Endpoint& remote);
  void move_child(ChildSa& child, const Endpoint& remote);
  void move_sa(const ChildConfig& child, esp::Protocol protocol, std::uint32_t spi, bool outbound,
               const esp::IpAddress& local, const Endpoint& remote);
  /// Pairs of this peer that run to an endpoint where no main mode SA with it is left move to this one.
  void adopt(const MmSa& mm);
};

}  // namespace esplanade::ike
