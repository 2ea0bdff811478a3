// Two engines in one process: a seeded link that loses, doubles, delays and corrupts, a virtual clock, and an
// espd each that keeps the SAs it is given.
#pragma once

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <queue>
#include <random>

#include "common/base/log.h"
#include "common/testing/seed.h"
#include "keyd/sa/engine.h"
#include "tests/unit/keyd/test_holder.h"

namespace esplanade::ike {

/// Looks into an engine: what no message shows.
struct EngineProbe {
  static Core& core(Engine& engine) { return engine.core_; }
};

}  // namespace esplanade::ike

namespace esplanade::ike::test {

/// The seed of one test: that of the run, moved by the test's own `salt`.
inline std::uint64_t base_seed(std::uint64_t salt) {
  return testing::seed(0) + salt;
}

class SeededRng final : public Rng {
 public:
  explicit SeededRng(std::uint64_t seed) : gen_(seed) {}
  void fill(MutableBytes out) override {
    for (Byte& b : out) b = static_cast<Byte>(gen_());
  }

 private:
  std::mt19937_64 gen_;
};

struct LinkSettings {
  double loss = 0;
  double dup = 0;
  double corrupt = 0;
  Time delay_min{1};
  Time delay_max{1};
  bool fake_nat = false;  // the network rewrites the left side's source port
  int nat_shift = 20000;  // by so much; what goes to a port that no longer stands for one of the left side is lost
};

/// What an espd holds: SAs by (outbound, SPI), keys included, for comparison.
struct HeldSa {
  esp::SaParams sa;
  std::uint32_t reqid = 0;
  std::uint64_t order = 0;  // of installation
  std::uint64_t bytes = 0;
  bool soft_told = false;
  std::uint64_t packets = 0;  // that the test says it carried
};

struct Node {
  std::string name;
  esp::IpAddress address;
  std::unique_ptr<SeededRng> rng;
  std::unique_ptr<Engine> engine;
  std::map<std::pair<bool, std::uint32_t>, HeldSa> sas;
  std::uint32_t next_spi = 0;
  std::vector<Event> events;
  bool espd_fails = false;
  std::uint64_t packets = 0;  // that any SA has carried, besides its own
  std::vector<std::pair<Time, AcquireFailed>> acquires_failed;
  std::uint64_t sent = 0;
  TestHolder holder;
  Time holder_delay{0};
  std::vector<Time> keepalives;
};

inline esp::IpAddress address(const char* text) { return *esp::parse_address(text); }

/// The text of a configuration for one side; `extra` goes into the connection's table.
struct Setup {
  std::string ike = "3des-sha1-modp1024";
  std::string esp = "3des-sha1";
  std::string start = "none";
  std::string psk = "correct horse battery staple";
  std::string mode = "tunnel";
  std::string extra;        // lines of the connection
  std::string child_extra;  // lines of the child
  bool any = false;         // takes its peer from any address
  std::string ike_table;
  std::string local;   // [connections.peer.local]
  std::string remote;  // [connections.peer.remote]
  std::string more;    // further connections
  std::string peer;    // remote_addrs, where it is not the other side
  std::vector<std::string> keys;  // what the holder has besides
  std::string principal;
  std::function<void(Connection&)> tweak;  // what no configuration file can say
};

/// "3des-sha1-modp1024" is short for "3des-sha1" with PFS, whose group is that of main mode.
inline std::string without_group(const std::string& esp) { return esp.substr(0, esp.find("-modp")); }

inline std::string esp_line(const std::string& esp) {
  return esp.empty() ? "" : fmt::format("esp_proposals = \"{}\"", without_group(esp));
}

inline Config make_config(bool left, const Setup& s) {
  const std::string ts_l = s.mode == "transport" ? "192.0.2.1" : "10.1.0.0/16";
  const std::string ts_r = s.mode == "transport" ? "192.0.2.2" : "10.2.0.0/16";
  const std::string text =
      fmt::format(R"(
[espd]
pfkey = "/nonexistent/pfkey"
natt = "/nonexistent/natt"
[ike]
{}
[connections.peer]
local_addrs = "{}"
remote_addrs = "{}"
proposals = ["{}"]
{}
[connections.peer.local]
{}
[connections.peer.remote]
{}
[connections.peer.children.net]
local_ts = "{}"
remote_ts = "{}"
{}
mode = "{}"
reqid = 7
start_action = "{}"
{}
{}
)",
                  s.ike_table, left ? "192.0.2.1" : "192.0.2.2",
                  !s.peer.empty() ? s.peer : s.any ? "%any" : left ? "192.0.2.2" : "192.0.2.1",
                  s.ike, s.extra, s.local, s.remote, left ? ts_l : ts_r, left ? ts_r : ts_l, esp_line(s.esp), s.mode, s.start,
                  (without_group(s.esp) != s.esp ? "pfs = true\n" : "") + s.child_extra, s.more);
  auto config = parse_config(text, "test.toml");
  const std::string why = config ? "" : config.error().detail;
  REQUIRE(why == "");
  if (s.tweak)
    for (auto& c : config->connections) {
      auto changed = std::make_shared<Connection>(*c);
      s.tweak(*changed);
      c = std::move(changed);
    }
  return std::move(*config);
}

class World {
 public:
  World(std::uint64_t seed, const Setup& left, const Setup& right, LinkSettings link = {})
      : link_(link), gen_(seed) {
    log_setup("test", LogLevel::kError);
    make(left_, "left", "192.0.2.1", true, left, seed * 2 + 1);
    make(right_, "right", "192.0.2.2", false, right, seed * 2 + 2);
  }

  Node& left() { return left_; }
  Node& right() { return right_; }
  Time now() const { return now_; }
  LinkSettings& link() { return link_; }

  void start() {
    left_.engine->start(now_);
    right_.engine->start(now_);
    pump(left_);
    pump(right_);
  }
  /// Runs until `done` holds after an event, or the virtual time is over. True when it held.
  template <class F>
  bool run(Time limit, F&& done) {
    const Time end = now_ + limit;
    while (!done()) {
      std::optional<Time> next;
      auto consider = [&](std::optional<Time> t) {
        if (t && (!next || *t < *next)) next = t;
      };
      if (!flight_.empty()) consider(flight_.begin()->first);
      consider(left_.engine->next_timer());
      consider(right_.engine->next_timer());
      if (!next || *next > end) {
        now_ = end;
        return done();
      }
      now_ = std::max(now_, *next);
      if (!flight_.empty() && flight_.begin()->first <= now_) {
        auto action = std::move(flight_.begin()->second);
        flight_.erase(flight_.begin());
        action();
      } else {
        left_.engine->on_timer(now_);
        right_.engine->on_timer(now_);
        pump(left_);
        pump(right_);
      }
    }
    return true;
  }
  void run(Time limit) {
    (void)run(limit, [] { return false; });
  }
  void acquire(Node& node) {
    node.engine->on_acquire(7, node.name == "left" ? right_.address : left_.address, now_);
    pump(node);
  }
  void expire(Node& node, std::uint32_t spi, bool hard) {
    node.engine->on_expire(spi, hard, now_);
    pump(node);
  }
  void shutdown(Node& node) {
    node.engine->shutdown(now_);
    pump(node);
  }
  /// Injects octets as if the other side had sent them.
  void inject(Node& to, ByteView octets, std::uint16_t port = 500) {
    const Node& from = &to == &left_ ? right_ : left_;
    to.engine->on_datagram({{to.address, port}, {from.address, port}}, octets, now_);
    pump(to);
  }

  /// Every outbound SA of one side is an inbound SA of the other with equal algorithms and keys.
  bool matched() const { return covers(left_, right_) && covers(right_, left_); }
  bool up() const {
    return !left_.engine->children().empty() && !right_.engine->children().empty() && matched() &&
           left_.sas.size() >= 2 && right_.sas.size() >= 2;
  }
  /// No SA that both ends hold differs between them.
  bool no_unequal_keys() const { return no_unequal(left_, right_); }
  /// The pair that each end made last is one and the same. (An older one may be known to one end alone, where
  /// the message that would have told was lost.)
  bool newest_up() const {
    const auto& l = left_.engine->children();
    const auto& r = right_.engine->children();
    if (l.empty() || r.empty()) return false;
    return std::ranges::any_of(l, [&](const auto& e) {
      auto it = r.find(e.second.spi_out);
      return it != r.end() && it->second.spi_out == e.first && left_.sas.contains({true, e.second.spi_out}) &&
             right_.sas.contains({true, e.first}) && no_unequal_keys();
    });
  }
  /// espd counts seconds and octets, and tells soft and hard limits.
  bool espd_counts = false;
  /// Sends a packet of `bytes` through the newest outbound SA. Its SPI, or nothing when it is lost: no SA here or
  /// none with the same keys there.
  std::optional<std::uint32_t> packet(Node& from, std::uint64_t bytes = 100) {
    HeldSa* newest = nullptr;
    for (auto& [key, held] : from.sas)
      if (key.first && (newest == nullptr || held.order > newest->order)) newest = &held;
    if (newest == nullptr) return std::nullopt;
    const std::uint32_t spi = newest->sa.spi;
    Node& to = other(from);
    auto there = to.sas.find({false, spi});
    if (there == to.sas.end() || !equal_sa(newest->sa, there->second.sa)) return std::nullopt;
    ++from.packets;
    ++to.packets;
    count_bytes(from, true, spi, bytes);
    count_bytes(to, false, spi, bytes);
    return spi;
  }
  /// Called for each datagram before the link; may change it. Returns false to swallow it.
  std::function<bool(const Node& from, Bytes& octets)> tap;

 private:
  static void make(Node& n, const char* name, const char* addr, bool left, const Setup& s,
                   std::uint64_t seed) {
    n.name = name;
    n.address = address(addr);
    n.rng = std::make_unique<SeededRng>(seed);
    n.next_spi = left ? 0x1000 : 0x2000;
    n.engine = std::make_unique<Engine>(std::make_shared<const Config>(make_config(left, s)), *n.rng);
    n.engine->set_wall_clock([] { return kWallClock; });
    n.holder.psk = s.psk;
    n.holder.keys = s.keys;
    n.holder.principal = s.principal;
  }
  static bool equal_sa(const esp::SaParams& x, const esp::SaParams& y) {
    return x.cipher == y.cipher && x.auth == y.auth && x.mode == y.mode && x.src == y.src && x.dst == y.dst &&
           constant_time_equal(x.enc_key.reveal(), y.enc_key.reveal()) &&
           constant_time_equal(x.auth_key.reveal(), y.auth_key.reveal()) &&
           x.natt.has_value() == y.natt.has_value();
  }
  static bool covers(const Node& a, const Node& b) {
    return std::ranges::all_of(a.sas, [&](const auto& e) {
      if (!e.first.first) return true;
      auto it = b.sas.find({false, e.first.second});
      return it != b.sas.end() && equal_sa(e.second.sa, it->second.sa);
    });
  }
  static bool no_unequal(const Node& a, const Node& b) {
    return std::ranges::all_of(a.sas, [&](const auto& e) {
      auto it = b.sas.find({!e.first.first, e.first.second});
      return it == b.sas.end() || equal_sa(e.second.sa, it->second.sa);
    });
  }
  void limit(Node& n, bool outbound, std::uint32_t spi, bool hard) {
    auto it = n.sas.find({outbound, spi});
    if (it == n.sas.end() || (!hard && it->second.soft_told)) return;
    it->second.soft_told = true;
    if (hard) n.sas.erase(it);
    expire(n, spi, hard);
  }
  void count_seconds(Node& n, const esp::SaParams& sa) {
    for (bool hard : {false, true}) {
      const auto seconds = std::chrono::seconds(hard ? sa.hard.seconds : sa.soft.seconds);
      if (seconds.count() == 0) continue;
      flight_.emplace(now_ + seconds,
                      [this, &n, out = sa.outbound, spi = sa.spi, hard] { limit(n, out, spi, hard); });
    }
  }
  void count_bytes(Node& n, bool outbound, std::uint32_t spi, std::uint64_t bytes) {
    HeldSa& held = n.sas.at({outbound, spi});
    held.bytes += bytes;
    const auto& [soft, hard] = std::pair(held.sa.soft.bytes, held.sa.hard.bytes);
    if (!espd_counts) return;
    if (hard != 0 && held.bytes >= hard) return limit(n, outbound, spi, true);
    if (soft != 0 && held.bytes >= soft) limit(n, outbound, spi, false);
  }
  double chance() { return std::uniform_real_distribution<double>(0, 1)(gen_); }
  Time some_delay() {
    return Time(
        std::uniform_int_distribution<Time::rep>(link_.delay_min.count(), link_.delay_max.count())(gen_));
  }
  Node& other(const Node& n) { return &n == &left_ ? right_ : left_; }

  void carry(Node& from, SendDatagram d) {
    ++from.sent;
    if (tap && !tap(from, d.octets)) return;
    const int copies = chance() < link_.loss ? 0 : chance() < link_.dup ? 2 : 1;
    Path path{{d.path.remote.address, d.path.remote.port}, {d.path.local.address, d.path.local.port}};
    if (link_.fake_nat) {
      if (&from == &left_)
        path.remote.port = static_cast<std::uint16_t>(path.remote.port + link_.nat_shift);
      else
        path.local.port = static_cast<std::uint16_t>(path.local.port - link_.nat_shift);
      if (&from != &left_ && path.local.port != 500 && path.local.port != 4500) return;
    }
    for (int i = 0; i < copies; ++i) {
      Bytes octets = d.octets;
      if (chance() < link_.corrupt && !octets.empty())
        octets[std::uniform_int_distribution<std::size_t>(0, octets.size() - 1)(gen_)] ^=
            static_cast<Byte>(1u << (gen_() % 8));
      Node* to = &other(from);
      flight_.emplace(now_ + some_delay(), [this, to, path, octets = std::move(octets)] {
        to->engine->on_datagram(path, octets, now_);
        pump(*to);
      });
    }
  }
  void pump(Node& n) {
    for (auto outputs = n.engine->take_outputs(); !outputs.empty(); outputs = n.engine->take_outputs())
      for (Output& o : outputs) std::visit([&](auto& x) { handle(n, x); }, o);
  }
  void handle(Node& n, SendDatagram& d) { carry(n, std::move(d)); }
  void handle(Node& n, SendKeepalive&) { n.keepalives.push_back(now_); }
  void handle(Node& n, GetSpi& g) {
    const Ticket ticket = g.ticket;
    Result<std::uint32_t> spi = n.espd_fails ? Result<std::uint32_t>(Error{Errc::kTableFull, "table full"})
                                             : Result<std::uint32_t>(n.next_spi++);
    flight_.emplace(now_ + Time(1), [this, &n, ticket, spi] {
      n.engine->on_spi(ticket, spi, now_);
      pump(n);
    });
  }
  void handle(Node& n, InstallSa& i) {
    CHECK(esp::validate(i.sa));
    const Ticket ticket = i.ticket;
    if (espd_counts) count_seconds(n, i.sa);
    n.sas[{i.sa.outbound, i.sa.spi}] = HeldSa{std::move(i.sa), i.reqid, ++installs_};
    flight_.emplace(now_ + Time(1), [this, &n, ticket] {
      n.engine->on_installed(ticket, ok(), now_);
      pump(n);
    });
  }
  void handle(Node& n, CredentialRequest& r) {
    auto result = std::make_shared<Result<Credential>>(n.holder.answer(r));
    if (r.ticket == 0) return;  // GssEnd
    if (n.holder_delay.count() == 0) return n.engine->on_credential(r.ticket, *result, now_);
    flight_.emplace(now_ + n.holder_delay, [this, &n, ticket = r.ticket, result] {
      n.engine->on_credential(ticket, *result, now_);
      pump(n);
    });
  }
  void handle(Node& n, RemoveSa& r) { n.sas.erase({r.src == n.address, r.spi}); }
  void handle(Node& n, QueryUse& q) {
    auto it = n.sas.find({q.src == n.address, q.spi});
    const Result<std::uint64_t> packets = it != n.sas.end()
                                              ? Result<std::uint64_t>(it->second.packets + n.packets)
                                              : Result<std::uint64_t>(Error{Errc::kUnknownSpi, "no such SA"});
    flight_.emplace(now_ + Time(1), [this, &n, ticket = q.ticket, packets] {
      n.engine->on_use(ticket, packets, now_);
      pump(n);
    });
  }
  void handle(Node& n, AcquireFailed& a) { n.acquires_failed.push_back({now_, a}); }
  void handle(Node& n, MoveSa& m) {
    auto it = n.sas.find({m.src == n.address, m.spi});
    if (it == n.sas.end()) return;
    it->second.sa.src = m.src;
    it->second.sa.dst = m.dst;
    it->second.sa.natt = m.natt;
  }
  void handle(Node& n, Event& e) { n.events.push_back(std::move(e)); }

  LinkSettings link_;
  std::mt19937_64 gen_;
  Node left_, right_;
  Time now_{0};
  std::uint64_t installs_ = 0;
  std::multimap<Time, std::function<void()>> flight_;
};

}  // namespace esplanade::ike::test
