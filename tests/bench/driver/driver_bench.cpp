// What a packet costs in the driver: submit, flush, reap over rings that a stub consumes at once in the same thread, so the stub's work is in
// the figure. JSON {"rows": [{name, mops, ns_per_op}]}: mops by the clock on the wall, ns_per_op of CPU time, of the driving thread and of the one that writes a
// recording. Usage: driver_bench OUTPUT [SECONDS]
#include <fmt/format.h>

#include <time.h>

#include <chrono>
#include <cstring>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "common/esp/ip.h"
#include "driver/scope.h"
#include "esplanade/packet_queue.h"

using namespace esplanade;
namespace reg = card::reg;

namespace {

/// Memory that card and host share, as on a platform with the rings in host memory: nothing is copied to sync.
class StubBuffer final : public Device::Buffer {
 public:
  StubBuffer(std::size_t size, std::uint64_t address) : bytes_(size), address_(address) {}
  MutableBytes data() override { return bytes_; }
  std::uint64_t address() const override { return address_; }
  Status sync_to_card(std::size_t, std::size_t) override { return ok(); }
  Status sync_from_card(std::size_t, std::size_t) override { return ok(); }

 private:
  Bytes bytes_;
  const std::uint64_t address_;
};

/// Answers each descriptor when the doorbell rings.
class StubDevice final : public Device {
 public:
  StubDevice() {
    info_.queues = 1;
    info_.lanes = 1;
    info_.max_packet = 9600;
    info_.caps = 0xffffffff;
  }
  const DeviceInfo& info() const override { return info_; }
  Result<std::uint32_t> read32(std::uint32_t offset) override { return offset == reg::kCqTail.at(0) ? head_ : 0; }
  Status write32(std::uint32_t offset, std::uint32_t value) override {
    registers_[offset] = value;
    if (offset == reg::kQControl.at(0) && value != 0) start();
    if (offset == reg::kSqTail.at(0)) consume(value);
    return ok();
  }
  Result<std::unique_ptr<Buffer>> allocate(std::size_t bytes) override {
    auto made = std::make_unique<StubBuffer>(bytes, kBase);
    memory_ = made->data();
    return std::unique_ptr<Buffer>(std::move(made));
  }

 private:
  static constexpr std::uint64_t kBase = 0x4000000000;

  void start() {
    const auto place = [this](const card::Reg& lo, const card::Reg& hi) { return static_cast<std::size_t>((std::uint64_t{registers_[hi.at(0)]} << 32 | registers_[lo.at(0)]) - kBase); };
    sq_ = place(reg::kSqBaseLo, reg::kSqBaseHi);
    cq_ = place(reg::kCqBaseLo, reg::kCqBaseHi);
    mask_ = (1u << reg::kQControlLog2Size.get(registers_[reg::kQControl.at(0)])) - 1;
    head_ = 0;
  }
  void consume(std::uint32_t tail) {
    for (; head_ != tail; ++head_) {
      const Byte* d = &memory_[sq_ + (head_ & mask_) * card::kDescriptorBytes];
      Byte* c = &memory_[cq_ + (head_ & mask_) * card::kCompletionBytes];
      // Phase, operation, status Ok; entry, number and length as in the descriptor.
      const std::uint32_t first = ((head_ & (mask_ + 1)) == 0 ? 1u : 0u) | std::uint32_t{d[0]} << 8;
      std::memcpy(c, &first, 4);
      std::memcpy(c + 4, d + 4, 12);
      std::memcpy(c + 16, d + 32, 4);
      // Sequence number and cycle stamps, which are never quite the same steps: a recording has to tell them.
      store_le32(c + 24, ++seq_);
      noise_ = noise_ * 1664525 + 1013904223;
      cycle_ += 150 + (noise_ >> 28);
      for (std::uint32_t stamp = 0; stamp < 5; ++stamp) store_le32(c + 32 + 4 * stamp, cycle_ + 100 * stamp + (noise_ >> (4 * stamp) & 15));
    }
  }

  DeviceInfo info_{};
  MutableBytes memory_;
  std::map<std::uint32_t, std::uint32_t> registers_;
  std::size_t sq_ = 0, cq_ = 0;
  std::uint32_t mask_ = 0, head_ = 0, seq_ = 0, cycle_ = 0, noise_ = 1;
};

struct Rate {
  double per_second, cpu_ns;
};

double cpu_seconds() {
  timespec t{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

/// Packets a second, and CPU time of all threads for each, with `batch` of `size` octets at a time; by copy, or standing in the caller's buffer; with a recording in the file `record`,
/// and there, as espd does, when each packet came and when its result was sent.
Result<Rate> rate(std::size_t size, std::size_t batch, bool by_copy, const std::string& record, bool marks, double seconds) {
  ESPLANADE_TRY(device, watch(std::make_unique<StubDevice>(), {.record = record, .socket = {}}));
  ESPLANADE_TRY(queue, PacketQueue::create(*device, 0, {.log2_size = 10, .in_order = true, .slot_bytes = 2048}));
  StubBuffer own(std::size_t{1} << 21, std::uint64_t{0x5000000000});
  Bytes packet(size, 0x45);  // IPv4, with a sound header: a recording has its lengths
  store_be16(&packet[2], static_cast<std::uint16_t>(size));
  store_be16(&packet[6], 0);
  store_be16(&packet[10], esp::ipv4_checksum(ByteView(packet).first(20)));
  std::uint64_t done = 0, wrong = 0;
  const auto began = std::chrono::steady_clock::now();
  const double cpu_began = cpu_seconds();
  double took = 0;
  while (took < seconds) {
    for (int turn = 0; turn < 100; ++turn) {
      for (std::size_t i = 0; i < batch; ++i) {
        const Segment from[] = {{&own, i * 2048, static_cast<std::uint32_t>(size)}}, to[] = {{&own, (batch + i) * 2048, 2048}};
        const Status taken = by_copy ? queue.submit({.op = card::Op::kEncap, .sa_index = 1, .packet = packet, .cookie = i, .arrived = marks ? std::chrono::steady_clock::now() : std::chrono::steady_clock::time_point()})
                                     : queue.submit({.op = card::Op::kEncap, .sa_index = 1, .packet = {}, .cookie = i, .source = from, .destination = to});
        ESPLANADE_CHECK(taken);
      }
      ESPLANADE_CHECK(queue.flush());
      ESPLANADE_CHECK(queue.reap([&](const Completed& c) {
        ++done;
        wrong += c.status != card::Status::kOk || c.len != size;
        if (marks) queue.note_sent(c.number);
      }));
    }
    took = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  }
  if (wrong != 0 || queue.in_flight() != 0) return Error{Errc::kMalformed, fmt::format("{} of {} completions are wrong, {} are missing", wrong, done, queue.in_flight())};
  return Rate{static_cast<double>(done) / took, 1e9 * (cpu_seconds() - cpu_began) / static_cast<double>(done)};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2 || argc > 3) return 2;
  const double seconds = argc == 3 ? std::strtod(argv[2], nullptr) : 1.0;
  nlohmann::json rows = nlohmann::json::array();
  const std::string record = std::string(argv[1]) + ".recording";
  struct Case {
    std::size_t size, batch;
    bool by_copy, recorded = false, marks = false;
  };
  for (const Case& c : {Case{64, 32, false}, {64, 256, false}, {1500, 256, false}, {64, 1, true}, {64, 32, true}, {64, 256, true}, {1500, 256, true}, {64, 1, true, true},
                        {64, 32, true, true}, {64, 256, true, true}, {1500, 256, true, true}, {64, 32, true, true, true}}) {
    const auto got = rate(c.size, c.batch, c.by_copy, c.recorded ? record : "", c.marks, seconds);
    for (const char* part : {"", ".1"}) std::remove((record + part).c_str());
    if (!got) {
      fmt::print(stderr, "driver_bench: {}\n", got.error().detail);
      return 1;
    }
    const std::string name = fmt::format("{} bytes, batches of {}, {}{}{}", c.size, c.batch, c.by_copy ? "copied" : "in place", c.recorded ? ", recorded" : "", c.marks ? ", with times of arrival and sending" : "");
    rows.push_back({{"name", name}, {"mops", got->per_second / 1e6}, {"ns_per_op", got->cpu_ns}});
    fmt::print("{:<80} {:8.2f} Mops {:8.1f} ns\n", name, got->per_second / 1e6, got->cpu_ns);
  }
  std::ofstream(argv[1]) << nlohmann::json{{"rows", rows}}.dump(1) << "\n";
}
