// SA table commands: refusals, life cycle, key isolation, sequence numbers, counters.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <functional>

#include "common/esp/engine.h"
#include "hw/tb/card/card_bench.h"

using namespace esplanade;
using tb::Bench;
using tb::Job;
using card::SaCommand;
using card::SaResult;
namespace reg = card::reg;
namespace f = card::sa_entry;

namespace {

const char* kEncKey = "c3d2e1f00f1e2d3c4b5a69788796a5b4dec0de11feedfacecafe";  // longer than a key, cut below
const char* kAuthKey = "a1b2c3d4e5f60718293a4b5c6d7e8f9001122334";

esp::SaParams params(bool outbound, std::uint32_t spi) {
  esp::SaParams sa;
  sa.outbound = outbound;
  sa.spi = spi;
  sa.enc_key = Secret(ByteView(*from_hex(kEncKey)).first(24));
  sa.auth_key = Secret(*from_hex(kAuthKey));
  sa.src = *esp::parse_address("192.0.2.1");
  sa.dst = *esp::parse_address("192.0.2.2");
  return sa;
}
Bytes inner(std::size_t size) { return tb::ipv4_packet(size); }

}  // namespace

TEST_CASE("card/sa: what the card cannot do or must not run is refused by name") {
  Bench b(tb::seed_of_run());
  struct Case {
    const char* what;
    card::Field field;
    std::uint64_t value;
    SaResult result;
  };
  const Case cases[] = {
      {"AH with a cipher", f::kAh, 1, SaResult::kBadEntry},
      {"no such cipher", f::kCipher, 9, SaResult::kBadEntry},
      {"no such authentication", f::kAuth, 7, SaResult::kBadEntry},
      {"window of 1056", f::kReplayWindow, 1056, SaResult::kBadEntry},
      {"SPI 0", f::kSpi, 0, SaResult::kBadEntry},
      {"reserved SPI", f::kSpi, 255, SaResult::kBadEntry},
      {"SPI of another index", f::kSpi, 0x10006, SaResult::kBadEntry},
      {"window of 33", f::kReplayWindow, 33, SaResult::kBadEntry},
      {"DF policy 3", f::kDfPolicy, 3, SaResult::kBadEntry},
      {"number above 32 bits without ESN", f::kSeq, std::uint64_t{1} << 32, SaResult::kBadEntry},
      {"reserved bit", {9, 1}, 1, SaResult::kBadEntry},
      {"reserved word", {36 * 8, 32}, 0x80000000, SaResult::kBadEntry},
      {"last reserved bit", {2047, 1}, 1, SaResult::kBadEntry},
      {"behind the encryption key", {(128 + 24) * 8, 1}, 1, SaResult::kBadEntry},
  };
  for (const Case& c : cases) {
    CAPTURE(c.what);
    Bytes e = tb::entry_of(params(false, 0x10005));
    card::set(e, c.field, c.value);
    b.write_entry(e);
    CHECK(b.sa_command(SaCommand::kInstall, 5) == c.result);
    CHECK(b.read32(reg::kSaValidCount.at()) == 0);
  }
  // Every bit that no field covers
  std::size_t reserved = 0;
  for (std::uint32_t bit = 0; bit < 2048; ++bit) {
    const card::Field all[] = {f::kOutbound, f::kTransport, f::kAh, f::kOuterV6, f::kNatt, f::kEsn, f::kCheckOuter, f::kInnerV4,
                               f::kInnerV6, f::kCipher, f::kAuth, f::kDfPolicy, f::kDscpSet, f::kEcnClear, f::kDscp, f::kSpi,
                               f::kReplayWindow, f::kTtl, f::kIpId, f::kSeq, f::kUdpSrc, f::kUdpDst, f::kSoftSeconds,
                               f::kHardSeconds, f::kSoftBytes, f::kHardBytes, f::kSoftPackets, f::kHardPackets, f::kSrc, f::kDst,
                               f::kEncKey, f::kAuthKey};
    if (std::ranges::any_of(all, [&](card::Field x) { return bit >= x.lsb && bit < x.lsb + x.width; })) continue;
    ++reserved;
    if (reserved % 8 != 0 && bit > 320) continue;
    CAPTURE(bit);
    Bytes e = tb::entry_of(params(false, 0x10005));
    card::set(e, {bit, 1}, 1);
    b.write_entry(e);
    CHECK(b.sa_command(SaCommand::kInstall, 5) == SaResult::kBadEntry);
  }
  CHECK(reserved > 300);
  CHECK(b.install(5, params(false, 0x10005)) == SaResult::kOk);
}

TEST_CASE("card/sa: install, occupied, remove, empty, bad index, bad command") {
  Bench b(tb::seed_of_run());
  CHECK(b.install(5, params(false, 0x10005)) == SaResult::kOk);
  CHECK(b.read32(reg::kSaValidCount.at()) == 1);
  CHECK(b.install(5, params(false, 0x20005)) == SaResult::kOccupied);
  CHECK(b.install(b.sa_entries(), params(true, 0x20005)) == SaResult::kBadIndex);
  CHECK(b.sa_command(SaCommand::kView, 0x80000005) == SaResult::kBadIndex);
  CHECK(b.sa_command(SaCommand::kRemove, 6) == SaResult::kEmpty);
  CHECK(b.sa_command(SaCommand::kView, 6) == SaResult::kEmpty);
  CHECK(b.sa_command(static_cast<SaCommand>(0), 5) == SaResult::kBadCommand);
  CHECK(b.sa_command(static_cast<SaCommand>(6), 5) == SaResult::kBadCommand);
  CHECK(card::get(b.view(5), card::sa_view::kSpi) == 0x10005);
  CHECK(b.sa_command(SaCommand::kRemove, 5) == SaResult::kOk);
  CHECK(b.read32(reg::kSaValidCount.at()) == 0);
  CHECK(b.view(5) == Bytes(128));
  CHECK(b.install(b.sa_entries() - 1, params(true, 0x20005)) == SaResult::kOk);
  CHECK(b.install(0, params(true, 0x20005)) == SaResult::kOk);
  CHECK(b.read32(reg::kSaValidCount.at()) == 2);
  CHECK(b.sa_command(SaCommand::kClear, 0) == SaResult::kOk);
  CHECK(b.read32(reg::kSaValidCount.at()) == 0);
  CHECK(b.sa_command(SaCommand::kView, b.sa_entries() - 1) == SaResult::kEmpty);
  CHECK(b.sa_command(SaCommand::kView, 0) == SaResult::kEmpty);
}

TEST_CASE("card/sa: the entry window is wiped when Install has taken it") {
  Bench b(tb::seed_of_run());
  REQUIRE(b.install(5, params(true, 0x10005)) == SaResult::kOk);
  CHECK(b.sa_command(SaCommand::kInstall, 6) == SaResult::kBadEntry);  // all zeros
  Bytes e = tb::entry_of(params(true, 0x10005));
  card::set(e, f::kCipher, 9);
  b.write_entry(e);
  CHECK(b.sa_command(SaCommand::kInstall, 7) == SaResult::kBadEntry);
  CHECK(b.sa_command(SaCommand::kInstall, 7) == SaResult::kBadEntry);  // wiped after a refusal, too
}

TEST_CASE("card/sa: no register returns a piece of a key") {
  Bench b(tb::seed_of_run());
  b.start_queue(4);
  const Bytes enc = *from_hex(kEncKey), auth = *from_hex(kAuthKey);
  std::vector<std::uint32_t> secret;
  for (const ByteView key : {ByteView(enc).first(24), ByteView(auth)})
    for (std::size_t i = 0; i + 4 <= key.size(); ++i) {
      secret.push_back(load_be32(&key[i]));
      secret.push_back(__builtin_bswap32(load_be32(&key[i])));
    }
  const auto scan = [&](const char* when) {
    CAPTURE(when);
    for (std::uint32_t at = 0; at < 0x10000; at += 4) {
      if (at >= 0x2200 && at % 0x100 != 0) continue;
      CAPTURE(at);
      const auto word = b.read32(at);
      CHECK(std::ranges::find(secret, word) == secret.end());
    }
  };
  b.write_entry(tb::entry_of(params(true, 0x10005)));
  scan("entry window filled");
  REQUIRE(b.sa_command(SaCommand::kInstall, 5) == SaResult::kOk);
  (void)b.view(5);
  CHECK(b.run_one({.source = inner(100), .sa_index = 5}).status == card::Status::kOk);
  scan("installed, viewed and used");
}

TEST_CASE("card/sa: removal lets packets in flight finish and hides the entry from the next") {
  Bench b(tb::seed_of_run(), 20, 60);
  b.start_queue(6);
  for (unsigned round = 0; round < 12; ++round) {
    REQUIRE(b.install(5, params(true, 0x10005)) == SaResult::kOk);
    for (unsigned i = 0; i < 30; ++i) b.submit({.source = inner(20 + 13 * i), .sa_index = 5});
    b.run(b.rng() % 1500);
    CHECK(b.sa_command(SaCommand::kRemove, 5) == SaResult::kOk);
    b.submit({.source = inner(64), .sa_index = 5});
    bool gone = false;
    for (unsigned i = 0; i < 31; ++i) {
      const auto done = b.reap();
      CAPTURE(i);
      gone = gone || done.status == card::Status::kNoSa;
      CHECK(done.status == (gone ? card::Status::kNoSa : card::Status::kOk));
      if (!gone) CHECK(done.seq == i + 1);
      CHECK(done.sa_index == (gone ? 0xffffffff : 5));
    }
    CHECK(gone);
    CHECK(b.view(5) == Bytes(128));
  }
  CHECK(b.memory.violations().empty());
}

TEST_CASE("card/sa: clear lets packets in flight finish") {
  Bench b(tb::seed_of_run(), 20, 30);
  b.start_queue(6);
  REQUIRE(b.install(5, params(true, 0x10005)) == SaResult::kOk);
  for (unsigned i = 0; i < 20; ++i) b.submit({.source = inner(400), .sa_index = 5});
  b.run(300);
  CHECK(b.sa_command(SaCommand::kClear, 0) == SaResult::kOk);
  unsigned ok = 0;
  for (unsigned i = 0; i < 20; ++i) ok += b.reap().status == card::Status::kOk ? 1 : 0;
  CHECK(ok > 0);
  CHECK(b.run_one({.source = inner(64), .sa_index = 5}).status == card::Status::kNoSa);
}

TEST_CASE("card/sa: the last sequence number is used once, then the SA refuses, with events") {
  Bench b(tb::seed_of_run());
  b.start_queue(4);
  auto sa = params(true, 0x10005);
  sa.seq = 0xfffffffd;
  REQUIRE(b.install(5, sa) == SaResult::kOk);
  const Job job{.source = inner(64), .sa_index = 5};
  CHECK(b.run_one(job).seq == 0xfffffffe);
  CHECK(b.run_one(job).seq == 0xffffffff);
  for (unsigned i = 0; i < 3; ++i) {
    const auto done = b.run_one(job);
    CHECK(done.status == card::Status::kSeqOverflow);
    CHECK(done.sa_index == 5);
    CHECK(done.seq == 0);
    CHECK(done.canary_ok);
  }
  b.run(200);
  const auto events = b.take_events();
  REQUIRE(events.size() == 2);
  CHECK(card::get(events[0], card::event::kType) == static_cast<unsigned>(card::EventType::kSeqSoon));
  CHECK(card::get(events[1], card::event::kType) == static_cast<unsigned>(card::EventType::kSeqOverflow));
  CHECK(card::get(events[1], card::event::kSaIndex) == 5);
  CHECK(card::get(events[1], card::event::kSpi) == 0x10005);
  const auto view = b.view(5);
  CHECK(card::get(view, card::sa_view::kSeq) == 0xffffffff);
  CHECK(card::get(view, card::sa_view::kExpired) == 1);
  CHECK(card::get(view, card::sa_view::kPackets) == 2);
  CHECK(card::get(view, card::sa_view::kSeqDrops) == 3);
}

TEST_CASE("card/sa: view and counters tell what happened") {
  Bench b(tb::seed_of_run());
  b.start_queue(4);
  REQUIRE(b.install(1, params(true, 0x10005)) == SaResult::kOk);
  auto in = params(false, 0x10005);
  REQUIRE(b.install(5, in) == SaResult::kOk);
  const auto sent = b.run_one({.source = inner(100), .sa_index = 1});
  REQUIRE(sent.status == card::Status::kOk);
  Job back{.op = card::Op::kDecap, .source = sent.packet};
  CHECK(b.run_one(back).packet == inner(100));
  CHECK(b.run_one(back).status == card::Status::kReplay);
  back.source.back() ^= 1;
  store_be32(&back.source[24], 2);
  CHECK(b.run_one(back).status == card::Status::kBadIcv);
  back.source[12] ^= 1;  // outer source address, and its checksum
  back.source[10] = static_cast<Byte>(back.source[10] + 255);
  const auto wrong = b.run_one(back);
  CHECK((wrong.status == card::Status::kWrongAddress || wrong.status == card::Status::kBadHeader));
  const auto view = b.view(5);
  namespace v = card::sa_view;
  CHECK(card::get(view, v::kValid) == 1);
  CHECK(card::get(view, v::kOutbound) == 0);
  CHECK(card::get(view, v::kCipher) == 2);
  CHECK(card::get(view, v::kAuth) == 2);
  CHECK(card::get(view, v::kSeq) == 1);
  CHECK(card::get(view, v::kPackets) == 1);
  CHECK(card::get(view, v::kBytes) == 100);
  CHECK(card::get(view, v::kReplayDrops) == 1);
  CHECK(card::get(view, v::kIcvDrops) == 1);
  CHECK(b.read32(reg::kEncapPackets.at()) == 1);
  CHECK(b.read32(reg::kEncapBytesLo.at()) == 100);
  CHECK(b.read32(reg::kDecapPackets.at()) == 1);
  CHECK(b.read32(reg::kDecapBytesLo.at()) == 100);
  CHECK(b.read32(reg::kPacketsByStatus.at(0)) == 2);
  CHECK(b.read32(reg::kPacketsByStatus.at(static_cast<unsigned>(card::Status::kReplay))) == 1);
  CHECK(b.read32(reg::kPacketsByStatus.at(static_cast<unsigned>(card::Status::kBadIcv))) == 1);
}

TEST_CASE("card/sa: a reset wipes the table, a soft reset keeps it") {
  Bench b(tb::seed_of_run());
  REQUIRE(b.install(5, params(true, 0x10005)) == SaResult::kOk);
  b.write32(reg::kControl.at(), 3 | reg::kControlSoftReset.mask());
  b.run(100);
  CHECK(reg::kControlSoftReset.get(b.read32(reg::kControl.at())) == 0);
  CHECK(card::get(b.view(5), card::sa_view::kSpi) == 0x10005);
  b.card.ap_rst_n = 0;
  b.run(5);
  b.card.ap_rst_n = 1;
  CHECK(b.sa_command(SaCommand::kView, 5) == SaResult::kEmpty);  // waits for the wiping
}
