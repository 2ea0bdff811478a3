// TCP and UDP in large packets: what is split and put together again is the same stream, and nothing is put together that a receiver could tell apart.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <random>

#include "common/esp/ip.h"
#include "common/testing/seed.h"
#include "host/espd/segments.h"

using namespace esplanade;
using namespace esplanade::espd;

namespace {

using Random = std::mt19937_64;

std::uint16_t slow_sum(ByteView octets, std::uint64_t sum) {  // RFC 1071 as it stands there
  for (std::size_t at = 0; at < octets.size(); ++at) sum += at % 2 == 0 ? octets[at] * 256U : octets[at];
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(sum);
}

std::size_t ip_len(ByteView p) { return p[0] >> 4 == 4 ? 20 : 40; }

// Sets lengths and checksums.
void finish(Bytes& p) {
  const bool v4 = p[0] >> 4 == 4;
  const std::size_t ip = ip_len(p);
  if (v4) {
    store_be16(&p[2], static_cast<std::uint16_t>(p.size()));
    store_be16(&p[10], esp::ipv4_checksum(ByteView(p).first(20)));
  } else {
    store_be16(&p[4], static_cast<std::uint16_t>(p.size() - 40));
  }
  const std::uint8_t protocol = v4 ? p[9] : p[6];
  const std::size_t sum_at = ip + (protocol == 17 ? 6 : 16);
  if (protocol == 17) store_be16(&p[ip + 4], static_cast<std::uint16_t>(p.size() - ip));
  store_be16(&p[sum_at], 0);
  const ByteView addresses = v4 ? ByteView(p).subspan(12, 8) : ByteView(p).subspan(8, 32);
  const std::uint64_t pseudo = slow_sum(addresses, protocol + p.size() - ip);
  const auto sum = static_cast<std::uint16_t>(~slow_sum(ByteView(p).subspan(ip), pseudo));
  store_be16(&p[sum_at], protocol == 17 && sum == 0 ? 0xffff : sum);
}

struct Stream {
  bool v4 = true;
  bool df = true;
  std::uint32_t seq = 0xfffff000;  // wraps soon
  std::uint16_t id = 0xfffe;
  std::size_t options = 12;

  Bytes next_datagram(Random& random, std::size_t len) {
    Bytes p = next(random, 0);
    (v4 ? p[9] : p[6]) = 17;
    p.resize(ip_len(p));
    put(p, *from_hex("04d2003500000000"));
    for (std::size_t i = 0; i < len; ++i) p.push_back(static_cast<Byte>(random()));
    finish(p);
    return p;
  }
  Bytes next(Random& random, std::size_t len, Byte flags = 0x10) {
    Bytes p = *from_hex(v4 ? "4502000000000000400600000a0100010a020001" : "600000000000064020010db800010000000000000000000120010db8000200000000000000000001");
    if (v4) {
      store_be16(&p[4], id++);
      store_be16(&p[6], df ? 0x4000 : 0);
    }
    Bytes tcp(20 + options, 1);  // no operation
    std::ranges::fill(std::span(tcp).first(20), Byte{0});
    store_be16(&tcp[0], 1234);
    store_be16(&tcp[2], 80);
    store_be32(&tcp[4], seq);
    store_be32(&tcp[8], 77);
    tcp[12] = static_cast<Byte>((20 + options) / 4 << 4);
    tcp[13] = flags;
    store_be16(&tcp[14], 500);
    put(p, tcp);
    for (std::size_t i = 0; i < len; ++i) p.push_back(static_cast<Byte>(random()));
    seq += static_cast<std::uint32_t>(len);
    finish(p);
    return p;
  }
};

Bytes gathered(const std::vector<iovec>& parts) {
  Bytes out;
  for (const iovec& part : parts) put(out, ByteView(static_cast<const Byte*>(part.iov_base), part.iov_len));
  return out;
}

// What the kernel would see: the packets that a run stands for.
std::vector<Bytes> through_kernel(Run& run) {
  Bytes octets = gathered(run.take());
  Offload offload;
  std::memcpy(&offload, octets.data(), sizeof offload);
  std::vector<Bytes> out;
  REQUIRE(split(offload, MutableBytes(octets).subspan(sizeof offload), [&](ByteView p) { out.emplace_back(p.begin(), p.end()); }));
  return out;
}

}  // namespace

TEST_CASE("espd/segments: the sum is that of RFC 1071 for every length and place") {
  Random random(testing::seed());
  Bytes octets(200);
  for (Byte& b : octets) b = static_cast<Byte>(random());
  for (std::size_t from = 0; from < 8; ++from) {
    for (std::size_t len = 0; from + len <= octets.size(); ++len) {
      const auto start = static_cast<std::uint32_t>(random());
      const ByteView part = ByteView(octets).subspan(from, len);
      REQUIRE(internet_sum(part, start) == slow_sum(part, start));
    }
  }
  CHECK(internet_sum(Bytes(64, 0xff)) == 0xffff);
  CHECK(internet_sum(*from_hex("0001f203f4f5f6f7")) == 0xddf2);  // RFC 1071 s3
}

TEST_CASE("espd/segments: what is put together comes apart as it was") {
  Random random(testing::seed());
  for (int round = 0; round < 200; ++round) {
    Stream stream{random() % 2 == 0, random() % 2 == 0};
    stream.options = random() % 4 * 4;
    const std::size_t size = 1 + random() % 1400, count = 1 + random() % 40;
    std::vector<Bytes> packets;
    for (std::size_t i = 0; i < count; ++i) {
      const bool last = i + 1 == count;
      packets.push_back(stream.next(random, last ? 1 + random() % size : size, last ? 0x18 : 0x10));
    }
    Run run;
    run.begin(packets[0]);
    for (std::size_t i = 1; i < count; ++i) REQUIRE(run.join(packets[i]));
    REQUIRE(run.size() == count);
    REQUIRE(through_kernel(run) == packets);
    REQUIRE(run.empty());
  }
}

TEST_CASE("espd/segments: what differs in anything but its place in the stream is not put together") {
  Random random(testing::seed());
  for (const bool v4 : {true, false}) {
    CAPTURE(v4);
    const std::size_t ip = v4 ? 20 : 40;
    // Every octet of the headers, changed, with right checksums: only lengths and sums, which finish() sets, and PSH may be so.
    for (std::size_t at = 0; at < ip + 32; ++at) {
      CAPTURE(at);
      const bool length_or_sum = v4 ? at == 2 || at == 3 || at == 10 || at == 11 : at == 4 || at == 5;
      const bool tcp_sum_or_urgent = at >= ip + 16 && at < ip + 20;
      const bool id = v4 && (at == 4 || at == 5);
      if (length_or_sum || tcp_sum_or_urgent || id) continue;
      Stream stream{v4};
      const Bytes first = stream.next(random, 100);
      Bytes second = stream.next(random, 100);
      second[at] ^= 1;
      if (second[0] == first[0]) finish(second);
      Run run;
      run.begin(first);
      CHECK_FALSE(run.join(second));
      REQUIRE(run.size() == 1);
      CHECK(through_kernel(run) == std::vector<Bytes>{first});
    }
    const auto joins = [&](auto change) {
      Stream stream{v4};
      std::vector<Bytes> two{stream.next(random, 100), stream.next(random, 100)};
      change(two, stream);
      Run run;
      run.begin(two[0]);
      return run.join(two[1]);
    };
    CHECK(joins([](auto&, auto&) {}));
    CHECK_FALSE(joins([&](auto& two, auto& s) { two[1] = s.next(random, 100); }));     // one is missing
    CHECK_FALSE(joins([&](auto& two, auto&) { std::swap(two[0], two[1]); }));          // in the wrong order
    CHECK_FALSE(joins([](auto& two, auto&) { two[1].back() ^= 1; }));                  // a wrong checksum
    CHECK_FALSE(joins([](auto& two, auto&) { two[0].back() ^= 1; }));                  // in the first one
    CHECK_FALSE(joins([](auto& two, auto&) { two[0][ip_len(two[0]) + 13] |= 8, finish(two[0]); }));  // pushed
    CHECK_FALSE(joins([](auto& two, auto&) { two[1].push_back(0), finish(two[1]); }));  // longer than the first
    CHECK_FALSE(joins([](auto& two, auto&) { two[1].pop_back(); }));                   // shorter than it says
    for (const int flag : {0x01, 0x02, 0x04, 0x20, 0x40, 0x80})
      CHECK_FALSE(joins([&](auto& two, auto&) { two[1][ip_len(two[1]) + 13] |= static_cast<Byte>(flag), finish(two[1]); }));
  }
  Stream stream{true, false};  // without DF the identification must count up
  const Bytes first = stream.next(random, 100);
  Bytes second = stream.next(random, 100);
  second[5] ^= 4;
  finish(second);
  Run run;
  run.begin(first);
  CHECK_FALSE(run.join(second));
}

TEST_CASE("espd/segments: datagrams that are put together come apart as they were, a shorter one is the last") {
  Random random(testing::seed());
  for (int round = 0; round < 200; ++round) {
    Stream stream{random() % 2 == 0, random() % 2 == 0};
    const std::size_t size = 1 + random() % 1400, count = 2 + random() % 40;
    std::vector<Bytes> packets;
    for (std::size_t i = 0; i < count; ++i) packets.push_back(stream.next_datagram(random, i + 1 == count ? 1 + random() % size : size));
    Run run;
    run.begin(packets[0]);
    REQUIRE(run.is_udp());
    for (std::size_t i = 1; i < count; ++i) REQUIRE(run.join(packets[i]));
    const bool shorter = packets.back().size() < packets.front().size();
    const bool goes_on = run.join(stream.next_datagram(random, size));
    CHECK(goes_on != shorter);
    if (!shorter) continue;
    REQUIRE(run.size() == count);
    REQUIRE(through_kernel(run) == packets);
  }
}

TEST_CASE("espd/segments: datagrams that differ in more than their data, or have no checksum, are not put together") {
  Random random(testing::seed());
  for (const bool v4 : {true, false}) {
    CAPTURE(v4);
    const std::size_t ip = v4 ? 20 : 40;
    for (std::size_t at = 0; at < ip + 4; ++at) {
      CAPTURE(at);
      if (v4 ? (at >= 2 && at <= 5) || at == 10 || at == 11 : at == 4 || at == 5) continue;  // what finish() sets, and the identification
      Stream stream{v4};
      const Bytes first = stream.next_datagram(random, 100);
      Bytes second = stream.next_datagram(random, 100);
      second[at] ^= 1;
      if (second[0] == first[0] && (v4 ? second[9] : second[6]) == 17) finish(second);
      Run run;
      run.begin(first);
      CHECK_FALSE(run.join(second));
      CHECK(through_kernel(run) == std::vector<Bytes>{first});
    }
    const auto joins = [&](auto change) {
      Stream stream{v4};
      std::vector<Bytes> two{stream.next_datagram(random, 100), stream.next_datagram(random, 100)};
      change(two);
      Run run;
      run.begin(two[0]);
      return run.join(two[1]);
    };
    CHECK(joins([](auto&) {}));
    CHECK_FALSE(joins([](auto& two) { two[1].back() ^= 1; }));                            // a wrong checksum
    CHECK_FALSE(joins([](auto& two) { two[0].back() ^= 1; }));                            // in the first one
    CHECK_FALSE(joins([](auto& two) { store_be16(&two[1][ip_len(two[1]) + 6], 0); }));    // none
    CHECK_FALSE(joins([](auto& two) { store_be16(&two[0][ip_len(two[0]) + 6], 0); }));    // in the first one
    CHECK_FALSE(joins([](auto& two) { two[1].push_back(0), finish(two[1]); }));           // longer than the first
    CHECK_FALSE(joins([](auto& two) { two[1].push_back(0); }));                           // longer than it says
    CHECK_FALSE(joins([](auto& two) { two[0].resize(ip_len(two[0]) + 8), finish(two[0]); }));  // no data
    CHECK_FALSE(joins([](auto& two) { two[1].resize(ip_len(two[1]) + 8), finish(two[1]); }));
  }
}

TEST_CASE("espd/segments: a large datagram of the kernel becomes datagrams, none with the checksum 0") {
  Random random(testing::seed());
  for (const bool v4 : {true, false}) {
    const std::size_t ip = v4 ? 20 : 40;
    for (int round = 0; round < 3; ++round) {
      Stream stream{v4};
      Bytes large = stream.next_datagram(random, 2500);
      // The second one's sum comes out as 0, which is sent as 0xffff: its last two octets are chosen so.
      Bytes second(large.begin(), large.begin() + static_cast<std::ptrdiff_t>(ip + 8));
      put(second, ByteView(large).subspan(ip + 8 + 1000, 1000));
      store_be16(&second[second.size() - 2], 0);
      finish(second);
      const std::uint16_t last = load_be16(&second[ip + 6]);
      store_be16(&large[ip + 8 + 1998], last);
      std::vector<Bytes> out;
      REQUIRE(split({Offload::kNeedsChecksum, Offload::kUdp, 0, 1000, static_cast<std::uint16_t>(ip), 6}, large,
                    [&](ByteView p) { out.emplace_back(p.begin(), p.end()); }));
      REQUIRE(out.size() == 3);
      for (std::size_t i = 0; i < 3; ++i) {
        CAPTURE(i);
        Bytes again = out[i];
        finish(again);
        CHECK(again == out[i]);
        CHECK(out[i].size() == ip + 8 + (i == 2 ? 500 : 1000));
        if (v4) CHECK(load_be16(&out[i][4]) == static_cast<std::uint16_t>(0xfffe + i));
      }
      CHECK(load_be16(&out[1][ip + 6]) == 0xffff);
    }
  }
}

TEST_CASE("espd/segments: a large packet whose headers cannot be where the kernel says is refused") {
  Bytes packet(60, 0);
  packet[0] = 0x41;  // a header of 4 octets
  for (std::uint16_t start = 0; start < 20; ++start) {
    CAPTURE(start);
    CHECK_FALSE(split({Offload::kNeedsChecksum, Offload::kUdp, 0, 1, start, 6}, packet, [](ByteView) {}));
  }
  packet[0] = 0x60;
  CHECK_FALSE(split({Offload::kNeedsChecksum, Offload::kUdp, 0, 1, 39, 6}, packet, [](ByteView) {}));
  CHECK_FALSE(split({Offload::kNeedsChecksum, Offload::kUdp, 0, 1, 53, 6}, packet, [](ByteView) {}));
  CHECK_FALSE(split({Offload::kNeedsChecksum, Offload::kUdp, 0, 0, 40, 6}, packet, [](ByteView) {}));
  CHECK_FALSE(split({Offload::kNeedsChecksum, 9, 0, 1, 40, 6}, packet, [](ByteView) {}));
}

TEST_CASE("espd/segments: packets of a connection are known, others are not") {
  Random random(testing::seed());
  Stream stream;
  const Bytes data = stream.next(random, 100), fin = stream.next(random, 0, 0x11);
  Run run;
  CHECK_FALSE(run.same_flow(data));
  run.begin(fin);  // cannot be joined, but keeps its place
  CHECK(run.same_flow(data));
  Bytes other = data;
  other[21] ^= 1;  // port
  CHECK_FALSE(run.same_flow(other));
  Bytes fragment = data;
  fragment[7] = 1;
  CHECK_FALSE(run.same_flow(fragment));
  CHECK_FALSE(run.same_flow({}));
  run.begin(fragment);
  CHECK_FALSE(run.same_flow(fragment));
}

TEST_CASE("espd/segments: a large packet of the kernel becomes segments with flags and numbers as TCP wants") {
  Random random(testing::seed());
  for (const bool v4 : {true, false}) {
    Stream stream{v4};
    Bytes large = stream.next(random, 2500, 0x10 | 0x08 | 0x01 | 0x80);  // PSH, FIN, CWR
    const std::size_t ip = v4 ? 20 : 40;
    std::vector<Bytes> out;
    REQUIRE(split({Offload::kNeedsChecksum, v4 ? Offload::kTcp4 : Offload::kTcp6, 0, 1000, static_cast<std::uint16_t>(ip), 16}, large,
                  [&](ByteView p) { out.emplace_back(p.begin(), p.end()); }));
    REQUIRE(out.size() == 3);
    for (std::size_t i = 0; i < 3; ++i) {
      CAPTURE(i);
      Bytes again = out[i];
      finish(again);
      CHECK(again == out[i]);
      CHECK(load_be32(&out[i][ip + 4]) == 0xfffff000 + 1000 * i);
      CHECK(int(out[i][ip + 13]) == (i == 0 ? 0x90 : i == 1 ? 0x10 : 0x19));
      CHECK(out[i].size() == ip + 32 + (i == 2 ? 500 : 1000));
    }
  }
}

TEST_CASE("espd/segments: a checksum that the kernel left to us is put in") {
  Bytes udp = *from_hex("45000021000040004011000000000000000000000035003500090011" "61626364");
  Bytes seen;
  REQUIRE(split({Offload::kNeedsChecksum, Offload::kNone, 0, 0, 20, 6}, udp, [&](ByteView p) { seen.assign(p.begin(), p.end()); }));
  CHECK(slow_sum(ByteView(seen).subspan(20), 0x0011) == 0xffff);  // 0x0011: the pseudo header, whose sum the kernel had put there
  CHECK_FALSE(split({Offload::kNeedsChecksum, Offload::kNone, 0, 0, 31, 6}, udp, [](ByteView) {}));
  CHECK_FALSE(split({Offload::kNeedsChecksum, Offload::kNone, 0, 0, 65535, 65535}, udp, [](ByteView) {}));
}

TEST_CASE("espd/segments: nothing in a packet or its header leads out of it") {
  Random random(testing::seed());
  for (int round = 0; round < 20000; ++round) {
    Stream stream{random() % 2 == 0};
    const bool udp = random() % 3 == 0;
    Bytes first = udp ? stream.next_datagram(random, 1 + random() % 60) : stream.next(random, 1 + random() % 60);
    Bytes second = udp ? stream.next_datagram(random, random() % 60) : stream.next(random, random() % 60);
    for (Bytes* p : {&first, &second}) {
      for (std::size_t n = random() % 4; n > 0; --n) (*p)[random() % std::min<std::size_t>(p->size(), 60)] = static_cast<Byte>(random());
      if (random() % 4 == 0) p->resize(random() % p->size());
    }
    Run run;
    if (first.empty()) first.push_back(0);
    run.begin(first);
    const bool joined = !second.empty() && run.join(second);
    const auto parts = gathered(run.take());
    REQUIRE(parts.size() >= sizeof(Offload) + first.size());
    if (!joined) REQUIRE(std::ranges::equal(ByteView(parts).subspan(sizeof(Offload)), first));
    Offload offload{static_cast<std::uint8_t>(random()), static_cast<std::uint8_t>(random() % 7), 0, static_cast<std::uint16_t>(random() % 40),
                    static_cast<std::uint16_t>(random() % 60), static_cast<std::uint16_t>(random() % 20)};
    std::size_t total = 0;
    (void)split(offload, first, [&](ByteView p) { total += p.size(); });
    REQUIRE(total <= first.size() * 121);
  }
}
