// The Verilated card without SystemC, XRT and processes: a plain loop with the memory model of the RTL benches, for comparison. Prints
// JSON. Usage: sim_loop BYTES PACKETS [4: lanes], or sim_loop rest CYCLES [4] for a card that has nothing to do.
#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string_view>

#include "hw/tb/fullcard/generator.h"

using namespace esplanade;
using namespace esplanade::fullcard;

int main(int argc, char** argv) {
  if (argc < 3 || argc > 4) return 2;
  const bool four = argc == 4 && std::string_view(argv[3]) == "4";
  const std::size_t size = std::strtoul(argv[1], nullptr, 10), packets = std::strtoul(argv[2], nullptr, 10);
  Card card(four ? make_card_x4() : make_card_x1(), {.seed = 1, .timing = {.read_latency = 60, .write_latency = 30}, .keep_packets = false});
  Generator generator(card, 1);
  esp::SaParams sa;
  sa.spi = 0x1000;
  sa.enc_key = Secret(from_hex("0123456789abcdef23456789abcdef01456789abcdef0123").value());
  sa.auth_key = Secret(Bytes(20, 7));
  sa.src = *esp::parse_address("192.0.2.1");
  sa.dst = *esp::parse_address("192.0.2.2");
  if (std::string_view(argv[1]) == "rest") {
    const auto began = std::chrono::steady_clock::now();
    card.run(packets);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    fmt::print("{}\n", nlohmann::json{{"cycles_per_s", static_cast<double>(packets) / seconds}}.dump());
    return 0;
  }
  if (card.install(3, sa) != card::SaResult::kOk) return 1;
  card.start_queue(0, 8);
  const Bytes packet = generator.ipv4(size, 0, false);
  const std::uint64_t from = card.cycles();
  const auto began = std::chrono::steady_clock::now();
  std::size_t sent = 0, done = 0;
  while (done < packets) {
    bool rang = false;
    for (; sent < packets && card.outstanding(0) < 128; ++sent, rang = true) card.submit(0, {.source = packet, .sa_index = 3, .dst_size = 2048});
    if (rang) card.ring(0);
    while (const auto end = card.poll(0)) done += end->status == card::Status::kOk;
    card.run(64);
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  fmt::print("{}\n", nlohmann::json{{"cycles", card.cycles() - from},
                                    {"cycles_per_s", static_cast<double>(card.cycles() - from) / seconds},
                                    {"packets_per_s", static_cast<double>(packets) / seconds}}.dump());
}
