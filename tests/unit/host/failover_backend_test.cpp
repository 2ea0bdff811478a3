// A backend that outlives its card. The cards here are reference engines that can be made to fail; the peers are SAs of the engine's own.
#include <doctest/doctest.h>

#include <map>
#include <set>

#include "common/esp/engine.h"
#include "common/esp/ip.h"
#include "host/backend/failover_backend.h"

using namespace esplanade;
using namespace esplanade::host;

namespace {

esp::SaParams params(bool outbound, std::uint32_t spi) {
  esp::SaParams sa;
  sa.outbound = outbound;
  sa.spi = spi;
  sa.enc_key = Secret(from_hex("0123456789abcdef23456789abcdef01456789abcdef0123").value());
  sa.auth_key = Secret(Bytes(20, 7));
  sa.src = esp::parse_address("192.0.2.1").value();
  sa.dst = esp::parse_address("192.0.2.2").value();
  return sa;
}

Bytes packet(std::size_t size = 100) {
  Bytes p(size);
  p[0] = 0x45;
  store_be16(&p[2], static_cast<std::uint16_t>(p.size()));
  store_be16(&p[10], esp::ipv4_checksum(ByteView(p).first(20)));
  return p;
}

/// What the test does to the cards: by name, how many more calls they survive, and whether they can be opened.
struct Fate {
  std::map<std::string, int> calls_left;
  std::set<std::string> broken;
  std::vector<std::string> opened;
  Errc how = Errc::kDeviceLost;
  bool swallow = false;  // packets go in and do not come out
};

class MortalBackend final : public Backend {
 public:
  MortalBackend(std::string name, Fate& fate) : name_(std::move(name)), fate_(fate), inner_(open_backend({"soft", false}).value()) {}
  std::string name() const override { return name_; }
  Result<std::uint32_t> allocate_spi() override { return dies() ? Result<std::uint32_t>(death()) : inner_->allocate_spi(); }
  void release_spi(std::uint32_t spi) override { inner_->release_spi(spi); }
  Result<SaHandle> install(esp::SaParams p) override { return dies() ? Result<SaHandle>(death()) : inner_->install(std::move(p)); }
  Status remove(SaHandle sa) override { return dies() ? Status(death()) : inner_->remove(sa); }
  Status move(SaHandle sa, const esp::IpAddress& src, const esp::IpAddress& dst, const std::optional<esp::Natt>& natt) override {
    return dies() ? Status(death()) : inner_->move(sa, src, dst, natt);
  }
  Result<SaView> view(SaHandle sa) override { return dies() ? Result<SaView>(death()) : inner_->view(sa); }
  Result<Totals> totals() override { return dies() ? Result<Totals>(death()) : inner_->totals(); }
  Status submit_encap(SaHandle sa, ByteView p, std::uint64_t cookie, std::optional<std::array<Byte, 8>> iv) override {
    return dies() ? Status(death()) : inner_->submit_encap(sa, p, cookie, iv);
  }
  Status submit_decap(ByteView p, std::uint64_t cookie) override { return dies() ? Status(death()) : inner_->submit_decap(p, cookie); }
  std::size_t in_flight() const override { return inner_->in_flight(); }
  Status poll(std::vector<Outcome>& out, std::chrono::milliseconds wait) override {
    if (dies()) return death();
    return fate_.swallow ? ok() : inner_->poll(out, wait);
  }
  Status poll_events(std::vector<SaEvent>& out) override { return dies() ? Status(death()) : inner_->poll_events(out); }

 private:
  bool dies() {
    const auto left = fate_.calls_left.find(name_);
    if (left == fate_.calls_left.end()) return false;
    if (left->second > 0) --left->second;
    return left->second == 0;
  }
  Error death() const { return {fate_.how, name_ + " is dead"}; }
  const std::string name_;
  Fate& fate_;
  std::unique_ptr<Backend> inner_;
};

struct Bench {
  Fate fate;
  std::unique_ptr<Backend> backend;

  explicit Bench(std::vector<std::string> cards = {"a", "b"}) {
    backend = open_failover_backend(std::move(cards), [this](const std::string& name) -> Result<std::unique_ptr<Backend>> {
                if (fate.broken.contains(name)) return Error{Errc::kNoCard, name + " is broken"};
                fate.opened.push_back(name);
                return std::unique_ptr<Backend>(std::make_unique<MortalBackend>(name, fate));
              }).value();
  }
  void kill(const std::string& name, bool for_good = true) {
    fate.calls_left[name] = 1;
    if (for_good) fate.broken.insert(name);
  }
  std::vector<Outcome> poll() {
    std::vector<Outcome> out;
    CHECK(backend->poll(out, std::chrono::milliseconds(0)));
    return out;
  }
};

}  // namespace

TEST_CASE("failover: no sequence number goes out twice, whatever was inside the card when it died") {
  Bench b;
  auto peer = esp::SoftSa::create(params(false, 0x5000));
  const SaHandle sa = b.backend->install(params(true, 0x5000)).value();
  std::set<std::uint64_t> numbers;
  const auto send = [&](int count) {
    for (int i = 0; i < count; ++i) {
      Status handed = b.backend->submit_encap(sa, packet(), 0);
      if (!handed) {  // the card died at that: once more, as the caller's queue does
        CHECK(handed.error().code == Errc::kRingFull);
        handed = b.backend->submit_encap(sa, packet(), 0);
      }
      CHECK(handed);
    }
  };
  const auto take = [&] {
    std::size_t lost = 0;
    for (const Outcome& o : b.poll()) {
      if (o.status != card::Status::kOk) {
        CHECK(o.status == card::Status::kBusError);
        ++lost;
        continue;
      }
      CHECK(*o.sa == sa);
      CHECK(numbers.insert(o.seq).second);
      CHECK(peer->decap(o.packet));
    }
    return lost;
  };
  send(10);
  CHECK(take() == 0);
  b.fate.swallow = true;  // five are made, and nobody ever sees them
  send(5);
  CHECK(take() == 0);
  b.kill("a");
  b.fate.swallow = false;
  CHECK(b.poll().size() == 5);
  CHECK(b.backend->name() == "b (2 of 2, after 1 loss)");
  send(10);
  CHECK(take() == 0);
  CHECK(numbers.size() == 20);
  CHECK(*numbers.rbegin() == 25);
  CHECK(b.backend->view(sa)->packets == 25);
}

TEST_CASE("failover: what was accepted is not accepted again, and what comes next is") {
  Bench b;
  auto peer = esp::SoftSa::create(params(true, 0x6001));
  const SaHandle sa = b.backend->install(params(false, 0x6001)).value();
  std::vector<Bytes> sent;
  for (int i = 0; i < 100; ++i) sent.push_back(peer->encap(packet())->packet);
  const auto accepted = [&](const Bytes& p) {
    CHECK(b.backend->submit_decap(p, 0));
    const auto out = b.poll();
    REQUIRE(out.size() == 1);
    if (out[0].status == card::Status::kOk) CHECK(*out[0].sa == sa);
    return out[0].status;
  };
  for (int i = 0; i < 70; ++i) CHECK(accepted(sent[static_cast<std::size_t>(i)]) == card::Status::kOk);
  b.kill("a");
  CHECK(b.backend->totals());  // notices
  for (int i = 0; i < 70; ++i) CHECK(accepted(sent[static_cast<std::size_t>(i)]) == card::Status::kReplay);
  for (int i = 70; i < 100; ++i) CHECK(accepted(sent[static_cast<std::size_t>(i)]) == card::Status::kOk);
  CHECK(accepted(sent[99]) == card::Status::kReplay);
}

TEST_CASE("failover: lifetimes go on with what is left") {
  Bench b;
  esp::SaParams p = params(true, 0x5000);
  p.soft.packets = 8;
  p.hard.packets = 12;
  const SaHandle sa = b.backend->install(std::move(p)).value();
  const auto send = [&] {
    CHECK(b.backend->submit_encap(sa, packet(), 0));
    return b.poll().at(0).status;
  };
  for (int i = 0; i < 5; ++i) CHECK(send() == card::Status::kOk);
  b.kill("a");
  CHECK(b.backend->totals());
  std::vector<SaEvent> events;
  for (int i = 5; i < 12; ++i) {
    CHECK(send() == card::Status::kOk);
    CHECK(b.backend->poll_events(events));
    CHECK(events.size() == (i < 7 ? 0 : 1));
  }
  CHECK(send() == card::Status::kExpired);
  CHECK(b.backend->poll_events(events));
  REQUIRE(events.size() == 2);
  CHECK(events[0].type == card::EventType::kSoftPackets);
  CHECK(events[0].sa == sa);
  CHECK(events[1].type == card::EventType::kHardPackets);
}

TEST_CASE("failover: every call survives a loss, and every kind of loss counts") {
  for (const Errc how : {Errc::kDeviceLost, Errc::kTimeout, Errc::kMalformed, Errc::kState, Errc::kIo}) {
    for (int turn = 0; turn < 9; ++turn) {
      CAPTURE(turn);
      Bench b;
      b.fate.how = how;
      const SaHandle sa = b.backend->install(params(true, 0x5000)).value();
      b.kill("a");
      std::vector<Outcome> out;
      std::vector<SaEvent> events;
      switch (turn) {
        case 0: CHECK(b.backend->install(params(true, 0x5001))); break;
        case 1: CHECK(b.backend->allocate_spi()); break;
        case 2: CHECK(b.backend->view(sa)); break;
        case 3: CHECK(b.backend->totals()); break;
        case 4: CHECK(b.backend->poll(out, std::chrono::milliseconds(0))); break;
        case 5: CHECK(b.backend->poll_events(events)); break;
        case 6: CHECK(b.backend->submit_encap(sa, packet(), 0).error().code == Errc::kRingFull); break;
        case 7: CHECK(b.backend->submit_decap(packet(), 0).error().code == Errc::kRingFull); break;
        case 8: CHECK(b.backend->remove(sa)); break;
        default: break;
      }
      CHECK(b.fate.opened == std::vector<std::string>{"a", "b"});
      CHECK(b.backend->submit_encap(sa, packet(), 0));
      CHECK(b.poll().at(0).status == (turn == 8 ? card::Status::kNoSa : card::Status::kOk));
    }
  }
}

TEST_CASE("failover: the same card first; one that keeps failing is left alone; with none left it says so and stays so") {
  Bench b({"a", "b"});
  for (int i = 0; i < 3; ++i) {
    b.kill("a", false);
    b.fate.calls_left.erase("b");
    const Status polled = [&] {
      std::vector<Outcome> out;
      return b.backend->poll(out, std::chrono::milliseconds(0));
    }();
    CHECK(polled);
    b.fate.calls_left.clear();
  }
  CHECK(b.fate.opened == std::vector<std::string>{"a", "a", "a", "b"});
  b.kill("b");
  const auto totals = b.backend->totals();
  REQUIRE(!totals);
  CHECK(totals.error().code == Errc::kDeviceLost);
  CHECK(!b.backend->submit_decap(packet(), 0));
  CHECK(b.backend->name() == "none");
  std::vector<SaEvent> events;
  CHECK(!b.backend->poll_events(events));
}

TEST_CASE("failover: a caller's error is no loss") {
  Bench b;
  CHECK(b.backend->install(params(true, 1)).error().code == Errc::kBadConfig);  // a reserved SPI
  CHECK(b.backend->remove(SaHandle{77}).error().code == Errc::kUnknownSpi);
  CHECK(b.backend->view(SaHandle{77}).error().code == Errc::kUnknownSpi);
  CHECK(b.fate.opened.size() == 1);
  CHECK(!open_failover_backend({"x"}, [](const std::string&) -> Result<std::unique_ptr<Backend>> { return Error{Errc::kNoCard, "no x"}; }));
}
