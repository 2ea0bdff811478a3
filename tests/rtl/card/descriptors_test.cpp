// Bad descriptors, bad packets, bus errors, doorbells, ring set-up, soft reset: each ends in an error code, touches
// nothing, and the next good packet passes.
#include <doctest/doctest.h>

#include <algorithm>

#include "common/esp/engine.h"
#include "hw/tb/card/card_bench.h"

using namespace esplanade;
using tb::Bench;
using tb::Job;
using card::SaResult;
using CardStatus = card::Status;
namespace reg = card::reg;

namespace {

constexpr std::uint32_t kOut = 1, kIn = 5, kSpi = 0x10005;

esp::SaParams params(bool outbound, std::uint32_t spi = kSpi) {
  esp::SaParams sa;
  sa.outbound = outbound;
  sa.spi = spi;
  sa.enc_key = Secret(*from_hex("0123456789abcdeffedcba987654321089abcdef01234567"));
  sa.auth_key = Secret(*from_hex("000102030405060708090a0b0c0d0e0f10111213"));
  sa.src = *esp::parse_address("192.0.2.1");
  sa.dst = *esp::parse_address("192.0.2.2");
  return sa;
}

using tb::fix_checksum;
Bytes inner(std::size_t size) { return tb::ipv4_packet(size); }
/// A bench with an outbound SA at kOut and its inbound twin at kIn.
struct Pair : Bench {
  explicit Pair(unsigned stalls = 0) : Bench(tb::seed_of_run(), stalls, stalls) {
    start_queue(4);
    REQUIRE(install(kOut, params(true)) == SaResult::kOk);
    REQUIRE(install(kIn, params(false)) == SaResult::kOk);
  }
  Bytes protect(std::size_t size) {
    const auto done = run_one({.source = inner(size), .sa_index = kOut});
    REQUIRE(done.status == CardStatus::kOk);
    return done.packet;
  }
  std::string status(const Job& job) {
    const auto done = run_one(job);
    CHECK(done.canary_ok);
    CHECK((done.status == CardStatus::kOk || done.out_len == 0));
    return card::name_of(done.status);
  }
  ~Pair() {
    for (const auto& v : memory.violations()) FAIL_CHECK(v);
  }
};

}  // namespace

TEST_CASE("card/descriptors: each fault has its status, and the next good descriptor passes") {
  Pair b;
  const Bytes good = inner(100);
  const auto check = [&](const char* what, const char* want, const Job& job) {
    CAPTURE(what);
    CHECK(b.status(job) == want);
    CHECK(b.status({.source = good, .sa_index = kOut}) == "Ok");
  };
  check("nop", "Ok", {.op = card::Op::kNop});
  check("unknown operation", "BadDescriptor", {.op = static_cast<card::Op>(3), .source = good});
  check("operation 255", "BadDescriptor", {.op = static_cast<card::Op>(255), .source = good});
  for (const std::uint32_t bit : {9u, 15u}) {
    check("reserved bit", "BadDescriptor", {.source = good, .sa_index = kOut, .word0_more = 1u << bit});
    check("reserved bit of a nop", "BadDescriptor", {.op = card::Op::kNop, .word0_more = 1u << bit});
  }
  check("IV given for decap", "BadDescriptor", {.op = card::Op::kDecap, .source = good, .iv = std::array<Byte, 8>{}});
  check("9 segments", "BadDescriptor", {.source = good, .sa_index = kOut, .word0_more = 9u << 16});
  check("9 destination segments", "BadDescriptor", {.source = good, .sa_index = kOut, .word0_more = 9u << 24});
  const std::uint64_t src = Bench::kBuffers + 90 * 2 * Bench::kBufferStep;
  check("source not aligned", "BadAlign", {.source = good, .sa_index = kOut, .src_addr = src + 32});
  check("destination not aligned", "BadAlign", {.source = good, .sa_index = kOut, .dst_addr = src + 1});
  check("length 0", "BadLength", {.source = good, .sa_index = kOut, .src_len = 0});
  check("length 19", "BadLength", {.source = good, .sa_index = kOut, .src_len = 19});
  check("length 9217", "BadLength", {.source = good, .sa_index = kOut, .src_len = 9217});
  check("length 2^32 - 1", "BadLength", {.source = good, .sa_index = kOut, .src_len = 0xffffffff});
  check("length 2^16 + 100", "BadLength", {.source = good, .sa_index = kOut, .src_len = 65636});
  check("source below the window", "BadAddress", {.source = good, .sa_index = kOut, .src_len = 100, .src_addr = Bench::kBase - 64});
  const std::uint64_t end = Bench::kBase + Bench::kMemory;
  check("source over the end", "BadAddress", {.source = good, .sa_index = kOut, .src_len = 65, .src_addr = end - 64});
  check("source at 0", "BadAddress", {.source = good, .sa_index = kOut, .src_len = 100, .src_addr = 0});
  check("source at the top of memory", "BadAddress", {.source = good, .sa_index = kOut, .src_len = 2048, .src_addr = ~std::uint64_t{63}});
  check("destination over the end", "BadAddress", {.source = good, .sa_index = kOut, .dst_size = 129, .dst_addr = end - 128});
  check("destination too long", "BadAddress", {.source = good, .sa_index = kOut, .dst_size = 0xffffffff});
  check("no such SA", "NoSa", {.source = good, .sa_index = 7});
  check("SA index past the table", "NoSa", {.source = good, .sa_index = b.sa_entries() + kOut});
  check("SA index 2^32 - 1", "NoSa", {.source = good, .sa_index = 0xffffffff});
  check("inbound SA", "WrongDirection", {.source = good, .sa_index = kIn});
  check("destination one short", "DstTooSmall", {.source = good, .sa_index = kOut, .dst_size = 20 + 16 + 104 + 12 - 1});
  check("destination exact", "Ok", {.source = good, .sa_index = kOut, .dst_size = 20 + 16 + 104 + 12});
  check("no destination", "DstTooSmall", {.source = good, .sa_index = kOut, .dst_size = 0});
  b.write32(reg::kControl.at(), reg::kControlEnable.mask());
  check("IV without test mode", "HostIvRefused", {.source = good, .sa_index = kOut, .iv = std::array<Byte, 8>{}});
  CHECK(b.read32(reg::kErrorCause.at()) == 0);
}

TEST_CASE("card/descriptors: result above MAX_PACKET is refused, the largest that fits passes") {
  Pair b;
  // 20 + 16 + C + 12 <= 9216 with C = 9168: source 9166
  CHECK(b.status({.source = inner(9166), .sa_index = kOut}) == "Ok");
  CHECK(b.status({.source = inner(9167), .sa_index = kOut}) == "BadLength");
  CHECK(b.status({.source = inner(9216), .sa_index = kOut}) == "BadLength");
}

TEST_CASE("card/descriptors: headers of packets to protect") {
  Pair b;
  Bytes p = inner(100);
  const auto with = [&](std::size_t at, Byte value) {
    Bytes q = p;
    q[at] = value;
    fix_checksum(q);
    return b.status({.source = q, .sa_index = kOut});
  };
  CHECK(with(0, 0x55) == "BadHeader");
  CHECK(with(0, 0x44) == "BadHeader");
  CHECK(with(0, 0x65) == "BadHeader");  // IPv6, but its length is not the packet's
  CHECK(with(3, 99) == "BadHeader");
  CHECK(with(3, 101) == "BadHeader");
  CHECK(with(0, 0x4f) == "Ok");  // 60 bytes of header: options travel
  CHECK(with(6, 0x20) == "Ok");  // a fragment may be tunnelled
  p[11] ^= 1;
  CHECK(b.status({.source = p, .sa_index = kOut}) == "BadHeader");
  Bytes small = inner(20);
  small[0] = 0x46;  // header longer than the packet
  CHECK(b.status({.source = small, .sa_index = kOut}) == "BadHeader");
}

TEST_CASE("card/descriptors: headers of packets to unprotect") {
  Pair b;
  const auto with = [&](std::size_t at, Byte flip, bool fix) {
    Bytes q = b.protect(64);
    q[at] ^= flip;
    if (fix) fix_checksum(q);
    return b.status({.op = card::Op::kDecap, .source = q});
  };
  CHECK(with(0, 0x10, true) == "BadHeader");      // version 5
  CHECK(with(0, 0x20, true) == "BadHeader");      // version 6
  CHECK(with(10, 0x01, false) == "BadHeader");    // checksum
  CHECK(with(8, 0x01, false) == "BadHeader");
  CHECK(with(6, 0x20, true) == "Fragment");       // more fragments
  CHECK(with(7, 0x01, true) == "Fragment");       // offset
  CHECK(with(6, 0x80, true) == "Ok");             // the reserved flag
  CHECK(with(9, 50 ^ 51, true) == "NoSa");         // AH, whose SPI stands elsewhere
  CHECK(with(9, 50 ^ 6, true) == "WrongProtocol");
  CHECK(with(9, 50 ^ 17, true) == "BadHeader");   // no UDP length there
  CHECK(with(15, 0x01, true) == "WrongAddress");
  CHECK(with(19, 0x01, true) == "WrongAddress");
  CHECK(with(1, 0xff, true) == "Ok");             // TOS and TTL may change on the way
  CHECK(with(8, 0x3f, true) == "Ok");
  CHECK(with(20, 0x01, false) == "NoSa");         // SPI, upper half
  CHECK(with(23, 0x01, false) == "NoSa");
  Bytes q = b.protect(64);
  q.resize(q.size() + 37, 0xee);                  // octets behind the packet are ignored
  CHECK(b.status({.op = card::Op::kDecap, .source = q}) == "Ok");
  q = b.protect(64);
  q.pop_back();
  CHECK(b.status({.op = card::Op::kDecap, .source = q}) == "BadHeader");
  // Options in the outer header: 4 to 40 octets, so that the ESP header moves over the first beat's end
  for (std::size_t words = 1; words <= 10; ++words) {
    CAPTURE(words);
    q = b.protect(200);
    q.insert(q.begin() + 20, 4 * words, Byte{1});
    q[0] = static_cast<Byte>(0x45 + words);
    store_be16(&q[2], static_cast<std::uint16_t>(q.size()));
    fix_checksum(q);
    CHECK(b.status({.op = card::Op::kDecap, .source = q}) == "Ok");
    q[11] ^= 4;
    CHECK(b.status({.op = card::Op::kDecap, .source = q}) == "BadHeader");
  }
  // Truncated at every length, with the total length told truly
  const Bytes whole = b.protect(30);
  for (std::size_t n = 20; n < whole.size(); ++n) {
    CAPTURE(n);
    q = whole;
    q.resize(n);
    store_be16(&q[2], static_cast<std::uint16_t>(n));
    fix_checksum(q);
    const auto got = b.status({.op = card::Op::kDecap, .source = q});
    CHECK((got == "BadEspLength" || got == "BadIcv"));
  }
  CHECK(b.status({.op = card::Op::kDecap, .source = whole}) == "Ok");
}

TEST_CASE("card/descriptors: ESP in UDP is told from IKE, keepalives and plain ESP") {
  Pair b;
  auto out = params(true, 0x20006), in = params(false, 0x20006);
  out.natt.emplace();
  in.natt.emplace();
  REQUIRE(b.install(6, in) == SaResult::kOk);
  REQUIRE(b.install(2, out) == SaResult::kOk);
  const auto udp = [&] {
    const auto done = b.run_one({.source = inner(77), .sa_index = 2});
    REQUIRE(done.status == CardStatus::kOk);
    return done.packet;
  };
  CHECK(b.status({.op = card::Op::kDecap, .source = udp()}) == "Ok");
  Bytes q = udp();
  std::fill(q.begin() + 28, q.begin() + 32, Byte{0});  // the non-ESP marker
  CHECK(b.status({.op = card::Op::kDecap, .source = q}) == "WrongProtocol");
  q = udp();
  q.resize(29);  // a keepalive
  store_be16(&q[2], 29);
  store_be16(&q[24], 9);
  fix_checksum(q);
  CHECK(b.status({.op = card::Op::kDecap, .source = q}) == "WrongProtocol");
  q = udp();
  store_be16(&q[24], static_cast<std::uint16_t>(load_be16(&q[24]) - 1));
  CHECK(b.status({.op = card::Op::kDecap, .source = q}) == "BadEspLength");  // an octet less of ESP
  q = udp();
  store_be16(&q[24], static_cast<std::uint16_t>(load_be16(&q[24]) + 1));
  CHECK(b.status({.op = card::Op::kDecap, .source = q}) == "BadHeader");
  q = udp();
  q[26] = 0xab;  // a UDP checksum is not looked at (RFC 3948 s2.1)
  CHECK(b.status({.op = card::Op::kDecap, .source = q}) == "Ok");
  q = udp();  // the same ESP without UDP
  q.erase(q.begin() + 20, q.begin() + 28);
  q[9] = 50;
  store_be16(&q[2], static_cast<std::uint16_t>(q.size()));
  fix_checksum(q);
  CHECK(b.status({.op = card::Op::kDecap, .source = q}) == "WrongProtocol");
}

TEST_CASE("card/descriptors: a decapsulated packet that does not fit can be tried again") {
  Pair b;
  const Bytes q = b.protect(300);
  CHECK(b.status({.op = card::Op::kDecap, .source = q, .dst_size = 299}) == "DstTooSmall");
  CHECK(b.status({.op = card::Op::kDecap, .source = q, .dst_size = 300}) == "Ok");
  CHECK(b.status({.op = card::Op::kDecap, .source = q, .dst_size = 300}) == "Replay");
}

TEST_CASE("card/descriptors: without a seed there is no IV, so no packet") {
  Bench b(tb::seed_of_run());
  b.card.ap_rst_n = 0;
  b.run(5);
  b.card.ap_rst_n = 1;
  b.write32(reg::kWindowBaseLo.at(0), static_cast<std::uint32_t>(Bench::kBase));
  b.write32(reg::kWindowBaseHi.at(0), static_cast<std::uint32_t>(Bench::kBase >> 32));
  b.write32(reg::kWindowSize.at(0), Bench::kMemory / 4096);
  b.write32(reg::kWindowControl.at(0), 1);
  b.write32(reg::kControl.at(), 3);
  b.start_queue(4);
  REQUIRE(b.install(kOut, params(true)) == SaResult::kOk);
  CHECK(b.run_one({.source = inner(64), .sa_index = kOut}).status == CardStatus::kNoSeed);
  const auto done = b.run_one({.source = inner(64), .sa_index = kOut, .iv = std::array<Byte, 8>{1, 2}});
  CHECK(done.status == CardStatus::kOk);
  CHECK(done.seq == 1);  // the refused packet took no number
}

TEST_CASE("card/descriptors: a bus error ends one packet, with its address") {
  Pair b(10);
  const std::uint64_t src = Bench::kBuffers + 90 * 2 * Bench::kBufferStep, dst = src + Bench::kBufferStep;
  const Bytes p = inner(700);
  std::ranges::copy(p, b.memory.at(src, p.size()).begin());
  b.memory.allow({dst, 2048});
  for (const std::uint64_t at : {0u, 64u, 128u, 640u}) {
    CAPTURE(at);
    b.memory.fail_reads({{src + at, 64}});
    for (unsigned i = 0; i < 3; ++i) b.submit({.source = inner(100), .sa_index = kOut});
    b.submit({.sa_index = kOut, .src_len = 700, .src_addr = src});
    for (unsigned i = 0; i < 3; ++i) b.submit({.source = inner(100), .sa_index = kOut});
    for (unsigned i = 0; i < 7; ++i) CHECK(b.reap().status == (i == 3 ? CardStatus::kBusError : CardStatus::kOk));
    CHECK(b.read32(reg::kErrorCause.at()) == reg::kErrorCausePacketRead.mask());
    CHECK(b.read32(reg::kErrorAddrLo.at()) == static_cast<std::uint32_t>(src + at));
    CHECK(b.read32(reg::kErrorAddrHi.at()) == 1);
    b.write32(reg::kErrorCause.at(), 0x3ff);
  }
  b.memory.fail_reads({});
  b.memory.fail_writes({{dst + 256, 64}});
  const auto done = b.run_one({.sa_index = kOut, .src_len = 700, .src_addr = src, .dst_addr = dst});
  CHECK(done.status == CardStatus::kBusError);
  CHECK(done.out_len == 0);
  CHECK(b.read32(reg::kErrorCause.at()) == reg::kErrorCausePacketWrite.mask());
  b.memory.fail_writes({});
  CHECK(b.status({.source = p, .sa_index = kOut}) == "Ok");
}

TEST_CASE("card/descriptors: a bus error on the ring stops the queue until it is started again") {
  Pair b;
  b.memory.fail_reads({{Bench::kSq + 64, 64}});
  b.submit({.op = card::Op::kNop});
  CHECK(b.reap().status == CardStatus::kOk);
  b.submit({.op = card::Op::kNop});
  b.run(500);
  CHECK(reg::kQStatusStopped.get(b.read32(reg::kQStatus.at(0))) == 1);
  CHECK(b.read32(reg::kErrorCause.at()) == reg::kErrorCauseRingRead.mask());
  CHECK_FALSE(b.completion_waits());
  CHECK(b.settle());
  b.memory.fail_reads({});
  b.write32(reg::kErrorCause.at(), 0x3ff);
  b.write32(reg::kQControl.at(0), 0);
  b.start_queue(4);
  CHECK(b.status({.source = inner(64), .sa_index = kOut}) == "Ok");
  b.memory.fail_writes({{Bench::kCq, 1024}});
  b.submit({.op = card::Op::kNop});
  b.run(500);
  CHECK(reg::kQStatusStopped.get(b.read32(reg::kQStatus.at(0))) == 1);
  CHECK(b.read32(reg::kErrorCause.at()) == reg::kErrorCauseRingWrite.mask());
  CHECK(b.read32(reg::kCqTail.at(0)) == 1);
}

TEST_CASE("card/descriptors: rings outside the windows, or not aligned, do not start") {
  Bench b(tb::seed_of_run());
  const auto start = [&](std::uint64_t sq, std::uint64_t cq, unsigned log2) {
    b.write32(reg::kQControl.at(0), 0);
    b.write32(reg::kSqBaseLo.at(0), static_cast<std::uint32_t>(sq));
    b.write32(reg::kSqBaseHi.at(0), static_cast<std::uint32_t>(sq >> 32));
    b.write32(reg::kCqBaseLo.at(0), static_cast<std::uint32_t>(cq));
    b.write32(reg::kCqBaseHi.at(0), static_cast<std::uint32_t>(cq >> 32));
    b.write32(reg::kQControl.at(0), 1 | log2 << 8);
    b.write32(reg::kSqTail.at(0), 1);
    b.run(500);
    const auto cause = b.read32(reg::kErrorCause.at());
    b.write32(reg::kErrorCause.at(), 0x3ff);
    const bool stopped = reg::kQStatusStopped.get(b.read32(reg::kQStatus.at(0))) == 1;
    CHECK(stopped == (cause == reg::kErrorCauseRingConfig.mask()));
    return !stopped;
  };
  const std::uint64_t end = Bench::kBase + Bench::kMemory;
  b.memory.allow({Bench::kCq, 1024});
  b.memory.allow({end - 1024, 1024});
  CHECK(start(Bench::kSq, Bench::kCq, 4));
  CHECK_FALSE(start(Bench::kSq + 32, Bench::kCq, 4));
  CHECK_FALSE(start(Bench::kSq, Bench::kCq + 8, 4));
  CHECK_FALSE(start(0x1000, Bench::kCq, 4));
  CHECK_FALSE(start(Bench::kSq, end - 512, 4));
  CHECK(start(Bench::kSq, end - 1024, 4));
  CHECK_FALSE(start(end - 1024, Bench::kCq, 5));
  CHECK_FALSE(start(Bench::kSq, end - (1 << 20), 15));  // 2 MiB
  CHECK(b.settle());
  CHECK(b.memory.violations().empty());
}

TEST_CASE("card/descriptors: impossible doorbells are ignored and reported") {
  Pair b;
  const auto refused = [&](std::uint32_t at, std::uint32_t value) {
    const auto before = b.read32(at);
    b.write32(at, value);
    const bool reported = b.read32(reg::kErrorCause.at()) == reg::kErrorCauseBadDoorbell.mask();
    b.write32(reg::kErrorCause.at(), 0x3ff);
    CHECK(b.read32(at) == before);
    return reported;
  };
  CHECK(refused(reg::kSqTail.at(0), 17));
  CHECK(refused(reg::kSqTail.at(0), 0xffffffff));
  CHECK(refused(reg::kCqHead.at(0), 1));
  CHECK(refused(reg::kCqHead.at(0), 0xffffffff));
  CHECK(b.status({.op = card::Op::kNop}) == "Ok");
  CHECK(refused(reg::kSqTail.at(0), 0));
  CHECK(refused(reg::kCqHead.at(0), 0));
}

TEST_CASE("card/descriptors: completions never overrun the host, and queues wrap for many laps") {
  Pair b(20);
  for (unsigned i = 0; i < 16; ++i) b.submit({.op = card::Op::kNop});
  b.run(2000);
  CHECK(b.read32(reg::kCqTail.at(0)) == 16);
  for (unsigned i = 0; i < 16; ++i) b.submit({.op = card::Op::kNop});  // the ring takes them, the card must wait
  b.run(2000);
  CHECK(b.read32(reg::kCqTail.at(0)) == 16);
  CHECK(b.read32(reg::kSqHead.at(0)) == 16);
  for (unsigned i = 0; i < 32; ++i) CHECK(b.reap().status == CardStatus::kOk);
  for (unsigned i = 0; i < 200; ++i) {
    while (b.outstanding() > b.rng() % 16) CHECK(b.reap().status == CardStatus::kOk);
    b.submit({.op = card::Op::kNop});
  }
  while (b.outstanding() > 0) CHECK(b.reap().status == CardStatus::kOk);
  CHECK(b.read32(reg::kErrorCause.at()) == 0);
}

TEST_CASE("card/descriptors: CONTROL.ENABLE off fetches nothing more") {
  Pair b;
  b.write32(reg::kControl.at(), 2);
  b.submit({.op = card::Op::kNop});
  b.run(500);
  CHECK_FALSE(b.completion_waits());
  CHECK(b.settle());
  b.write32(reg::kControl.at(), 3);
  CHECK(b.reap().status == CardStatus::kOk);
}

TEST_CASE("card/descriptors: a queue that is switched off in mid-flight starts again clean") {
  Pair b(30);
  for (unsigned round = 0; round < 20; ++round) {
    CAPTURE(round);
    for (unsigned i = 0; i < 12; ++i) b.submit({.source = inner(20 + 40 * i), .sa_index = kOut});
    b.run(b.rng() % 1200);
    b.write32(reg::kQControl.at(0), 0);
    if (round % 2 == 0) REQUIRE(b.settle());
    b.start_queue(round % 3 + 4);
    for (unsigned i = 0; i < 5; ++i) CHECK(b.status({.source = inner(64), .sa_index = kOut}) == "Ok");
  }
  CHECK(b.read32(reg::kErrorCause.at()) == 0);
}

TEST_CASE("card/descriptors: a soft reset at any moment leaves a working card and the SAs") {
  Pair b(30);
  std::uint64_t last = 0;
  for (unsigned round = 0; round < 40; ++round) {
    CAPTURE(round);
    for (unsigned i = 0; i < 14; ++i) b.submit({.source = inner(20 + 90 * i), .sa_index = kOut});
    b.run(b.rng() % 2500);
    b.write32(reg::kControl.at(), 3 | reg::kControlSoftReset.mask());
    for (unsigned i = 0; reg::kControlSoftReset.get(b.read32(reg::kControl.at())) != 0; ++i) REQUIRE(i < 1000);
    REQUIRE(b.settle());
    b.start_queue(4);
    const auto done = b.run_one({.source = inner(64), .sa_index = kOut});
    CHECK(done.status == CardStatus::kOk);
    CHECK(done.seq > last);  // numbers never go back
    last = done.seq;
    const auto back = b.run_one({.op = card::Op::kDecap, .source = done.packet});
    CHECK(back.status == CardStatus::kOk);
    CHECK(back.packet == inner(64));
  }
  CHECK(b.read32(reg::kErrorCause.at()) == 0);
}
