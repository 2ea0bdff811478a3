// A backend that outlives its card. The peers are SAs of the engine's own.
#include "common/esp/engine.h"
#include "tests/unit/host/mortal_backend.h"

using namespace esplanade;
using namespace esplanade::host;

TEST_CASE("failover: no sequence number goes out twice, whatever was inside the card when it died") {
  Bench b;
  auto peer = esp::SoftSa::create(sa_params(false, 0x5000));
  const SaHandle sa = b.backend->install(sa_params(true, 0x5000)).value();
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
  b.fate.swallow.insert("a");  // five are made, and nobody ever sees them
  send(5);
  CHECK(take() == 0);
  b.kill("a");
  b.fate.swallow.clear();
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
  auto peer = esp::SoftSa::create(sa_params(true, 0x6001));
  const SaHandle sa = b.backend->install(sa_params(false, 0x6001)).value();
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
  esp::SaParams p = sa_params(true, 0x5000);
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
      const SaHandle sa = b.backend->install(sa_params(true, 0x5000)).value();
      b.kill("a");
      Outcomes out;
      std::vector<SaEvent> events;
      switch (turn) {
        case 0: CHECK(b.backend->install(sa_params(true, 0x5001))); break;
        case 1: CHECK(b.backend->allocate_spi(1)); break;
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
      Outcomes out;
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
  CHECK(b.backend->install(sa_params(true, 1)).error().code == Errc::kBadConfig);  // a reserved SPI
  CHECK(b.backend->remove(SaHandle{77}).error().code == Errc::kUnknownSpi);
  CHECK(b.backend->view(SaHandle{77}).error().code == Errc::kUnknownSpi);
  CHECK(b.fate.opened.size() == 1);
  CHECK(!open_failover_backend({"x"}, 1, [](const std::string&) -> Result<std::unique_ptr<Backend>> { return Error{Errc::kNoCard, "no x"}; }));
}
