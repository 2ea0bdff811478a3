// The tables that the exchanges share, and what they may do to the world: append to `out`, arm timers, draw
// random octets. One thread; no I/O.
#pragma once

#include <functional>

#include "keyd/policy/config.h"
#include "keyd/sa/mm_sa.h"
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
  std::uint64_t main_modes = 0;  // established
  std::uint64_t quick_modes = 0;
  std::uint64_t gss_contexts = 0;  // begun: each costs the authentication service a ticket (R45)
};

/// Which request a reply of espd, or of the holder of the secrets, belongs to.
struct TicketUse {
  std::uint64_t mm_number = 0;
  std::uint32_t message_id = 0;  // of the quick mode; 0: main mode itself
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
  bool stopping = false;
  std::function<void(const Cookie& cky_i, ByteView key)> key_log;  // see Engine::log_keys

  // Main mode SAs.
  MmSa& add_mm(const CookiePair& cookies, bool initiator, const Path& path,
               std::shared_ptr<const Connection> connection);
  void set_responder_cookie(MmSa& mm, const Cookie& cky_r);
  MmSa* find_mm(const CookiePair& cookies);
  MmSa* find_mm(std::uint64_t number);
  /// The responder's half-open SA for a message 1 that comes again.
  MmSa* find_half_open(const Cookie& cky_i, const Endpoint& remote);
  /// The newest established SA of a connection with a peer; else one that we are negotiating as initiator.
  MmSa* find_usable(const Connection& connection, const esp::IpAddress& remote);
  /// True when there is no other main mode SA with this peer, not even a half-open one.
  bool is_only_one(const MmSa& mm) const;
  /// Another connection turns out to be the one of this peer.
  void move_to(MmSa& mm, const std::shared_ptr<const Connection>& connection);
  /// Becomes usable for quick modes; its life starts.
  void mark_established(MmSa& mm);
  /// Removes the SA with its unfinished quick modes; installed pairs stay (R112). `mm` is gone afterwards.
  void remove_mm(MmSa& mm, const std::string& why);
  bool half_open_allowed(const esp::IpAddress& source) const;
  std::vector<std::uint64_t> mm_numbers() const;

  /// Asks the holder of the secrets; the reply comes to MainMode::on_credential.
  void ask(const MmSa& mm, decltype(CredentialRequest::what) what);
  /// Tells the holder that the GSS context of `mm` is over, if there is one.
  void end_gss(MmSa& mm);
  /// Seconds since 1970, for certificates. Without a clock nothing is valid.
  std::function<std::int64_t()> wall_clock = [] { return std::int64_t{0}; };

  // Quick modes and installed pairs.
  Ticket new_ticket(const MmSa& mm, const QmExchange& qm);
  /// Ends an unfinished quick mode: its SPI and SAs go back to espd, the child is tried again where it should
  /// be. `qm` is gone afterwards.
  void drop_qm(MmSa& mm, QmExchange& qm, const std::string& why);
  /// Records the installed pair; the exchange stays for a while to answer duplicates.
  void finish_qm(MmSa& mm, QmExchange& qm);
  /// Removes an installed pair from espd and from the table.
  void remove_child(std::uint32_t spi_in, const std::string& why);
  /// A child's negotiation failed or its pair went away: tried again later when it is one to keep up.
  void child_lost(const ChildConfig& child);
  /// A Message-ID of the peer. False when it was used before.
  bool remember_message_id(MmSa& mm, std::uint32_t message_id);
  /// A fresh one of ours.
  std::uint32_t new_message_id(MmSa& mm);

  // Children of the configuration by number, for timers.
  struct ConfiguredChild {
    std::shared_ptr<const Connection> connection;
    const ChildConfig* child = nullptr;
  };
  std::vector<ConfiguredChild> configured;

  // Helpers of the exchanges.
  void send(const Path& path, ByteView octets) {
    out.push_back(SendDatagram{path, Bytes(octets.begin(), octets.end())});
  }
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

  std::map<CookiePair, std::unique_ptr<MmSa>> mms_;
  std::map<std::uint64_t, MmSa*> by_number_;
  std::map<PeerKey, std::vector<MmSa*>> by_peer_;  // oldest first
  std::map<Bytes, std::uint32_t> half_open_by_source_;
  std::uint32_t half_open_ = 0;
  std::uint64_t next_number_ = 1;
  Ticket next_ticket_ = 1;
  Time stranger_since_{0};
  std::uint32_t stranger_answers_ = 0;

  void leave_half_open(const MmSa& mm);
  void leave_peer(MmSa& mm);
};

}  // namespace esplanade::ike
