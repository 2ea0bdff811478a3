// A whole engine in the middle of a negotiation. The input chooses how far the negotiation with an honest peer
// has come, and then what happens: datagrams as they are, or dressed so that they get past cookies, encryption
// and hashes; answers of espd; time. Nothing may crash, tables stay bounded, and nobody who has proved nothing
// gets back more octets than he sent.
#include <random>

#include "common/base/log.h"
#include "keyd/keymat/quick_mode_keys.h"
#include "keyd/sa/engine.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/keyd/test_holder.h"

namespace esplanade::ike {

struct EngineProbe {
  static Core& core(Engine& e) { return e.core_; }
};

namespace {

using fuzz::require;

class SeededRng final : public Rng {
 public:
  explicit SeededRng(std::uint64_t seed) : gen_(seed) {}
  void fill(MutableBytes out) override {
    for (Byte& b : out) b = static_cast<Byte>(gen_() >> 24);
  }

 private:
  std::mt19937_64 gen_;
};

std::shared_ptr<const Config> config(bool left) {
  static std::shared_ptr<const Config> made[2];
  auto& out = made[left ? 0 : 1];
  if (out) return out;
  const std::string text = std::string(R"([espd]
pfkey = "/nonexistent/pfkey"
natt = "/nonexistent/natt"
[connections.peer]
local_addrs = ")") + (left ? "192.0.2.1" : "192.0.2.2") +
                           R"("
remote_addrs = ")" + (left ? "192.0.2.2" : "192.0.2.1") +
                           R"("
proposals = "des-md5-modp768"
dpd_delay = 5
dpd_timeout = 20
[connections.peer.children.net]
local_ts = ")" + (left ? "10.1.0.0/16" : "10.2.0.0/16") +
                           R"("
remote_ts = ")" + (left ? "10.2.0.0/16" : "10.1.0.0/16") +
                           R"("
esp_proposals = ["3des-sha1", "des-md5"]
reqid = 7
start_action = "trap"
)";
  auto parsed = parse_config(text, "fuzz.toml");
  require(static_cast<bool>(parsed), "the configuration is right");
  out = std::make_shared<const Config>(std::move(*parsed));
  return out;
}

struct Side {
  explicit Side(bool left) : rng(left ? 1 : 2), engine(config(left), rng) {
    engine.set_wall_clock([] { return test::kWallClock; });
    holder.psk = "one secret";
  }
  void credential(const CredentialRequest& r, Time now) {
    const auto answer = holder.answer(r);
    if (r.ticket != 0) engine.on_credential(r.ticket, answer, now);
  }
  SeededRng rng;
  Engine engine;
  test::TestHolder holder;
};

class Bench {
 public:
  // `initiator`: the engine under test starts. `datagrams`: how many are carried before the input has its say.
  Bench(bool initiator, unsigned datagrams) : mine_(initiator), peer_(!initiator), initiator_(initiator) {
    Side& starter = initiator ? mine_ : peer_;
    const esp::IpAddress to = *esp::parse_address(initiator ? "192.0.2.2" : "192.0.2.1");
    starter.engine.on_acquire(7, to, now_);
    while (datagrams_ < datagrams && turn(datagrams)) {
    }
    (void)mine_.engine.take_outputs();
  }

  void play(fuzz::Input& in) {
    for (int i = 0; i < 64 && !in.done(); ++i) {
      step(in);
      settle();
    }
  }

 private:
  Path to_mine(std::uint16_t port = 500) const {
    return {{addresses_[initiator_ ? 0 : 1], port}, {addresses_[initiator_ ? 1 : 0], port}};
  }
  // Carries what the two want to say; answers their espds. False when both are silent.
  bool turn(unsigned limit) {
    bool any = false;
    for (Side* s : {&mine_, &peer_}) {
      for (Output& o : s->engine.take_outputs()) {
        any = true;
        if (auto* d = std::get_if<SendDatagram>(&o)) {
          if (datagrams_ == limit) continue;
          ++datagrams_;
          Side& to = s == &mine_ ? peer_ : mine_;
          to.engine.on_datagram({d->path.remote, d->path.local}, d->octets, now_);
        } else if (auto* g = std::get_if<GetSpi>(&o)) {
          s->engine.on_spi(g->ticket, next_spi_++, now_);
        } else if (auto* i = std::get_if<InstallSa>(&o)) {
          s->engine.on_installed(i->ticket, ok(), now_);
        } else if (auto* c = std::get_if<CredentialRequest>(&o)) {
          s->credential(*c, now_);
        }
      }
    }
    return any;
  }
  MmSa* mm() {
    Core& core = EngineProbe::core(mine_.engine);
    const auto numbers = core.mm_numbers();
    return numbers.empty() ? nullptr : core.find_mm(numbers.back());
  }
  Header header(const MmSa& sa, Exchange exchange, std::uint32_t id) const {
    Header h;
    h.cky_i = sa.cookies.first;
    h.cky_r = sa.cookies.second;
    h.exchange = exchange;
    h.message_id = id;
    return h;
  }
  // A chain of payloads out of the input: type, length, body.
  ChainBuilder chain(fuzz::Input& in) {
    ChainBuilder out;
    for (std::uint8_t n = in.u8() % 8; n != 0; --n) {
      const auto type = static_cast<PayloadType>(in.u8());
      const ByteView body = in.take(in.u8());
      if (type != PayloadType::kNone) out.add(type, body);
    }
    return out;
  }
  void send(ByteView octets, std::uint16_t port = 500) { mine_.engine.on_datagram(to_mine(port), octets, now_); }

  void step(fuzz::Input& in) {
    const std::uint8_t kind = in.u8();
    switch (kind % 10) {
      case 0: {  // as it is, from somebody unknown
        const ByteView octets = in.take(in.u16() % 2048);
        const bool stranger = mm() == nullptr;
        send(octets, (kind & 0x80) != 0 ? 4500 : 500);
        if (!stranger) return;
        std::size_t back = 0, datagrams = 0;
        for (const Output& o : EngineProbe::core(mine_.engine).out)
          if (const auto* d = std::get_if<SendDatagram>(&o)) {
            back += d->octets.size();
            ++datagrams;
          }
        require(back <= octets.size() && datagrams <= 1, "a stranger gets no more than he sent");
        return;
      }
      case 1: {  // in clear, with the right cookies
        if (mm() == nullptr) return;
        const Header h = header(*mm(), static_cast<Exchange>(in.u8()), in.u8());
        send(clear_message(h, chain(in)));
        return;
      }
      case 2: {  // encrypted main mode
        if (mm() == nullptr || mm()->keys.cipher.empty()) return;
        Iv iv = mm()->iv;
        const ChainBuilder c = chain(in);
        if (c.octets().empty()) return;
        if (auto m = protect(mm()->keys, mm()->suite.encryption, iv, header(*mm(), Exchange::kMainMode, 0), c))
          send(*m);
        return;
      }
      case 3:
      case 4:
      case 5: {  // phase 2, with a right hash
        MmSa* sa = mm();
        if (sa == nullptr || sa->keys.cipher.empty()) return;
        std::uint32_t id = 0x1000u + in.u8();
        if ((kind & 0x40) != 0 && !sa->exchanges.empty()) id = sa->exchanges.rbegin()->first;
        const ChainBuilder content = chain(in);
        auto qm = sa->exchanges.find(id);
        const bool known = qm != sa->exchanges.end();
        Iv iv = known ? qm->second.iv : phase2_iv(sa->suite.hash, sa->iv, id);
        const bool second = known && qm->second.initiator;
        const Bytes hash =
            known && !second
                ? qm_hash3(sa->suite.hash, sa->keys.skeyid_a.reveal(), id, qm->second.ni_b, qm->second.nr_b)
            : second ? qm_hash2(sa->suite.hash, sa->keys.skeyid_a.reveal(), id, qm->second.ni_b, content.octets())
                     : qm_hash1(sa->suite.hash, sa->keys.skeyid_a.reveal(), id, content.octets());
        ChainBuilder whole;
        whole.add(PayloadType::kHash, hash);
        whole.append(content);
        const Exchange exchange = kind % 10 == 5 ? Exchange::kInformational : Exchange::kQuickMode;
        if (auto m = protect(sa->keys, sa->suite.encryption, iv, header(*sa, exchange, id), whole)) send(*m);
        return;
      }
      case 6: {  // a fragment
        if (mm() == nullptr) return;
        mm()->peer_fragments = true;
        Bytes body;
        body.push_back(0);
        body.push_back(in.u8() % 3);
        body.push_back(in.u8());
        body.push_back(in.u8() % 4);
        put(body, in.take(in.u8()));
        ChainBuilder c;
        c.add(PayloadType::kFragment, body);
        send(clear_message(header(*mm(), static_cast<Exchange>(in.u8() % 64), in.u8()), c));
        return;
      }
      case 7: {
        now_ += Time(1 + in.u16());
        mine_.engine.on_timer(now_);
        return;
      }
      case 8: {  // espd
        const Ticket ticket = in.u8();
        const std::uint8_t what = in.u8();
        if (what % 4 == 0) mine_.engine.on_spi(ticket, next_spi_++, now_);
        if (what % 4 == 1) mine_.engine.on_installed(ticket, ok(), now_);
        if (what % 4 == 2) mine_.engine.on_use(ticket, std::uint64_t{in.u8()}, now_);
        if (what % 4 == 3) mine_.engine.on_spi(ticket, Error{Errc::kTableFull, "table full"}, now_);
        return;
      }
      default: {
        const auto& children = mine_.engine.children();
        if (!children.empty() && (kind & 0x40) != 0)
          return mine_.engine.on_expire(children.begin()->first, (kind & 0x80) != 0, now_);
        return mine_.engine.on_acquire(7, addresses_[initiator_ ? 1 : 0], now_);
      }
    }
  }
  void settle() {
    int rounds = 0;
    for (auto outputs = mine_.engine.take_outputs(); !outputs.empty(); outputs = mine_.engine.take_outputs()) {
      require(++rounds < 64, "outputs come to an end");
      require(outputs.size() < 1200, "one input has few outputs");
      for (Output& o : outputs) {
        if (auto* c = std::get_if<CredentialRequest>(&o)) mine_.credential(*c, now_);
        if (auto* g = std::get_if<GetSpi>(&o)) mine_.engine.on_spi(g->ticket, next_spi_++, now_);
        if (auto* i = std::get_if<InstallSa>(&o)) {
          require(static_cast<bool>(esp::validate(i->sa)), "an SA to install is valid");
          mine_.engine.on_installed(i->ticket, ok(), now_);
        }
      }
    }
    const auto s = mine_.engine.sizes();
    require(s.main_modes < 64 && s.exchanges < 200 && s.fragment_octets <= 4u << 20, "tables are bounded");
  }

  esp::IpAddress addresses_[2] = {*esp::parse_address("192.0.2.1"), *esp::parse_address("192.0.2.2")};
  Side mine_;
  Side peer_;
  bool initiator_;
  unsigned datagrams_ = 0;
  std::uint32_t next_spi_ = 0x1000;
  Time now_{1000};
};

}  // namespace
}  // namespace esplanade::ike

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  using namespace esplanade;
  static const bool quiet = [] {
    log_setup("fuzz", LogLevel::kError);
    return true;
  }();
  (void)quiet;
  fuzz::Input in(ByteView(data, size));
  const std::uint8_t state = in.u8();
  // A fresh responder, then after 1 to 6 datagrams, then with a pair of SAs.
  static constexpr unsigned kCarried[] = {0, 1, 2, 3, 4, 5, 6, 12};
  ike::Bench bench((state & 0x08) != 0, kCarried[state % 8]);
  bench.play(in);
  return 0;
}
