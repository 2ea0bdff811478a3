#include "tests/sim_ike/sim.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <set>

#include "common/base/log.h"
#include "tests/sim_ike/scenario.h"
#include "tests/unit/keyd/test_holder.h"

namespace esplanade::ike::sim {
namespace {

constexpr Time kHealLimit{600000};  // virtual time in which traffic must run both ways again
constexpr int kStreak = 8;          // packets in a row that must arrive each way
constexpr std::size_t kHistory = 64;
constexpr std::uint32_t kReqid = 7;

class SeededRng final : public Rng {
 public:
  explicit SeededRng(std::uint64_t seed) : gen_(seed) {}
  void fill(MutableBytes out) override {
    for (Byte& b : out) b = static_cast<Byte>(gen_() >> 24);
  }

 private:
  std::mt19937_64 gen_;
};

/// An SA in an espd.
struct Held {
  esp::SaParams sa;
  std::uint64_t order = 0;
  std::uint64_t packets = 0;
  bool dead = false;  // hard lifetime reached
};
using HeldKey = std::pair<bool, std::uint32_t>;  // outbound, SPI

struct Node {
  bool left = true;
  const char* name = "";
  esp::IpAddress address;
  std::unique_ptr<SeededRng> rng;
  std::unique_ptr<Engine> engine;
  test::TestHolder holder;
  std::uint64_t generation = 0;  // counts restarts: what was on its way to an older one is gone
  Time offset{0};                // its clock against the virtual time
  std::map<HeldKey, Held> sas;
  std::set<std::uint32_t> larval;
  std::set<std::uint32_t> ever_inbound;  // SPIs of inbound SAs, in any generation
  std::set<std::uint32_t> ever_spi;
  std::size_t inbound_installed = 0;  // in this generation
  std::size_t outbound_installed = 0;
  bool main_mode_up = false;
  int streak = 0;  // packets of this sender that arrived in a row
};

struct LinkState {
  double loss = 0, dup = 0, corrupt = 0, replay = 0;
  Time delay_min{1}, delay_max{1};
  bool cut = false;
  double espd_fails = 0;
};

struct Fault {
  std::string what;
};

class World {
 public:
  World(std::uint64_t seed, Mutant mutant, bool trace)
      : seed_(seed), dice_(seed), scenario_(dice_), mutant_(mutant), tracing_(trace) {}

  Outcome run() {
    outcome_.scenario = scenario_.text();
    try {
      live();
    } catch (const Fault& f) {
      outcome_.fault = f.what;
    }
    outcome_.at = now_;
    return std::move(outcome_);
  }

 private:
  void live() {
    outcome_.coverage.wrong_secret = scenario_.wrong_secret ? 1 : 0;
    make(left_, true);
    make(right_, false);
    map_ports();
    choose_link();
    for (Node* n : {&left_, &right_}) {
      start(*n);
      at(dice_.time(Time(1), scenario_.packet_every), [this, n] { send_packet(*n); });
    }
    at(dice_.time(Time(500), Time(20000)), [this] { misfortune(); });
    run_until(scenario_.chaos, [] { return false; });

    note("the network heals");
    healed_ = true;
    link_ = LinkState{};
    left_.streak = right_.streak = 0;
    const Time healed_at = now_;
    if (scenario_.wrong_secret) {
      run_until(now_ + Time(60000), [] { return false; });
    } else if (!run_until(now_ + kHealLimit,
                          [this] { return left_.streak >= kStreak && right_.streak >= kStreak; })) {
      fail("liveness: {} s after the network healed traffic does not run both ways (in a row: left {}, right {})",
           kHealLimit.count() / 1000, left_.streak, right_.streak);
    }
    outcome_.heal_time = now_ - healed_at;

    note("both ends stop");
    quiet_ = true;
    for (Node* n : {&left_, &right_}) {
      n->engine->shutdown(clock(*n));
      pump(*n);
    }
    run_until(now_ + Time(5000), [] { return false; });
    for (Node* n : {&left_, &right_}) nothing_left(*n);
  }

  // The network.

  void choose_link() {
    link_ = LinkState{};
    if (dice_.chance(0.7)) link_.loss = static_cast<double>(dice_.range(0, 40)) / 100;
    if (dice_.chance(0.5)) link_.dup = static_cast<double>(dice_.range(0, 40)) / 100;
    if (dice_.chance(0.3)) link_.corrupt = static_cast<double>(dice_.range(0, 20)) / 100;
    if (dice_.chance(0.4)) link_.replay = static_cast<double>(dice_.range(0, 50)) / 100;
    if (dice_.chance(0.5)) link_.delay_max = Time(dice_.range(1, 2500));
    if (dice_.chance(0.15)) link_.espd_fails = static_cast<double>(dice_.range(0, 60)) / 100;
    note("link: loss {} dup {} corrupt {} replay {} delay to {} ms, espd fails {}", link_.loss, link_.dup,
         link_.corrupt, link_.replay, link_.delay_max.count(), link_.espd_fails);
  }

  void map_ports() {
    nat_ports_[0] = static_cast<std::uint16_t>(dice_.range(10000, 60000));
    nat_ports_[1] = static_cast<std::uint16_t>(nat_ports_[0] + 1);
    nat_address_ = left_.address;
    if (scenario_.any_address && dice_.chance(0.3))
      nat_address_ = *esp::parse_address(fmt::format("198.51.100.{}", dice_.range(1, 200)));
    if (scenario_.nat) note("NAT maps left to {}:{}", esp::to_string(nat_address_), nat_ports_[0]);
  }
  // The endpoint that the right side sees for a port of the left side.
  Endpoint outside(std::uint16_t port) const {
    if (!scenario_.nat) return {left_.address, port};
    return {nat_address_, nat_ports_[port == kNattPort ? 1 : 0]};
  }
  // The left side's port behind an outer endpoint; none when the NAT has no such mapping.
  std::optional<std::uint16_t> inside(const Endpoint& e) const {
    for (std::uint16_t port : {std::uint16_t{500}, kNattPort})
      if (outside(port) == e) return port;
    return std::nullopt;
  }

  void carry(Node& from, const SendDatagram& d) {
    ++outcome_.coverage.datagrams;
    Path path;  // as the receiver sees it
    if (from.left) {
      path = {d.path.remote, outside(d.path.local.port)};
    } else {
      const auto port = inside(d.path.remote);
      if (!port) return note("{} -> {}: the NAT has no such mapping", from.name, to_string(d.path.remote));
      path = {{left_.address, *port}, d.path.local};
    }
    if (d.octets.size() > 16 && d.octets[16] == static_cast<Byte>(PayloadType::kFragment))
      ++outcome_.coverage.fragments;
    if (history_.size() == kHistory) history_.erase(history_.begin());
    history_.push_back({!from.left, path, d.octets});
    fly(other(from), path, d.octets, from.name);
    if (dice_.chance(link_.replay)) {
      const auto& old = history_[static_cast<std::size_t>(
          dice_.range(0, static_cast<std::int64_t>(history_.size()) - 1))];
      ++outcome_.coverage.replayed;
      Path forged = old.path;
      if (dice_.chance(0.5)) forged.remote.port = static_cast<std::uint16_t>(dice_.range(1024, 65535));
      fly(old.to_left ? left_ : right_, forged, old.octets, "replay");
    }
  }
  void fly(Node& to, const Path& path, const Bytes& octets, const char* from) {
    if (link_.cut || dice_.chance(link_.loss)) {
      ++outcome_.coverage.lost;
      return note("{} -> {}: {} lost", from, to.name, describe(octets));
    }
    int copies = 1;
    if (dice_.chance(link_.dup)) {
      copies = 2;
      ++outcome_.coverage.doubled;
    }
    for (int i = 0; i < copies; ++i) {
      Bytes copy = octets;
      if (dice_.chance(link_.corrupt)) {
        copy[dice_.raw() % copy.size()] ^= static_cast<Byte>(1u << (dice_.raw() % 8));
        ++outcome_.coverage.corrupted;
      }
      at(dice_.time(link_.delay_min, link_.delay_max),
         [this, &to, path, copy = std::move(copy), from, generation = to.generation] {
           if (generation != to.generation || (mutant_ == Mutant::kDeaf && healed_ && !to.left)) return;
           note("{} -> {}: {} from {}", from, to.name, describe(copy), to_string(path.remote));
           to.engine->on_datagram(path, copy, clock(to));
           pump(to);
         });
    }
  }
  static std::string describe(const Bytes& octets) {
    auto h = parse_header(octets);
    if (!h) return fmt::format("{} octets without a header", octets.size());
    const char* exchange = h->exchange == Exchange::kMainMode        ? "main mode"
                           : h->exchange == Exchange::kQuickMode     ? "quick mode"
                           : h->exchange == Exchange::kInformational ? "informational"
                                                                     : "other";
    return fmt::format("{}{} id {:08x} cookies {:02x}{:02x}/{:02x}{:02x} {} octets", exchange,
                       h->encrypted() ? "*" : "", h->message_id, h->cky_i[0], h->cky_i[1], h->cky_r[0],
                       h->cky_r[1], octets.size());
  }

  // A packet of the traffic under the newest outbound SA, as espd would send it.
  void send_packet(Node& n) {
    if (quiet_) return;
    at(scenario_.packet_every, [this, &n] { send_packet(n); });
    ++outcome_.coverage.packets;
    Held* newest = nullptr;
    for (auto& [key, held] : n.sas)
      if (key.first && !held.dead && (newest == nullptr || held.sa.protocol < newest->sa.protocol ||
                                      (held.sa.protocol == newest->sa.protocol && held.order > newest->order)))
        newest = &held;  // of a bundle the one of ESP, whose SPI names it
    if (newest == nullptr) {
      n.streak = 0;
      n.engine->on_acquire(kReqid, other(n).address, clock(n));
      return pump(n);
    }
    ++newest->packets;
    Node& to = other(n);
    bool arrives = !link_.cut && !dice_.chance(link_.loss);
    if (!n.left && scenario_.nat)
      arrives = arrives && newest->sa.natt &&
                inside({newest->sa.dst, newest->sa.natt->dst_port}) == std::optional<std::uint16_t>(kNattPort);
    auto in = to.sas.find({false, newest->sa.spi});
    if (!arrives || in == to.sas.end() || in->second.dead) {
      n.streak = 0;
      return note("packet of {} under {:08x} does not arrive", n.name, newest->sa.spi);
    }
    ++in->second.packets;
    ++n.streak;
  }

  // What goes wrong while the network is bad.
  void misfortune() {
    if (healed_) return;
    at(dice_.time(Time(500), Time(40000)), [this] { misfortune(); });
    Node& n = dice_.chance(0.5) ? left_ : right_;
    switch (dice_.range(0, 9)) {
      case 0:
      case 1:
        return choose_link();
      case 2: {
        ++outcome_.coverage.partitions;
        note("the network is cut");
        link_.cut = true;
        at(dice_.time(Time(1000), Time(90000)), [this] {
          note("the cut ends");
          link_.cut = false;
        });
        return;
      }
      case 3:
        if (!scenario_.nat) return;
        ++outcome_.coverage.rebindings;
        return map_ports();
      case 4:
        ++outcome_.coverage.clock_jumps;
        n.offset += dice_.time(Time(1000), Time(120000));
        note("the clock of {} jumps", n.name);
        return;
      case 5:
        return restart(n, dice_.chance(0.5));
      case 6:
      case 7: {
        if (n.sas.empty()) return;
        auto it = std::next(n.sas.begin(), dice_.range(0, static_cast<std::int64_t>(n.sas.size()) - 1));
        return expire(n, it->first, dice_.chance(0.3));
      }
      case 8:  // both ends at once
        for (Node* both : {&left_, &right_}) {
          if (both->sas.empty()) continue;
          expire(*both, both->sas.rbegin()->first, false);
        }
        return;
      default:
        n.engine->on_acquire(kReqid, other(n).address, clock(n));
        return pump(n);
    }
  }

  void expire(Node& n, HeldKey key, bool hard) {
    auto it = n.sas.find(key);
    if (it == n.sas.end()) return;
    ++outcome_.coverage.expiries;
    note("{}: SA {:08x} reaches its {} lifetime", n.name, key.second, hard ? "hard" : "soft");
    if (hard) it->second.dead = true;
    n.engine->on_expire(key.second, hard, clock(n));
    pump(n);
  }

  void restart(Node& n, bool graceful) {
    ++outcome_.coverage.restarts;
    note("{} restarts{}", n.name, graceful ? " after a shutdown" : " without a word");
    if (graceful) {
      n.engine->shutdown(clock(n));
      pump(n);
    }
    ++n.generation;
    n.sas.clear();
    n.larval.clear();
    make(n, n.left);
    start(n);
  }

  // Nodes.

  void make(Node& n, bool left) {
    n.left = left;
    n.name = left ? "left" : "right";
    n.address = *esp::parse_address(left ? "192.0.2.1" : "192.0.2.2");
    n.inbound_installed = n.outbound_installed = 0;
    n.main_mode_up = false;
    n.rng = std::make_unique<SeededRng>(dice_.raw());
    auto config = parse_config(scenario_.config(left), "sim.toml");
    if (!config) fail("configuration: {}", config.error().detail);
    n.engine = std::make_unique<Engine>(std::make_shared<const Config>(std::move(*config)), *n.rng);
    n.engine->set_wall_clock([] { return test::kWallClock; });
    n.holder = test::TestHolder();
    n.holder.psk = scenario_.wrong_secret && left ? "another secret" : "one secret";
    n.holder.principal = left ? "host/left@TEST" : "host/right@TEST";
    n.holder.gss_tokens = scenario_.gss_tokens;
  }
  void start(Node& n) {
    n.engine->start(clock(n));
    pump(n);
  }
  Node& other(const Node& n) { return n.left ? right_ : left_; }
  Time clock(const Node& n) const { return now_ + n.offset; }

  void pump(Node& n) {
    for (auto outputs = n.engine->take_outputs(); !outputs.empty(); outputs = n.engine->take_outputs())
      for (Output& o : outputs) std::visit([&](auto& x) { handle(n, x); }, o);
    check(n);
  }
  void handle(Node& n, SendDatagram& d) { carry(n, d); }
  void handle(Node&, SendKeepalive&) {}
  void handle(Node& n, GetSpi& g) {
    const bool fails = dice_.chance(link_.espd_fails);
    std::uint32_t spi = (n.left ? 0x10000000u : 0x20000000u) + next_spi_++;
    if (mutant_ == Mutant::kReuseSpi && n.left && !n.ever_spi.empty()) spi = *n.ever_spi.begin();
    if (fails)
      ++outcome_.coverage.espd_errors;
    else
      n.larval.insert(spi);
    if (!fails && !n.ever_spi.insert(spi).second) fail("{}: SPI {:08x} is allotted twice", n.name, spi);
    later(n, [this, &n, ticket = g.ticket, spi, fails] {
      n.engine->on_spi(ticket,
                       fails ? Result<std::uint32_t>(Error{Errc::kTableFull, "table full"})
                             : Result<std::uint32_t>(spi),
                       clock(n));
    });
  }
  void handle(Node& n, InstallSa& i) {
    const std::uint32_t spi = i.sa.spi;
    const bool outbound = i.sa.outbound;
    note("{}: install {} {:08x}", n.name, outbound ? "outbound" : "inbound", spi);
    if (!esp::validate(i.sa)) fail("{}: the SA to install is not valid", n.name);
    if (!n.main_mode_up) fail("{}: an SA without an authenticated main mode SA", n.name);
    if (scenario_.wrong_secret || (mutant_ == Mutant::kForgetInvalid && n.left))
      fail("{}: an SA with a peer that did not prove the secret", n.name);
    if (outbound && !other(n).ever_inbound.contains(spi))
      fail("{}: outbound {:08x} before the peer can receive under it", n.name, spi);
    if (outbound && n.inbound_installed <= n.outbound_installed)
      fail("{}: outbound {:08x} before the inbound SA of its pair", n.name, spi);
    bool fails = dice_.chance(link_.espd_fails);
    if (!outbound && n.larval.erase(spi) == 0) fails = true;  // its SPI was given back
    if (fails) {
      ++outcome_.coverage.espd_errors;
    } else {
      if (n.sas.contains({outbound, spi})) fail("{}: {:08x} is installed twice", n.name, spi);
      if (mutant_ == Mutant::kSwapKeys && n.left && !outbound && i.sa.auth_key.size() != 0)
        i.sa.auth_key.reveal_mutable()[0] ^= 1;
      ++(outbound ? n.outbound_installed : n.inbound_installed);
      const esp::Lifetime soft = i.sa.soft, hard = i.sa.hard;
      if (!(mutant_ == Mutant::kSkipInbound && !outbound && n.left)) {
        if (!outbound) n.ever_inbound.insert(spi);
        n.sas[{outbound, spi}] = Held{std::move(i.sa), ++order_, 0, false};
      }
      for (auto [seconds, is_hard] : {std::pair{soft.seconds, false}, {hard.seconds, true}})
        if (seconds != 0)
          at(Time(1000) * seconds,
             [this, &n, generation = n.generation, outbound, spi, hard_limit = is_hard] {
               if (n.generation == generation) expire(n, {outbound, spi}, hard_limit);
             });
    }
    later(n, [this, &n, ticket = i.ticket, fails] {
      n.engine->on_installed(ticket, fails ? Status(Error{Errc::kTableFull, "table full"}) : ok(), clock(n));
    });
  }
  void handle(Node& n, CredentialRequest& r) {
    auto answer = std::make_shared<Result<Credential>>(n.holder.answer(r));
    if (r.ticket == 0) return;  // GssEnd
    at(dice_.time(Time(1), scenario_.holder_max),
       [this, &n, generation = n.generation, ticket = r.ticket, answer] {
         if (generation != n.generation) return;
         n.engine->on_credential(ticket, *answer, clock(n));
         pump(n);
       });
  }
  void handle(Node& n, AcquireFailed& a) {
    note("{}: no SA for reqid {}{}", n.name, a.reqid, a.answered ? ": the peer has answered" : "");
  }
  void handle(Node& n, RemoveSa& r) {
    note("{}: remove {:08x}", n.name, r.spi);
    if (mutant_ == Mutant::kDropDelete && n.left) return;
    n.larval.erase(r.spi);
    n.sas.erase({r.src == n.address, r.spi});
  }
  void handle(Node& n, QueryUse& q) {
    auto it = n.sas.find({q.src == n.address, q.spi});
    const Result<std::uint64_t> packets = it != n.sas.end()
                                              ? Result<std::uint64_t>(it->second.packets)
                                              : Result<std::uint64_t>(Error{Errc::kUnknownSpi, "no such SA"});
    later(n, [this, &n, ticket = q.ticket, packets] { n.engine->on_use(ticket, packets, clock(n)); });
  }
  void handle(Node& n, MoveSa& m) {
    note("{}: move {:08x} to {}:{} -> {}:{}", n.name, m.spi, esp::to_string(m.src), m.natt.src_port,
         esp::to_string(m.dst), m.natt.dst_port);
    ++outcome_.coverage.moved;
    auto it = n.sas.find({m.src == n.address, m.spi});
    if (it == n.sas.end() || mutant_ == Mutant::kKeepMoved) return;
    it->second.sa.src = m.src;
    it->second.sa.dst = m.dst;
    it->second.sa.natt = m.natt;
  }
  void handle(Node& n, Event& e) {
    note("{}: {} {}: {}", n.name, e.connection, e.child, e.text);
    if (e.kind == Event::Kind::kMainModeUp) {
      n.main_mode_up = true;
      ++outcome_.coverage.main_modes;
      if (scenario_.wrong_secret) fail("{}: main mode with a peer that has another secret", n.name);
    }
    if (e.kind == Event::Kind::kChildUp) ++outcome_.coverage.quick_modes;
    if (e.text.starts_with("the peer is dead")) ++outcome_.coverage.dead_peers;
  }
  template <class F>
  void later(Node& n, F&& f) {  // espd's answer
    at(dice_.time(Time(1), Time(50)), [this, &n, generation = n.generation, f = std::forward<F>(f)] {
      if (generation != n.generation) return;
      f();
      pump(n);
    });
  }

  // Checks.

  void check(Node& n) {
    ++outcome_.coverage.steps;
    const Engine::Sizes s = n.engine->sizes();
    if (s.main_modes > 64 || s.exchanges > 200 || s.tickets > 600 || s.timers > 800 || s.children > 400)
      fail("{}: a table grows: {} main modes, {} exchanges, {} tickets, {} timers, {} pairs", n.name,
           s.main_modes, s.exchanges, s.tickets, s.timers, s.children);
    for (const auto& [spi_in, child] : n.engine->children()) {
      auto it = n.sas.find({true, child.spi_out});
      if (it != n.sas.end() && child.remote_port != 0 &&
          (it->second.sa.dst != child.remote || it->second.sa.natt->dst_port != child.remote_port))
        fail("{}: espd sends {:08x} to where the peer was", n.name, child.spi_out);
    }
    Node& peer = other(n);
    for (const auto& [key, held] : n.sas) {
      auto it = peer.sas.find({!key.first, key.second});
      if (it == peer.sas.end()) continue;
      const esp::SaParams& a = held.sa;
      const esp::SaParams& b = it->second.sa;
      if (a.cipher != b.cipher || a.auth != b.auth || a.mode != b.mode ||
          !constant_time_equal(a.enc_key.reveal(), b.enc_key.reveal()) ||
          !constant_time_equal(a.auth_key.reveal(), b.auth_key.reveal()))
        fail("the two ends hold different keys under SPI {:08x}", key.second);
    }
  }
  void nothing_left(Node& n) {
    const Engine::Sizes s = n.engine->sizes();
    if (s.main_modes + s.exchanges + s.tickets + s.timers + s.children + s.watched + s.fragment_messages != 0)
      fail("{}: left after the end: {} main modes, {} exchanges, {} tickets, {} timers, {} pairs", n.name,
           s.main_modes, s.exchanges, s.tickets, s.timers, s.children);
    if (!n.holder.contexts.empty()) fail("{}: {} GSS contexts are left", n.name, n.holder.contexts.size());
    if (!n.sas.empty()) fail("{}: {} SAs are left in espd after the end", n.name, n.sas.size());
    if (!n.larval.empty()) fail("{}: {} SPIs were never given back", n.name, n.larval.size());
  }

  // The clockwork.

  template <class F>
  void at(Time wait, F&& f) {
    flight_.emplace(now_ + std::max(wait, Time(1)), std::forward<F>(f));
  }
  std::optional<Time> due(const Node& n) const {
    auto t = n.engine->next_timer();
    if (t) *t = std::max(*t - n.offset, now_);
    return t;
  }
  template <class F>
  bool run_until(Time end, F&& done) {
    for (std::uint64_t steps = 0; !done(); ++steps) {
      if (steps > 2000000) fail("the engines never come to rest");
      std::optional<Time> next;
      Node* timer = nullptr;
      if (!flight_.empty()) next = flight_.begin()->first;
      for (Node* n : {&left_, &right_})
        if (auto t = due(*n); t && (!next || *t < *next)) {
          next = t;
          timer = n;
        }
      if (!next || *next > end) {
        now_ = end;
        return done();
      }
      now_ = std::max(now_, *next);
      if (timer != nullptr) {
        timer->engine->on_timer(clock(*timer));
        pump(*timer);
      } else {
        auto action = std::move(flight_.begin()->second);
        flight_.erase(flight_.begin());
        action();
      }
    }
    return true;
  }
  template <class... A>
  void note(fmt::format_string<A...> f, A&&... a) {
    if (!tracing_) return;
    outcome_.trace.push_back(fmt::format("{:>9.3f} s  {}", static_cast<double>(now_.count()) / 1000,
                                         fmt::format(f, std::forward<A>(a)...)));
  }
  template <class... A>
  [[noreturn]] void fail(fmt::format_string<A...> f, A&&... a) {
    throw Fault{fmt::format(f, std::forward<A>(a)...)};
  }

  struct Old {
    bool to_left;
    Path path;
    Bytes octets;
  };
  std::uint64_t seed_;
  Dice dice_;
  Scenario scenario_;
  Mutant mutant_;
  bool tracing_;
  Outcome outcome_;
  Node left_, right_;
  LinkState link_;
  std::uint16_t nat_ports_[2] = {0, 0};
  esp::IpAddress nat_address_;
  std::vector<Old> history_;
  Time now_{0};
  bool healed_ = false;
  bool quiet_ = false;
  std::uint32_t next_spi_ = 0;
  std::uint64_t order_ = 0;
  std::multimap<Time, std::function<void()>> flight_;
};

}  // namespace

std::string_view name(Mutant mutant) {
  switch (mutant) {
    case Mutant::kNone:
      return "none";
    case Mutant::kSwapKeys:
      return "swap-keys";
    case Mutant::kDropDelete:
      return "drop-delete";
    case Mutant::kReuseSpi:
      return "reuse-spi";
    case Mutant::kSkipInbound:
      return "skip-inbound";
    case Mutant::kForgetInvalid:
      return "forget-invalid";
    case Mutant::kDeaf:
      return "deaf";
    case Mutant::kKeepMoved:
      return "keep-moved";
  }
  return "none";
}

void Coverage::add(const Coverage& o) {
  steps += o.steps;
  datagrams += o.datagrams;
  lost += o.lost;
  doubled += o.doubled;
  corrupted += o.corrupted;
  replayed += o.replayed;
  partitions += o.partitions;
  rebindings += o.rebindings;
  clock_jumps += o.clock_jumps;
  restarts += o.restarts;
  espd_errors += o.espd_errors;
  expiries += o.expiries;
  main_modes += o.main_modes;
  quick_modes += o.quick_modes;
  packets += o.packets;
  fragments += o.fragments;
  moved += o.moved;
  dead_peers += o.dead_peers;
  wrong_secret += o.wrong_secret;
}

Outcome run(std::uint64_t seed, Mutant mutant, bool trace) { return World(seed, mutant, trace).run(); }

}  // namespace esplanade::ike::sim
