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
#include "common/crypto/rsa.h"
#include "common/crypto/x509.h"
#include "keyd/sa/engine.h"

namespace esplanade::ike::test {

/// The seed of a random test: ESPLANADE_SEED, or `preset`.
inline std::uint64_t base_seed(std::uint64_t preset) {
  const char* text = std::getenv("ESPLANADE_SEED");
  return text != nullptr ? std::strtoull(text, nullptr, 0) : preset;
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
};

/// The holder of one side's secrets. GSS-API is a mock: N tokens go to and fro, wrapping is reversible and checked.
struct TestHolder {
  std::string psk;
  std::vector<std::string> keys;  // RSA, PEM
  std::string principal;          // ours
  std::size_t gss_tokens = 2;     // of a whole context, both sides' together
  std::map<std::uint64_t, std::string> contexts;  // live ones, with the peer's principal
  std::vector<std::size_t> asked = std::vector<std::size_t>(6);  // by index in CredentialRequest::what
  /// Changes or replaces an answer.
  std::function<void(const CredentialRequest&, Result<Credential>&)> tap;

  Result<Credential> answer(const CredentialRequest& r) {
    ++asked[r.what.index()];
    Result<Credential> out = std::visit([this](const auto& what) { return on(what); }, r.what);
    if (tap) tap(r, out);
    return out;
  }

 private:
  static Credential credential(Bytes octets) {
    Credential c;
    c.octets = Secret(std::move(octets));
    return c;
  }
  Result<Credential> on(const PskSkeyid& p) {
    Credential c;
    c.octets = crypto::prf(p.hash, ByteView(reinterpret_cast<const Byte*>(psk.data()), psk.size()), {p.ni_b, p.nr_b});
    return c;
  }
  Result<Credential> on(const RsaSign& s) {
    auto certificate = crypto::Certificate::parse(s.certificate);
    REQUIRE(certificate);
    for (const std::string& pem : keys) {
      auto key = crypto::RsaPrivateKey::from_pem(ByteView(reinterpret_cast<const Byte*>(pem.data()), pem.size()));
      if (!key) continue;  // a weak one
      if (key->public_key() != certificate->public_key()) continue;
      auto signature = key->sign_raw(s.hash);
      REQUIRE(signature);
      return credential(std::move(*signature));
    }
    return Error{Errc::kBadAuth, "no private key for our certificate"};
  }
  // Token: 0x60, length, its number, the sender's principal.
  Result<Credential> on(const GssStep& s) {
    if (s.initiator && s.token.empty() && s.target.find("unknown") != s.target.npos)
      return Error{Errc::kBadAuth, "Server not found in Kerberos database"};
    std::size_t got = 0;
    if (!s.token.empty()) {
      if (s.token.size() < 3 || s.token[0] != 0x60 || s.token[1] != s.token.size() - 2)
        return Error{Errc::kBadAuth, "defective token"};
      got = s.token[2];
      contexts[s.context] = std::string(s.token.begin() + 3, s.token.end());
    } else {
      contexts[s.context] = "";
    }
    Bytes token;
    if (got != gss_tokens) {
      token = {0x60, static_cast<Byte>(principal.size() + 1), static_cast<Byte>(got + 1)};
      token.insert(token.end(), principal.begin(), principal.end());
    }
    Credential c = credential(std::move(token));
    c.complete = got + 1 >= gss_tokens;
    if (c.complete) c.peer = contexts[s.context];
    return c;
  }
  Result<Credential> on(const GssWrap& w) {
    if (!contexts.contains(w.context)) return Error{Errc::kBadAuth, "no such context"};
    Bytes out{'W'};
    for (Byte b : w.octets) out.push_back(b ^ 0x5a);
    return credential(std::move(out));
  }
  Result<Credential> on(const GssUnwrap& w) {
    if (!contexts.contains(w.context) || w.octets.empty() || w.octets[0] != 'W')
      return Error{Errc::kBadAuth, "defective token"};
    Bytes out;
    for (Byte b : ByteView(w.octets).subspan(1)) out.push_back(b ^ 0x5a);
    return credential(std::move(out));
  }
  Result<Credential> on(const GssEnd& e) {
    contexts.erase(e.context);
    return Credential();
  }
};

/// Seconds since 1970 in every test: certificates are made around it.
inline constexpr std::int64_t kWallClock = 1'700'000'000;

/// What an espd holds: SAs by (outbound, SPI), keys included, for comparison.
struct HeldSa {
  esp::SaParams sa;
  std::uint32_t reqid = 0;
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
  std::uint64_t sent = 0;
  TestHolder holder;
  Time holder_delay{0};
};

inline esp::IpAddress address(const char* text) { return *esp::parse_address(text); }

/// The text of a configuration for one side; `extra` goes into the connection's table.
struct Setup {
  std::string ike = "3des-sha1-modp1024";
  std::string esp = "3des-sha1";
  std::string start = "none";
  std::string psk = "correct horse battery staple";
  std::string mode = "tunnel";
  std::string extra;
  std::string ike_table;
  std::string local;   // [connections.peer.local]
  std::string remote;  // [connections.peer.remote]
  std::string more;    // further connections
  std::string peer;    // remote_addrs, where it is not the other side
  std::vector<std::string> keys;  // what the holder has besides
  std::string principal;
  std::function<void(Connection&)> tweak;  // what no configuration file can say
};

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
esp_proposals = "{}"
mode = "{}"
reqid = 7
start_action = "{}"
{}
)",
                  s.ike_table, left ? "192.0.2.1" : "192.0.2.2", !s.peer.empty() ? s.peer : left ? "192.0.2.2" : "192.0.2.1",
                  s.ike, s.extra, s.local, s.remote, left ? ts_l : ts_r, left ? ts_r : ts_l, s.esp, s.mode, s.start, s.more);
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
        path.remote.port = static_cast<std::uint16_t>(path.remote.port + 20000);
      else
        path.local.port = static_cast<std::uint16_t>(path.local.port - 20000);
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
  void handle(Node&, SendKeepalive&) {}
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
    n.sas[{i.sa.outbound, i.sa.spi}] = HeldSa{std::move(i.sa), i.reqid};
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
  void handle(Node& n, Event& e) { n.events.push_back(std::move(e)); }

  LinkSettings link_;
  std::mt19937_64 gen_;
  Node left_, right_;
  Time now_{0};
  std::multimap<Time, std::function<void()>> flight_;
};

}  // namespace esplanade::ike::test
