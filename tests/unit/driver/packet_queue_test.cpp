// The queue against completions that no sound card writes.
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "esplanade/event_queue.h"
#include "esplanade/health.h"
#include "esplanade/packet_queue.h"
#include "tests/unit/driver/stub_device.h"

using namespace esplanade;
using test::StubDevice;
namespace cpl = card::completion;

namespace {
constexpr std::size_t kEntries = 16;

struct Rig {
  StubDevice device;
  PacketQueue queue = PacketQueue::create(device, 0, 4).value();
  std::uint64_t finished = 0;

  MutableBytes memory() { return device.last->data(); }
  MutableBytes completion(std::size_t i) { return memory().subspan(kEntries * 64 + i * 64, 64); }
  Status submit(std::uint64_t cookie) {
    const Bytes packet(100, 0x45);
    return queue.submit({card::Op::kEncap, 1, packet, cookie});
  }
  // Completes submission `n` as a sound card would.
  void complete(std::uint64_t n, std::uint32_t len = 120) {
    const MutableBytes c = completion(finished % kEntries);
    std::ranges::fill(c, Byte{0});
    card::set(c, cpl::kOp, static_cast<std::uint64_t>(card::Op::kEncap));
    card::set(c, cpl::kCookie, n);
    card::set(c, cpl::kOutLen, len);
    card::set(c, cpl::kPhase, finished / kEntries % 2 == 0 ? 1 : 0);
    ++finished;
    device.registers[card::reg::kCqTail.at()] = static_cast<std::uint32_t>(finished);
  }
  // Until something comes or goes wrong, as callers poll.
  Status wait() {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    for (std::size_t got = 0; got == 0 && std::chrono::steady_clock::now() < end;) {
      ESPLANADE_CHECK(queue.reap([&got](const Completed&) { ++got; }));
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return ok();
  }
  // Fills and empties the ring once, so that the phase turns.
  void lap() {
    for (std::size_t i = 0; i < kEntries; ++i) {
      REQUIRE(submit(i));
      REQUIRE(queue.flush());
      complete(finished);
      REQUIRE(reap()->size() == 1);
    }
  }
  Result<std::vector<std::uint64_t>> reap() {
    std::vector<std::uint64_t> cookies;
    ESPLANADE_CHECK(queue.reap([&cookies](const Completed& c) { cookies.push_back(c.cookie); }));
    return cookies;
  }
};
}  // namespace

TEST_CASE("queue: many laps of the ring, completions in any order, back-pressure when full") {
  Rig rig;
  std::uint64_t next = 0;
  for (int lap = 0; lap < 20; ++lap) {
    const std::uint64_t first = next;
    for (std::size_t i = 0; i < rig.queue.capacity(); ++i) REQUIRE(rig.submit(1000 + next++));
    CHECK(rig.submit(9).error().code == Errc::kRingFull);
    REQUIRE(rig.queue.flush());
    CHECK(rig.device.registers[card::reg::kSqTail.at()] == next);
    CHECK(rig.reap()->empty());
    for (std::uint64_t n = next; n-- > first;) rig.complete(n);  // last first
    std::vector<std::uint64_t> got;
    while (rig.queue.in_flight() > 0) {
      const auto some = rig.reap();
      REQUIRE(some);
      REQUIRE_FALSE(some->empty());
      got.insert(got.end(), some->begin(), some->end());
    }
    REQUIRE(got.size() == rig.queue.capacity());
    CHECK(got.front() == 1000 + next - 1);
    CHECK(got.back() == 1000 + first);
  }
}

TEST_CASE("queue: packets that the card cannot take are refused") {
  Rig rig;
  const Bytes big(2049);
  CHECK(rig.queue.submit({card::Op::kEncap, 1, big, 1}).error().code == Errc::kBadLength);
  CHECK(rig.queue.submit({card::Op::kEncap, 1, ByteView(), 1}).error().code == Errc::kBadLength);
}

TEST_CASE("queue: completions that make no sense are refused, whatever field is wrong") {
  const std::pair<card::Field, std::uint64_t> wrong[] = {
      {cpl::kCookie, 5},     {cpl::kCookie, ~0ull},  {cpl::kCookie, 1},        {cpl::kOp, 2},
      {cpl::kOutLen, 2049},  {cpl::kOutLen, ~0u},    {cpl::kStatus, 27},       {cpl::kStatus, 255},
  };
  for (const auto& [field, value] : wrong) {
    Rig rig;
    REQUIRE(rig.submit(7));
    REQUIRE(rig.queue.flush());
    rig.complete(0);
    card::set(rig.completion(0), field, value);
    CAPTURE(field.lsb);
    CAPTURE(value);
    CHECK(rig.reap().error().code == Errc::kMalformed);
  }
}

TEST_CASE("queue: the same completion twice, or a length with an error status, is refused") {
  Rig rig;
  REQUIRE(rig.submit(7));
  REQUIRE(rig.submit(8));
  REQUIRE(rig.queue.flush());
  rig.complete(0);
  rig.complete(0);
  CHECK(rig.reap().error().code == Errc::kMalformed);

  Rig other;
  REQUIRE(other.submit(7));
  REQUIRE(other.queue.flush());
  other.complete(0);
  card::set(other.completion(0), cpl::kStatus, static_cast<std::uint64_t>(card::Status::kBadIcv));
  CHECK(other.reap().error().code == Errc::kMalformed);
}

TEST_CASE("queue: memory of all ones from a lost card is told as a lost card") {
  Rig rig;
  REQUIRE(rig.submit(7));
  REQUIRE(rig.queue.flush());
  std::ranges::fill(rig.memory(), Byte{0xff});
  rig.device.lost = true;
  CHECK(rig.reap().error().code == Errc::kDeviceLost);
}

TEST_CASE("queue: a lost card is noticed on every lap, also where all ones look like an entry not written") {
  for (int laps = 0; laps < 3; ++laps) {
    CAPTURE(laps);
    Rig rig;
    for (int i = 0; i < laps; ++i) rig.lap();
    REQUIRE(rig.submit(7));
    REQUIRE(rig.queue.flush());
    std::ranges::fill(rig.memory(), Byte{0xff});
    rig.device.lost = true;
    const Status lost = rig.wait();
    REQUIRE_FALSE(lost);
    CHECK(lost.error().code == Errc::kDeviceLost);
  }
}

TEST_CASE("queue: one that the card stopped says why instead of waiting for ever") {
  Rig rig;
  REQUIRE(rig.submit(7));
  REQUIRE(rig.queue.flush());
  rig.device.registers[card::reg::kQStatus.at()] = card::reg::kQStatusStopped.put(1);
  rig.device.registers[card::reg::kErrorCause.at()] = card::reg::kErrorCauseRingRead.put(1);
  rig.device.registers[card::reg::kErrorAddrLo.at()] = 0x1234;
  const Status stopped = rig.wait();
  REQUIRE_FALSE(stopped);
  CHECK(stopped.error().code == Errc::kState);
  CHECK(stopped.error().detail.find("RING_READ") != std::string::npos);
  CHECK(stopped.error().detail.find("0x1234") != std::string::npos);
}

TEST_CASE("queue: a slow card is waited for") {
  Rig rig;
  REQUIRE(rig.submit(7));
  REQUIRE(rig.queue.flush());
  for (int i = 0; i < 3; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(110));
    REQUIRE(rig.reap()->empty());
  }
  rig.complete(0);
  CHECK(rig.reap()->size() == 1);
}

TEST_CASE("queue: given up with packets inside, it waits for the card before its memory goes") {
  StubDevice device;
  {
    auto queue = PacketQueue::create(device, 0, 4).value();
    const Bytes packet(100, 0x45);
    REQUIRE(queue.submit({card::Op::kEncap, 1, packet, 1}));
    REQUIRE(queue.flush());
    device.registers[card::reg::kCqTail.at()] = 0;
    device.on_read = [&device, n = 0](std::uint32_t offset) mutable {
      if (offset == card::reg::kCqTail.at() && ++n == 5) device.registers[offset] = 1;
    };
  }
  CHECK(device.reads_of(card::reg::kCqTail.at()) == 5);
  CHECK(device.registers[card::reg::kQControl.at()] == 0);
}

TEST_CASE("health: causes have names, unknown bits are told, a bus error has its address") {
  StubDevice device;
  CHECK(describe_causes(read_health(device)->causes) == "none");
  device.registers[card::reg::kErrorCause.at()] = card::reg::kErrorCausePacketWrite.put(1) | 1u << 31;
  device.registers[card::reg::kErrorAddrHi.at()] = 5;
  const auto health = read_health(device);
  REQUIRE(health);
  CHECK(health->bus_error == 5ull << 32);
  CHECK(describe_causes(health->causes).find("PACKET_WRITE") != std::string::npos);
  CHECK(describe_causes(health->causes).find("0x80000000") != std::string::npos);
  device.lost = true;
  CHECK(read_health(device).error().code == Errc::kDeviceLost);
}

TEST_CASE("events: in order over many laps; an unknown type is refused") {
  StubDevice device;
  auto queue = EventQueue::create(device, 2);
  REQUIRE(queue);
  std::vector<Event> out;
  for (std::uint32_t n = 0; n < 50; ++n) {
    const MutableBytes e = device.last->data().subspan(n % 4 * card::kEventBytes, card::kEventBytes);
    card::set(e, card::event::kType, static_cast<std::uint64_t>(card::EventType::kSoftBytes));
    card::set(e, card::event::kSpi, n);
    card::set(e, card::event::kPhase, n / 4 % 2 == 0 ? 1 : 0);
    REQUIRE(queue->poll(out));
    REQUIRE(out.size() == n + 1);
    CHECK(out.back().spi == n);
  }
  const MutableBytes e = device.last->data().subspan(50 % 4 * card::kEventBytes, card::kEventBytes);
  card::set(e, card::event::kType, 77);
  card::set(e, card::event::kPhase, 50 / 4 % 2 == 0 ? 1 : 0);
  CHECK(queue->poll(out).error().code == Errc::kMalformed);
}

TEST_CASE("events: a lost card is noticed on every lap") {
  for (std::uint32_t laps = 0; laps < 2; ++laps) {
    StubDevice device;
    auto queue = EventQueue::create(device, 2);
    REQUIRE(queue);
    std::vector<Event> out;
    for (std::uint32_t n = 0; n < 4 * laps; ++n) {
      const MutableBytes e = device.last->data().subspan(n % 4 * card::kEventBytes, card::kEventBytes);
      card::set(e, card::event::kType, 1);
      card::set(e, card::event::kPhase, 1);
      REQUIRE(queue->poll(out));
    }
    std::ranges::fill(device.last->data(), Byte{0xff});
    device.lost = true;
    CHECK(queue->poll(out).error().code == Errc::kDeviceLost);
  }
}
