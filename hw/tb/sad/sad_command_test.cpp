// Commands: what an entry may say, HMAC states, update, removal and clear under traffic, and where keys must not be.
#include <doctest/doctest.h>
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/md5.h>
#include <openssl/sha.h>

#include <algorithm>
#include <functional>

#include "hw/tb/sad/sad_bench.h"

using namespace esplanade;
using namespace esplanade::tb;

namespace {
constexpr unsigned kOk = 0, kBadIndex = 1, kOccupied = 2, kEmpty = 3, kBadEntry = 5, kBadCommand = 6;
constexpr unsigned kInstall = 1, kRemove = 2, kView = 3, kClear = 4, kUpdate = 5;

SaSetting base(bool outbound) {
  SaSetting sa;
  sa.outbound = outbound;
  sa.spi = 16 * 4096 + 2;
  sa.check_outer = false;
  return sa;
}
std::vector<std::uint8_t> pad_state(bool md5, const std::array<std::uint8_t, 20>& key, std::uint8_t pad) {
  std::array<std::uint8_t, 64> block;
  block.fill(pad);
  for (unsigned i = 0; i < (md5 ? 16u : 20u); ++i) block[i] ^= key[i];
  std::vector<std::uint32_t> words;
  if (md5) {
    MD5_CTX c;
    MD5_Init(&c);
    MD5_Update(&c, block.data(), block.size());
    words = {c.A, c.B, c.C, c.D, 0};
  } else {
    SHA_CTX c;
    SHA1_Init(&c);
    SHA1_Update(&c, block.data(), block.size());
    words = {c.h0, c.h1, c.h2, c.h3, c.h4};
  }
  std::vector<std::uint8_t> out;
  for (const auto w : words) {
    for (int s = 24; s >= 0; s -= 8) out.push_back(static_cast<std::uint8_t>(w >> s));
  }
  return out;
}
bool row_zero(SadBench& b, std::uint32_t index) {
  auto* root = b.dut->rootp;
  const auto zero = [](const auto& row) {
    for (std::size_t i = 0; i < sizeof row / 4; ++i) {
      if (row[i] != 0) return false;
    }
    return true;
  };
  return zero(root->sad_bench_top__DOT__u_sad__DOT__u_par__DOT__mem[index]) && zero(root->sad_bench_top__DOT__u_sad__DOT__u_key__DOT__mem[index]) &&
         zero(root->sad_bench_top__DOT__u_sad__DOT__u_dyn__DOT__mem[index]);
}
}  // namespace

TEST_CASE("sad_command: every inconsistent entry is refused, and its consistent neighbour taken") {
  SadBench b(SAD_ENTRIES, SAD_REPLAY, 9216, 51);
  struct Case {
    const char* name;
    bool outbound;
    unsigned result;
    std::function<void(SaSetting&)> change;
  };
  const std::vector<Case> cases = {
      {"plain outbound", true, kOk, [](SaSetting&) {}},
      {"plain inbound", false, kOk, [](SaSetting&) {}},
      {"SPI 255", true, kBadEntry, [](SaSetting& s) { s.spi = 255; }},
      {"SPI 256", true, kOk, [](SaSetting& s) { s.spi = 256; }},
      {"index not of the SPI", false, kBadEntry, [](SaSetting& s) { s.spi ^= 8; }},
      {"any SPI outbound", true, kOk, [](SaSetting& s) { s.spi ^= 8; }},
      {"NULL with NULL", true, kBadEntry, [](SaSetting& s) { s.cipher = s.auth = 0; }},
      {"NULL cipher", true, kOk, [](SaSetting& s) { s.cipher = 0; }},
      {"no authentication", true, kOk, [](SaSetting& s) { s.auth = 0; }},
      {"DES, MD5", true, kOk, [](SaSetting& s) { s.cipher = s.auth = 1; }},
      {"cipher 3", true, kBadEntry, [](SaSetting& s) { s.cipher = 3; }},
      {"cipher 8", true, kBadEntry, [](SaSetting& s) { s.cipher = 8; }},
      {"auth 3", true, kBadEntry, [](SaSetting& s) { s.auth = 3; }},
      {"auth 4", true, kBadEntry, [](SaSetting& s) { s.auth = 4; }},
      {"DF policy 3", true, kBadEntry, [](SaSetting& s) { s.df = 3; }},
      {"AH", true, kOk, [](SaSetting& s) { s.ah = true, s.cipher = 0; }},
      {"AH with a cipher", true, kBadEntry, [](SaSetting& s) { s.ah = true; }},
      {"AH without authentication", true, kBadEntry, [](SaSetting& s) { s.ah = true, s.cipher = s.auth = 0; }},
      {"AH with NAT-T", true, kBadEntry, [](SaSetting& s) { s.ah = s.natt = true, s.cipher = 0; }},
      {"transport AH with NAT-T", true, kBadEntry, [](SaSetting& s) { s.ah = s.natt = s.transport = true, s.cipher = 0; }},
      {"NAT-T", true, kOk, [](SaSetting& s) { s.natt = true; }},
      {"NAT-T over IPv6", true, kBadEntry, [](SaSetting& s) { s.natt = s.outer_v6 = true; }},
      {"transport over IPv6", true, kOk, [](SaSetting& s) { s.transport = s.outer_v6 = true; }},
      {"number above 32 bits", true, kBadEntry, [](SaSetting& s) { s.seq = 1ull << 32; }},
      {"number above 32 bits, ESN", true, kOk, [](SaSetting& s) { s.seq = 1ull << 32, s.esn = true; }},
      {"window 16", false, kBadEntry, [](SaSetting& s) { s.window = 16; }},
      {"window 96", false, kOk, [](SaSetting& s) { s.window = 96; }},
      {"largest window", false, kOk, [](SaSetting& s) { s.window = SAD_REPLAY; }},
      {"window too large", false, kBadEntry, [](SaSetting& s) { s.window = SAD_REPLAY + 32; }},
      {"no window", false, kOk, [](SaSetting& s) { s.window = 0; }},
      {"ESN without a window", false, kBadEntry, [](SaSetting& s) { s.window = 0, s.esn = true; }},
      {"lifetimes", false, kOk, [](SaSetting& s) { s.soft_bytes = s.hard_bytes = s.soft_packets = s.hard_packets = s.soft_seconds = 9; }},
  };
  unsigned valid = 0;
  for (const auto& c : cases) {
    CAPTURE(c.name);
    SaSetting sa = base(c.outbound);
    c.change(sa);
    CHECK(b.install(2, sa) == c.result);
    for (std::uint32_t a = 0x500; a < 0x600; a += 4) REQUIRE(b.read(a) == 0);
    if (c.result == kOk) ++valid;
    CHECK(b.read(0x40c) == (c.result == kOk ? 1 : 0));
    CHECK(b.run(kRemove, 2) == (c.result == kOk ? kOk : kEmpty));
    CHECK(b.read(0x40c) == 0);
  }
  CHECK(valid > 10);
  // Reserved bits, one at a time
  const unsigned reserved[] = {9, 11, 30, 31, 64 + 24, 96 + 16, 128 - 1, 288, 319, 576, 639, 896, 1023, 1216, 1279, 1440, 2047};
  for (const unsigned bit : reserved) {
    CAPTURE(bit);
    b.write_entry(base(true));
    const auto words = base(true).words();
    b.write(0x500 + bit / 32 * 4, words[bit / 32] | 1u << bit % 32);
    b.start(kInstall, 2);
    while (b.busy()) b.step();
    CHECK(b.result() == kBadEntry);
  }
  // Commands at the wrong place
  CHECK(b.install(SAD_ENTRIES, base(true)) == kBadIndex);
  CHECK(b.run(kView, SAD_ENTRIES) == kBadIndex);
  CHECK(b.run(kRemove, 0x80000002) == kBadIndex);
  CHECK(b.run(kView, 3) == kEmpty);
  CHECK(b.run(9, 2) == kBadCommand);
  CHECK(b.run(0x101, 2) == kBadCommand);
  REQUIRE(b.install(2, base(true)) == kOk);
  CHECK(b.install(2, base(true)) == kOccupied);
  CHECK(b.read(0x40c) == 1);
}

TEST_CASE("sad_command: HMAC states are those of the pads, for both hashes, and absent without one") {
  SadBench b(SAD_ENTRIES, SAD_REPLAY, 9216, 52);
  for (unsigned n = 0; n < 12; ++n) {
    SaSetting sa = base(true);
    sa.auth = n % 3;
    b.random.fill(sa.auth_key);
    b.random.fill(sa.enc_key);
    REQUIRE(b.install(2, sa) == kOk);
    Lookup l;
    l.index = 2;
    const Answer a = b.lookup(l);
    REQUIRE(a.status == 0);
    const std::vector<std::uint8_t> none(20, 0);
    CHECK(b.last_istate == (sa.auth == 0 ? none : pad_state(sa.auth == 1, sa.auth_key, 0x36)));
    CHECK(b.last_ostate == (sa.auth == 0 ? none : pad_state(sa.auth == 1, sa.auth_key, 0x5c)));
    CHECK(std::ranges::equal(b.last_enc_key, sa.enc_key));
    Update u;
    u.index = 2;
    u.epoch = a.epoch;
    b.update(u);
    REQUIRE(b.run(kRemove, 2) == kOk);
  }
}

TEST_CASE("sad_command: update changes addresses and lifetimes, and nothing else") {
  SadBench b(SAD_ENTRIES, SAD_REPLAY, 9216, 53);
  SaSetting sa = base(true);
  sa.hard_packets = 3;
  sa.seq = 77;
  b.random.fill(sa.enc_key);
  REQUIRE(b.install(2, sa) == kOk);
  Lookup l;
  l.index = 2;
  const auto send = [&] {
    const Answer a = b.lookup(l);
    Update u;
    u.index = 2;
    u.epoch = a.epoch;
    u.status = a.status;
    b.update(u);
    return a;
  };
  CHECK(send().seq == 78);
  CHECK(send().seq == 79);
  SaSetting changed = sa;
  changed.hard_packets = 4;
  changed.dst.fill(0x33);
  changed.natt = true;
  changed.ttl = 9;
  changed.seq = 5000;
  changed.enc_key.fill(1);
  changed.cipher = 1;
  b.write_entry(changed);
  CHECK(b.run(kUpdate, 2) == kOk);
  CHECK(send().seq == 80);   // the model holds the fields of the answer against the change
  CHECK(send().seq == 81);
  CHECK(send().status == 20);
  b.check_view(2);
  b.check_events();
  for (std::uint32_t a = 0x500; a < 0x600; a += 4) CHECK(b.read(a) == 0);
  changed.spi += 16;
  b.write_entry(changed);
  CHECK(b.run(kUpdate, 2) == kBadEntry);
  changed.spi -= 16;
  changed.outbound = false;
  b.write_entry(changed);
  CHECK(b.run(kUpdate, 2) == kBadEntry);
  b.write_entry(changed);
  CHECK(b.run(kUpdate, 3) == kEmpty);
}

TEST_CASE("sad_command: remove and clear wait for the packets that hold an entry; a soft reset lets them go") {
  SadBench b(SAD_ENTRIES, SAD_REPLAY, 9216, 54);
  for (const bool clear : {false, true}) {
    for (const bool reset : {false, true}) {
      REQUIRE(b.install(2, base(true)) == kOk);
      Lookup l;
      l.index = 2;
      const Answer first = b.lookup(l), second = b.lookup(l);
      REQUIRE(second.status == 0);
      b.start(clear ? kClear : kRemove, 2);
      b.steps(200);
      CHECK(b.busy());
      CHECK(b.lookup(l).status == 7);  // found no more
      Update u;
      u.index = 2;
      u.epoch = first.epoch;
      b.update(u);
      b.steps(100);
      CHECK(b.busy());
      if (reset) {
        b.model[2].held = 0;
        b.dut->flush_i = 1;
        b.steps(10);
        b.dut->flush_i = 0;
      } else {
        b.update(u);
      }
      b.steps(200);
      CHECK_FALSE(b.busy());
      CHECK(b.result() == kOk);
      CHECK(row_zero(b, 2));
      CHECK(b.read(0x40c) == 0);
    }
  }
}

TEST_CASE("[R53] sad_command: after a removal no row and no readable register has anything of the key") {
  SadBench b(SAD_ENTRIES, SAD_REPLAY, 9216, 55);
  for (unsigned n = 0; n < 6; ++n) {
    SaSetting sa = base(n % 2 == 0);
    sa.auth = 1 + n / 3;
    b.random.fill(sa.enc_key);
    b.random.fill(sa.auth_key);
    std::vector<std::uint32_t> secrets;
    const auto words = sa.words();
    for (unsigned i = 32; i < 45; ++i) {
      if (words[i] != 0) secrets.push_back(words[i]);
    }
    const auto look = [&] {
      for (std::uint32_t addr = 0x400; addr < 0x700; addr += 4) {
        const std::uint32_t v = b.read(addr);
        CHECK(std::ranges::find(secrets, v) == secrets.end());
        CHECK(std::ranges::find(secrets, __builtin_bswap32(v)) == secrets.end());
      }
    };
    b.write_entry(sa);
    look();
    b.start(kInstall, 2);
    while (b.busy()) {
      if (b.dut.cycle() % 16 == 0) look();
      b.step();
    }
    REQUIRE(b.result() == kOk);
    CHECK(b.run(kView, 2) == kOk);
    look();
    CHECK_FALSE(row_zero(b, 2));
    Lookup l;
    l.encap = sa.outbound;
    l.index = 2;
    l.spi = sa.spi;
    l.seq = 1;
    const Answer a = b.lookup(l);
    Update u;
    u.index = 2;
    u.epoch = a.epoch;
    u.status = a.status;
    b.update(u);
    REQUIRE(b.run(kRemove, 2) == kOk);
    look();
    CHECK(row_zero(b, 2));
    const std::vector<std::uint8_t> none(24, 0);
    CHECK(get_top_first(b.dut->lr_enc_key_o, 24) == none);
    CHECK(b.run(kView, 2) == kEmpty);
    for (const auto w : b.view()) CHECK(w == 0);
  }
}

TEST_CASE("sad_command: a reset wipes the table, also one that comes while an entry is being installed") {
  SadBench b(SAD_ENTRIES, SAD_REPLAY, 9216, 56);
  for (unsigned when = 1; when < 400; when += 37) {
    REQUIRE(b.install(5, [] {
              SaSetting s = base(true);
              s.spi = 4096 + 5;
              return s;
            }()) == kOk);
    b.write_entry(base(true));
    b.start(kInstall, 2);
    b.steps(when);
    b.dut.reset();
    b.model[2] = b.model[5] = ModelEntry{};
    while (b.busy()) b.step();
    for (unsigned i = 0; i < SAD_ENTRIES; ++i) CHECK(row_zero(b, i));
    Lookup l;
    l.index = 5;
    CHECK(b.lookup(l).status == 7);
  }
}
