// The queue side as a whole: what leaves it equals the model, at the promised rate, whatever host and memory
// do.
#include <doctest/doctest.h>

#include "hw/tb/queue/queue_bench.h"

namespace tb = esplanade::tb;
using tb::Descriptor;
using tb::QueueBench;
using tb::Segment;

namespace {

using tb::kRings;

void check_clean(const QueueBench& b) {
  for (const auto& c : b.complaints) MESSAGE(c);
  CHECK(b.complaints.empty());
}
std::uint64_t ring_at(unsigned q) { return kRings + 0x2'0000ull * q; }

/// An aligned range of whole beats inside a window, often at its very edge.
std::uint64_t place(QueueBench& b, std::uint64_t len) {
  const std::uint64_t whole = (len + 63) / 64 * 64;
  for (;;) {
    tb::Window w = b.windows[b.rng.between(0, 2)];
    if (w.base == kRings) w.base += tb::kPackets - kRings, w.size -= tb::kPackets - kRings;
    const std::uint64_t size = static_cast<std::uint64_t>(w.size);
    if (whole > size) continue;
    const std::uint64_t room = (size - whole) / 64;
    if (b.rng.percent(20)) return w.base + 64 * room;
    if (b.rng.percent(20)) return w.base;
    return w.base + 64 * b.rng.between(0, room);
  }
}
std::uint32_t some_length(QueueBench& b) {
  if (b.rng.percent(20)) return static_cast<std::uint32_t>(b.rng.between(20, 130));
  if (b.rng.percent(10)) return static_cast<std::uint32_t>(b.rng.between(8000, 9216));
  return static_cast<std::uint32_t>(b.rng.between(20, 1500));
}
/// `total` octets in up to 8 segments.
std::vector<Segment> split(QueueBench& b, std::uint32_t total) {
  std::vector<Segment> out;
  const std::uint64_t n = b.rng.between(1, 8);
  std::uint32_t left = total;
  while (out.size() + 1 < n && left > 64) {
    const auto len = static_cast<std::uint32_t>(64 * b.rng.between(1, (left - 1) / 64));
    out.push_back({place(b, len), len});
    left -= len;
  }
  out.push_back({place(b, left), left});
  return out;
}
Descriptor good(QueueBench& b, unsigned lists_percent) {
  Descriptor d;
  d.op = static_cast<std::uint8_t>(b.rng.between(0, 9) == 0 ? 0 : b.rng.between(1, 2));
  d.host_iv = d.op == 1 && b.rng.percent(20);
  d.sa_index = static_cast<std::uint32_t>(b.rng.bits());
  d.cookie = b.rng.bits();
  b.rng.fill(d.iv);
  d.src_len = some_length(b);
  d.dst_size = static_cast<std::uint32_t>(b.rng.between(0, 20000));
  d.src = place(b, d.src_len);
  d.dst = place(b, d.dst_size);
  if (b.rng.percent(lists_percent)) {
    const auto list = split(b, d.src_len);
    d.num_src = static_cast<std::uint8_t>(list.size());
    d.src = b.store_list(list);
  }
  if (b.rng.percent(lists_percent)) {
    if (d.dst_size == 0) d.dst_size = 1;
    auto list = split(b, d.dst_size);
    if (b.rng.percent(5)) {  // longer than any result
      list.back().len += 0x1'0000;
      d.dst_size += 0x1'0000;
      list.back().addr = 0x1'0000'0000;
    }
    d.num_dst = static_cast<std::uint8_t>(list.size());
    d.dst = b.store_list(list);
  }
  return d;
}
/// A good descriptor with something wrong in it, most of the time.
tb::Beat bad(QueueBench& b) {
  Descriptor d = good(b, 50);
  const auto break_list = [&](std::uint64_t at, unsigned n) {
    const std::uint64_t i = b.rng.between(0, n - 1), row = at + 64 * (i / 4), o = 16 * (i % 4);
    tb::Beat beat = b.beat_at(row);
    switch (b.rng.between(0, 5)) {
      case 0:
        beat[o + 12 + b.rng.between(0, 3)] ^= static_cast<std::uint8_t>(1u << b.rng.between(0, 7));
        break;
      case 1:
        beat[o] ^= static_cast<std::uint8_t>(1u << b.rng.between(0, 5));
        break;
      case 2:
        std::fill_n(&beat[o + 8], 4, std::uint8_t{0});
        break;
      case 3:
        beat[o + 8 + b.rng.between(0, 3)] ^= static_cast<std::uint8_t>(1u << b.rng.between(0, 7));
        break;
      case 4:
        beat[o + b.rng.between(2, 7)] ^= static_cast<std::uint8_t>(1u << b.rng.between(0, 7));
        break;
      default:
        b.fail(row);
    }
    b.store(row, beat);
  };
  switch (b.rng.between(0, 9)) {
    case 0:
      d.op = static_cast<std::uint8_t>(b.rng.between(0, 255));
      break;
    case 1:
      d.src += b.rng.between(1, 63);
      break;
    case 2:
      d.dst += b.rng.between(1, 63);
      break;
    case 3:
      d.src_len = b.rng.percent(50)
                      ? static_cast<std::uint32_t>(b.rng.bits())
                      : static_cast<std::uint32_t>(b.rng.between(0, 1) ? b.rng.between(9210, 9230)
                                                                       : b.rng.between(0, 25));
      break;
    case 4:
      d.src = (d.src & 63) | (b.rng.bits() & ~63ull);
      break;
    case 5:
      d.dst = (d.dst & 63) | (b.rng.bits() & ~63ull);
      break;
    case 6:
      d.num_src = static_cast<std::uint8_t>(b.rng.between(0, 12));
      break;
    case 7:
      d.num_dst = static_cast<std::uint8_t>(b.rng.between(0, 12));
      break;
    case 8:
      if (d.num_src != 0) break_list(d.src, d.num_src);
      break;
    default:
      if (d.num_dst != 0) break_list(d.dst, d.num_dst);
  }
  if (b.rng.percent(3)) {  // just past the end of a window
    const tb::Window& w = b.windows[b.rng.between(0, 2)];
    d.src = w.base + (static_cast<std::uint64_t>(w.size) & ~63ull) - 64;
    d.src_len = static_cast<std::uint32_t>(b.rng.between(60, 70));
    d.num_src = 0;
  }
  tb::Beat raw = d.encode();
  if (b.rng.percent(8)) raw[1] |= static_cast<std::uint8_t>(1u << b.rng.between(0, 7));
  if (b.rng.percent(5)) raw[b.rng.between(48, 63)] |= static_cast<std::uint8_t>(1u << b.rng.between(0, 7));
  return raw;
}
/// Submits `n` descriptors over the running queues and takes what comes back; false when something hangs.
template <class Make>
bool feed(QueueBench& b, std::uint64_t n, Make make) {
  std::uint64_t sent = 0, idle = 0, seen = b.consumed;
  while (sent < n) {
    for (unsigned q = 0; q < tb::kQueues; ++q) {
      if (!b.queues[q].running) continue;
      const std::uint64_t burst = b.rng.between(1, 40);
      for (std::uint64_t i = 0; i < burst && sent < n && b.submit(q, make()); ++i) ++sent;
      if (b.queues[q].rung != b.queues[q].tail) b.ring(q);
      b.acknowledge(q);
    }
    for (std::uint64_t i = b.rng.between(0, 60); i > 0; --i) b.step();
    idle = seen == b.consumed ? idle + 1 : 0;
    seen = b.consumed;
    if (idle > 3000) return false;
  }
  return b.run_until_settled(200000);
}

}  // namespace

TEST_CASE(
    "every descriptor, good or bad, leaves in the order of its ring with the model's verdict, data and "
    "segments") {
  for (const unsigned stall : {0u, 30u, 70u}) {
    CAPTURE(stall);
    QueueBench b(1 + stall);
    b.ar_stall = b.r_stall = b.out_stall = stall;
    b.latency = static_cast<unsigned>(b.rng.between(1, 200));
    b.start(0, ring_at(0), 6, false);
    b.start(1, ring_at(1) + 64, 3, true);
    b.start(2, ring_at(2), 0, false);
    const std::uint64_t n = stall == 70 ? 1500 : 4000;
    CHECK(feed(b, n, [&] { return b.rng.percent(50) ? bad(b) : good(b, 30).encode(); }));
    CHECK(b.consumed == n);
    CHECK(b.bad_doorbells == 0);
    for (unsigned i = 0; i < 2000; ++i) b.step();
    b.dut.settle();
    CHECK(b.dut->fetch_idle_o);
    CHECK(b.dut->read_idle_o);
    CHECK(b.dut->bus_idle_o);
    for (const unsigned s : {0u, 1u, 2u, 3u, 4u, 6u}) {
      CAPTURE(s);
      CHECK(b.by_status[s] != 0);
    }
    check_clean(b);
  }
}

TEST_CASE("random octets as descriptors touch nothing outside the windows and hang nothing") {
  QueueBench b(10);
  b.start(0, ring_at(0), 8, false);
  b.start(1, ring_at(1), 4, true);
  CHECK(feed(b, 3000, [&] {
    tb::Beat raw;
    b.rng.fill(raw);
    if (b.rng.percent(80)) {
      raw[0] %= 4;
      raw[1] &= 1;
      raw[2] &= 15;
      raw[3] &= 15;
      std::fill_n(&raw[48], 16, std::uint8_t{0});
      raw[34] = raw[35] = 0;
      raw[16] &= 0xc0;
      raw[24] &= 0xc0;
      if (b.rng.percent(70)) {  // lists of rubbish
        const std::uint64_t src = place(b, 128), dst = place(b, 128);
        for (unsigned i = 0; i < 8; ++i)
          raw[16 + i] = static_cast<std::uint8_t>(src >> 8 * i),
                   raw[24 + i] = static_cast<std::uint8_t>(dst >> 8 * i);
        raw[33] &= 15;
      }
    }
    return raw;
  }));
  check_clean(b);
}

TEST_CASE("a lane that takes nothing for a long time loses nothing and stops the bus nowhere") {
  for (const unsigned what : {0u, 1u, 2u, 3u}) {
    CAPTURE(what);
    QueueBench b(80 + what);
    b.latency = 10;
    b.start(0, ring_at(0), 9, false);
    b.start(1, ring_at(1), 7, true);
    for (unsigned round = 0; round < 4; ++round) {
      b.consume = what != 0;
      b.hold_data = what == 1;
      b.hold_headers = what == 2;
      b.hold_segments = what == 3;
      for (unsigned q = 0; q < 2; ++q) {
        while (b.submit(q, [&] {
          Descriptor d = good(b, what == 3 ? 70 : 10);
          if (round % 2 == 0 && d.num_src == 0)
            d.src_len = static_cast<std::uint32_t>(b.rng.between(20, 64)), d.src = tb::kPackets;
          return d.encode();
        }())) {
        }
        b.ring(q);
      }
      for (unsigned i = 0; i < 4000; ++i) b.step();
      CHECK(b.dut->bus_idle_o);  // all that was asked for has been taken in
      b.consume = true;
      b.hold_data = b.hold_headers = b.hold_segments = false;
      REQUIRE(b.run_until_settled(100000));
      b.acknowledge(0);
      b.acknowledge(1);
    }
    check_clean(b);
  }
}

TEST_CASE("an IV from the host is refused unless the card is in test mode") {
  QueueBench b(11);
  b.test_mode = false;
  b.dut->test_mode_i = 0;
  b.start(0, ring_at(0), 5, false);
  CHECK(feed(b, 300, [&] { return good(b, 10).encode(); }));
  CHECK(b.by_status[tb::kHostIvRefused] != 0);
  check_clean(b);
}

TEST_CASE("full rings give a descriptor every 4 cycles at 150 cycles of memory latency") {
  for (const unsigned used : {1u, 3u}) {
    CAPTURE(used);
    QueueBench b(20 + used);
    b.latency = 150;
    for (unsigned q = 0; q < used; ++q) b.start(q, ring_at(q), 9, false);
    Descriptor d;
    d.src_len = 128;
    d.dst = tb::kPackets;
    for (unsigned q = 0; q < used; ++q)
      for (unsigned i = 0; i < 512; ++i) {
        d.src = tb::kPackets + 192 * b.rng.between(0, 900);
        b.submit(q, d.encode());
      }
    for (unsigned q = 0; q < used; ++q) b.ring(q);
    REQUIRE(b.run_until_settled(20000));
    REQUIRE(b.pd_cycles.size() == 512 * used);
    const std::uint64_t took = b.pd_cycles.back() - b.pd_cycles[40];
    const double each = static_cast<double>(took) / static_cast<double>(b.pd_cycles.size() - 41);
    MESSAGE("cycles a descriptor: " << each << ", most bursts outstanding: " << b.most_outstanding);
    CHECK(each <= 4.0);
    CHECK(b.most_outstanding >= 32);
    check_clean(b);
  }
}

TEST_CASE("long packets keep the bus busy: a beat a cycle but for the descriptors") {
  QueueBench b(25);
  b.latency = 60;
  b.start(0, ring_at(0), 9, false);
  Descriptor d;
  d.src_len = 1500;
  d.dst = tb::kPackets;
  for (unsigned i = 0; i < 300; ++i) {
    d.src = tb::kPackets + 2048 * (i % 64);
    b.submit(0, d.encode());
  }
  b.ring(0);
  while (b.beats_consumed < 500) b.step();
  const std::uint64_t from = b.dut.cycle(), beats = b.beats_consumed;
  while (b.beats_consumed < 6500) b.step();
  const double rate =
      static_cast<double>(b.beats_consumed - beats) / static_cast<double>(b.dut.cycle() - from);
  MESSAGE("beats a cycle: " << rate);
  CHECK(rate > 0.92);
  check_clean(b);
}

TEST_CASE("an unloaded card asks for the packet within 10 cycles of its descriptor's beat") {
  QueueBench b(26);
  b.start(0, ring_at(0), 4, false);
  Descriptor d;
  d.src = d.dst = tb::kPackets;
  b.submit(0, d.encode());
  b.ring(0);
  REQUIRE(b.run_until_settled(2000));
  MESSAGE("cycles: " << b.first_packet_ar - b.first_ring_beat);
  CHECK(b.first_packet_ar - b.first_ring_beat <= 10);
  check_clean(b);
}

TEST_CASE("a bus error on a packet marks its beats, one on a ring stops the queue and no other") {
  QueueBench b(30);
  b.r_stall = 20;
  b.start(0, ring_at(0), 4, false);
  b.start(1, ring_at(1), 4, false);
  for (unsigned i = 0; i < 200; ++i) b.fail(tb::kPackets + 64 * b.rng.between(0, 600));
  CHECK(feed(b, 300, [&] {
    Descriptor d = good(b, 0);
    d.op = 2;
    d.src = tb::kPackets + 64 * b.rng.between(0, 400);
    return d.encode();
  }));
  check_clean(b);
  b.heal();
  // Queue 0 may fetch up to the entry that fails.
  const auto at = b.queues[0].tail;
  b.acknowledge(0);
  b.acknowledge(1);
  for (unsigned i = 0; i < 8; ++i) REQUIRE(b.submit(0, good(b, 0).encode()));
  b.fail(b.queues[0].sq + 64ull * ((at + 3) & 15));
  b.ring(0);
  CHECK(feed(b, 0, [] { return tb::Beat{}; }) == false);
  CHECK(b.queues[0].consumed == at + 3);
  CHECK(b.queues[0].done == at + 3);
  CHECK(b.read(b.reg(0, 0x1018)) == at + 3);
  CHECK(b.read(b.reg(0, 0x1024)) == 1);
  b.heal();
  b.stop(0);
  b.start(0, ring_at(0), 4, true);
  CHECK(feed(b, 200, [&] { return good(b, 10).encode(); }));
  CHECK(b.read(b.reg(0, 0x1024)) == 0);
  check_clean(b);
}

TEST_CASE("a queue switched off and on under load begins afresh once its former life has left the card") {
  QueueBench b(40);
  b.latency = 80;
  b.start(1, ring_at(1), 5, true);
  for (unsigned life = 0; life < 60; ++life) {
    CAPTURE(life);
    b.out_stall = static_cast<unsigned>(b.rng.between(0, 60));
    b.start(0, ring_at(0), static_cast<unsigned>(b.rng.between(0, 7)), b.rng.percent(50));
    for (std::uint64_t rounds = b.rng.between(1, 6); rounds > 0; --rounds) {
      for (unsigned q = 0; q < 2; ++q) {
        for (std::uint64_t i = b.rng.between(1, 60); i > 0 && b.submit(q, good(b, 20).encode()); --i) {
        }
        b.ring(q);
        b.acknowledge(q);
      }
      for (std::uint64_t i = b.rng.between(0, 150); i > 0; --i) b.step();
    }
    b.stop(0);
    b.queues[0].running = false;
    for (std::uint64_t i = b.rng.percent(50) ? 0 : b.rng.between(0, 300); i > 0; --i) b.step();
  }
  b.start(0, ring_at(0), 6, false);
  CHECK(feed(b, 500, [&] { return good(b, 20).encode(); }));
  check_clean(b);
}

TEST_CASE("impossible doorbells and rings outside the windows are refused") {
  QueueBench b(50);
  const auto wait = [&] {
    for (unsigned i = 0; i < 40; ++i) b.step();
  };
  // Rings
  const std::uint64_t end = b.windows[0].base + static_cast<std::uint64_t>(b.windows[0].size);
  struct Case {
    std::uint64_t sq, cq;
    unsigned log2;
    bool good;
  };
  for (const Case& c :
       {Case{end - 1024, kRings, 4, true}, Case{end - 1024, kRings, 5, false},
        Case{kRings, end - 960, 4, false}, Case{kRings + 32, kRings, 4, false},
        Case{kRings, kRings + 8, 4, false}, Case{0, kRings, 0, false},
        Case{0xffff'ffff'ffff'fc00, kRings, 4, true}, Case{0xffff'ffff'ffff'fc00, kRings, 5, false},
        Case{0x7f00'0000'0040, kRings, 10, true}, Case{0x7f00'0000'0080, kRings, 10, false},
        Case{kRings, 0x8000'0000'0000, 15, false}, Case{kRings, kRings, 15, true}}) {
    CAPTURE(c.sq);
    CAPTURE(c.log2);
    const auto before = b.bad_configs;
    b.start(2, c.sq, c.log2, false, c.cq);
    wait();
    CHECK(b.read(b.reg(2, 0x1024)) == (c.good ? 0 : 1));
    CHECK((b.bad_configs != before) == !c.good);
    b.stop(2);
  }
  // Doorbells
  b.start(2, kRings, 4, false);
  wait();
  for (const std::uint32_t v : {17u, 0x8000'0000u, 0xffff'ffffu}) {
    const auto before = b.bad_doorbells;
    b.write(b.reg(2, 0x1014), v);
    wait();
    CHECK(b.bad_doorbells == before + 1);
    CHECK(b.read(b.reg(2, 0x1014)) == 0);
    b.write(b.reg(2, 0x101c), v);
    wait();
    CHECK(b.bad_doorbells == before + 2);
    CHECK(b.read(b.reg(2, 0x101c)) == 0);
  }
  CHECK(feed(b, 100, [&] { return good(b, 0).encode(); }));
  b.write(b.reg(2, 0x1014), 99);  // back
  wait();
  CHECK(b.read(b.reg(2, 0x1014)) == 100);
  b.write(b.reg(2, 0x101c), 101);  // never completed
  wait();
  CHECK(b.read(b.reg(2, 0x101c)) <= 100);
  CHECK(b.read(b.reg(2, 0x1020)) == 100);
  CHECK(b.bad_doorbells == 8);
  // Any value at any time, beside a well-behaved queue
  b.start(0, ring_at(1), 4, false);
  b.queues[2].running = false;
  for (unsigned i = 0; i < 16; ++i) b.store(kRings + 64 * i, tb::Beat{});  // Nops
  b.stop(2);
  b.start(1, ring_at(2), 5, false);
  CHECK(feed(b, 400, [&] {
    b.write(b.reg(2, static_cast<std::uint16_t>(0x1000 + 4 * b.rng.between(0, 3))),
            static_cast<std::uint32_t>(b.rng.bits()));
    b.write(b.reg(2, 0x1014), static_cast<std::uint32_t>(b.rng.bits()));
    return good(b, 10).encode();
  }));
  check_clean(b);
}

TEST_CASE("a soft reset ends what is on the bus, forgets the rest, and the queues start again") {
  for (unsigned run = 0; run < 12; ++run) {
    QueueBench b(60 + run);
    b.latency = 40;
    b.ar_stall = b.r_stall = 20;
    b.start(0, ring_at(0), 7, false);
    b.start(1, ring_at(1), 5, false);
    for (unsigned i = 0; i < 100; ++i) b.submit(0, good(b, 30).encode());
    for (unsigned i = 0; i < 30; ++i) b.submit(1, good(b, 30).encode());
    b.ring(0);
    b.ring(1);
    for (std::uint64_t i = b.rng.between(20, 600); i > 0; --i) b.step();
    b.dut->stop_i = 1;
    unsigned waited = 0;
    for (b.dut.settle(); !b.dut->bus_idle_o && waited < 3000; ++waited) b.step();
    CHECK(b.dut->bus_idle_o);
    b.consume = false;
    b.forget();
    b.dut->flush_i = 1;
    for (unsigned i = 0; i < 16; ++i) b.step();
    b.dut->flush_i = 0;
    b.dut->stop_i = 0;
    b.consume = true;
    CHECK(b.read(b.reg(0, 0x1010)) % 2 == 0);
    b.start(0, ring_at(0), 7, false);
    b.start(1, ring_at(1), 5, false);
    CHECK(feed(b, 150, [&] { return good(b, 30).encode(); }));
    check_clean(b);
  }
}
