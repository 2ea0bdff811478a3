// The card at rest, one packet each way, the interrupt, and the bench's own eyes: what it must see, it sees.
#include <doctest/doctest.h>

#include "common/esp/engine.h"
#include "common/esp/ip.h"
#include "hw/tb/fullcard/generator.h"
#include "tests/rtl/fullcard/models.h"

using namespace esplanade;
using namespace esplanade::fullcard;
namespace reg = card::reg;

namespace {
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
}  // namespace

TEST_CASE("fullcard/smoke: a packet goes out and comes back on every queue") {
  for (const Build& build : builds()) {
    CAPTURE(build.name);
    Card card(build.make(), {.seed = seed_of_run(), .timing = {.read_latency = 60, .write_latency = 30}});
    CHECK(card.read32(reg::kId.at()) == 0x43505345);
    CHECK(card.read32(reg::kVersion.at()) == card::kFormatVersion);
    Generator gen(card, seed_of_run());
    const std::uint32_t spi = 16 * card.sa_entries + 5;
    REQUIRE(card.install(5, params(false, spi)) == card::SaResult::kOk);
    REQUIRE(card.install(2, params(true, spi)) == card::SaResult::kOk);
    card.write32(reg::kIrqEnable.at(), reg::kIrqEnableCompletion.mask());
    for (unsigned q = 0; q < card.queues; ++q) {
      CAPTURE(q);
      CHECK_FALSE(card.interrupt());
      card.start_queue(q, 4);
      for (const std::size_t size : {28u, 64u, 300u, 1500u}) {
        const Bytes plain = gen.ipv4(size, 0, false);
        const auto sent = card.run_one(q, {.source = plain, .sa_index = 2, .dst_size = 2000});
        REQUIRE(std::string(card::name_of(sent.status)) == "Ok");
        const auto back = card.run_one(q, {.op = card::Op::kDecap, .source = sent.packet, .dst_size = 2000});
        REQUIRE(std::string(card::name_of(back.status)) == "Ok");
        CHECK(back.packet == plain);
        CHECK(back.next_header == 4);
      }
      CHECK(card.interrupt());
      card.write32(reg::kIrqStatus.at(), 1);
      card.run(5);
    }
    CHECK(card.settle());
    for (const auto& v : card.memory.violations) FAIL_CHECK(v);
  }
}

TEST_CASE("fullcard/smoke: the bench notices a write that nobody allowed, and an access outside the windows") {
  Card card(make_card_x1(), {.seed = seed_of_run()});
  card.start_queue(0, 4);
  card.memory.forbid(Card::kRings + Card::kCqOffset, 64);
  CHECK(card.run_one(0, {.op = card::Op::kNop}).status == card::Status::kOk);
  REQUIRE(card.memory.num_violations == 1);
  CHECK(card.memory.violations[0].find("may not write") != std::string::npos);
  card.memory.windows.clear();
  CHECK(card.run_one(0, {.op = card::Op::kNop}).status == card::Status::kOk);
  CHECK(card.memory.num_violations >= 3);  // one read, one write
}

TEST_CASE("fullcard/smoke: the port's checker takes a beat that waits unchanged, and notices one that does not") {
  CData one = 1, zero = 0, len = 0, size = 6, burst = 1, last = 1, out[10] = {};
  QData address = Memory::kBase, strobe = ~QData{0};
  EData data[16] = {1, 2, 3}, rdata[16] = {};
  AxiPins pins{&one, &len, &size, &burst, &zero, &one, &last, &one, &zero, &len, &size, &burst, &zero, &one, &address, &address,
               &strobe, data, &out[0], &out[1], &out[2], &out[3], &out[4], &out[5], &out[6], &out[7], &out[8], &out[9], rdata};
  Memory memory;
  memory.windows = {{Memory::kBase, Memory::kSize}};
  AxiPort port(0, pins, memory, 1);
  for (unsigned i = 0; i < 4; ++i) port.sample();  // AW and W wait: neither is ready
  CHECK(memory.num_violations == 0);
  data[15] = 9;
  port.sample();
  CHECK(memory.num_violations == 1);
  strobe = 1;
  port.sample();
  CHECK(memory.num_violations == 2);
  address += 64;
  port.sample();
  CHECK(memory.num_violations == 3);
}

TEST_CASE("fullcard/smoke: what the generator makes is good, and its tools open, measure and seal it") {
  Card card(make_card_x1(), {.seed = seed_of_run()});
  // As if the build offered everything: no packet goes to the card here.
  card.caps = ~0u;
  card.max_packet = 9216;
  card.replay_max = 1024;
  Generator gen(card, seed_of_run());
  for (unsigned round = 0; round < 3000; ++round) {
    CAPTURE(round);
    esp::SaParams out = gen.sa(round & 1023);
    out.seq = out.esn ? (std::uint64_t{1} << 32) * (round % 3) + round : round;
    esp::SaParams in = copy_of(out), wrong = copy_of(out);
    in.outbound = false;
    const Bytes plain = gen.packet(out, gen.size(9000));
    const auto ip = esp::parse_ip(plain);
    REQUIRE_MESSAGE(ip, (ip ? "" : ip.error().detail));
    const std::size_t len = protected_len(out, plain.size(), ip->upper_at);
    auto sender = esp::SoftSa::create(copy_of(out));
    REQUIRE(sender);
    const auto sent = sender->encap(plain);
    REQUIRE_MESSAGE(sent, (sent ? "" : sent.error().detail));
    CHECK(sent->packet.size() == len);
    CHECK(protection_at(sent->packet) <= 104);  // all headers within the first 128 octets
    auto receiver = esp::SoftSa::create(copy_of(in));
    REQUIRE(receiver);
    CHECK(to_hex(seal_wire(out, sent->packet, sent->seq, open_wire(out, sent->packet))) == to_hex(sent->packet));
    const auto back = receiver->decap(sent->packet);
    REQUIRE_MESSAGE(back, (back ? "" : back.error().detail));
    // The header of a transport packet is the outer one: equal in any case, for nobody changed it.
    CHECK(back->packet == plain);
  }
}
