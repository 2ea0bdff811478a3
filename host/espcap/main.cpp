// espcap: encrypts or decrypts a capture file through a card or the reference engine.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>

#include "common/base/log.h"
#include "common/esp/ip.h"
#include "common/pcap/pcap_file.h"
#include "host/backend/backend.h"
#include "host/espcap/sa_file.h"

namespace {
using namespace esplanade;

constexpr std::size_t kBatch = 64;
constexpr std::chrono::seconds kPatience{60};

struct Options {
  bool encrypt = false;
  std::string sa_file, in, out;
  host::BackendOptions backend;
};

struct Work {
  std::unique_ptr<host::Backend> backend;
  std::vector<host::FileSa> sas;  // their keys are in the backend alone by now
  std::vector<host::SaHandle> handles;
  std::uint64_t packets_in = 0, packets_out = 0, bytes_in = 0, bytes_out = 0;
  std::uint64_t without_sa = 0, truncated = 0, oversized = 0;
  std::array<std::uint64_t, 32> by_status{};
};

// What a batch remembers of a packet until it comes back.
struct Stamp {
  std::uint64_t number;
  std::int64_t seconds, microseconds;
};

Status install(Work& work) {
  for (host::FileSa& sa : work.sas) {
    // Key material goes, the rest stays for matching.
    esp::SaParams given = std::move(sa.params);
    sa.params.outbound = given.outbound;
    const std::uint32_t spi = given.spi;
    const auto handle = work.backend->install(std::move(given));
    if (!handle) return Error{handle.error().code, fmt::format("SA with SPI 0x{:08x}: {}", spi, handle.error().detail)};
    work.handles.push_back(*handle);
  }
  return ok();
}

// The first outbound SA that takes the packet.
std::optional<host::SaHandle> match(const Work& work, ByteView packet) {
  if (!esp::parse_ip(packet)) return work.handles.empty() ? std::nullopt : std::optional(work.handles.front());  // the engine says what is wrong
  for (std::size_t i = 0; i < work.sas.size(); ++i) {
    const host::FileSa& sa = work.sas[i];
    if (sa.params.outbound && (!sa.from || sa.from->holds(esp::source_of(packet))) && (!sa.to || sa.to->holds(esp::destination_of(packet)))) return work.handles[i];
  }
  return std::nullopt;
}

Status finish_batch(Work& work, const std::vector<Stamp>& stamps, pcap::Writer& out) {
  host::Outcomes done;
  auto end = std::chrono::steady_clock::now() + kPatience;
  while (work.backend->in_flight() > 0) {
    const std::size_t before = done.size();
    ESPLANADE_CHECK(work.backend->poll(done, std::chrono::milliseconds(500)));
    if (done.size() != before) end = std::chrono::steady_clock::now() + kPatience;
    if (std::chrono::steady_clock::now() > end) return Error{Errc::kTimeout, "no packet came back from the card for 60 s"};
  }
  std::ranges::sort(done, {}, &host::Outcome::cookie);
  for (const host::Outcome& o : done) {
    ++work.by_status[static_cast<std::size_t>(o.status)];
    if (o.status != card::Status::kOk) {
      log_debug("packet {}: {}", stamps[o.cookie].number, name_of(o.status));
      continue;
    }
    ++work.packets_out;
    work.bytes_out += o.packet.size();
    out.write(o.packet, stamps[o.cookie].seconds, stamps[o.cookie].microseconds);
  }
  return ok();
}

Status process(const Options& options, Work& work, pcap::Reader& in, pcap::Writer& out) {
  for (bool more = true; more;) {
    std::vector<Stamp> stamps;
    while (stamps.size() < kBatch) {
      ESPLANADE_TRY(packet, in.next());
      if (!packet) {
        more = false;
        break;
      }
      ++work.packets_in;
      work.bytes_in += packet->ip.size();
      if (packet->truncated) {
        ++work.truncated;
        continue;
      }
      // The link layer may have padded the packet.
      const auto ip = esp::parse_ip(packet->ip);
      const ByteView whole = ip ? packet->ip.first(ip->total_len) : packet->ip;
      const auto sa = options.encrypt ? match(work, whole) : std::nullopt;
      if (options.encrypt && !sa) {
        ++work.without_sa;
        continue;
      }
      const Status given = sa ? work.backend->submit_encap(*sa, whole, stamps.size()) : work.backend->submit_decap(whole, stamps.size());
      if (!given && given.error().code == Errc::kBadLength) {  // longer than a card takes
        ++work.oversized;
        log_debug("packet {}: {}", packet->number, given.error().detail);
        continue;
      }
      ESPLANADE_CHECK(given);
      stamps.push_back({packet->number, packet->seconds, packet->microseconds});
    }
    ESPLANADE_CHECK(finish_batch(work, stamps, out));
  }
  return out.close();
}

// To standard error where the capture itself goes to standard output.
Status summary(const Options& options, Work& work, const pcap::Reader& in, double seconds) {
  std::FILE* const to = options.out == "-" ? stderr : stdout;
  fmt::print(to, "{}: {} packets, {} octets in; {} packets, {} octets out; {:.2f} s\n", work.backend->name(), work.packets_in, work.bytes_in, work.packets_out, work.bytes_out, seconds);
  if (in.skipped() > 0) fmt::print(to, "  {} frames without IP left out\n", in.skipped());
  if (work.truncated > 0) fmt::print(to, "  {} packets dropped: cut short by the capture\n", work.truncated);
  if (work.oversized > 0) fmt::print(to, "  {} packets dropped: longer than the card takes\n", work.oversized);
  if (work.without_sa > 0) fmt::print(to, "  {} packets dropped: no SA takes them\n", work.without_sa);
  for (std::size_t status = 1; status < work.by_status.size(); ++status) {
    if (work.by_status[status] > 0) fmt::print(to, "  {} packets dropped: {}\n", work.by_status[status], name_of(static_cast<card::Status>(status)));
  }
  ESPLANADE_TRY(totals, work.backend->totals());
  if (totals.busy_cycles > 0) {
    const double rate = static_cast<double>(totals.encap_bytes + totals.decap_bytes) / static_cast<double>(totals.busy_cycles);
    fmt::print(to, "  {} busy cycles, {:.3f} bytes a cycle, {:.2f} Gb/s at {} MHz\n", totals.busy_cycles, rate, rate * 8 * totals.clock_hz / 1e9, totals.clock_hz / 1'000'000);
  }
  return ok();
}

Status run(const Options& options) {
  Work work;
  ESPLANADE_TRY(sas, host::read_sa_file(options.sa_file));
  work.sas = std::move(sas);
  std::erase_if(work.sas, [&options](const host::FileSa& sa) { return sa.params.outbound != options.encrypt; });
  if (work.sas.empty()) return Error{Errc::kBadConfig, fmt::format("{}: no [[sa]] with direction \"{}\" in it", options.sa_file, options.encrypt ? "out" : "in")};
  std::error_code no_such_file;  // then there is nothing to overwrite
  if (std::filesystem::equivalent(options.in, options.out, no_such_file)) return Error{Errc::kBadConfig, fmt::format("{}: is both the capture to read and the one to write", options.out)};
  ESPLANADE_TRY(in, pcap::Reader::open(options.in));
  ESPLANADE_TRY(backend, host::open_backend(options.backend));
  work.backend = std::move(backend);
  ESPLANADE_CHECK(install(work));
  ESPLANADE_TRY(out, pcap::Writer::create(options.out));
  const auto start = std::chrono::steady_clock::now();
  ESPLANADE_CHECK(process(options, work, in, out));
  return summary(options, work, in, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
}
}  // namespace

int main(int argc, char** argv) {
  log_setup("espcap", LogLevel::kWarn);
  Options options;
  bool verbose = false;
  CLI::App app{"Encrypts or decrypts the IP packets of a capture file with ESP or AH, on a card or in the reference engine."};
  app.require_subcommand(1);
  for (const auto& [name, what] : {std::pair{"encrypt", "protect every packet with the outbound SA that takes it"}, std::pair{"decrypt", "unprotect every packet with the inbound SA of its SPI"}}) {
    CLI::App* sub = app.add_subcommand(name, what);
    sub->add_option("--sa", options.sa_file, "TOML file with the SAs: see docs/examples")->required();
    sub->add_option("--card", options.backend.card, "soft (reference engine), sim (simulated card), or an XRT device")->capture_default_str();
    sub->add_flag("-v,--verbose", verbose, "say of every dropped packet why");
    sub->add_option("IN", options.in, "capture to read, pcap or pcapng; - is standard input")->required();
    sub->add_option("OUT", options.out, "capture to write, pcap of raw IP; - is standard output")->required();
  }
  CLI11_PARSE(app, argc, argv);
  options.encrypt = app.got_subcommand("encrypt");
  if (verbose) log_setup("espcap", LogLevel::kDebug);
  if (const Status done = run(options); !done) {
    fmt::print(stderr, "espcap: {}\n", done.error().detail);
    return 1;
  }
  return 0;
}
