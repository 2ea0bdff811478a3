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

TEST_CASE("queue: a result of all ones is a packet as any other, unless the card was lost since its completion came") {
  for (const bool lost : {false, true}) {
    Rig rig;
    REQUIRE(rig.submit(7));
    REQUIRE(rig.queue.flush());
    const Bytes before(rig.completion(0).begin(), rig.completion(kEntries).begin());
    std::ranges::fill(rig.memory(), Byte{0xff});
    std::ranges::copy(before, rig.completion(0).begin());
    rig.complete(0);
    rig.device.lost = lost;
    const auto got = rig.reap();
    if (lost) {
      CHECK(got.error().code == Errc::kDeviceLost);
    } else {
      REQUIRE(got);
      CHECK(got->size() == 1);
    }
  }
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

TEST_CASE("queue: a completion that the card has written and memory does not show is told as lost") {
  Rig rig;
  REQUIRE(rig.submit(7));
  REQUIRE(rig.queue.flush());
  rig.device.registers[card::reg::kCqTail.at()] = 1;
  const Status lost = rig.wait();
  REQUIRE_FALSE(lost);
  CHECK(lost.error().code == Errc::kMalformed);
  CHECK(lost.error().detail.find("completion 0 of queue 0") != std::string::npos);
}

TEST_CASE("queue: a completion that comes while the card is asked is no lost one") {
  Rig rig;
  REQUIRE(rig.submit(7));
  REQUIRE(rig.queue.flush());
  rig.device.on_read = [&rig](std::uint32_t offset) {
    if (offset == card::reg::kCqTail.at() && rig.finished == 0) rig.complete(0);
  };
  REQUIRE(rig.wait());
  CHECK(rig.queue.in_flight() == 0);
}

TEST_CASE("queue: a card that hangs is told by its cycles, not by the clock on the wall alone") {
  for (const bool runs : {true, false}) {
    CAPTURE(runs);
    Rig rig;
    REQUIRE(rig.submit(7));
    REQUIRE(rig.queue.flush());
    rig.device.on_read = [&rig, runs](std::uint32_t offset) {
      if (offset == card::reg::kCyclesLo.at()) rig.device.registers[offset] += runs ? 100'000 : 1'000;
    };
    const Status end = rig.wait();  // five seconds
    CHECK(static_cast<bool>(end) == !runs);
    if (!end) {
      CHECK(end.error().code == Errc::kTimeout);
      CHECK(end.error().detail.find("1 packets in queue 0") != std::string::npos);
    }
  }
}

TEST_CASE("queue: one that somebody's reset switched off says so") {
  Rig rig;
  REQUIRE(rig.submit(7));
  REQUIRE(rig.queue.flush());
  rig.device.registers[card::reg::kQControl.at()] = 0;
  const Status off = rig.wait();
  REQUIRE_FALSE(off);
  CHECK(off.error().code == Errc::kState);
  CHECK(off.error().detail.find("reset") != std::string::npos);
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

TEST_CASE("queue: number 3 uses its own registers, asks for its order, and has room for the largest packet of the card") {
  StubDevice device;
  device.info_.queues = 4;
  device.info_.lanes = 2;
  device.info_.max_packet = 9216;
  auto queue = PacketQueue::create(device, 3, {.log2_size = 5, .in_order = false});
  REQUIRE(queue);
  CHECK(queue->slot_bytes() == 9216);
  CHECK(queue->capacity() == 16);
  const std::uint32_t control = device.registers[card::reg::kQControl.at(3)];
  CHECK(card::reg::kQControlEnable.get(control) == 1);
  CHECK(card::reg::kQControlInOrder.get(control) == 0);
  CHECK(card::reg::kQControlLog2Size.get(control) == 5);
  CHECK(device.registers.count(card::reg::kQControl.at(0)) == 0);
  const Bytes jumbo(9216, 0x45);
  REQUIRE(queue->submit({card::Op::kEncap, 1, jumbo, 1}));
  REQUIRE(queue->flush());
  CHECK(device.registers[card::reg::kSqTail.at(3)] == 1);
  CHECK(PacketQueue::create(device, 4, 4).error().code == Errc::kUnsupported);
  CHECK(PacketQueue::create(device, 0, {.slot_bytes = 9217}).error().code == Errc::kBadConfig);
  CHECK(PacketQueue::create(device, 0, 0).error().code == Errc::kBadConfig);
  CHECK(PacketQueue::create(device, 0, 16).error().code == Errc::kBadConfig);
}

TEST_CASE("queue: small slots refuse what does not fit, and say so to the card") {
  StubDevice device;
  auto queue = PacketQueue::create(device, 0, {.log2_size = 4, .slot_bytes = 500});
  REQUIRE(queue);
  CHECK(queue->slot_bytes() == 512);
  CHECK(queue->submit({card::Op::kEncap, 1, Bytes(513), 1}).error().code == Errc::kBadLength);
  REQUIRE(queue->submit({card::Op::kEncap, 1, Bytes(512), 1}));
  CHECK(card::get(device.last->data().first(64), card::descriptor::kDstSize) == 512);
}

TEST_CASE("queue: all queues of a card live in one window, apart from each other, until the last is gone") {
  StubDevice device;
  device.info_.queues = 4;
  auto queues = PacketQueue::create_all(device, 4, {.log2_size = 4, .slot_bytes = 256});
  REQUIRE(queues);
  CHECK(device.allocations == 1);
  std::vector<std::uint64_t> places;
  for (std::uint32_t q = 0; q < 4; ++q) {
    CHECK((*queues)[q].number() == q);
    places.push_back(device.registers[card::reg::kSqBaseLo.at(q)]);
    places.push_back(device.registers[card::reg::kCqBaseLo.at(q)]);
    CHECK(places.back() % card::kBufferAlign == 0);
    REQUIRE((*queues)[q].submit({card::Op::kEncap, 1, Bytes(256, static_cast<Byte>(q)), q}));
    REQUIRE((*queues)[q].flush());
  }
  CHECK(std::ranges::is_sorted(places));
  CHECK(std::ranges::adjacent_find(places) == places.end());
  for (std::uint32_t q = 0; q < 4; ++q) {
    const ByteView d = device.last->data().subspan(device.registers[card::reg::kSqBaseLo.at(q)] - (device.last->address() & 0xffffffff), 64);
    const std::uint64_t source = card::get(d, card::descriptor::kSrcAddr) - device.last->address();
    CHECK(device.last->data()[source] == q);
    CHECK(device.last->data()[source + 255] == q);
    device.registers[card::reg::kCqTail.at(q)] = 1;
  }
  CHECK(PacketQueue::create_all(device, 5, {}).error().code == Errc::kUnsupported);
  CHECK(PacketQueue::create_all(device, 0, {}).error().code == Errc::kBadConfig);
}

TEST_CASE("queue: a packet in pieces is copied together, whatever their lengths") {
  Rig rig;
  const Bytes a(3, 1), b(64, 2), c(40, 3);
  const ByteView pieces[] = {a, b, ByteView(), c};
  Bytes whole = a;
  whole.insert(whole.end(), b.begin(), b.end());
  whole.insert(whole.end(), c.begin(), c.end());
  REQUIRE(rig.queue.submit({.op = card::Op::kEncap, .sa_index = 1, .packet = {}, .cookie = 5, .pieces = pieces}));
  const ByteView d = rig.memory().first(64);
  CHECK(card::get(d, card::descriptor::kSrcLen) == whole.size());
  CHECK(card::get(d, card::descriptor::kNumSegments) == 0);
  const std::uint64_t at = card::get(d, card::descriptor::kSrcAddr) - rig.device.last->address();
  CHECK(std::ranges::equal(rig.memory().subspan(at, whole.size()), whole));
}

TEST_CASE("queue: segments become lists that the card can read; one segment needs none") {
  namespace desc = card::descriptor;
  StubDevice device;
  auto mine = device.allocate(4096).value();
  auto queue = PacketQueue::create(device, 0, 4).value();
  auto* const memory = device.last;
  const Segment source[] = {{mine.get(), 128, 64}, {mine.get(), 1024, 192}, {mine.get(), 0, 77}};
  const Segment destination[] = {{mine.get(), 2048, 256}, {mine.get(), 3072, 300}};
  REQUIRE(queue.submit({.op = card::Op::kEncap, .sa_index = 1, .packet = {}, .cookie = 5, .source = source, .destination = destination}));
  REQUIRE(queue.submit({.op = card::Op::kEncap, .sa_index = 1, .packet = {}, .cookie = 6, .source = std::span(source).first(1)}));
  REQUIRE(queue.flush());
  const auto number = [](ByteView at, std::size_t size) {
    std::uint64_t value = 0;
    for (std::size_t i = size; i-- > 0;) value = value << 8 | at[i];
    return value;
  };
  const auto check_list = [&](std::span<const Segment> segments, card::Field address, card::Field count) {
    const ByteView d = memory->data().first(64);
    CHECK(card::get(d, count) == segments.size());
    const std::uint64_t list = card::get(d, address);
    CHECK(list % card::kBufferAlign == 0);
    for (std::size_t i = 0; i < segments.size(); ++i) {
      const ByteView e = memory->data().subspan(list - memory->address() + 16 * i, 16);
      CHECK(number(e, 8) == mine->address() + segments[i].offset);
      CHECK(number(e.subspan(8), 4) == segments[i].size);
      CHECK(number(e.subspan(12), 4) == 0);
    }
  };
  check_list(source, desc::kSrcAddr, desc::kNumSegments);
  check_list(destination, desc::kDstAddr, desc::kNumDstSegments);
  const ByteView first = memory->data().first(64), second = memory->data().subspan(64, 64);
  CHECK(card::get(first, desc::kSrcLen) == 64 + 192 + 77);
  CHECK(card::get(first, desc::kDstSize) == 256 + 300);
  CHECK(card::get(second, desc::kNumSegments) == 0);
  CHECK(card::get(second, desc::kSrcAddr) == mine->address() + 128);

  // The result stands in the caller's buffer: a length, no view. One above the room is no answer of a sound card.
  const MutableBytes c = memory->data().subspan(kEntries * 64, 64);
  card::set(c, cpl::kOp, 1);
  card::set(c, cpl::kOutLen, 556);
  card::set(c, cpl::kPhase, 1);
  device.registers[card::reg::kCqTail.at()] = 2;
  std::vector<std::pair<std::uint32_t, bool>> got;
  REQUIRE(queue.reap([&got](const Completed& done) { got.emplace_back(done.len, done.packet.empty()); }));
  REQUIRE(got.size() == 1);
  CHECK(got[0] == std::pair(556u, true));
}

TEST_CASE("queue: a length above the room of the segments is refused") {
  StubDevice device;
  auto mine = device.allocate(4096).value();
  auto queue = PacketQueue::create(device, 0, 4).value();
  auto* const memory = device.last;
  const Segment destination[] = {{mine.get(), 0, 64}, {mine.get(), 64, 50}};
  REQUIRE(queue.submit({.op = card::Op::kEncap, .sa_index = 1, .packet = Bytes(40), .cookie = 5, .destination = destination}));
  REQUIRE(queue.flush());
  const MutableBytes c = memory->data().subspan(kEntries * 64, 64);
  card::set(c, cpl::kOp, 1);
  card::set(c, cpl::kOutLen, 115);
  card::set(c, cpl::kPhase, 1);
  device.registers[card::reg::kCqTail.at()] = 1;
  CHECK(queue.reap([](const Completed&) {}).error().code == Errc::kMalformed);
}

TEST_CASE("queue: segments that the card would refuse, or that it cannot do, are refused with nothing queued") {
  StubDevice device;
  auto mine = device.allocate(4096).value();
  auto queue = PacketQueue::create(device, 0, 4).value();
  const auto submit = [&queue](std::vector<Segment> source, std::vector<Segment> destination = {}) {
    return queue.submit({.op = card::Op::kEncap, .sa_index = 1, .packet = Bytes(40), .cookie = 5, .source = source, .destination = destination}).error().code;
  };
  Device::Buffer* const m = mine.get();
  CHECK(submit({{m, 0, 65}, {m, 128, 10}}) == Errc::kBadConfig);
  CHECK(submit({{m, 1, 10}}) == Errc::kBadConfig);
  CHECK(submit({{m, 0, 0}}) == Errc::kBadConfig);
  CHECK(submit({{nullptr, 0, 64}}) == Errc::kBadConfig);
  CHECK(submit({{m, 4096 - 64, 65}}) == Errc::kBadConfig);
  CHECK(submit({{m, 1u << 30, 64}}) == Errc::kBadConfig);
  CHECK(submit(std::vector<Segment>(9, Segment{m, 0, 64})) == Errc::kBadConfig);
  CHECK(submit({{m, 0, 2048 + 64}}) == Errc::kBadLength);
  CHECK(submit({}, {{m, 0, 63}, {m, 64, 64}}) == Errc::kBadConfig);
  device.info_.caps &= ~card::reg::kCapsScatterGather.mask();
  CHECK(submit({{m, 0, 64}, {m, 64, 64}}) == Errc::kUnsupported);
  CHECK(submit({}, {{m, 0, 64}, {m, 64, 64}}) == Errc::kUnsupported);
  CHECK(queue.in_flight() == 0);
}

TEST_CASE("queue: its counters have the names of the statuses and come from its own registers") {
  StubDevice device;
  device.info_.queues = 4;
  auto queue = PacketQueue::create(device, 2, 4).value();
  for (std::uint32_t n = 0; n < 512; ++n) device.registers[card::reg::kQPacketsByStatus.at(n)] = 1000 + n;
  const auto counters = queue.counters();
  REQUIRE(counters);
  REQUIRE(counters->size() == 26);
  CHECK((*counters)[15].count == 1000 + 2 * 32 + 15);
  CHECK(std::string(name_of((*counters)[15].status)) == "BadIcv");
  for (const StatusCount& c : *counters) CHECK(std::string(name_of(c.status)) != "?");
}

TEST_CASE("queue: a flush moves the octets that are there and no more") {
  Rig rig;
  REQUIRE(rig.submit(1));
  REQUIRE(rig.submit(2));
  rig.device.last->to_card.clear();
  REQUIRE(rig.queue.flush());
  std::size_t moved = 0;
  for (const auto& [offset, size] : rig.device.last->to_card) moved += size;
  CHECK(moved == 2 * card::kDescriptorBytes + 2048 + 100);
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
