// The whole of IKEv1 without I/O: inputs are calls, outputs are taken with take_outputs(). Two engines can
// talk to each other in one process under a virtual clock. One thread.
#pragma once

#include "keyd/exchange/dpd.h"
#include "keyd/exchange/informational.h"
#include "keyd/exchange/main_mode.h"
#include "keyd/exchange/quick_mode.h"
#include "keyd/sa/view.h"

namespace esplanade::ike {

class Engine {
 public:
  /// `rng` outlives the engine.
  Engine(std::shared_ptr<const Config> config, Rng& rng)
      : core_(std::move(config), rng), main_(core_), quick_(core_), info_(core_), dpd_(core_, main_, info_) {
    info_.on_own_notify = [this](MmSa& mm, const Notify& n) { return dpd_.on_notify(mm, n); };
    dpd_.negotiate = [this](const Core::ConfiguredChild& c, const esp::IpAddress& remote,
                            std::optional<std::uint32_t> replaces) { start_child(c, remote, replaces); };
    info_.on_dos_cookie = [this](MmSa& mm, const Cookie& cookie) { main_.on_dos_cookie(mm, cookie); };
  }
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// Starts the children with start_action "start".
  void start(Time now);
  /// An IKE message without the non-ESP marker. Anything may be in it.
  void on_datagram(const Path& path, ByteView octets, Time now);
  /// Handles the timers that are due. Call at next_timer(); earlier or later does no harm.
  void on_timer(Time now);
  std::optional<Time> next_timer() const { return core_.timers.next(); }

  /// espd's answers. An unknown ticket is ignored: its exchange may be gone.
  void on_spi(Ticket ticket, const Result<std::uint32_t>& spi, Time now);
  void on_installed(Ticket ticket, const Status& status, Time now);
  /// The holder's answer to a CredentialRequest. An unknown ticket is ignored.
  void on_credential(Ticket ticket, const Result<Credential>& result, Time now);
  /// Where certificates get the time from: seconds since 1970. To be set before anything else.
  void set_wall_clock(std::function<std::int64_t()> clock) { core_.wall_clock = std::move(clock); }
  /// SADB_ACQUIRE: traffic of the policy `reqid` waits for an SA with `remote`.
  void on_acquire(std::uint32_t reqid, const esp::IpAddress& remote, Time now);
  /// How many packets the SA of a QueryUse has carried so far, or why espd cannot say.
  void on_use(Ticket ticket, const Result<std::uint64_t>& packets, Time now);
  /// SADB_EXPIRE of either SA of a pair: soft starts its renewal, hard ends it.
  void on_expire(std::uint32_t spi, bool hard, Time now);

  /// Deletes everything, the peer's SAs first quick mode, then main mode; nothing new starts afterwards.
  void shutdown(Time now);

  /// Takes a new configuration that has been read and checked. Connections with equal content keep everything;
  /// those that changed lose their main mode SAs, while their pairs of SAs stay and are renewed by the new
  /// words; what is no longer configured is deleted at the peers.
  void reload(std::shared_ptr<const Config> next, Time now);

  /// For the operator. An empty `child` means all of the connection's. Errors: kState, when nothing fits.
  Result<std::size_t> initiate(std::string_view connection, std::string_view child, Time now);
  Result<std::size_t> terminate(std::string_view connection, std::string_view child, Time now);
  Result<std::size_t> rekey(std::string_view connection, std::string_view child, Time now);
  std::vector<MainModeView> view_main_modes(Time now);
  std::vector<ChildView> view_children() const;
  /// Calls `log` with each established main mode SA's initiator cookie and cipher key: for --insecure-keylog.
  void log_keys(std::function<void(const Cookie& cky_i, ByteView key)> log) { core_.key_log = std::move(log); }

  /// What there is to do, in order.
  std::vector<Output> take_outputs() { return std::exchange(core_.out, {}); }

  /// The tables, to look at.
  const Core& core() const { return core_; }
  /// How much the tables hold.
  struct Sizes {
    std::size_t main_modes = 0, half_open = 0, exchanges = 0, pending = 0, children = 0, tickets = 0, timers = 0;
    std::size_t deletes = 0;  // that wait to be acknowledged
    std::size_t watched = 0;  // peers, by dead peer detection
    std::size_t waiting = 0;  // message 1s that wait for their cookie
    std::size_t sources = 0;  // addresses whose rate is remembered
    std::size_t fragment_messages = 0, fragment_octets = 0;
  };
  Sizes sizes() const;
  const Counters& counters() const { return core_.counters; }
  std::size_t num_main_modes() const { return core_.mm_numbers().size(); }
  const std::map<std::uint32_t, ChildSa>& children() const { return core_.children; }

 private:
  void start_child(const Core::ConfiguredChild& child, const esp::IpAddress& remote,
                   std::optional<std::uint32_t> replaces);
  /// False when a negotiation for this child with this peer is under way already.
  bool start(const Core::ConfiguredChild& child, const esp::IpAddress& remote, const MmSa::Pending& pending);
  void start_wanted();
  void on_established(MmSa& mm);

  // Lifetimes: lifetimes.cpp.
  /// Ends a pair with a delete to the peer (R109).
  void end_child(const ChildSa& child, const std::string& why);
  /// The same for one whose quick mode is not finished yet, by an inbound SPI of it.
  void end_unfinished(std::uint32_t spi_in);
  void renew(ChildSa& child);
  void on_renew_timer(std::uint32_t spi_in);
  void on_idle_timer(std::uint32_t spi_in);
  void on_mm_rekey_timer(MmSa& mm);
  void on_mm_end(MmSa& mm);
  void on_no_answer(MmSa& mm);
  void on_qm_retransmit(MmSa& mm, QmExchange& qm);
  void dispatch(const Header& header, const Path& path, ByteView octets);
  void arm_fragments();
  void on_fragment(const Header& header, const Path& path, ByteView octets);
  void on_quick_mode(const Header& header, const Path& path, ByteView octets);
  void fire(const TimerKey& key);
  /// Ends pairs with deletes to their peers, as many in a message as fit. Returns how many.
  std::size_t end_children(const std::function<bool(const ChildSa&)>& which, const std::string& why);
  template <class F>
  std::size_t end_main_modes(F&& which, const std::string& why);
  std::pair<MmSa*, QmExchange*> find(const TicketUse& use);
  std::pair<MmSa*, QmExchange*> take_ticket(Ticket ticket);

  friend struct EngineProbe;  // tests look inside

  Core core_;
  MainMode main_;
  QuickMode quick_;
  Informational info_;
  Dpd dpd_;
};

}  // namespace esplanade::ike
