// Rate and latency of the front, in cycles.
#include <doctest/doctest.h>

#include "hw/tb/front/front_bench.h"
#include "hw/tb/front/front_make.h"

using namespace esplanade;
using namespace esplanade::tb;

namespace {
struct Kind { const char* name; int outer; bool ah, transport, natt; };

double cycles_each(const Kind& k, std::size_t len, bool encap, std::size_t packets, std::uint64_t* latency = nullptr) {
  Random random(5);
  auto sa = make_sa(random, k.ah, k.transport, k.outer, k.natt, esp::Cipher::kTripleDesCbc, esp::Auth::kHmacSha1_96);
  const Bytes plain = make_plain(random, k.transport ? k.outer : 4, len);
  std::array<Byte, 8> iv{};
  auto soft = esp::SoftSa::create(copy(sa));
  REQUIRE(soft);
  const auto out = soft->encap(plain, iv);
  REQUIRE(out);
  Packet p = encap ? encap_packet(copy(sa), plain, iv, random) : decap_packet(copy(sa), out->packet, random);
  REQUIRE(p.expected.run);
  Front front(random);
  const auto cycles = front.run(std::vector<Packet>(packets, p), {});
  if (latency != nullptr) *latency = front.first_latency();
  return packets < 2 ? 0 : static_cast<double>(cycles) / static_cast<double>(packets - 1);
}
}  // namespace

TEST_CASE("front/rate: a 64-octet packet in 9 cycles, in 12 with AH over IPv6, both directions") {
  for (const Kind& k : {Kind{"ESP, IPv4", 4, false, false, false}, Kind{"ESP, IPv6", 6, false, false, false},
                        Kind{"ESP in UDP", 4, false, false, true}, Kind{"ESP transport, IPv4", 4, false, true, false},
                        Kind{"ESP transport, IPv6", 6, false, true, false}, Kind{"AH, IPv4", 4, true, false, false},
                        Kind{"AH, IPv6", 6, true, false, false}, Kind{"AH transport, IPv4", 4, true, true, false},
                        Kind{"AH transport, IPv6", 6, true, true, false}}) {
    CAPTURE(std::string(k.name));
    const double encap = cycles_each(k, 64, true, 200), decap = cycles_each(k, 64, false, 200);
    std::printf("%s: encap %.2f, decap %.2f cycles\n", k.name, encap, decap);
    const double most = k.ah && k.outer == 6 ? 12.0 : 9.0;
    CHECK(encap <= most);
    CHECK(decap <= most);
  }
}

TEST_CASE("front/rate: long packets pass at 32 octets a cycle and a few cycles each") {
  const Kind k{"ESP, IPv4", 4, false, false, false};
  for (const std::size_t len : {512, 1500, 9000}) {
    CAPTURE(len);
    const double encap = cycles_each(k, len, true, 20), decap = cycles_each(k, len, false, 20);
    std::printf("%zu octets: encap %.2f, decap %.2f cycles\n", len, encap, decap);
    CHECK(encap <= static_cast<double>(len) / 32 + 10);
    CHECK(decap <= static_cast<double>(len + 56) / 32 + 10);
  }
}

TEST_CASE("front/rate: a lone plain packet opens within 40 cycles of its header beat") {
  for (const bool encap : {true, false}) {
    std::uint64_t latency = 0;
    cycles_each({"ESP, IPv4", 4, false, false, false}, 64, encap, 1, &latency);
    std::printf("latency of a 64-octet %s: %llu cycles\n", encap ? "encap" : "decap", static_cast<unsigned long long>(latency));
    CHECK(latency <= 40);
  }
}
