// Datagrams put together from what fragment_ipv4 cuts, which is held against the kernel's fragments (oversize).
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
