// Datagrams put together: of IPv4 from what fragment_ipv4 cuts, which is held against the kernel's fragments (oversize); of IPv6 from
// what is cut here by RFC 8200 s4.5, and from the kernel's own in tests/interop/espd.
#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include "common/esp/ip.h"
#include "common/testing/seed.h"
#include "host/espd/oversize.h"
#include "host/espd/reassembly.h"

using namespace esplanade;
using namespace esplanade::espd;

namespace {

Bytes datagram(std::size_t size, std::uint16_t id, std::mt19937_64& rng, std::size_t options = 0) {
  Bytes p(20 + options + size);
  std::ranges::generate(p, [&] { return static_cast<Byte>(rng()); });
  p[0] = static_cast<Byte>(0x45 + options / 4);
  store_be16(&p[2], static_cast<std::uint16_t>(p.size()));
  store_be16(&p[4], id);
  store_be16(&p[6], 0);
  p[8] = 64;
  p[9] = 17;
  std::copy_n("\xc0\x00\x02\x01\xc0\x00\x02\x02", 8, p.begin() + 12);
  std::fill_n(p.begin() + 20, options, Byte{1});  // no operation
  store_be16(&p[10], esp::ipv4_checksum(ByteView(p).first(20 + options)));
  return p;
}

// A datagram of IPv6 over UDP, with `options` octets of destination options in front of the place of the fragment header.
Bytes datagram6(std::size_t size, std::mt19937_64& rng, std::size_t options = 0) {
  Bytes p(40 + options + size);
  std::ranges::generate(p, [&] { return static_cast<Byte>(rng()); });
  store_be32(&p[0], 0x60000000);
  store_be16(&p[4], static_cast<std::uint16_t>(options + size));
  p[6] = options == 0 ? 17 : 60;
  if (options != 0) {
    p[40] = 17;
    p[41] = static_cast<Byte>(options / 8 - 1);
  }
  return p;
}

// The octets [from, to) of what follows the options, as a fragment.
Bytes piece6(ByteView packet, std::size_t options, std::uint32_t id, std::size_t from, std::size_t to) {
  const std::size_t header = 40 + options;
  Bytes out(packet.begin(), packet.begin() + static_cast<std::ptrdiff_t>(header));
  out[options == 0 ? 6 : 40] = 44;
  store_be16(&out[4], static_cast<std::uint16_t>(options + 8 + to - from));
  out.push_back(17);
  out.push_back(0);
  put_be16(out, static_cast<std::uint16_t>(from | (header + to < packet.size() ? 1 : 0)));
  put_be32(out, id);
  put(out, packet.subspan(header + from, to - from));
  return out;
}

std::vector<Bytes> cut6(ByteView packet, std::size_t options, std::uint32_t id, std::size_t mtu) {
  std::vector<Bytes> out;
  const std::size_t room = (mtu - 48 - options) / 8 * 8, size = packet.size() - 40 - options;
  for (std::size_t at = 0; at < size; at += room) out.push_back(piece6(packet, options, id, at, std::min(size, at + room)));
  return out;
}

std::vector<Bytes> cut(ByteView packet, std::size_t mtu) {
  std::vector<Bytes> out;
  fragment_ipv4(packet, mtu, [&](ByteView fragment) { out.emplace_back(fragment.begin(), fragment.end()); });
  return out;
}

struct World {
  std::size_t dropped = 0;
  Reassembly reassembly{[this](std::size_t n) { dropped += n; }};
  Reassembly::Time now{std::chrono::seconds(1000)};
};

}  // namespace

TEST_CASE("espd/reassembly: what was cut is whole again, also of several at a time") {
  std::mt19937_64 rng(testing::seed());
  World w;
  for (int round = 0; round < 300; ++round) {
    const Bytes a = datagram(1 + rng() % 8900, 1, rng), b = datagram(1 + rng() % 8900, 2, rng);
    const std::size_t mtu = 68 + rng() % 2000;
    const auto of_a = cut(a, mtu), of_b = cut(b, mtu);
    std::optional<Bytes> whole_a, whole_b;
    for (std::size_t i = 0; i < std::max(of_a.size(), of_b.size()); ++i) {
      if (i < of_a.size()) whole_a = w.reassembly.take(of_a[i], w.now);
      if (i < of_b.size()) whole_b = w.reassembly.take(of_b[i], w.now);
    }
    CHECK(whole_a == a);
    CHECK(whole_b == b);
  }
  CHECK(w.dropped == 0);
}

TEST_CASE("espd/reassembly: gaps, too many octets, an end that does not come: dropped and counted") {
  std::mt19937_64 rng(testing::seed());
  World w;
  const auto parts = cut(datagram(4000, 7, rng), 1000);
  REQUIRE(parts.size() == 5);
  CHECK_FALSE(w.reassembly.take(parts[1], w.now));  // without its first
  CHECK(w.dropped == 1);
  CHECK_FALSE(w.reassembly.take(parts[0], w.now));
  CHECK_FALSE(w.reassembly.take(parts[2], w.now));  // a gap
  CHECK(w.dropped == 3);
  CHECK_FALSE(w.reassembly.take(parts[0], w.now));
  CHECK_FALSE(w.reassembly.take(parts[0], w.now));  // begun anew
  CHECK(w.dropped == 4);
  w.reassembly.tick(w.now + Reassembly::kLife);
  CHECK(w.dropped == 5);
  w.dropped = 0;
  for (const Bytes& part : cut(datagram(Reassembly::kLargest - 19, 8, rng), 1000)) CHECK_FALSE(w.reassembly.take(part, w.now));
  CHECK(w.dropped == 10);
  w.dropped = 0;
  for (std::uint16_t id = 0; id < 100; ++id) (void)w.reassembly.take(cut(datagram(500, id, rng), 300)[0], w.now);
  CHECK(w.dropped == 100 - Reassembly::kMost);
}

TEST_CASE("espd/reassembly: IPv6, with and without options, several at a time, beside IPv4 of the same identification") {
  std::mt19937_64 rng(testing::seed());
  World w;
  for (int round = 0; round < 300; ++round) {
    const std::size_t options = rng() % 3 * 8;
    const Bytes a = datagram6(1 + rng() % 8900, rng, options), b = datagram6(1 + rng() % 8900, rng), c = datagram(1 + rng() % 8900, 7, rng);
    const std::size_t mtu = 128 + rng() % 2000;
    // The same identification between other addresses is another datagram.
    const auto of_a = cut6(a, options, 7, mtu), of_b = cut6(b, 0, 7, mtu), of_c = cut(c, mtu);
    std::optional<Bytes> whole_a, whole_b, whole_c;
    for (std::size_t i = 0; i < std::max({of_a.size(), of_b.size(), of_c.size()}); ++i) {
      if (i < of_a.size()) whole_a = w.reassembly.take(of_a[i], w.now);
      if (i < of_b.size()) whole_b = w.reassembly.take(of_b[i], w.now);
      if (i < of_c.size()) whole_c = w.reassembly.take(of_c[i], w.now);
    }
    CHECK(whole_a == a);
    CHECK(whole_b == b);
    CHECK(whole_c == c);
  }
  CHECK(w.dropped == 0);
  // One that is a fragment in form alone (RFC 6946).
  const Bytes atom = datagram6(100, rng);
  CHECK(w.reassembly.take(piece6(atom, 0, 9, 0, 100), w.now) == atom);
}

TEST_CASE("espd/reassembly: IPv6 fragments that overlap end the whole datagram (RFC 5722)") {
  std::mt19937_64 rng(testing::seed());
  const Bytes packet = datagram6(1200, rng);
  struct Case {
    std::size_t from, to;
  };
  // After octets 0 to 800.
  for (const Case& c : {Case{792, 1000}, Case{400, 800}, Case{8, 16}, Case{792, 800}}) {
    World w;
    CAPTURE(c.from);
    CHECK_FALSE(w.reassembly.take(piece6(packet, 0, 1, 0, 400), w.now));
    CHECK_FALSE(w.reassembly.take(piece6(packet, 0, 1, 400, 800), w.now));
    CHECK_FALSE(w.reassembly.take(piece6(packet, 0, 1, c.from, c.to), w.now));
    CHECK(w.dropped == 3);
    CHECK_FALSE(w.reassembly.take(piece6(packet, 0, 1, 800, 1200), w.now));  // those that come later too
    CHECK(w.dropped == 4);
  }
}

TEST_CASE("espd/reassembly: IPv6 beyond the bounds, and fragments without a whole header: dropped and counted") {
  std::mt19937_64 rng(testing::seed());
  World w;
  for (const Bytes& part : cut6(datagram6(Reassembly::kLargest - 39, rng), 0, 1, 1000)) CHECK_FALSE(w.reassembly.take(part, w.now));
  CHECK(w.dropped == 10);
  w.dropped = 0;
  Bytes largest = datagram6(Reassembly::kLargest - 40, rng);
  std::optional<Bytes> whole;
  for (const Bytes& part : cut6(largest, 0, 2, 1000)) whole = w.reassembly.take(part, w.now);
  CHECK(whole == largest);
  for (std::uint32_t id = 0; id < 100; ++id) (void)w.reassembly.take(cut6(datagram6(500, rng), 0, id, 300)[0], w.now);
  CHECK(w.dropped == 100 - Reassembly::kMost);
  w.reassembly.tick(w.now + Reassembly::kLife);
  CHECK(w.dropped == 100);
  w.dropped = 0;
  const Bytes part = piece6(datagram6(100, rng), 0, 3, 0, 96);
  for (std::size_t len = 0; len < 8; ++len) {
    Bytes shorter(part.begin(), part.begin() + static_cast<std::ptrdiff_t>(40 + len));
    store_be16(&shorter[4], static_cast<std::uint16_t>(len));
    CHECK_FALSE(w.reassembly.take(shorter, w.now));
  }
  CHECK(w.dropped == 8);
}
