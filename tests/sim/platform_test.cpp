// The platform around a small kernel: bursts through TLM to card and host memory, timing, errors, the AXI
// checker.
#include "tests/sim/copy_bench.h"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <map>
#include <thread>

using namespace esplanade;
using namespace esplanade::sim;

TEST_CASE("sim/platform: bursts of every length arrive whole, with and without pauses of the memory") {
  const unsigned s = static_cast<unsigned>(testing::seed());
  CAPTURE(s);
  std::mt19937 random(s);
  for (const std::uint32_t stall : {0U, 30U, 80U}) {
    CAPTURE(stall);
    Timing timing;
    timing.stall_percent = stall;
    timing.stall_seed = static_cast<std::uint32_t>(random() | 1);
    Bench bench(timing);
    for (std::uint32_t beats = 1; beats <= 64; beats += beats < 8 ? 1 : 7) {
      CAPTURE(beats);
      const Bytes data = random_octets(random, 4096), canary = random_octets(random, 8192);
      const std::uint32_t skip = static_cast<std::uint32_t>(random() % 64);
      bench.card().write_memory(kDdr, data);
      bench.card().write_memory(kDdr + 0x8000, canary);
      REQUIRE((bench.copy(kDdr, kDdr + 0x9000 - 64 * beats, beats, skip) & 0xfff) == 0);
      Bytes expected = canary;
      std::copy(data.begin() + skip, data.begin() + 64 * beats,
                expected.begin() + 0x1000 - 64 * beats + skip);
      CHECK(bench.card().read_memory(kDdr + 0x8000, expected.size()) == expected);
    }
  }
}

TEST_CASE("sim/platform: the kernel reads and writes host memory") {
  const unsigned s = static_cast<unsigned>(testing::seed());
  CAPTURE(s);
  std::mt19937 random(s);
  Bench bench;
  const Bytes data = random_octets(random, kHostBytes);
  bench.host_memory() = data;
  CHECK((bench.copy(kHost + 0x1000, kDdr, 16) & 0xfff) == 0);
  CHECK(std::ranges::equal(bench.card().read_memory(kDdr, 1024), ByteView(data).subspan(0x1000, 1024)));
  CHECK((bench.copy(kDdr, kHost + 0x2000, 16, 5) & 0xfff) == 0);
  Bytes expected = data;
  std::copy_n(data.begin() + 0x1005, 1024 - 5, expected.begin() + 0x2005);
  CHECK(bench.host_memory() == expected);
}

TEST_CASE(
    "sim/platform: no memory is a decode error, memory that says no a slave error; the next copy works") {
  Bench bench;
  CHECK((bench.copy(kDdr + kDdrBytes, kDdr, 1) & 0x330) == 0x030);
  CHECK((bench.copy(kDdr, 0x1000, 1) & 0x330) == 0x300);
  CHECK((bench.copy(kHost + kHostBytes, kDdr, 1) & 0x330) == 0x020);
  CHECK((bench.copy(kDdr, kHost + kHostBytes, 1) & 0x330) == 0x200);
  CHECK((bench.copy(kDdr, kDdr + 4096, 1) & 0x330) == 0);
}

TEST_CASE("sim/platform: latency parameters mean what they say, and time repeats") {
  const auto cycles = [](std::uint32_t read_latency, std::uint32_t write_latency,
                         std::uint32_t bytes_per_cycle) {
    Timing timing;
    timing.ddr_read_latency = read_latency;
    timing.ddr_write_latency = write_latency;
    timing.ddr_bytes_per_cycle = bytes_per_cycle;
    Bench bench(timing);
    REQUIRE((bench.copy(kDdr, kDdr + 4096, 8) & 0xfff) == 0);
    return bench.read(kBusyCycles);
  };
  const std::uint32_t base = cycles(60, 30, 64);
  CHECK(cycles(60, 30, 64) == base);
  CHECK(cycles(1060, 30, 64) == base + 1000);
  CHECK(cycles(60, 1030, 64) == base + 1000);
  CHECK(base > 60 + 30 + 8 + 8);
  CHECK(base < 60 + 30 + 8 + 8 + 20);
}

TEST_CASE("sim/platform: each broken AXI rule ends the model with its name") {
  struct Case {
    std::uint32_t fault;
    std::string says;
  };
  Timing timing;
  timing.stall_percent = 90;  // makes valids wait; with this seed, all of them
  timing.stall_seed = 2;
  for (const auto& [fault, says] :
       {Case{1, "ARVALID fell before ARREADY"}, Case{2, "WLAST is 1 on beat 1 of 8"},
        Case{3, "W payload changed"}, Case{4, "ARBURST is 0"}, Case{5, "AW payload changed"},
        Case{6, "ARSIZE is 5"}}) {
    CAPTURE(fault);
    Bench bench(timing);
    bench.write(kFault, fault);
    CHECK(bench.copy(kDdr, kDdr + 4096, 8) == 0xffffffff);
    const std::string said = bench.card().take_messages();
    CHECK_MESSAGE(said.find(says) != std::string::npos, said);
  }
  Bench crossing;
  CHECK(crossing.copy(kDdr + 4096 - 64, kDdr, 2) == 0xffffffff);
  CHECK(crossing.card().take_messages().find("crosses 4 KiB") != std::string::npos);
  Bench below;
  below.write(kFault, 7);
  CHECK(below.copy(kDdr, kDdr + 4096 + 8, 1) == 0xffffffff);
  CHECK(below.card().take_messages().find("WSTRB writes below") != std::string::npos);
}

TEST_CASE("sim/platform: a register that never answers ends the model, with statistics and waves written") {
  const auto folder = std::filesystem::temp_directory_path();
  const auto stats = folder / ("esplanade-test-stats-" + std::to_string(::getpid())),
             wave = folder / ("esplanade-test-wave-" + std::to_string(::getpid()));
  ModelOptions options;
  options.stats_file = stats;
  options.wave.file = wave;
  options.wave.from = 100;
  options.wave.to = 200;
  {
    Bench bench({}, options);
    CHECK(bench.read(kNoAnswer) == 0xffffffff);
    CHECK(bench.card().take_messages().find("did not answer a register read at 0x0020") != std::string::npos);
    CHECK(std::filesystem::exists(stats));
    CHECK(std::filesystem::file_size(wave) > 200);
  }
  std::filesystem::remove(stats);
  std::filesystem::remove(wave);
  std::filesystem::remove(wave.string() + ".hier");
}

TEST_CASE("sim/platform: host accesses outside registers and memory read all ones and harm nothing") {
  Bench bench;
  CHECK(bench.card().read_registers(0x20000, 4) == Bytes(4, 0xff));
  CHECK(bench.card().read_registers(0x0fffe, 4) == Bytes(4, 0xff));
  CHECK(bench.card().read_registers(0x2, 4) == Bytes(4, 0xff));
  CHECK(bench.card().read_memory(kDdr + kDdrBytes - 4, 8) == Bytes(8, 0xff));
  CHECK(bench.card().read_memory(0, 8) == Bytes(8, 0xff));
  bench.card().write_memory(~std::uint64_t{0} - 3, Bytes(8));
  CHECK((bench.copy(kDdr, kDdr + 4096, 4) & 0xfff) == 0);
}

TEST_CASE("sim/platform: what the host moves takes none of the kernel's time") {
  Bench bench;
  const auto cycles = [&bench] {
    CHECK((bench.copy(kDdr, kDdr + 0x8000, 64) & 0xfff) == 0);
    return bench.read(kBusyCycles);  // of this copy
  };
  const std::uint32_t quiet = cycles();
  bench.card().write_memory(kDdr, Bytes(kDdrBytes, 0x11));
  bench.card().read_memory(kDdr, kDdrBytes);
  CHECK(cycles() == quiet);
}

TEST_CASE("sim/platform: a row that is not open costs what it says, in each bank; so does a refresh") {
  const auto cycles = [](const Timing& timing, std::uint64_t to) {
    Bench bench(timing);
    bench.copy(kDdr, kDdr + to, 4);  // opens the rows
    CHECK((bench.copy(kDdr, kDdr + to, 4) & 0xfff) == 0);
    return bench.read(kBusyCycles);
  };
  Timing timing;
  const std::uint32_t base = cycles(timing, 0x8000);
  timing.ddr_row_miss_latency = 50;
  timing.ddr_banks = 4;
  timing.ddr_row_bytes = 1024;
  // Source and destination in rows of different banks: both stay open.
  CHECK(cycles(timing, 0x8400) == base);
  // In the same bank each access closes the other's row: one miss to read, one to write.
  CHECK(cycles(timing, 0x8000) == base + 100);
  timing = {};
  timing.ddr_refresh_interval = 1;  // always
  timing.ddr_refresh_cycles = 30;
  CHECK(cycles(timing, 0x8000) == base + 60);
}

TEST_CASE("sim/platform: host memory is as far away as the PCIe link says, and as fast") {
  const auto cycles = [](const Timing& timing, bool read, std::uint32_t beats) {
    Bench bench(timing);
    CHECK(((read ? bench.copy(kHost, kDdr, beats) : bench.copy(kDdr, kHost, beats)) & 0xfff) == 0);
    return bench.read(kBusyCycles);
  };
  Timing near, far, narrow, old;
  far.pcie_latency = near.pcie_latency + 1000;
  narrow.pcie_lanes = 1;
  old.pcie_generation = 1;
  CHECK(cycles(far, true, 1) == cycles(near, true, 1) + 2000);   // there and back
  CHECK(cycles(far, false, 1) == cycles(near, false, 1) + 1000);  // posted
  // 4 KiB are 16 TLPs of 256 bytes and 24 more each; a read has a request of 24 bytes before it. A lane of generation 3 moves
  // 8 GT/s * 128/130 / 8 bytes, one of generation 1 2.5 GT/s * 8/10 / 8.
  const auto ns = [](double bytes, double gigabytes) { return bytes / gigabytes; };
  const double third = 8 * 128.0 / 130 / 8, first = 2.5 * 0.8 / 8;
  const auto close = [](std::uint32_t is, double more_ns, std::uint32_t than) {
    const double expected = than + more_ns * 0.3;
    CAPTURE(is);
    CAPTURE(expected);
    CHECK(std::abs(is - expected) <= 2);
  };
  const std::uint32_t read = cycles(near, true, 64), write = cycles(near, false, 64);
  close(cycles(narrow, true, 64), ns(4480 + 24, third) - ns(4480 + 24, 16 * third), read);
  close(cycles(narrow, false, 64), ns(4480, third) - ns(4480, 16 * third), write);
  close(cycles(old, false, 64), ns(4480, 16 * first) - ns(4480, 16 * third), write);
}

namespace {

const sc_core::sc_time kNs(1, sc_core::SC_NS);

void tell(int fd, sc_core::sc_time when) {
  const auto ns = static_cast<std::int32_t>(when.to_seconds() * 1e9 + 0.5);
  if (::write(fd, &ns, sizeof ns) != sizeof ns) std::_Exit(1);
}

/// Reads of 512 bytes at once, over a link with `tags`; says in nanoseconds when each came back.
struct Reads final : sc_core::sc_module {
  tlm_utils::simple_initiator_socket<Reads> out;
  tlm_utils::simple_target_socket<Reads> memory;
  PcieLink link;
  ResetController no_units;
  int fd;
  Reads(sc_core::sc_module_name name, const Timing& timing, int to)
      : sc_module(name), out("out"), memory("memory"), link("link", timing, kNs, 1), no_units("no_units", timing, kNs, 0), fd(to) {
    link.hot_reset.bind(no_units.from_link);
    out.bind(link.from_card[0]);
    link.to_host[0].bind(memory);
    memory.register_b_transport(this, &Reads::answer);
    SC_HAS_PROCESS(Reads);
    SC_THREAD(thread);
  }
  void answer(tlm::tlm_generic_payload& access, sc_core::sc_time& delay) {
    delay += sc_core::sc_time(50, sc_core::SC_NS);
    access.set_response_status(tlm::TLM_OK_RESPONSE);
  }
  void thread() {
    std::vector<std::uint8_t> octets(512);
    for (int i = 0; i < 4; ++i) {
      tlm::tlm_generic_payload access;
      access.set_read();
      access.set_data_ptr(octets.data());
      access.set_data_length(512);
      sc_core::sc_time delay;
      out->b_transport(access, delay);
      tell(fd, delay);
    }
    sc_core::sc_stop();
  }
};

/// The lines of an interrupt controller with two units: rises at the given times, all told while SystemC's time stands still, as units do that run
/// ahead, or each at its time. Says of which unit each message is and when it leaves.
struct Lines final : sc_core::sc_module {
  struct Rise {
    int unit, at;
  };
  sc_core::sc_vector<tlm_utils::simple_initiator_socket<Lines>> lines;
  tlm_utils::simple_target_socket<Lines> host;
  InterruptController controller;
  std::vector<Rise> rises;
  bool ahead;
  int fd;
  Lines(sc_core::sc_module_name name, const Timing& timing, std::vector<Rise> all, bool runs_ahead, int to)
      : sc_module(name), lines("lines", 2), host("host"), controller("controller", timing, kNs, 2), rises(std::move(all)), ahead(runs_ahead), fd(to) {
    for (std::size_t i = 0; i < 2; ++i) lines[i].bind(controller.from_unit[i]);
    controller.to_link.bind(host);
    host.register_b_transport(this, &Lines::take);
    SC_HAS_PROCESS(Lines);
    SC_THREAD(thread);
  }
  void take(tlm::tlm_generic_payload& message, sc_core::sc_time& delay) {
    message.set_response_status(tlm::TLM_OK_RESPONSE);
    const auto unit = static_cast<std::int32_t>(load_le32(message.get_data_ptr()));
    if (::write(fd, &unit, sizeof unit) != sizeof unit) std::_Exit(1);
    tell(fd, sc_core::sc_time_stamp() + delay);
  }
  void set(int unit, bool level, sc_core::sc_time delay) {
    Byte octet = level;
    tlm::tlm_generic_payload access;
    access.set_write();
    access.set_data_ptr(&octet);
    access.set_data_length(1);
    lines[static_cast<std::size_t>(unit)]->b_transport(access, delay);
  }
  void thread() {
    for (const Rise& rise : rises) {
      const sc_core::sc_time at(rise.at, sc_core::SC_NS);
      if (!ahead) sc_core::wait(at - sc_core::sc_time_stamp());
      set(rise.unit, true, at - sc_core::sc_time_stamp());
      set(rise.unit, false, at - sc_core::sc_time_stamp() + kNs);
    }
    while (controller.pending()) sc_core::wait(kNs);
    sc_core::sc_stop();
  }
};

/// Runs SystemC in a process of its own, as it can run once a process; up to `most` numbers that it writes.
std::vector<std::int32_t> in_systemc(std::size_t most, const std::function<void(int fd)>& body) {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    Link none(::open("/dev/null", O_RDWR));
    run_in_systemc(none, [&] { body(ends[1]); });
    std::_Exit(0);
  }
  ::close(ends[1]);
  int status = 0;
  ::waitpid(child, &status, 0);
  std::vector<std::int32_t> told(most);
  const ssize_t got = ::read(ends[0], told.data(), most * sizeof told[0]);
  ::close(ends[0]);
  told.resize(got > 0 ? static_cast<std::size_t>(got) / sizeof told[0] : 0);
  return told;
}

std::vector<std::int32_t> four_reads(std::uint32_t tags) {
  Timing timing;
  timing.pcie_latency = 1000;
  timing.pcie_tags = tags;
  return in_systemc(4, [&](int fd) {
    Reads reads("reads", timing, fd);
    sc_core::sc_start();
  });
}

/// Unit and time of each, by time.
std::vector<std::int32_t> messages(std::uint32_t gap, bool ahead, const std::vector<Lines::Rise>& rises) {
  Timing timing;
  timing.irq_latency = 20;
  timing.irq_gap = gap;
  const auto told = in_systemc(64, [&](int fd) {
    Lines lines("lines", timing, rises, ahead, fd);
    sc_core::sc_start();
  });
  std::multimap<std::int32_t, std::int32_t> by_time;
  for (std::size_t i = 0; i + 1 < told.size(); i += 2) by_time.emplace(told[i + 1], told[i]);
  std::vector<std::int32_t> out;
  for (const auto& [when, unit] : by_time) out.insert(out.end(), {unit, when});
  return out;
}

}  // namespace

TEST_CASE("sim/platform: reads across the link wait for tags") {
  // 24 bytes up take 1.5 ns, 512 + 48 down 35.5 ns; two latencies of 1,000 ns and the memory's 50.
  const auto many = four_reads(4), two = four_reads(2), one = four_reads(1);
  CHECK(many[0] == 2087);
  CHECK(many[3] == 2087 + 3 * 36 - 1);  // the wires down are the bound
  CHECK(two[1] == many[1]);
  CHECK(two[2] == two[0] + 2087);
  CHECK(one == std::vector<std::int32_t>{2087, 2 * 2087, 3 * 2087, 4 * 2087});
}

TEST_CASE("sim/platform: an interrupt's message leaves after its latency, covers what rises until then, and keeps its distance") {
  using Rises = std::vector<Lines::Rise>;
  using Told = std::vector<std::int32_t>;  // unit, time; unit, time ...
  for (const bool ahead : {false, true}) {
    CAPTURE(ahead);
    CHECK(messages(0, ahead, Rises{{0, 100}, {0, 110}, {0, 150}}) == Told{0, 120, 0, 170});
    CHECK(messages(100, ahead, Rises{{0, 100}, {0, 110}, {0, 150}, {0, 200}, {0, 230}}) == Told{0, 120, 0, 220, 0, 320});
    CHECK(messages(100, ahead, Rises{{0, 100}, {1, 105}, {1, 126}}) == Told{0, 120, 1, 125, 1, 225});
  }
}

namespace {

constexpr std::uint32_t kAnything = 5;  // a FAULT that the test does not get to

Fault at_access(FaultPoint point, std::uint32_t offset, std::uint64_t count = 1) {
  Fault fault;
  fault.point = point;
  fault.when.kind = Trigger::Kind::kRegister;
  fault.when.number = offset;
  fault.count = count;
  return fault;
}

}  // namespace

TEST_CASE("sim/platform: a reset in mid-flight ends what is under way, holds the kernel for as long as it says, and the next copy works") {
  const auto nanoseconds = [](std::uint32_t held, std::uint32_t delay) {
    Timing timing;
    timing.reset_cycles = held;
    timing.reset_delay = delay;
    timing.ddr_read_latency = 40'000;
    ModelOptions options;
    options.faults = {at_access(FaultPoint::kReset, kGo)};
    Bench bench(timing, options);
    CHECK((bench.copy(kDdr, kDdr + 4096, 8) & 1) == 0);
    const std::uint64_t ns = bench.card().time_ns();
    bench.card().write_memory(kDdr, Bytes(512, 0x77));
    CHECK(bench.card().read_memory(kDdr + 4096, 512) == Bytes(512));  // the first copy came to nothing
    CHECK((bench.copy(kDdr, kDdr + 4096, 8) & 0xfff) == 0);
    CHECK(bench.card().read_memory(kDdr + 4096, 512) == Bytes(512, 0x77));
    return ns;
  };
  const std::uint64_t base = nanoseconds(32, 0);
  CHECK(base < 40'000 * 10 / 3);
  const auto close = [base](std::uint64_t is, std::uint64_t more) {
    CAPTURE(is);
    CAPTURE(base);
    CHECK(is + 1'000 >= base + more);  // the host looks on between quanta, of 213 ns each
    CHECK(is <= base + more + 1'000);
  };
  close(nanoseconds(9032, 0), 30'000);  // 9,000 cycles of 300 MHz
  close(nanoseconds(32, 3000), 10'000);
}

TEST_CASE("sim/platform: a link that goes down resets the card, unless it is told not to") {
  for (const std::uint32_t resets : {1U, 0U}) {
    CAPTURE(resets);
    Timing timing;
    timing.link_down_resets = resets;
    ModelOptions options;
    options.faults = {at_access(FaultPoint::kLinkDown, kBeats, 2)};
    Bench bench(timing, options);
    bench.write(kFault, kAnything);
    bench.write(kBeats, 1);
    CHECK(bench.read(kFault) == 0xffffffff);
    CHECK(bench.card().read_memory(kDdr, 4) == Bytes(4, 0xff));
    CHECK(bench.read(kFault) == (resets != 0 ? 0 : kAnything));
    bench.write(kFault, 0);
    CHECK((bench.copy(kDdr, kDdr + 4096, 4) & 0xfff) == 0);
  }
}
