// The front on constrained random traffic: every kind of SA, packet, length and descriptor, with pauses everywhere.
#include <doctest/doctest.h>

#include "hw/tb/front/front_make.h"

using namespace esplanade;
using namespace esplanade::tb;

namespace {

/// Cipher and authentication, not both none.
std::pair<esp::Cipher, esp::Auth> algorithms(Random& random, bool ah) {
  const auto cipher = static_cast<esp::Cipher>(random.between(0, 2));
  const auto auth = static_cast<esp::Auth>(random.between(ah || cipher == esp::Cipher::kNull ? 1 : 0, 2));
  return {cipher, auth};
}

Bytes any_plain(Random& random, int version, bool wild) {
  const auto some_len = [&](std::size_t least) {
    return random.percent(90) ? least + random.between(0, 200) : least + random.between(0, 9000 - least);
  };
  const auto protocol = static_cast<Byte>(random.percent(5) ? 44 : random.percent(10) ? 50 : 6);
  Bytes extra;
  Byte first = 0;
  if (random.percent(30)) extra = version == 4 ? make_options(random, wild) : make_extensions(random, first, protocol, wild);
  return make_plain(random, version, some_len((version == 4 ? 20 : 40) + extra.size()), protocol, extra, first);
}

Packet any_packet(Random& random, bool wild) {
  const bool ah = random.percent(40), transport = random.percent(50);
  const int version = random.percent(50) ? 4 : 6;
  const auto [cipher, auth] = algorithms(random, ah);
  auto sa = make_sa(random, ah, transport, version, !ah && version == 4 && random.percent(25), cipher, auth);
  if (random.percent(20)) {
    sa.esn = true;
    sa.seq |= random.between(0, 3) << 32;
  }
  sa.inner_v4 = random.percent(90);
  sa.inner_v6 = random.percent(90);
  const Bytes plain = any_plain(random, transport ? version : random.percent(50) ? 4 : 6, wild);
  std::array<Byte, 8> iv;
  random.fill(iv);
  if (random.percent(50)) {
    Packet p = encap_packet(copy(sa), plain, iv, random);
    if (p.expected.run && random.percent(50)) p.host_iv.reset();
    return p;
  }
  auto soft = esp::SoftSa::create(copy(sa));
  REQUIRE(soft);
  const auto made = soft->encap(plain, iv);
  if (!made) return encap_packet(copy(sa), plain, iv, random);
  Bytes wire = made->packet;
  if (random.percent(20)) {  // octets behind the packet do not count
    const Bytes more = random.octets(random.between(1, 200));
    wire.insert(wire.end(), more.begin(), more.end());
  }
  return decap_packet(copy(sa), wire, random);
}

void spice(Random& random, Packet& p) {
  p.segments = random.percent(30) ? random.between(1, 8) : 0;
  p.queue = static_cast<unsigned>(random.between(0, 15));
  p.in_order = random.percent(20);
  const auto beats = static_cast<int>((p.source.size() + 63) / 64);
  if (random.percent(4)) {
    p.bad_beat = 0;
    p.expected = Expected{};
    p.expected.status = kBusError;
  } else if (random.percent(4) && beats > 2) {
    p.bad_beat = static_cast<int>(random.between(2, static_cast<std::uint64_t>(beats) - 1));
  }
  if (random.percent(4)) {
    p.pd_status = kBadDescriptor;
    p.op = static_cast<unsigned>(random.between(0, 255));
    p.expected = Expected{};
  } else if (random.percent(4)) {
    p.op = kOpNop;
    p.expected = Expected{};
  }
}

void traffic(Random& random, std::size_t count, bool wild, const Pauses& pauses) {
  std::vector<Packet> packets;
  std::size_t run = 0;
  for (std::size_t i = 0; i < count; ++i) {
    packets.push_back(any_packet(random, wild));
    spice(random, packets.back());
    run += packets.back().expected.run;
  }
  CHECK(run > count / 3);
  Front front(random);
  front.run(packets, pauses);
}

}  // namespace

TEST_CASE("front/random: all kinds of packets at full speed") {
  Random random(1);
  traffic(random, 1500, false, {});
}
TEST_CASE("front/random: all kinds of packets, wrong ones too, with pauses on every handshake") {
  Random random(2);
  traffic(random, 1500, true, {.source = 30, .lookup = 30, .slots = 30, .sa_latency = 3});
  traffic(random, 800, true, {.source = 70, .lookup = 10, .slots = 10, .sa_latency = 12});
  traffic(random, 800, true, {.source = 0, .lookup = 80, .slots = 0, .sa_latency = 40});
  traffic(random, 800, true, {.source = 0, .lookup = 0, .slots = 90, .sa_latency = 12});
}

TEST_CASE("front/random: every pad length and payload offset") {
  Random random(3);
  std::vector<Packet> packets;
  for (const bool transport : {false, true}) {
    for (const int version : {4, 6}) {
      for (const bool ah : {false, true}) {
        for (const auto cipher : {esp::Cipher::kNull, esp::Cipher::kTripleDesCbc}) {
          for (std::size_t len = 0; len < 80; ++len) {
            const auto sa = make_sa(random, ah, transport, version, false, cipher, esp::Auth::kHmacSha1_96);
            packets.push_back(encap_packet(copy(sa), make_plain(random, version, (version == 4 ? 20 : 40) + len), {1, 2, 3, 4, 5, 6, 7, 8}, random));
            packets.back().name = "payload of " + std::to_string(len);
            CHECK(packets.back().expected.run);
          }
        }
      }
    }
  }
  Front front(random);
  front.run(packets, {});
}

TEST_CASE("front/random: encapsulation without a seed needs the host's IV") {
  Random random(4);
  std::vector<Packet> packets;
  for (int i = 0; i < 40; ++i) {
    const auto sa = make_sa(random, false, false, 4, false, i % 4 == 0 ? esp::Cipher::kNull : esp::Cipher::kDesCbc, esp::Auth::kHmacMd5_96);
    Packet p = encap_packet(copy(sa), make_plain(random, 4, 64), {}, random);
    if (i % 2 == 0) {
      p.host_iv.reset();
      p.expected = Expected{};
      p.expected.status = kNoSeed;
    }
    packets.push_back(std::move(p));
  }
  Packet bad = encap_packet(make_sa(random, false, false, 4, false, esp::Cipher::kNull, esp::Auth::kHmacMd5_96), Bytes(64), {}, random);
  bad.host_iv.reset();
  CHECK(bad.expected.status == kBadHeader);
  packets.push_back(std::move(bad));
  Front front(random);
  front.seeded = false;
  front.run(packets, {});
}

TEST_CASE("front/random: an error in the second beat, behind the headers, is told after the lookup") {
  Random random(5);
  std::vector<Packet> packets;
  for (std::size_t len = 65; len < 400; len += 21) {
    const auto sa = make_sa(random, false, false, 4, false, esp::Cipher::kDesCbc, esp::Auth::kHmacMd5_96);
    packets.push_back(encap_packet(copy(sa), make_plain(random, 4, len), {}, random));
    packets.back().bad_beat = 1;
  }
  Front front(random);
  front.run(packets, {});
}

TEST_CASE("front/random: a packet takes a jumbo slot as soon as source or result may pass 2,048 octets") {
  Random random(6);
  std::vector<Packet> packets;
  const auto sa = make_sa(random, false, true, 4, false, esp::Cipher::kNull, esp::Auth::kHmacSha1_96);
  auto soft = esp::SoftSa::create(copy(sa));
  REQUIRE(soft);
  Bytes wire = soft->encap(make_plain(random, 4, 100))->packet;
  for (std::size_t len = 1900; len <= 2060; ++len) {
    packets.push_back(encap_packet(copy(sa), make_plain(random, 4, len), {}, random));
    wire.resize(len);  // octets behind the packet count as source
    packets.push_back(decap_packet(copy(sa), wire, random));
    CHECK(packets.back().expected.run);
  }
  Front front(random);
  front.run(packets, {});
}
