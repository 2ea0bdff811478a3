// What a host sees of a card with faults: sends packets both ways through the driver and prints the outcome as JSON. Faults
// come from ESPLANADE_SIM_FAULTS. Usage: fault_host [PACKETS]
#include <fmt/format.h>

#include <chrono>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "common/esp/engine.h"
#include "common/esp/ip.h"
#include "esplanade/health.h"
#include "esplanade/packet_queue.h"
#include "esplanade/sa_table.h"
#include "tests/sa_params.h"

using namespace esplanade;
using Steady = std::chrono::steady_clock;

namespace {

constexpr std::uint32_t kBatch = 8;

using esplanade::testing::sa_params;

Bytes packet_of(std::mt19937& rng) {
  Bytes p(200 + rng() % 800);
  for (auto& octet : p) octet = static_cast<Byte>(rng());
  p[0] = 0x45;
  store_be16(&p[2], static_cast<std::uint16_t>(p.size()));
  store_be16(&p[6], 0);
  store_be16(&p[10], esp::ipv4_checksum(ByteView(p).first(20)));
  return p;
}

struct Run {
  nlohmann::json out;
  std::map<std::string, unsigned> statuses;
  unsigned wrong = 0;  // results with status Ok that the other end would refuse

  Status wait(PacketQueue& queue, const std::function<bool(const Completed&)>& good) {
    while (queue.in_flight() > 0) {
      ESPLANADE_CHECK(queue.reap([&](const Completed& c) {
        ++statuses[card::name_of(c.status)];
        if (c.status == card::Status::kOk && !good(c)) ++wrong;
      }));
    }
    return ok();
  }

  Status go(unsigned packets) {
    ESPLANADE_TRY(device, Device::open({"sim", "", false}));
    out["opened"] = true;
    ESPLANADE_TRY(table, SaTable::create(*device));
    ESPLANADE_TRY(queue, PacketQueue::create(*device, 0, {.log2_size = 5}));
    ESPLANADE_TRY(out_index, table.install(sa_params(true, 0x5000)));
    ESPLANADE_TRY(in_index, table.install(sa_params(false, 0x6001)));
    auto peer_in = esp::SoftSa::create(sa_params(false, 0x5000)), peer_out = esp::SoftSa::create(sa_params(true, 0x6001));
    std::mt19937 rng(1);
    std::vector<Bytes> plain;
    for (unsigned done = 0; done < packets; done += kBatch) {
      for (unsigned i = 0; i < kBatch; ++i) {
        plain.push_back(packet_of(rng));
        ESPLANADE_CHECK(queue.submit({card::Op::kEncap, out_index, plain.back(), plain.size() - 1}));
      }
      ESPLANADE_CHECK(queue.flush());
      ESPLANADE_CHECK(wait(queue, [&](const Completed& c) {
        const auto back = peer_in->decap(c.packet);
        return back && back->packet == plain.at(c.cookie);
      }));
      for (unsigned i = 0; i < kBatch; ++i) ESPLANADE_CHECK(queue.submit({card::Op::kDecap, 0, peer_out->encap(plain[done + i])->packet, done + i}));
      ESPLANADE_CHECK(queue.flush());
      ESPLANADE_CHECK(wait(queue, [&](const Completed& c) { return std::ranges::equal(c.packet, plain.at(c.cookie)); }));
    }
    ESPLANADE_TRY(health, read_health(*device));
    out["causes"] = describe_causes(health.causes);
    ESPLANADE_TRY(view, table.view(in_index));
    out["icv_drops"] = view.drops.icv;
    return ok();
  }
};

}  // namespace

int main(int argc, char** argv) {
  const unsigned packets = argc > 1 ? static_cast<unsigned>(std::atoi(argv[1])) : 32;
  const auto began = Steady::now();
  Run run;
  run.out["opened"] = false;
  const Status end = run.go(packets);
  run.out["error"] = end ? "" : errc_name(end.error().code);
  run.out["detail"] = end ? "" : end.error().detail;
  run.out["statuses"] = run.statuses;
  run.out["wrong"] = run.wrong;
  run.out["seconds"] = std::chrono::duration<double>(Steady::now() - began).count();
  fmt::print("{}\n", run.out.dump());
}
