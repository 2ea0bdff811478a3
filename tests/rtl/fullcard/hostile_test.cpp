// A host that is wrong or wicked: descriptors of random octets, doorbells of any value, a memory that answers with
// errors. The card touches nothing outside its windows, loses no descriptor, gives no secret away, and works on.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "common/esp/engine.h"
#include "hw/tb/fullcard/generator.h"
#include "tests/rtl/fullcard/models.h"

using namespace esplanade;
using namespace esplanade::fullcard;
using CardStatus = card::Status;
namespace reg = card::reg;

namespace {

constexpr std::uint32_t kOut = 3;

esp::SaParams params(bool outbound, std::uint32_t spi) {
  esp::SaParams sa;
  sa.outbound = outbound;
  sa.spi = spi;
  sa.enc_key = Secret(*from_hex("0123456789abcdeffedcba987654321089abcdef01234567"));
  sa.auth_key = Secret(*from_hex("000102030405060708090a0b0c0d0e0f10111213"));
  sa.src = *esp::parse_address("192.0.2.1");
  sa.dst = *esp::parse_address("192.0.2.2");
  sa.inner_v6 = false;
  return sa;
}
/// A card with an outbound SA at kOut, its inbound twin at 5, and all queues started.
struct Bench : Card {
  explicit Bench(const Build& build, PortTiming timing = {.read_latency = 20, .write_latency = 10, .stalls = 10})
      : Card(build.make(), {.seed = seed_of_run(), .timing = timing}), gen(*this, seed_of_run()), spi(16 * sa_entries + 5) {
    REQUIRE(install(kOut, params(true, spi)) == card::SaResult::kOk);
    REQUIRE(install(5, params(false, spi)) == card::SaResult::kOk);
    for (unsigned q = 0; q < queues; ++q) start_queue(q, 5);
  }
  std::string status(unsigned q, Job job) { return card::name_of(run_one(q, std::move(job)).status); }
  Job good(std::size_t size = 100) { return {.source = gen.ipv4(size, 0, false), .sa_index = kOut, .dst_size = 2048}; }
  void there_and_back(unsigned q) {
    const Bytes plain = gen.ipv4(100, 0, false);
    const auto sent = run_one(q, {.source = plain, .sa_index = kOut, .dst_size = 256});
    REQUIRE(std::string(card::name_of(sent.status)) == "Ok");
    const auto back = run_one(q, {.op = card::Op::kDecap, .source = sent.packet, .dst_size = 256});
    REQUIRE(std::string(card::name_of(back.status)) == "Ok");
    CHECK(back.packet == plain);
  }
  void clean() {
    for (const auto& v : memory.violations) FAIL_CHECK(v);
    CHECK(memory.num_violations == 0);
  }
  Generator gen;
  std::uint32_t spi;
};

}  // namespace

TEST_CASE("fullcard/hostile: descriptors of random octets touch nothing outside the windows and all come back") {
  for (const Build& build : builds()) {
    CAPTURE(build.name);
    Bench b(build);
    // Packets, garbage and segment lists lie in a window of their own, which the card may write; the rest may not.
    const Range data{Memory::kBase + (std::uint64_t{256} << 20), 1 << 20};
    b.set_window(0, {Memory::kBase, std::uint64_t{96} << 20});
    b.set_window(2, data);
    b.memory.allow(data.first, data.size);
    const auto refill = [&] {
      const Bytes noise = b.gen.octets(data.size);
      std::ranges::copy(noise, b.memory.at(data.first, data.size).begin());
      for (std::uint64_t at = 0; at < data.size; at += 4096) {
        Bytes p = b.gen.percent(50) ? b.gen.ipv4(b.gen.size(2000), 0, false) : b.gen.ipv6(b.gen.size(2000), b.gen.percent(50));
        std::ranges::copy(p, b.memory.at(data.first + at, p.size()).begin());
        for (unsigned i = 0; i < 8; ++i) {  // a list, more or less
          const std::uint64_t to = data.first + b.gen.below(data.size / 64) * 64 + (b.gen.percent(5) ? b.gen.below(64) : 0);
          const std::uint32_t len = static_cast<std::uint32_t>(b.gen.percent(80) ? 64 * (1 + b.gen.below(20)) : b.gen.below(1u << 31));
          std::memcpy(b.memory.at(data.first + at + 2048 + 16 * i, 8).data(), &to, 8);
          std::memcpy(b.memory.at(data.first + at + 2056 + 16 * i, 4).data(), &len, 4);
          std::memset(b.memory.at(data.first + at + 2060 + 16 * i, 4).data(), b.gen.percent(5) ? 1 : 0, 4);
        }
      }
    };
    const auto address = [&] {
      switch (b.gen.below(8)) {
        case 0: return (b.rng() << 32) | b.rng();
        case 1: return data.first - 64 * b.gen.below(4);
        case 2: return data.first + data.size - 64 * b.gen.below(40);
        case 3: return ~std::uint64_t{0} - 64 * b.gen.below(200) + (b.gen.percent(50) ? 1 : 0);
        case 4: return data.first + b.gen.below(data.size);
        case 5: return data.first + b.gen.below(256) * 4096 + 2048;
        default: return data.first + b.gen.below(256) * 4096;
      }
    };
    std::map<std::string, unsigned> seen;
    unsigned done = 0;
    for (unsigned round = 0; round < 60; ++round) {
      refill();
      for (unsigned q = 0; q < b.queues; ++q) {
        for (unsigned i = 0; i < 20; ++i) {
          Bytes d = b.gen.octets(64);
          if (b.gen.percent(85)) {
            std::fill(d.begin(), d.end(), Byte{0});
            card::set(d, card::descriptor::kOp, b.gen.below(b.gen.percent(90) ? 3 : 256));
            card::set(d, card::descriptor::kHostIv, b.gen.percent(10));
            card::set(d, card::descriptor::kSaIndex, b.gen.percent(60) ? kOut : b.rng());
            const std::uint64_t from = address();
            card::set(d, card::descriptor::kSrcAddr, from);
            card::set(d, card::descriptor::kDstAddr, address());
            card::set(d, card::descriptor::kSrcLen, b.gen.percent(80) ? b.gen.below(3000) : b.rng() & 0xffffffff);
            card::set(d, card::descriptor::kDstSize, b.gen.percent(80) ? b.gen.below(3000) : b.rng() & 0xffffffff);
            if (data.holds(from, 64) && b.gen.percent(50)) {  // the length that its packet has
              const ByteView p = b.memory.at(from, 64);
              card::set(d, card::descriptor::kSrcLen, p[0] >> 4 == 4 ? load_be16(&p[2]) : load_be16(&p[4]) + 40u);
            }
            if (b.gen.percent(30)) card::set(d, card::descriptor::kNumSegments, b.gen.below(10));
            if (b.gen.percent(30)) card::set(d, card::descriptor::kNumDstSegments, b.gen.below(10));
            if (b.gen.percent(5)) d[b.gen.below(64)] ^= static_cast<Byte>(1u << b.gen.below(8));
          }
          b.submit(q, {.dst_size = ~0u, .raw = d});
        }
        b.ring(q);
      }
      for (unsigned q = 0; q < b.queues; ++q)
        while (b.outstanding(q) != 0) {
          const auto back = b.reap(q);
          ++seen[card::name_of(back.status)];
          ++done;
        }
      for (unsigned q = 0; q < b.queues; ++q) b.release(q);
    }
    CHECK(done == 60 * 20 * b.queues);
    for (const char* name : {"BadDescriptor", "BadAddress", "BadAlign", "BadLength", "BadHeader", "NoSa", "Ok"}) {
      CAPTURE(std::string(name));
      CHECK(seen[name] > 0);
    }
    CHECK(seen["?"] == 0);
    CHECK(b.settle());
    CHECK(b.read32(reg::kErrorCause.at()) == 0);
    b.set_window(0, {Memory::kBase, Memory::kSize});
    for (unsigned q = 0; q < b.queues; ++q) b.there_and_back(q);
    b.clean();
  }
}

TEST_CASE("fullcard/hostile: a segment with a reserved bit set is refused, the same without it taken") {
  for (const Build& build : builds()) {
    CAPTURE(build.name);
    Bench b(build);
    const std::uint64_t list = Memory::kBase + (std::uint64_t{256} << 20), source = list + 4096, result = list + 8192;
    b.memory.allow(list, 16384);
    const Bytes packet = b.gen.ipv4(100, 0, false);
    std::ranges::copy(packet, b.memory.at(source, packet.size()).begin());
    const auto status_with = [&](std::uint32_t reserved) {
      const auto len = static_cast<std::uint32_t>(packet.size());
      std::memcpy(b.memory.at(list, 8).data(), &source, 8);
      std::memcpy(b.memory.at(list + 8, 4).data(), &len, 4);
      std::memcpy(b.memory.at(list + 12, 4).data(), &reserved, 4);
      Bytes d(64);
      card::set(d, card::descriptor::kOp, static_cast<std::uint64_t>(card::Op::kEncap));
      card::set(d, card::descriptor::kSaIndex, kOut);
      card::set(d, card::descriptor::kNumSegments, 1);
      card::set(d, card::descriptor::kSrcAddr, list);
      card::set(d, card::descriptor::kSrcLen, len);
      card::set(d, card::descriptor::kDstAddr, result);
      card::set(d, card::descriptor::kDstSize, 2048);
      return b.status(0, {.dst_size = ~0u, .raw = d});
    };
    CHECK(status_with(0) == "Ok");
    for (unsigned bit = 0; bit < 32; ++bit) {
      CAPTURE(bit);
      CHECK(status_with(1u << bit) == "BadDescriptor");
    }
    CHECK(status_with(0) == "Ok");
    b.there_and_back(0);
    b.clean();
  }
}

TEST_CASE("fullcard/hostile: doorbells of any value are refused, and the queue works on") {
  for (const Build& build : builds()) {
    CAPTURE(build.name);
    Bench b(build);
    for (unsigned i = 0; i < 200; ++i) {
      const unsigned q = static_cast<unsigned>(b.gen.below(b.queues));
      const std::uint32_t at = b.gen.percent(50) ? reg::kSqTail.at(q) : reg::kCqHead.at(q), before = b.read32(at);
      // 32 entries: whatever is further ahead than that, or behind, is impossible.
      const std::uint32_t wild = before + 33 + static_cast<std::uint32_t>(b.rng() % (0xffffffffu - 40));
      b.write32(at, wild);
      CHECK(b.read32(at) == before);
      CHECK(b.read32(reg::kErrorCause.at()) == reg::kErrorCauseBadDoorbell.mask());
      b.write32(reg::kErrorCause.at(), 0x3ff);
      if (i % 10 == 0) b.there_and_back(q);
    }
    CHECK(b.settle());
    b.clean();
  }
}

TEST_CASE("fullcard/hostile: a bus error on a packet read or write ends that packet alone") {
  for (const Build& build : builds()) {
    CAPTURE(build.name);
    Bench b(build);
    const std::uint64_t src = b.allocate(4096), dst = b.allocate(4096);
    const Bytes p = b.gen.ipv4(1500, 0, false);
    std::ranges::copy(p, b.memory.at(src, p.size()).begin());
    b.memory.allow(dst, 2048);
    const unsigned other = b.queues - 1;  // another lane where there is one
    for (const std::uint64_t at : {0u, 64u, 128u, 640u, 1472u}) {
      CAPTURE(at);
      b.memory.fail_reads = {{src + at, 64}};
      for (unsigned i = 0; i < 5; ++i) {
        if (i == 2) b.submit(0, {.source = {}, .sa_index = kOut, .dst_size = 2048, .src_len = 1500, .src_addr = src});
        else b.submit(0, b.good());
        if (other != 0) b.submit(other, b.good());
      }
      b.ring(0);
      b.ring(other);
      for (unsigned i = 0; i < 5; ++i) {
        const auto done = b.reap(0);
        CAPTURE(i);
        // Packets without a common SA order may overtake: the refused one is known by its status alone.
        CHECK((done.status == CardStatus::kOk || done.status == CardStatus::kBusError));
        if (other != 0) CHECK(b.reap(other).status == CardStatus::kOk);
      }
      CHECK(b.read32(reg::kErrorCause.at()) == reg::kErrorCausePacketRead.mask());
      CHECK(b.read64(reg::kErrorAddrLo.at()) == src + at);
      b.write32(reg::kErrorCause.at(), 0x3ff);
    }
    CHECK(b.read32(reg::kPacketsByStatus.at(6)) == 5);
    b.memory.fail_reads.clear();
    for (const std::uint64_t at : {0u, 256u, 1472u}) {
      b.memory.fail_writes = {{dst + at, 64}};
      const auto done = b.run_one(0, {.source = p, .sa_index = kOut, .dst_size = 2048, .dst_addr = dst});
      CHECK(std::string(card::name_of(done.status)) == "BusError");
      CHECK(b.read32(reg::kErrorCause.at()) == reg::kErrorCausePacketWrite.mask());
      b.write32(reg::kErrorCause.at(), 0x3ff);
    }
    b.memory.fail_writes.clear();
    if (b.has(reg::kCapsScatterGather)) {
      Job job = b.good(1000);
      job.src_cut = {512, 488};
      const std::uint64_t list = b.allocate(64);
      b.memory.fail_reads = {{list, 64}};
      job.src_addr = list;
      job.word0_more = 2u << 16;
      job.src_cut.clear();
      CHECK(b.status(0, job) == "BusError");
      b.memory.fail_reads.clear();
      b.write32(reg::kErrorCause.at(), 0x3ff);
    }
    for (unsigned q = 0; q < b.queues; ++q) b.there_and_back(q);
    b.clean();
  }
}

TEST_CASE("fullcard/hostile: a bus error on a ring stops that queue alone until it is started again") {
  for (const Build& build : builds()) {
    CAPTURE(build.name);
    Bench b(build);
    const std::uint64_t sq = Card::kRings, cq = sq + Card::kCqOffset;
    b.there_and_back(0);
    b.memory.fail_reads = {{sq + 64 * 2, 64}};
    b.submit(0, {.op = card::Op::kNop});
    b.ring(0);
    b.run(1500);
    CHECK(reg::kQStatusStopped.get(b.read32(reg::kQStatus.at(0))) == 1);
    CHECK(b.read32(reg::kErrorCause.at()) == reg::kErrorCauseRingRead.mask());
    CHECK_FALSE(b.completion_waits(0));
    for (unsigned q = 1; q < b.queues; ++q) b.there_and_back(q);
    CHECK(b.settle());
    b.memory.fail_reads.clear();
    b.write32(reg::kErrorCause.at(), 0x3ff);
    b.stop_queue(0);
    b.start_queue(0, 5);
    b.there_and_back(0);
    b.memory.fail_writes = {{cq, 64 * 32}};
    b.submit(0, {.op = card::Op::kNop});
    b.ring(0);
    b.run(1500);
    CHECK(reg::kQStatusStopped.get(b.read32(reg::kQStatus.at(0))) == 1);
    CHECK(b.read32(reg::kErrorCause.at()) == reg::kErrorCauseRingWrite.mask());
    CHECK(b.read32(reg::kCqTail.at(0)) == 2);
    for (unsigned q = 1; q < b.queues; ++q) b.there_and_back(q);
    b.memory.fail_writes.clear();
    b.write32(reg::kErrorCause.at(), 0x3ff);
    b.stop_queue(0);
    b.start_queue(0, 5);
    b.there_and_back(0);
    b.clean();
  }
}

TEST_CASE("fullcard/hostile: of a packet with a wrong ICV no plaintext ever reaches memory") {
  for (const Build& build : builds()) {
    CAPTURE(build.name);
    Bench b(build);
    auto sender = esp::SoftSa::create(params(true, b.spi));
    REQUIRE(sender);
    const Bytes marker = b.gen.octets(12);
    for (unsigned i = 0; i < 60; ++i) {
      Bytes plain = b.gen.ipv4(b.gen.size(1800) + 60, 0, false);
      for (std::size_t at = 20; at + 12 <= plain.size(); at += 12) std::ranges::copy(marker, plain.begin() + static_cast<std::ptrdiff_t>(at));
      const auto sent = sender->encap(plain);
      REQUIRE(sent);
      plain.assign(plain.size(), 0);
      Bytes wire = sent->packet;
      // ICV, ciphertext (then most of the plaintext is right), IV
      const std::size_t from = i % 3 == 0 ? wire.size() - 12 : i % 3 == 1 ? 36 : 28;
      wire[from + b.gen.below(8)] ^= static_cast<Byte>(1u << b.gen.below(8));
      const auto q = static_cast<unsigned>(b.gen.below(b.queues));
      b.submit(q, {.op = card::Op::kDecap, .source = wire, .dst_size = 2048});
      b.ring(q);
      while (!b.completion_waits(q)) {
        b.tick();
        if (b.cycles() % 256 == 0) CHECK(b.memory.find(marker) == 0);
      }
      CHECK(std::string(card::name_of(b.reap(q).status)) == "BadIcv");
      CHECK(b.memory.find(marker) == 0);
    }
    // The search can find: a good packet's plaintext is there.
    Bytes plain = b.gen.ipv4(100, 0, false);
    std::ranges::copy(marker, plain.begin() + 40);
    CHECK(b.run_one(0, {.op = card::Op::kDecap, .source = sender->encap(plain)->packet, .dst_size = 2048}).status == CardStatus::kOk);
    CHECK(b.memory.find(marker) != 0);
    b.clean();
  }
}

TEST_CASE("fullcard/hostile: every single bit of an ICV counts, and the last of them as well as the first") {
  for (const Build& build : builds()) {
    CAPTURE(build.name);
    Bench b(build, {.read_latency = 5, .write_latency = 5});
    unsigned kinds = 0;
    for (const auto protocol : {esp::Protocol::kEsp, esp::Protocol::kAh})
      for (const auto auth : {esp::Auth::kHmacSha1_96, esp::Auth::kHmacMd5_96}) {
        esp::SaParams sa = params(true, 32 * b.sa_entries + 40 + kinds);
        sa.protocol = protocol;
        sa.auth = auth;
        if (protocol == esp::Protocol::kAh) {
          sa.cipher = esp::Cipher::kNull;
          sa.enc_key = Secret();
        }
        sa.auth_key = Secret(Bytes(esp::key_len(auth), 0x5c));
        if (!b.can(sa)) continue;
        esp::SaParams in = copy_of(sa);
        in.outbound = false;
        REQUIRE(b.install(40 + kinds++, in) == card::SaResult::kOk);
        auto sender = esp::SoftSa::create(std::move(sa));
        REQUIRE(sender);
        const Bytes wire = sender->encap(b.gen.ipv4(60, 0, false))->packet;
        const std::size_t icv = protocol == esp::Protocol::kAh ? protection_at(wire) + 12 : wire.size() - 12;
        for (std::size_t bit = 0; bit < 96; ++bit) {
          CAPTURE(bit);
          Bytes wrong = wire;
          wrong[icv + bit / 8] ^= static_cast<Byte>(0x80u >> (bit % 8));
          CHECK(b.status(0, {.op = card::Op::kDecap, .source = wrong, .dst_size = 256}) == "BadIcv");
        }
        // None of them took the packet's number.
        CHECK(b.status(0, {.op = card::Op::kDecap, .source = wire, .dst_size = 256}) == "Ok");
      }
    CHECK(kinds > 0);
    b.clean();
  }
}

TEST_CASE("fullcard/hostile: no key can be read back, from any register or from memory") {
  for (const Build& build : builds()) {
    CAPTURE(build.name);
    Bench b(build);
    std::vector<Bytes> secrets;
    const auto keep = [&](ByteView key) {
      for (std::size_t at = 0; at + 4 <= key.size(); at += 4) secrets.emplace_back(key.begin() + static_cast<std::ptrdiff_t>(at), key.begin() + static_cast<std::ptrdiff_t>(at + 4));
    };
    std::vector<esp::SaParams> sas;
    for (std::uint32_t i = 0; i < 3; ++i) {
      sas.push_back(params(i != 1, 32 * b.sa_entries + 16 + i));
      sas.back().enc_key = Secret(b.gen.octets(24));
      sas.back().auth_key = Secret(b.gen.octets(20));
      keep(sas.back().enc_key.reveal());
      keep(sas.back().auth_key.reveal());
      REQUIRE(b.install(16 + i, sas.back()) == card::SaResult::kOk);
    }
    const auto search = [&](const char* when) {
      CAPTURE(std::string(when));
      unsigned hits = 0;
      for (std::uint32_t at = 0; at < 0x10000; at += 4) {
        const std::uint32_t word = b.read32(at);
        for (const Bytes& s : secrets) {
          std::uint32_t little = 0;
          std::memcpy(&little, s.data(), 4);
          if (word == little || word == load_be32(s.data())) {
            ++hits;
            CAPTURE(at);
            CHECK(word == 0);
          }
        }
      }
      CHECK(hits == 0);
      for (const esp::SaParams& sa : sas)
        for (const ByteView key : {sa.enc_key.reveal().first(8), sa.enc_key.reveal().subspan(8, 8), sa.auth_key.reveal().first(8)}) {
          Bytes turned(key.rbegin(), key.rend());
          CHECK(b.memory.find(key) == 0);
          CHECK(b.memory.find(turned) == 0);
        }
    };
    for (std::uint32_t i = 0; i < 3; ++i) (void)b.view(16 + i);
    search("installed");
    for (unsigned i = 0; i < 20; ++i) CHECK(b.status(i % b.queues, {.source = b.gen.ipv4(200, 0, false), .sa_index = 16, .dst_size = 512}) == "Ok");
    b.write_entry(entry_of(sas[0]));  // and no command
    search("in the entry window, after traffic");
    REQUIRE(b.sa_command(card::SaCommand::kRemove, 16) == card::SaResult::kOk);
    search("removed");
    b.write32(reg::kErrorCause.at(), 0x3ff);  // unmapped registers were read
    b.clean();
  }
}

TEST_CASE("fullcard/hostile: a soft reset at any moment leaves a working card, its SAs and its numbers") {
  for (const Build& build : builds()) {
    CAPTURE(build.name);
    Bench b(build, {.read_latency = 30, .write_latency = 20, .stalls = 20});
    std::uint64_t last = 0;
    for (unsigned round = 0; round < 25; ++round) {
      CAPTURE(round);
      for (unsigned q = 0; q < b.queues; ++q) {
        for (unsigned i = 0; i < 14; ++i) b.submit(q, b.good(20 + b.gen.below(1700)));
        b.ring(q);
      }
      b.run(b.gen.below(2500));
      b.write32(reg::kControl.at(), 3 | reg::kControlSoftReset.mask());
      for (unsigned i = 0; reg::kControlSoftReset.get(b.read32(reg::kControl.at())) != 0; ++i) REQUIRE(i < 2000);
      REQUIRE(b.settle());
      for (unsigned q = 0; q < b.queues; ++q) b.start_queue(q, 5);
      const auto done = b.run_one(round % b.queues, b.good());
      CHECK(std::string(card::name_of(done.status)) == "Ok");
      CHECK(done.seq > last);  // numbers never go back
      last = done.seq;
      for (unsigned q = 0; q < b.queues; ++q) b.there_and_back(q);
      last += b.queues;
    }
    CHECK(b.read32(reg::kErrorCause.at()) == 0);
    b.clean();
  }
}

TEST_CASE("fullcard/hostile: queues switched off in mid-flight start again clean") {
  for (const Build& build : builds()) {
    CAPTURE(build.name);
    Bench b(build);
    for (unsigned round = 0; round < 20; ++round) {
      CAPTURE(round);
      const auto q = static_cast<unsigned>(b.gen.below(b.queues));
      for (unsigned i = 0; i < 12; ++i) b.submit(q, b.good(20 + b.gen.below(1000)));
      b.ring(q);
      b.run(b.gen.below(1500));
      b.stop_queue(q);
      // What is in flight may still write its packets: their buffers stay theirs until the card is at rest.
      REQUIRE(b.settle());
      b.start_queue(q, 4 + round % 3, round % 2 == 0);
      for (unsigned i = 0; i < 3; ++i) b.there_and_back(q);
    }
    CHECK(b.read32(reg::kErrorCause.at()) == 0);
    b.clean();
  }
}

TEST_CASE("fullcard/hostile: without a seed no IV and no packet; without test mode no IV from the host") {
  for (const Build& build : builds()) {
    CAPTURE(build.name);
    Bench b(build);
    b.write32(reg::kControl.at(), reg::kControlEnable.mask());
    Job with_iv = b.good();
    with_iv.iv.emplace();
    CHECK(b.status(0, with_iv) == "HostIvRefused");
    CHECK(b.status(0, b.good()) == "Ok");
    b.reset();
    b.set_window(0, {Memory::kBase, Memory::kSize});
    b.write32(reg::kControl.at(), reg::kControlEnable.mask() | reg::kControlTestMode.mask());
    b.start_queue(0, 4);
    REQUIRE(b.install(kOut, params(true, b.spi)) == card::SaResult::kOk);
    CHECK(b.status(0, b.good()) == "NoSeed");
    const auto done = b.run_one(0, with_iv);
    CHECK(std::string(card::name_of(done.status)) == "Ok");
    CHECK(done.seq == 1);  // the refused packet took no number
    b.clean();
  }
}

TEST_CASE("fullcard/hostile: a soft reset in mid-traffic spares the other SAs, tells of no packet before it and shows no forged plaintext") {
  for (const Build& build : builds()) {
    CAPTURE(build.name);
    Bench b(build, {.read_latency = 25, .write_latency = 15, .stalls = 15});
    // SA 7 takes what a peer outside the card sends, real and forged; SA 9 has done something and rests.
    constexpr std::uint32_t kIn = 7, kResting = 9;
    const auto peer_of = [&](std::uint32_t index) {
      REQUIRE(b.install(index, params(false, 16 * b.sa_entries + index)) == card::SaResult::kOk);
      return esp::SoftSa::create(params(true, 16 * b.sa_entries + index)).value();
    };
    esp::SoftSa peer = peer_of(kIn), resting = peer_of(kResting);
    const auto decap = [&](unsigned q, const Bytes& wire) {
      return b.run_one(q, {.op = card::Op::kDecap, .source = wire, .dst_size = 2048});
    };
    const auto name = [](const Done& done) { return std::string(card::name_of(done.status)); };
    REQUIRE(name(decap(0, resting.encap(b.gen.ipv4(200, 0, false))->packet)) == "Ok");
    const Bytes rest = b.view(kResting);
    std::set<std::uint64_t> before;  // cookies of packets that the reset drops
    unsigned cut_short = 0;
    std::vector<Bytes> forged;  // a stretch of each plaintext
    for (unsigned round = 0; round < 20; ++round) {
      CAPTURE(round);
      const Bytes taken = peer.encap(b.gen.ipv4(100, 0, false))->packet;
      CHECK(name(decap(round % b.queues, taken)) == "Ok");
      for (unsigned q = 0; q < b.queues; ++q) {
        for (unsigned i = 0; i < 12; ++i) {
          if (i % 3 == 0) {
            before.insert(b.submit(q, b.good(20 + b.gen.below(1400))));
            continue;
          }
          const Bytes plain = b.gen.ipv4(60 + b.gen.below(1400), 0, false);
          Bytes wire = peer.encap(plain)->packet;
          if (i % 3 == 1) {
            forged.emplace_back(plain.begin() + 28, plain.begin() + 52);
            wire[wire.size() - 1 - b.gen.below(12)] ^= static_cast<Byte>(1 + b.gen.below(255));
          }
          before.insert(b.submit(q, {.op = card::Op::kDecap, .source = wire, .dst_size = 2048}));
        }
        b.ring(q);
      }
      const std::uint64_t until = b.cycles() + b.gen.below(2500);
      while (b.cycles() < until) {
        b.tick();
        for (unsigned q = 0; q < b.queues; ++q)
          if (const auto done = b.poll(q); done && done->op == card::Op::kDecap) CHECK((name(*done) == "Ok" || name(*done) == "BadIcv"));
      }
      cut_short += b.outstanding() != 0;
      b.write32(reg::kControl.at(), 3 | reg::kControlSoftReset.mask());
      for (unsigned i = 0; reg::kControlSoftReset.get(b.read32(reg::kControl.at())) != 0; ++i) REQUIRE(i < 2000);
      REQUIRE(b.settle());
      // From here on the buffers of what was cut short are nobody's: a late write is a violation, a late completion ends
      // the program.
      for (unsigned q = 0; q < b.queues; ++q) b.start_queue(q, 5);
      for (const Bytes& needle : forged) REQUIRE(b.memory.find(needle) == 0);
      CHECK(b.view(kResting) == rest);
      for (unsigned q = 0; q < b.queues; ++q) {
        const Bytes plain = b.gen.ipv4(60 + b.gen.below(600), 0, false);
        const Done back = decap(q, peer.encap(plain)->packet);
        CHECK(name(back) == "Ok");
        CHECK(back.packet == plain);
        CHECK(b.memory.find(ByteView(plain).subspan(28, 24)) != 0);  // a plaintext that was let out is found
        CHECK_FALSE(before.contains(back.cookie));
        b.there_and_back(q);
      }
      CHECK(name(decap(round % b.queues, taken)) == "Replay");  // the window stayed
    }
    CHECK(cut_short > 10);
    CHECK(forged.size() > 50);
    const Bytes plain = b.gen.ipv4(300, 0, false);
    CHECK(decap(0, resting.encap(plain)->packet).packet == plain);
    CHECK(b.read32(reg::kErrorCause.at()) == 0);
    b.clean();
  }
}

TEST_CASE("fullcard/hostile: without authentication no bit of an inner IPv4 header may be wrong, whatever the outer header's mark") {
  for (const Build& build : builds()) {
    if (!Card(build.make(), {.seed = seed_of_run()}).has(reg::kCapsAuthNone)) continue;
    CAPTURE(build.name);
    Bench b(build);
    constexpr std::uint32_t kIn = 7;
    const auto open = [&](bool outbound) {
      esp::SaParams sa = params(outbound, 16 * b.sa_entries + kIn);
      sa.auth = esp::Auth::kNone;
      sa.auth_key = Secret(Bytes{});
      sa.replay_window = 0;
      return sa;
    };
    REQUIRE(b.install(kIn, open(false)) == card::SaResult::kOk);
    esp::SoftSa peer = esp::SoftSa::create(open(true)).value();
    for (std::size_t options = 0; options <= 40; options += 20)
      for (const bool ce : {false, true})
        for (int bit = -1; bit < 64; ++bit) {
          CAPTURE(options);
          CAPTURE(bit);
          Bytes plain = b.gen.ipv4(120, options, false);
          plain[1] = static_cast<Byte>((plain[1] & 0xfc) | 2);  // ECT(0): the mark is to be put in
          fix_checksum(plain);
          Bytes wire = peer.encap(plain)->packet;
          // CBC: a bit of the IV is one of the first 8 octets of the header.
          const std::size_t iv = 20 + 8;
          if (bit >= 0) wire[iv + static_cast<std::size_t>(bit) / 8] ^= static_cast<Byte>(0x80 >> bit % 8);
          if (ce) {
            wire[1] |= 3;
            fix_checksum(wire);
          }
          const Done done = b.run_one(0, {.op = card::Op::kDecap, .source = wire, .dst_size = 512});
          CHECK(std::string(card::name_of(done.status)) == (bit < 0 ? "Ok" : "BadInner"));
          if (bit < 0 && !ce) CHECK(done.packet == plain);
        }
    b.clean();
  }
}
