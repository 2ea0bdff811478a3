// What the driver's recording costs a packet in the simulation, as JSON. Small parts of the load take turns on one simulated card, in one process: one through a queue
// whose driver records, one through a queue whose driver does not, a few hundredths of a second each, so that whatever else the machine does hits both alike. Processor
// time is of all processes: program with the recording's writer, simulator, model. Usage: record_host BYTES PACKETS RECORDING; PACKETS of each kind
#include <fmt/format.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "common/esp/ip.h"
#include "driver/scope.h"
#include "esplanade/packet_queue.h"
#include "esplanade/sa_table.h"

using namespace esplanade;

namespace {

constexpr std::size_t kPart = 8192;  // packets

/// A device that another owns.
class Lent final : public Device {
 public:
  explicit Lent(Device& device) : device_(device) {}
  const DeviceInfo& info() const override { return device_.info(); }
  Result<std::uint32_t> read32(std::uint32_t offset) override { return device_.read32(offset); }
  Status write32(std::uint32_t offset, std::uint32_t value) override { return device_.write32(offset, value); }
  Result<std::unique_ptr<Buffer>> allocate(std::size_t bytes) override { return device_.allocate(bytes); }

 private:
  Device& device_;
};

/// This process and all that it began.
void add_family(pid_t pid, std::vector<clockid_t>& clocks) {
  clockid_t clock;
  if (::clock_getcpuclockid(pid, &clock) == 0) clocks.push_back(clock);
  std::error_code gone;
  for (const auto& task : std::filesystem::directory_iterator(fmt::format("/proc/{}/task", pid), gone)) {
    std::ifstream children(task.path() / "children");
    for (pid_t child; children >> child;) add_family(child, clocks);
  }
}

struct Spent {
  double processors, clock;  // nanoseconds a packet
};

Spent now(const std::vector<clockid_t>& clocks) {
  const auto seconds = [](clockid_t clock) {
    timespec t{};
    ::clock_gettime(clock, &t);
    return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_nsec);
  };
  Spent sum{0, seconds(CLOCK_MONOTONIC)};
  for (const clockid_t clock : clocks) sum.processors += seconds(clock);
  return sum;
}

Result<Spent> part(PacketQueue& queue, std::uint32_t sa, ByteView packet, const std::vector<clockid_t>& clocks) {
  const Spent from = now(clocks);
  for (std::size_t sent = 0, done = 0; done < kPart;) {
    for (int turn = 0; turn < 256 && sent < kPart && queue.in_flight() < queue.capacity(); ++turn, ++sent) {
      if (!queue.submit({card::Op::kEncap, sa, packet, sent})) break;
    }
    ESPLANADE_CHECK(queue.flush());
    ESPLANADE_CHECK(queue.reap([&done](const Completed& c) { done += c.status == card::Status::kOk; }));
  }
  const Spent to = now(clocks);
  return Spent{(to.processors - from.processors) / kPart, (to.clock - from.clock) / kPart};
}

/// Quartiles and median of what recording costs more, in parts of a hundred of the median without.
nlohmann::json compared(std::vector<double> without, const std::vector<double>& with) {
  std::vector<double> more;
  for (std::size_t i = 0; i < without.size(); ++i) more.push_back(with[i] - without[i]);
  const auto at = [](std::vector<double>& values, std::size_t quarter) {
    std::ranges::sort(values);
    return values[values.size() * quarter / 4];
  };
  const double base = at(without, 2);
  return {{"ns", base}, {"more_ns", at(more, 2)}, {"more", 100 * at(more, 2) / base}, {"more_lower", 100 * at(more, 1) / base}, {"more_upper", 100 * at(more, 3) / base}};
}

Status measure(std::size_t size, std::size_t packets, const std::string& file, nlohmann::json& out) {
  ESPLANADE_TRY(plain, Device::open({"sim", "", false}));
  ESPLANADE_TRY(recording, watch(std::make_unique<Lent>(*plain), {.record = file, .socket = {}}));
  ESPLANADE_TRY(table, SaTable::create(*plain));
  esp::SaParams sa;
  sa.spi = 0x1000;
  sa.enc_key = Secret(from_hex("0123456789abcdef23456789abcdef01456789abcdef0123").value());
  sa.auth_key = Secret(Bytes(20, 7));
  sa.src = esp::parse_address("192.0.2.1").value();
  sa.dst = esp::parse_address("192.0.2.2").value();
  ESPLANADE_TRY(index, table.install(std::move(sa)));
  const QueueOptions options{.log2_size = 12, .in_order = false, .slot_bytes = size <= 128 ? 256u : 2048u};
  ESPLANADE_TRY(without, PacketQueue::create(*plain, 0, options));
  ESPLANADE_TRY(with, PacketQueue::create(*recording, 1, options));
  Bytes packet(size);
  packet[0] = 0x45;
  store_be16(&packet[2], static_cast<std::uint16_t>(size));
  store_be16(&packet[10], esp::ipv4_checksum(ByteView(packet).first(20)));
  std::vector<clockid_t> clocks;
  add_family(::getpid(), clocks);
  out["processes"] = clocks.size();
  std::array<std::vector<double>, 2> processors, clock;
  for (std::size_t pair = 0; pair <= packets / kPart; ++pair) {
    for (const std::size_t recorded : {pair % 2, 1 - pair % 2}) {
      ESPLANADE_TRY(spent, part(recorded != 0 ? with : without, index, packet, clocks));
      if (pair == 0) continue;  // caches and rings get warm
      processors[recorded].push_back(spent.processors);
      clock[recorded].push_back(spent.clock);
    }
  }
  out["pairs"] = processors[0].size();
  out["packets"] = (processors[0].size() + 1) * kPart;  // recorded
  out["processors"] = compared(processors[0], processors[1]);
  out["clock"] = compared(clock[0], clock[1]);
  return ok();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4 || std::strtoul(argv[1], nullptr, 10) < 20 || std::strtoul(argv[2], nullptr, 10) < kPart) return 2;
  nlohmann::json out;
  const Status end = measure(std::strtoul(argv[1], nullptr, 10), std::strtoul(argv[2], nullptr, 10), argv[3], out);
  if (!end) {
    fmt::print(stderr, "record_host: {}\n", end.error().detail);
    return 1;
  }
  fmt::print("{}\n", out.dump());
}
