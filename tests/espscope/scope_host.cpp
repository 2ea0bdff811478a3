// A program for espscope to look at: opens the simulated card, then obeys lines on standard input: "send N" (packets protected and
// unprotected), "hold N" (submits, and reaps nothing), "again N" (removes the outbound SA and installs it anew), "mix N" (SAs of all kinds, N packets each way of each, sound and
// spoiled, in a queue of their own), "quit". Answers each with one line. Usage: scope_host [SEED]
#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <optional>
#include <random>
#include <thread>

#include "common/esp/engine.h"
#include "common/esp/ip.h"
#include "esplanade/event_queue.h"
#include "esplanade/packet_queue.h"
#include "esplanade/sa_table.h"
#include "tests/sa_params.h"

using namespace esplanade;

namespace {

esp::SaParams params(bool outbound, std::uint32_t spi) {
  esp::SaParams sa = esplanade::testing::sa_params(outbound, spi);
  if (outbound) sa.soft.packets = 20;  // raises an event
  return sa;
}

Bytes packet_of(std::mt19937& rng) {
  Bytes p(64 + rng() % 800);
  for (auto& octet : p) octet = static_cast<Byte>(rng());
  p[0] = 0x45;
  store_be16(&p[2], static_cast<std::uint16_t>(p.size()));
  store_be16(&p[6], 0);
  store_be16(&p[10], esp::ipv4_checksum(ByteView(p).first(20)));
  return p;
}

/// SAs of all kinds: outbound, and inbound with the peer's half.
struct Pair {
  SaIndex out;
  esp::SoftSa peer;
};

Result<std::vector<Pair>> install_all(SaTable& table) {
  std::vector<Pair> pairs;
  for (int kind = 0; kind < 6; ++kind) {
    const auto made = [kind](bool outbound, std::uint32_t spi) {
      esp::SaParams sa = params(outbound, spi);
      sa.soft = {};
      if (kind == 1) {  // AH, IPv6 outside
        sa.protocol = esp::Protocol::kAh;
        sa.cipher = esp::Cipher::kNull;
        sa.enc_key = Secret();
        sa.src = esp::parse_address("2001:db8::1").value();
        sa.dst = esp::parse_address("2001:db8::2").value();
      } else if (kind == 2) {  // transport in UDP
        sa.mode = esp::Mode::kTransport;
        sa.natt = esp::Natt{};
      } else if (kind == 3) {
        sa.esn = true;
        sa.seq = 0xffff'fff0;
      } else if (kind == 4) {
        sa.cipher = esp::Cipher::kNull;
        sa.enc_key = Secret();
        sa.hard.packets = 9;
      } else if (kind == 5) {
        sa.mode = esp::Mode::kTransport;
        sa.auth = esp::Auth::kHmacMd5_96;
        sa.auth_key = Secret(from_hex("a0a1a2a3a4a5a6a7a8a9aaabacadaeaf").value());
      }
      return sa;
    };
    const auto spi = static_cast<std::uint32_t>(0x7020 + kind);
    ESPLANADE_TRY(out, table.install(made(true, spi + 0x1000)));
    ESPLANADE_TRY(in, table.install(made(false, spi)));
    static_cast<void>(in);
    ESPLANADE_TRY(peer, esp::SoftSa::create(made(true, spi)));
    pairs.push_back({out, std::move(peer)});
  }
  return pairs;
}

/// `outer` as somebody on the way could make it, or as it is.
void spoil(Bytes& outer, std::mt19937& rng) {
  const auto sum = [&outer] {
    if (outer[0] >> 4 != 4) return;
    store_be16(&outer[10], 0);
    store_be16(&outer[10], esp::ipv4_checksum(ByteView(outer).first(20)));
  };
  switch (rng() % 12) {
    case 0: outer.back() ^= 1; return;                 // ICV
    case 1: outer[6] |= 0x20; return sum();            // fragment; of IPv6 the length
    case 2: outer[outer[0] >> 4 == 4 ? 15 : 23] ^= 1; return sum();  // address
    case 3: outer[10] ^= 1; return;                    // checksum
    case 4: outer[outer[0] >> 4 == 4 ? 9 : 6] = 6; return sum();     // protocol
    case 5: outer.push_back(0); return;                // what a link appends
    default: return;
  }
}

Result<std::size_t> mix(SaTable& table, PacketQueue& queue, std::mt19937& rng, std::size_t count) {
  ESPLANADE_TRY(pairs, install_all(table));
  std::size_t good = 0;
  Bytes last;
  for (std::size_t i = 0; i < count; ++i) {
    for (Pair& pair : pairs) {
      Bytes plain = packet_of(rng);
      if (pair.peer.params().mode == esp::Mode::kTransport) {
        std::ranges::copy(pair.peer.params().src.bytes(), plain.begin() + 12);
        std::ranges::copy(pair.peer.params().dst.bytes(), plain.begin() + 16);
        store_be16(&plain[10], 0);
        store_be16(&plain[10], esp::ipv4_checksum(ByteView(plain).first(20)));
      }
      auto outer = pair.peer.encap(plain);
      if (outer && rng() % 8 != 0) last = outer->packet;  // else the one before comes again
      Bytes got = last;
      if (!got.empty()) spoil(got, rng);
      ESPLANADE_CHECK(queue.submit({card::Op::kEncap, pair.out, plain, 0}));
      if (!got.empty()) ESPLANADE_CHECK(queue.submit({card::Op::kDecap, 0, got, 0}));
    }
    ESPLANADE_CHECK(queue.flush());
    while (queue.in_flight() > 0) {
      ESPLANADE_CHECK(queue.reap([&](const Completed& c) {
        good += c.status == card::Status::kOk;
        queue.note_sent(c.number);
      }));
    }
  }
  return good;
}

Status go(unsigned seed) {
  ESPLANADE_TRY(device, Device::open({"sim", "", false}));
  ESPLANADE_TRY(table, SaTable::create(*device));
  ESPLANADE_TRY(events, EventQueue::create(*device, 4));
  ESPLANADE_TRY(queue, PacketQueue::create(*device, 0, {.log2_size = 6}));
  ESPLANADE_TRY(out, table.install(params(true, 0x5000)));
  ESPLANADE_TRY(in, table.install(params(false, 0x6001)));
  static_cast<void>(in);
  auto peer = esp::SoftSa::create(params(true, 0x6001));
  std::mt19937 rng(seed);
  std::uint64_t cookie = 0;
  std::optional<PacketQueue> second;
  std::vector<Event> happened;
  fmt::print("ready\n");
  std::fflush(stdout);
  for (std::string verb; std::cin >> verb && verb != "quit";) {
    std::size_t count = 0, good = 0;
    std::string trouble;
    std::cin >> count;
    if (verb == "again") {
      ESPLANADE_CHECK(table.remove(out));
      ESPLANADE_TRY(anew, table.install(params(true, 0x5000)));
      out = anew;
    }
    if (verb == "mix") {
      ESPLANADE_TRY(made, PacketQueue::create(*device, 1, {.log2_size = 5, .in_order = false, .slot_bytes = 2048}));
      second.emplace(std::move(made));
      ESPLANADE_TRY(right, mix(table, *second, rng, count));
      good = right;
      count = 0;
    }
    for (std::size_t i = 0; i < count && trouble.empty(); ++i) {
      const Bytes plain = packet_of(rng);
      ESPLANADE_CHECK(queue.submit({card::Op::kEncap, out, plain, cookie++}));
      if (verb == "send") ESPLANADE_CHECK(queue.submit({card::Op::kDecap, 0, peer->encap(plain)->packet, cookie++}));
      ESPLANADE_CHECK(queue.flush());
      while (verb == "send" && queue.in_flight() > 0) {
        if (const Status s = queue.reap([&good](const Completed& c) { good += c.status == card::Status::kOk; }); !s) {
          trouble = s.error().detail;
          break;
        }
      }
    }
    static_cast<void>(events.poll(happened));
    if (trouble.empty()) {
      fmt::print("{} {} good, {} events\n", verb, good, happened.size());
    } else {
      fmt::print("error {}\n", trouble);
    }
    std::fflush(stdout);
  }
  return ok();
}

}  // namespace

int main(int argc, char** argv) {
  if (const Status end = go(argc > 1 ? static_cast<unsigned>(std::strtoul(argv[1], nullptr, 10)) : 1); !end) {
    fmt::print("error {}\n", end.error().detail);
    return 1;
  }
}
