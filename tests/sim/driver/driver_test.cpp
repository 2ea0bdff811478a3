// The driver against the simulated card, through stock XRT.
#include <doctest/doctest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <random>

#include "common/esp/engine.h"
#include "common/esp/ip.h"
#include "esplanade/packet_queue.h"
#include "esplanade/sa_table.h"
#include "tests/sa_params.h"
#include "tests/sim/process.h"

using namespace esplanade;
using Steady = std::chrono::steady_clock;
namespace reg = card::reg;

namespace {
// One simulated card serves the whole program.
Device& device() {
  static const std::unique_ptr<Device> instance = [] {
    auto opened = Device::open({"sim", "", true});
    if (!opened) FAIL(opened.error().detail);
    return std::move(opened).value();
  }();
  return *instance;
}

using esplanade::testing::sa_params;

Bytes packet_of(std::size_t size, std::mt19937& rng) {
  Bytes p(size);
  std::ranges::generate(p, [&rng] { return static_cast<Byte>(rng()); });
  p[0] = 0x45;
  store_be16(&p[2], static_cast<std::uint16_t>(size));
  store_be16(&p[6], 0);
  store_be16(&p[10], esp::ipv4_checksum(ByteView(p).first(20)));
  return p;
}

struct Finished {
  card::Status status;
  Bytes packet;
};
// Everything in flight, by cookie.
std::vector<Finished> finish(PacketQueue& queue, std::size_t count) {
  std::vector<Finished> out(count);
  REQUIRE(queue.flush());
  const auto end = Steady::now() + std::chrono::seconds(60);
  while (queue.in_flight() > 0) {
    REQUIRE(Steady::now() < end);
    const Status reaped = queue.reap([&out](const Completed& c) { out.at(c.cookie) = {c.status, Bytes(c.packet.begin(), c.packet.end())}; });
    if (!reaped) FAIL(reaped.error().detail);
  }
  return out;
}
}  // namespace

TEST_CASE("driver: the card says what it is") {
  CHECK(device().info().simulated);
  CHECK(device().info().format_version == card::kFormatVersion);
  CHECK(device().info().sa_entries >= 64);
  const auto before = device().read64(reg::kCyclesLo, reg::kCyclesHi);
  const auto after = device().read64(reg::kCyclesLo, reg::kCyclesHi);
  REQUIRE(before);
  CHECK(*after > *before);
}

TEST_CASE("driver: packets of all sizes through two SAs, and the reference engine agrees with every octet") {
  auto table = SaTable::create(device());
  REQUIRE(table);
  auto queue = PacketQueue::create(device());
  REQUIRE(queue);
  const auto out_index = table->install(sa_params(true, 0x5000)), in_index = table->install(sa_params(false, 0x6001));
  REQUIRE(out_index);
  REQUIRE(in_index);
  auto twin_in = esp::SoftSa::create(sa_params(false, 0x5000)), twin_out = esp::SoftSa::create(sa_params(true, 0x6001));
  std::mt19937 rng(1);
  std::vector<Bytes> plain, wire;
  for (std::size_t size = 20; size <= 1500; size += size < 90 ? 1 : 83) plain.push_back(packet_of(size, rng));
  for (std::size_t i = 0; i < plain.size(); ++i) REQUIRE(queue->submit({card::Op::kEncap, *out_index, plain[i], i}));
  const auto made = finish(*queue, plain.size());
  for (std::size_t i = 0; i < plain.size(); ++i) {
    CAPTURE(plain[i].size());
    REQUIRE(made[i].status == card::Status::kOk);
    const auto back = twin_in->decap(made[i].packet);
    REQUIRE(back);
    CHECK(back->packet == plain[i]);
  }
  for (const Bytes& p : plain) wire.push_back(twin_out->encap(p)->packet);
  wire[3].back() ^= 1;
  for (std::size_t i = 0; i < wire.size(); ++i) REQUIRE(queue->submit({card::Op::kDecap, 0, wire[i], i}));
  const auto opened = finish(*queue, wire.size());
  for (std::size_t i = 0; i < wire.size(); ++i) {
    CAPTURE(i);
    CHECK(opened[i].status == (i == 3 ? card::Status::kBadIcv : card::Status::kOk));
    CHECK(opened[i].packet == (i == 3 ? Bytes() : plain[i]));
  }
  const auto view = table->view(*in_index);
  REQUIRE(view);
  CHECK(view->packets == wire.size() - 1);
  CHECK(view->drops.icv == 1);
  CHECK(view->drops.total() == 1);
  CHECK(table->remove(*out_index));
  REQUIRE(queue->submit({card::Op::kEncap, *out_index, plain[0], 0}));
  CHECK(finish(*queue, 1)[0].status == card::Status::kNoSa);
}

TEST_CASE("driver: IVs of the card differ from packet to packet") {
  auto table = SaTable::create(device());
  auto queue = PacketQueue::create(device());
  const auto index = table->install(sa_params(true, 0x5000));
  REQUIRE(index);
  std::mt19937 rng(2);
  const Bytes packet = packet_of(64, rng);
  for (std::size_t i = 0; i < 32; ++i) REQUIRE(queue->submit({card::Op::kEncap, *index, packet, i}));
  std::vector<std::string> ivs;
  for (const Finished& f : finish(*queue, 32)) ivs.push_back(to_hex(ByteView(f.packet).subspan(28, 8)));
  std::ranges::sort(ivs);
  CHECK(std::ranges::adjacent_find(ivs) == ivs.end());
}

TEST_CASE("driver: no register reads back a key") {
  auto table = SaTable::create(device());
  const auto index = table->install(sa_params(true, 0x5000));
  REQUIRE(index);
  REQUIRE(table->view(*index));
  Bytes all;
  for (std::uint32_t offset = 0; offset < 0x3000; offset += 4) {
    const auto value = device().read32(offset);
    REQUIRE(value);
    Byte octets[4];
    store_be32(octets, *value);
    put(all, octets);
    std::ranges::reverse(octets);
    put(all, octets);
  }
  const std::string hex = to_hex(all);
  for (const char* word : {"01234567", "89abcdef", "23456789", "456789ab", "a0a1a2a3", "b0b1b2b3", "67452301", "a3a2a1a0"}) {
    CAPTURE(word);
    CHECK(hex.find(word) == std::string::npos);
  }
}

TEST_CASE("driver: several simulated cards of one process know nothing of each other, and each can be closed and opened again") {
  auto table = SaTable::create(device());
  auto queue = PacketQueue::create(device());
  const auto index = table->install(sa_params(true, 0x5000));
  REQUIRE(index);
  std::mt19937 rng(4);
  const Bytes packet = packet_of(64, rng);
  for (int turn = 0; turn < 3; ++turn) {
    CAPTURE(turn);
    auto second = Device::open({"sim", "", true});
    if (!second) FAIL(second.error().detail);
    auto its_queue = PacketQueue::create(**second);
    REQUIRE(its_queue->submit({card::Op::kEncap, *index, packet, 0}));
    CHECK(finish(*its_queue, 1)[0].status == card::Status::kNoSa);
    auto its_table = SaTable::create(**second);
    const auto its_index = its_table->install(sa_params(true, 0x6000));
    REQUIRE(its_index);
    REQUIRE(queue->submit({card::Op::kEncap, *index, packet, 0}));
    REQUIRE(its_queue->submit({card::Op::kEncap, *its_index, packet, 0}));
    const auto one = finish(*queue, 1), other = finish(*its_queue, 1);
    CHECK(one[0].status == card::Status::kOk);
    CHECK(other[0].status == card::Status::kOk);
    CHECK(load_be32(&one[0].packet[20]) == 0x5000);
    CHECK(load_be32(&other[0].packet[20]) == 0x6000);
  }
  std::vector<std::unique_ptr<Device>> more;
  for (int i = 0; i < 7; ++i) more.push_back(Device::open({"sim", "", true}).value());
  CHECK(Device::open({"sim", "", true}).error().code == Errc::kState);  // eight are all that XRT is told of
  more.clear();
  CHECK(device().read32(reg::kId.at()));
}

// Must be the last: the card is dead afterwards.
TEST_CASE("driver: when the simulator dies every call fails within seconds and says why") {
  auto table = SaTable::create(device());
  auto queue = PacketQueue::create(device());
  REQUIRE(queue);
  const auto model = test::find_descendant(::getpid(), "esp-card-model");
  REQUIRE(model);
  REQUIRE(::kill(*model, SIGKILL) == 0);
  const auto start = Steady::now();
  std::mt19937 rng(3);
  const Bytes packet = packet_of(64, rng);
  static_cast<void>(queue->submit({card::Op::kEncap, 0, packet, 0}));
  static_cast<void>(queue->flush());
  Status reaped = ok();
  while (reaped && Steady::now() - start < std::chrono::seconds(5)) reaped = queue->reap([](const Completed&) {});
  REQUIRE_FALSE(reaped);
  CHECK(reaped.error().code == Errc::kDeviceLost);
  CHECK(reaped.error().detail.find("simulator ended") != std::string::npos);
  CHECK(device().read32(0).error().code == Errc::kDeviceLost);
  CHECK(device().write32(0, 0).error().code == Errc::kDeviceLost);
  CHECK(table->allocate_spi());  // host state only
  CHECK(table->install(sa_params(true, 0x5000)).error().code == Errc::kDeviceLost);
  CHECK(Steady::now() - start < std::chrono::seconds(5));
}
