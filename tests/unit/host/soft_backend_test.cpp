// The reference engine as a Backend: handles, SPIs, statuses, events, totals.
#include <doctest/doctest.h>

#include <fmt/format.h>

#include <array>
#include <unordered_set>

#include "common/esp/ip.h"
#include "host/backend/soft_backend.h"
#include "hw/regs/errc_status.h"
#include "tests/sa_params.h"

using namespace esplanade;
using namespace esplanade::host;

namespace {
using esplanade::testing::sa_params;

Bytes packet() {
  Bytes p = from_hex("4500001c00000000401100000a0000010a0000020007000700080000").value();
  store_be16(&p[10], esp::ipv4_checksum(ByteView(p).first(20)));
  return p;
}

Outcome only(Backend& backend) {
  Outcomes out;
  REQUIRE(backend.poll(out, std::chrono::milliseconds(0)));
  REQUIRE(out.size() == 1);
  CHECK(backend.in_flight() == 0);
  return std::move(out[0]);
}

std::unique_ptr<Backend> open(bool test_mode = false) { return open_backend({"soft", test_mode}).value(); }
}  // namespace

TEST_CASE("soft backend: a packet goes out and comes back, and is counted") {
  auto backend = open();
  const SaHandle out = backend->install(sa_params(true)).value(), in = backend->install(sa_params(false)).value();
  REQUIRE(backend->submit_encap(out, packet(), 7));
  CHECK(backend->in_flight() == 1);
  const Outcome wire = only(*backend);
  CHECK(wire.cookie == 7);
  CHECK(wire.status == card::Status::kOk);
  CHECK(wire.sa == out);
  CHECK(wire.seq == 1);
  REQUIRE(backend->submit_decap(wire.packet, 8));
  const Outcome back = only(*backend);
  CHECK(back.packet == packet());
  CHECK(back.sa == in);
  CHECK(back.next_header == 4);
  REQUIRE(backend->submit_decap(wire.packet, 9));
  const Outcome again = only(*backend);
  CHECK(again.status == card::Status::kReplay);
  CHECK(again.packet.empty());
  CHECK(backend->view(in)->replay_drops == 1);
  CHECK(backend->view(in)->packets == 1);
  const Totals totals = backend->totals().value();
  CHECK(totals.encap_bytes == packet().size());
  CHECK(totals.decap_packets == 1);
  CHECK(totals.by_status[static_cast<std::size_t>(card::Status::kReplay)] == 1);
}

TEST_CASE("soft backend: a removed SA is gone, and its SPI may be used again") {
  auto backend = open();
  const SaHandle out = backend->install(sa_params(true)).value(), in = backend->install(sa_params(false)).value();
  CHECK_FALSE(backend->install(sa_params(false)));  // the SPI is taken
  CHECK(backend->install(sa_params(true)));         // outbound SPIs are the peer's choice
  REQUIRE(backend->submit_encap(out, packet(), 1));
  const Bytes wire = only(*backend).packet;
  REQUIRE(backend->remove(in));
  CHECK_FALSE(backend->remove(in));
  CHECK_FALSE(backend->view(in));
  REQUIRE(backend->submit_decap(wire, 2));
  CHECK(only(*backend).status == card::Status::kNoSa);
  REQUIRE(backend->remove(out));
  REQUIRE(backend->submit_encap(out, packet(), 3));
  CHECK(only(*backend).status == card::Status::kNoSa);
  CHECK(backend->install(sa_params(false)));
}

TEST_CASE("[R57] soft backend: of a million SPIs none is reserved, none given twice, none that of a live SA") {
  auto backend = open();
  const SaHandle live = backend->install(sa_params(false, backend->allocate_spi(1).value())).value();
  std::unordered_set<std::uint32_t> seen{backend->view(live)->spi};
  std::size_t reserved = 0, doubles = 0;
  for (int i = 0; i < 1'000'000; ++i) {
    const std::uint32_t spi = backend->allocate_spi(1).value();
    reserved += spi < 256;
    doubles += !seen.insert(spi).second;
  }
  CHECK(reserved == 0);
  CHECK(doubles == 0);
}

TEST_CASE("[R58] soft backend: the SPI of a packet picks the SA, and with it the key; an unknown one is refused and counted") {
  auto near = open(), far = open();
  std::array<SaHandle, 2> out, in;
  for (std::uint32_t i = 0; i < 2; ++i) {
    for (const bool outbound : {true, false}) {
      esp::SaParams sa = sa_params(outbound, 0x1000 + i);
      sa.auth_key = Secret(Bytes(20, static_cast<Byte>(0x10 + i)));
      sa.replay_window = 0;  // a number of the other SA is none that was seen
      (outbound ? out : in)[i] = (outbound ? near : far)->install(std::move(sa)).value();
    }
  }
  for (std::uint64_t n = 0; n < 20; ++n) {  // interleaved
    REQUIRE(near->submit_encap(out[n % 2], packet(), n));
    const Bytes wire = only(*near).packet;
    REQUIRE(far->submit_decap(wire, n));
    const Outcome back = only(*far);
    CHECK(back.status == card::Status::kOk);
    CHECK(back.sa == in[n % 2]);
    Bytes swapped = wire;  // the other SA's SPI: its key does not fit
    swapped[23] ^= 1;
    REQUIRE(far->submit_decap(swapped, n));
    CHECK(only(*far).status == card::Status::kBadIcv);
    swapped[20] = 0x55;
    REQUIRE(far->submit_decap(swapped, n));
    CHECK(only(*far).status == card::Status::kNoSa);
  }
  CHECK(far->totals()->by_status[static_cast<std::size_t>(card::Status::kNoSa)] == 20);
  CHECK(far->totals()->by_status[static_cast<std::size_t>(card::Status::kBadIcv)] == 20);
}

TEST_CASE("[R59] soft backend: SAs with a thousand peers stand side by side and all pass traffic") {
  auto near = open(), far = open();
  std::vector<SaHandle> out, in;
  for (std::uint32_t i = 0; i < 1000; ++i)
    for (const bool outbound : {true, false}) {
      esp::SaParams sa = sa_params(outbound, 0x10000 + i);
      sa.dst = esp::parse_address(fmt::format("198.51.{}.{}", i / 250, i % 250 + 1)).value();
      (outbound ? out : in).push_back((outbound ? near : far)->install(std::move(sa)).value());
    }
  std::size_t good = 0;
  for (std::uint64_t i = 0; i < 1000; ++i) {
    REQUIRE(near->submit_encap(out[i], packet(), i));
    REQUIRE(far->submit_decap(only(*near).packet, i));
    const Outcome back = only(*far);
    good += back.status == card::Status::kOk && back.sa == in[i] && back.packet == packet();
  }
  CHECK(good == 1000);
}

TEST_CASE("soft backend: an IV from the host needs test mode") {
  const std::array<Byte, 8> iv{1, 2, 3, 4, 5, 6, 7, 8};
  for (const bool test_mode : {false, true}) {
    auto backend = open(test_mode);
    const SaHandle out = backend->install(sa_params(true)).value();
    REQUIRE(backend->submit_encap(out, packet(), 1, iv));
    CHECK(only(*backend).status == (test_mode ? card::Status::kOk : card::Status::kHostIvRefused));
  }
}

TEST_CASE("[R113] soft backend: a reached limit is told once, with its SA, and a hard one ends it with nobody listening") {
  auto backend = open();
  esp::SaParams sa = sa_params(true);
  sa.soft.packets = 1;
  sa.hard.packets = 2;
  const SaHandle out = backend->install(std::move(sa)).value();
  Outcomes done;
  for (std::uint64_t i = 0; i < 4; ++i) REQUIRE(backend->submit_encap(out, packet(), i));
  REQUIRE(backend->poll(done, std::chrono::milliseconds(0)));
  REQUIRE(done.size() == 4);
  CHECK(done[1].status == card::Status::kOk);
  CHECK(done[2].status == card::Status::kExpired);
  std::vector<SaEvent> events;
  REQUIRE(backend->poll_events(events));
  REQUIRE(backend->poll_events(events));
  REQUIRE(events.size() == 2);
  CHECK(events[0].type == card::EventType::kSoftPackets);
  CHECK(events[1].type == card::EventType::kHardPackets);
  CHECK(events[1].sa == out);
  CHECK(backend->view(out)->expired);
}

TEST_CASE("soft backend: who does not poll is told to, and nothing is lost") {
  auto backend = open();
  const SaHandle out = backend->install(sa_params(true)).value();
  std::size_t taken = 0;
  while (backend->submit_encap(out, packet(), taken)) ++taken;
  CHECK(backend->submit_decap(packet(), 0).error().code == Errc::kRingFull);
  Outcomes done;
  REQUIRE(backend->poll(done, std::chrono::milliseconds(0)));
  CHECK(done.size() == taken);
  for (std::size_t i = 0; i < done.size(); ++i) CHECK(done[i].cookie == i);
  CHECK(backend->submit_encap(out, packet(), 0));
}

TEST_CASE("soft backend: every error of the engine has a status of the card") {
  CHECK(card::to_status(Errc::kMalformed) == card::Status::kBadHeader);
  CHECK(card::to_status(Errc::kFragment) == card::Status::kFragment);
  CHECK(card::to_status(Errc::kUnknownSpi) == card::Status::kNoSa);
  CHECK(card::to_status(Errc::kDummy) == card::Status::kDummy);
  for (int code = 0; code <= static_cast<int>(Errc::kBadInner); ++code) CHECK(card::to_status(static_cast<Errc>(code)) != card::Status::kOk);
}
