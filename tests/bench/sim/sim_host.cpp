// What a host gets out of the simulated card through stock XRT, as JSON: packets a second, register latency, buffer
// bandwidth, start-up. The model and the rest come by the environment (sim/README.md). Usage: sim_host BYTES PACKETS [null: the cipher]
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "common/esp/ip.h"
#include "esplanade/packet_queue.h"
#include "esplanade/sa_table.h"

using namespace esplanade;
using Steady = std::chrono::steady_clock;

namespace {

double seconds_since(Steady::time_point began) { return std::chrono::duration<double>(Steady::now() - began).count(); }

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

Status measure(std::size_t size, std::size_t packets, esp::Cipher cipher, nlohmann::json& out) {
  const auto began = Steady::now();
  ESPLANADE_TRY(device, Device::open({"sim", "", false}));
  out["startup_ms"] = seconds_since(began) * 1e3;
  out["lanes"] = device->info().lanes;
  ESPLANADE_TRY(table, SaTable::create(*device));
  ESPLANADE_TRY(queues, PacketQueue::create_all(*device, device->info().lanes, {.log2_size = 12, .in_order = false, .slot_bytes = size <= 128 ? 256u : 2048u}));
  esp::SaParams sa;
  sa.spi = 0x1000;
  sa.cipher = cipher;
  if (cipher != esp::Cipher::kNull) sa.enc_key = Secret(from_hex("0123456789abcdef23456789abcdef01456789abcdef0123").value());
  sa.auth_key = Secret(Bytes(20, 7));
  sa.src = esp::parse_address("192.0.2.1").value();
  sa.dst = esp::parse_address("192.0.2.2").value();
  ESPLANADE_TRY(index, table.install(std::move(sa)));

  std::vector<double> reads, writes;
  for (int i = 0; i < 1000; ++i) {
    auto at = Steady::now();
    ESPLANADE_CHECK(device->read32(card::reg::kId.at()));
    reads.push_back(seconds_since(at) * 1e6);
    at = Steady::now();
    ESPLANADE_CHECK(device->write32(card::reg::kIrqEnable.at(), 0));
    writes.push_back(seconds_since(at) * 1e6);
  }
  out["register_read_us"] = median(reads);
  out["register_write_us"] = median(writes);

  constexpr std::size_t kBuffer = std::size_t{16} << 20;
  ESPLANADE_TRY(buffer, device->allocate(kBuffer));
  auto at = Steady::now();
  ESPLANADE_CHECK(buffer->sync_to_card(0, kBuffer));
  out["to_card_mb_s"] = static_cast<double>(kBuffer) / 1e6 / seconds_since(at);
  at = Steady::now();
  ESPLANADE_CHECK(buffer->sync_from_card(0, kBuffer));
  out["from_card_mb_s"] = static_cast<double>(kBuffer) / 1e6 / seconds_since(at);

  Bytes packet(size);
  packet[0] = 0x45;
  store_be16(&packet[2], static_cast<std::uint16_t>(size));
  store_be16(&packet[10], esp::ipv4_checksum(ByteView(packet).first(20)));
  std::size_t sent = 0, done = 0;
  ESPLANADE_TRY(from, device->read64(card::reg::kCyclesLo, card::reg::kCyclesHi));
  at = Steady::now();
  while (done < packets) {
    for (PacketQueue& queue : queues) {
      for (int turn = 0; turn < 256 && sent < packets && queue.in_flight() < queue.capacity(); ++turn, ++sent) {
        if (!queue.submit({card::Op::kEncap, index, packet, sent})) break;
      }
      ESPLANADE_CHECK(queue.flush());
      ESPLANADE_CHECK(queue.reap([&done](const Completed& c) { done += c.status == card::Status::kOk; }));
    }
  }
  const double seconds = seconds_since(at);
  ESPLANADE_TRY(to, device->read64(card::reg::kCyclesLo, card::reg::kCyclesHi));
  out["packets_per_s"] = static_cast<double>(packets) / seconds;
  out["cycles_per_s"] = static_cast<double>(to - from) / seconds;
  return ok();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3 || argc > 4) return 2;
  const bool null = argc == 4 && std::string_view(argv[3]) == "null";
  nlohmann::json out;
  const Status end = measure(std::strtoul(argv[1], nullptr, 10), std::strtoul(argv[2], nullptr, 10),
                             null ? esp::Cipher::kNull : esp::Cipher::kTripleDesCbc, out);
  if (!end) {
    fmt::print(stderr, "sim_host: {}\n", end.error().detail);
    return 1;
  }
  fmt::print("{}\n", out.dump());
}
