// A program for espscope to look at: opens the simulated card, then obeys lines on standard input: "send N" (packets protected and
// unprotected), "hold N" (submits, and reaps nothing), "again N" (removes the outbound SA and installs it anew), "quit". Answers each with one line. Usage: scope_host
#include <fmt/format.h>

#include <iostream>
#include <random>
#include <thread>

#include "common/esp/engine.h"
#include "common/esp/ip.h"
#include "esplanade/event_queue.h"
#include "esplanade/packet_queue.h"
#include "esplanade/sa_table.h"

using namespace esplanade;

namespace {

esp::SaParams params(bool outbound, std::uint32_t spi) {
  esp::SaParams sa;
  sa.outbound = outbound;
  sa.spi = spi;
  sa.enc_key = Secret(from_hex("0123456789abcdef23456789abcdef01456789abcdef0123").value());
  sa.auth_key = Secret(from_hex("a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3").value());
  sa.src = esp::parse_address("192.0.2.1").value();
  sa.dst = esp::parse_address("192.0.2.2").value();
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

Status go() {
  ESPLANADE_TRY(device, Device::open({"sim", "", false}));
  ESPLANADE_TRY(table, SaTable::create(*device));
  ESPLANADE_TRY(events, EventQueue::create(*device, 4));
  ESPLANADE_TRY(queue, PacketQueue::create(*device, 0, {.log2_size = 6}));
  ESPLANADE_TRY(out, table.install(params(true, 0x5000)));
  ESPLANADE_TRY(in, table.install(params(false, 0x6001)));
  static_cast<void>(in);
  auto peer = esp::SoftSa::create(params(true, 0x6001));
  std::mt19937 rng(1);
  std::uint64_t cookie = 0;
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

int main() {
  if (const Status end = go(); !end) {
    fmt::print("error {}\n", end.error().detail);
    return 1;
  }
}
