// Packets through one, two and four simulated cards (the functional model) that share the SAs of 64 policies, driven by one thread as espd does it; and through as many software engines, which
// share that thread, so that their figure is the price of sharing. JSON {"rows": [{engine, cards, packets_per_s, mbit_per_s, cpu_ns_per_packet, refused}]}: rates by the clock on the wall, cpu_ns of the
// driving thread. A card's model is a process of its own, so the rate of several cards is bounded by the processors of the machine. Usage: cards_bench OUTPUT [SECONDS]
#include <fmt/format.h>

#include <time.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "common/esp/ip.h"
#include "host/backend/failover_backend.h"

using namespace esplanade;
using namespace esplanade::host;
using Steady = std::chrono::steady_clock;

namespace {

constexpr std::size_t kPolicies = 64, kSize = 1400, kInsideMax = 200, kBatch = 64;

Bytes packet() {
  Bytes p(kSize);
  p[0] = 0x45;
  store_be16(&p[2], static_cast<std::uint16_t>(p.size()));
  store_be16(&p[10], esp::ipv4_checksum(ByteView(p).first(20)));
  return p;
}

double cpu_seconds() {
  timespec t{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

Result<nlohmann::ordered_json> rate(const std::string& engine, std::size_t cards, double seconds) {
  ESPLANADE_TRY(backend, open_failover_backend(std::vector<std::string>(cards, engine), cards, [](const std::string& card) { return open_backend({card, false}); }));
  std::vector<SaHandle> sas;
  for (std::uint32_t reqid = 1; reqid <= kPolicies; ++reqid) {
    esp::SaParams sa;
    sa.spi = 0x1000 + reqid;
    sa.reqid = reqid;
    ESPLANADE_TRY(cipher_key, from_hex("0123456789abcdef23456789abcdef01456789abcdef0123"));
    sa.enc_key = Secret(std::move(cipher_key));
    sa.auth_key = Secret(Bytes(20, 7));
    ESPLANADE_TRY(src, esp::parse_address("192.0.2.1"));
    ESPLANADE_TRY(dst, esp::parse_address("192.0.2.2"));
    sa.src = src;
    sa.dst = dst;
    ESPLANADE_TRY(handle, backend->install(std::move(sa)));
    sas.push_back(handle);
  }
  const Bytes p = packet();
  Outcomes out;
  std::uint64_t done = 0, wrong = 0, refused = 0, next = 0;
  const auto began = Steady::now();
  const double cpu_began = cpu_seconds();
  const auto passed = [&] { return std::chrono::duration<double>(Steady::now() - began).count(); };
  while (passed() < seconds) {
    for (std::size_t i = 0; i < kBatch && backend->in_flight() < kInsideMax; ++i) {
      const Status taken = backend->submit_encap(sas[next++ % kPolicies], p, 0);
      if (!taken && taken.error().code != Errc::kRingFull) return taken.error();
      refused += !taken;
    }
    out.clear();
    ESPLANADE_CHECK(backend->poll(out, std::chrono::milliseconds(1)));
    for (const Outcome& o : out) ++(o.status == card::Status::kOk ? done : wrong);
  }
  if (wrong != 0) return Error{Errc::kMalformed, fmt::format("{} packets of {} went wrong", wrong, done)};
  const double took = passed(), cpu_ns = 1e9 * (cpu_seconds() - cpu_began) / static_cast<double>(done);
  return nlohmann::ordered_json{{"engine", engine}, {"cards", cards}, {"packets_per_s", static_cast<double>(done) / took}, {"mbit_per_s", static_cast<double>(done * kSize * 8) / took / 1e6}, {"cpu_ns_per_packet", cpu_ns}, {"refused", refused}};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2 || argc > 3) {
    fmt::print(stderr, "usage: cards_bench OUTPUT [SECONDS]\n");
    return 2;
  }
  ::setenv("ESPLANADE_SIM_MODEL", "functional", 1);
  const double seconds = argc == 3 ? std::strtod(argv[2], nullptr) : 3;
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const char* engine : {"soft", "sim"}) {
    for (const std::size_t cards : {1, 2, 4}) {
      const auto row = rate(engine, cards, seconds);
      if (!row) {
        fmt::print(stderr, "{} x {}: {}\n", cards, engine, row.error().detail);
        return 1;
      }
      fmt::print("{}\n", row->dump());
      rows.push_back(*row);
    }
  }
  std::ofstream(argv[1]) << nlohmann::ordered_json{{"rows", rows}}.dump(2) << "\n";
  return 0;
}
