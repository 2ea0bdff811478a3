// Rates and latencies of the whole card in clock cycles, against the roofline of its cipher and hash: steady state of
// full rings, memory 60 cycles away for reads and 30 for writes, one 64-octet beat a cycle a port. Exact: the same
// seed gives the same figures. Every packet must come back with Ok; results are compared (encapsulations by sample).
//   bench_card [--quick] [--least FRACTION] OUT.json
#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "common/esp/engine.h"
#include "hw/tb/fullcard/generator.h"
#include "tests/rtl/fullcard/models.h"

using namespace esplanade;
using namespace esplanade::fullcard;
namespace reg = card::reg;
using nlohmann::json;

namespace {

constexpr PortTiming kTiming{.read_latency = 60, .write_latency = 30};
constexpr std::size_t kImix = 0;  // stands for the mix of 7 of 64, 4 of 576 and 1 of 1,500 octets
constexpr std::size_t kImixOf[12] = {64, 576, 64, 64, 576, 64, 1500, 64, 576, 64, 64, 576};
constexpr double kClockGhz = 0.3;

bool failed = false;
void fail(const std::string& what) {
  failed = true;
  fmt::print(stderr, "bench_card: {}\n", what);
}

// Octets a cycle of one lane for packets of these sizes: 3DES takes 8 octets of ciphertext a cycle, SHA-1 a block in 3.
double roofline(const std::vector<std::size_t>& sizes) {
  double octets = 0, cipher = 0, hash = 0;
  for (const std::size_t n : sizes) {
    const std::size_t c = (n + 2 + 7) / 8 * 8;
    octets += static_cast<double>(n);
    cipher += static_cast<double>(c) / 8;
    hash += 3.0 * static_cast<double>((16 + c + 9 + 63) / 64 + 1);
  }
  return octets / std::max(cipher, hash);
}

/// One SA pair of the card with the host's twins.
struct Pair {
  esp::SaParams params;
  std::uint32_t out_index = 0, in_index = 0;
  std::optional<esp::SoftSa> sender;  // of what the card decapsulates
};

struct Packet {
  std::uint64_t src = 0, dst = 0;
  std::uint32_t len = 0, inner = 0, dst_size = 0, index = 0;
  bool encap = true;
  std::size_t pair = 0;
  std::uint32_t done = 0;  // CycleDone
  std::size_t flow = 0;
};

struct Flow {
  std::string name;
  bool encap = true;
  std::size_t bytes = 64;
  std::vector<std::size_t> pairs;  // indices into Bench::pairs
};

class Bench {
 public:
  explicit Bench(const Build& build) : card(build.make(), {.seed = seed_of_run(), .timing = kTiming, .test_mode = false, .keep_packets = false}), gen_(card, seed_of_run()) {
    card.release_every = 64;
    for (unsigned q = 0; q < card.queues; ++q) card.start_queue(q, 10);
  }

  /// Both SAs of a pair, at two entries of the table.
  std::size_t add(esp::SaParams params, std::uint32_t out_index, std::uint32_t in_index) {
    Pair p;
    p.out_index = out_index;
    p.in_index = in_index;
    params.outbound = true;
    install(out_index, params);
    params.outbound = false;
    install(in_index, params);
    params.outbound = true;
    p.sender.emplace(std::move(esp::SoftSa::create(copy_of(params)).value()));
    p.params = std::move(params);
    pairs.push_back(std::move(p));
    return pairs.size() - 1;
  }
  esp::SaParams params(std::uint32_t in_index, esp::Cipher cipher, esp::Auth auth, esp::Protocol protocol = esp::Protocol::kEsp) {
    for (;;) {
      esp::SaParams s;
      s.protocol = protocol;
      s.cipher = cipher;
      s.auth = auth;
      s.spi = 16 * card.sa_entries + in_index;
      s.enc_key = Secret(gen_.octets(esp::key_len(cipher)));
      s.auth_key = Secret(gen_.octets(esp::key_len(auth)));
      s.src = gen_.address(4);
      s.dst = gen_.address(4);
      s.replay_window = static_cast<std::uint16_t>(std::min<std::uint32_t>(1024, card.replay_max));
      s.inner_v6 = false;
      if (esp::validate(s)) return s;
    }
  }

  /// Steady state of the flows, one list of queues each; octets of inner packets a cycle, in all and by flow.
  double run(const std::vector<Flow>& flows, const std::vector<std::vector<unsigned>>& queues_of, std::size_t per_queue, std::vector<double>& by_flow) {
    std::vector<std::vector<Packet>> todo(card.queues);
    std::uint64_t at = Card::kData;
    const auto room = [&](std::size_t n) {
      const std::uint64_t here = at;
      at += (n + 63) / 64 * 64;
      if (!Memory::inside(here, n)) card.die("bench out of memory");
      return here;
    };
    // Round by round over the queues, as numbers are given out.
    for (std::size_t i = 0; i < per_queue; ++i)
      for (std::size_t f = 0; f < flows.size(); ++f)
        for (const unsigned q : queues_of[f]) {
          const Flow& flow = flows[f];
          const std::size_t inner = flow.bytes == kImix ? kImixOf[(i + q) % 12] : flow.bytes;
          Packet p;
          p.flow = f;
          p.encap = flow.encap;
          p.pair = flow.pairs[gen_.below(flow.pairs.size())];
          Pair& pair = pairs[p.pair];
          p.inner = static_cast<std::uint32_t>(inner);
          Bytes data = gen_.ipv4(inner, 0, false);
          const std::size_t wire = protected_len(pair.params, inner, 20);
          if (!flow.encap) data = std::move(pair.sender->encap(data).value().packet);
          p.index = pair.out_index;
          p.len = static_cast<std::uint32_t>(data.size());
          p.dst_size = static_cast<std::uint32_t>(flow.encap ? wire : inner);
          p.src = room(data.size());
          p.dst = room(p.dst_size);
          std::memcpy(card.memory.at(p.src, data.size()).data(), data.data(), data.size());
          card.memory.allow(p.dst, p.dst_size);
          todo[q].push_back(p);
        }
    std::vector<std::size_t> next(card.queues), reaped(card.queues);
    std::unordered_map<std::uint64_t, std::pair<unsigned, std::size_t>> flying;
    std::size_t left = 0;
    for (const auto& list : todo) left += list.size();
    std::uint64_t last = card.cycles();
    while (left != 0) {
      for (unsigned q = 0; q < card.queues; ++q) {
        // A batch for the doorbell as soon as the ring has room for it.
        const std::size_t batch = std::min<std::size_t>(64, todo[q].size() - next[q]);
        if (batch != 0 && card.outstanding(q) + batch <= 1024) {
          for (std::size_t i = 0; i < batch; ++i, ++next[q]) {
            const Packet& p = todo[q][next[q]];
            flying[card.submit(q, {.op = p.encap ? card::Op::kEncap : card::Op::kDecap, .sa_index = p.index, .dst_size = p.dst_size, .src_len = p.len, .src_addr = p.src, .dst_addr = p.dst})] = {q, next[q]};
          }
          card.ring(q);
        }
        while (const auto done = card.poll(q)) {
          const auto it = flying.find(done->cookie);
          Packet& p = todo[it->second.first][it->second.second];
          flying.erase(it);
          p.done = done->stamps[4];
          if (done->status != card::Status::kOk) fail(fmt::format("a packet of {} octets: {}", p.inner, card::name_of(done->status)));
          if (done->status == card::Status::kOk && done->out_len != p.dst_size) fail("a result has a wrong length");
          --left;
          last = card.cycles();
        }
      }
      card.tick();
      if (card.cycles() - last > 100'000) card.die("bench stands still");
    }
    for (unsigned q = 0; q < card.queues; ++q) card.release(q);
    verify(todo);
    for (const auto& list : todo)
      for (const Packet& p : list) card.memory.forbid(p.dst, p.dst_size);
    if (card.memory.num_violations != 0) fail(card.memory.violations.front());

    // Between the time when about three in ten and the time when about seven in ten are done, everything is full.
    // Encryption of equal packets goes in convoys of 49, so the window begins and ends behind one: at the longest
    // pause nearby.
    std::vector<std::uint32_t> times;
    for (const auto& list : todo)
      for (const Packet& p : list) times.push_back(p.done);
    std::ranges::sort(times);
    const auto pause = [&](std::size_t around) {
      const std::size_t begin = around - times.size() / 20, end = around + times.size() / 20;
      std::size_t best = begin;
      for (std::size_t i = begin; i < end; ++i)
        if (times[i + 1] - times[i] > times[best + 1] - times[best]) best = i;
      return times[best];
    };
    const std::uint32_t from = pause(times.size() * 3 / 10), to = pause(times.size() * 7 / 10);
    std::uint64_t octets = 0;
    by_flow.assign(flows.size(), 0);
    std::vector<std::size_t> counted;
    for (const auto& list : todo)
      for (const Packet& p : list)
        if (p.done > from && p.done <= to) {
          octets += p.inner;
          counted.push_back(p.inner);
          by_flow[p.flow] += p.inner;
        }
    for (double& f : by_flow) f /= to - from;
    roof = roofline(counted);
    return static_cast<double>(octets) / (to - from);
  }

  /// Roofline of a lane for just the packets that the last run() counted: a window does not hold whole rounds of a mix.
  double roof = 0;

  /// Descriptor seen to result in memory, of a packet alone.
  std::uint32_t latency(const Flow& flow) {
    Pair& pair = pairs[flow.pairs[0]];
    const std::size_t inner = flow.bytes == kImix ? 576 : flow.bytes;
    Bytes data = gen_.ipv4(inner, 0, false);
    const auto wire = static_cast<std::uint32_t>(protected_len(pair.params, inner, 20));
    if (!flow.encap) data = std::move(pair.sender->encap(data).value().packet);
    if (!card.settle()) fail("the card does not come to rest");
    const auto done = card.run_one(0, {.op = flow.encap ? card::Op::kEncap : card::Op::kDecap, .source = data, .sa_index = pair.out_index, .dst_size = wire});
    if (done.status != card::Status::kOk) fail(fmt::format("a packet alone: {}", card::name_of(done.status)));
    return done.stamps[4] - done.stamps[0];
  }

  Card card;
  std::vector<Pair> pairs;

 private:
  // Entries are wiped when a command took them: only what is not 0 need be written.
  void install(std::uint32_t index, const esp::SaParams& params) {
    const Bytes entry = entry_of(params);
    while (!card.sa_result()) {
    }
    for (std::uint32_t i = 0; i < card::sa_entry::kSize / 4; ++i) {
      std::uint32_t word = 0;
      std::memcpy(&word, &entry[4 * i], 4);
      if (word != 0) card.write32(reg::kSaEntry.at(i), word);
    }
    if (card.sa_command(card::SaCommand::kInstall, index) != card::SaResult::kOk) fail(fmt::format("SA {} not installed", index));
  }
  void verify(const std::vector<std::vector<Packet>>& todo) {
    for (const auto& list : todo)
      for (std::size_t i = 0; i < list.size(); i += 16) {
        const Packet& p = list[i];
        const ByteView src = card.memory.at(p.src, p.len), dst = card.memory.at(p.dst, p.dst_size);
        esp::SaParams in = copy_of(pairs[p.pair].params);
        in.outbound = false;
        in.replay_window = 0;
        auto opener = esp::SoftSa::create(std::move(in)).value();
        const auto plain = opener.decap(p.encap ? dst : src);
        if (!plain || !std::ranges::equal(plain->packet, p.encap ? src : dst)) fail(fmt::format("a result of {} octets is wrong", p.inner));
      }
  }
  Generator gen_;
};

double rounded(double x) { return std::round(x * 10'000) / 10'000; }

}  // namespace

int main(int argc, char** argv) {
  bool quick = false;
  double least = 0;
  std::string out;
  for (int i = 1; i < argc; ++i) {
    const std::string arg = argv[i];
    if (arg == "--quick") quick = true;
    else if (arg == "--least" && i + 1 < argc) least = std::stod(argv[++i]);
    else out = arg;
  }
  if (out.empty()) {
    fmt::print(stderr, "usage: bench_card [--quick] [--least FRACTION] OUT.json\n");
    return 2;
  }
  json file{{"seed", seed_of_run()}, {"rows", json::array()}, {"mixed", json::array()}};
  for (const Build& build : builds()) {
    if (quick && build.make != builds()[0].make) break;
    Bench bench(build);
    Card& card = bench.card;
    const bool whole = card.has(reg::kCapsSaUpdate);  // builds before it are not held to --least
    // Pairs over the whole table: receivers in the lower half, senders in the upper one.
    const std::uint32_t half = card.sa_entries / 2;
    const std::size_t num_pairs = quick ? 64 : half;
    for (std::size_t i = 0; i < num_pairs; ++i) {
      const auto in = static_cast<std::uint32_t>(i * half / num_pairs);
      bench.add(bench.params(in, esp::Cipher::kTripleDesCbc, esp::Auth::kHmacSha1_96), half + in, in);
    }
    std::vector<std::size_t> all(num_pairs);
    for (std::size_t i = 0; i < num_pairs; ++i) all[i] = i;
    std::vector<unsigned> every_queue;
    for (unsigned q = 0; q < card.queues; ++q) every_queue.push_back(q);

    struct Size {
      std::size_t bytes, packets;  // a lane
    };
    const std::vector<Size> sizes = quick ? std::vector<Size>{{64, 2500}, {1500, 800}}
                                          : std::vector<Size>{{64, 4000}, {128, 3200}, {256, 3000}, {512, 2400}, {1500, 1300}, {9000, 500}, {kImix, 2400}};
    for (const Size& size : sizes)
      for (const bool encap : {true, false})
        for (const bool many : {false, true}) {
          if (size.bytes + 100 > card.max_packet) continue;
          const Flow flow{"", encap, size.bytes, many ? all : std::vector<std::size_t>{0}};
          std::vector<double> by_flow;
          const double rate = bench.run({flow}, {every_queue}, size.packets * card.lanes / card.queues, by_flow);
          const double roof = bench.roof * card.lanes;
          json row{{"bytes", size.bytes}, {"direction", encap ? "encap" : "decap"}, {"sas", many ? num_pairs * 2 : 1}, {"lanes", card.lanes},
                   {"bytes_per_cycle", rounded(rate)}, {"roofline", rounded(roof)}, {"fraction", rounded(rate / roof)},
                   {"gbps_at_300mhz", rounded(rate * 8 * kClockGhz)}, {"latency_cycles", bench.latency(flow)}};
          if (size.bytes == kImix) row["bytes"] = "imix";
          fmt::print("{} octets, {}, {} SAs, {} lanes: {:.3f} of {:.3f} octets a cycle ({:.1f} %), {:.2f} Gb/s at 300 MHz, latency {} cycles\n",
                     row["bytes"].dump(), encap ? "encap" : "decap", row["sas"].dump(), card.lanes, rate, roof, 100 * rate / roof,
                     rate * 8 * kClockGhz, row["latency_cycles"].dump());
          std::fflush(stdout);
          if (whole && rate / roof < least) fail(fmt::format("below {:.3f} of the roofline: {}", least, row.dump()));
          file["rows"].push_back(std::move(row));
        }

    // Flows of different kinds, each with a queue of its own, all of lane 0, always full. The share of a flow is its packets'
    // octets against an equal part of all octets.
    if (!quick) {
      struct Kind {
        const char* name;
        esp::Cipher cipher;
        esp::Auth auth;
        esp::Protocol protocol;
        bool encap;
        std::size_t bytes;
      };
      using enum esp::Cipher;
      using esp::Auth;
      constexpr auto kEsp = esp::Protocol::kEsp, kAh = esp::Protocol::kAh;
      const std::pair<const char*, std::vector<Kind>> mixes[] = {
          {"directions", {{"3DES/SHA1 encap", kTripleDesCbc, Auth::kHmacSha1_96, kEsp, true, 1500}, {"3DES/SHA1 decap", kTripleDesCbc, Auth::kHmacSha1_96, kEsp, false, 1500},
                          {"3DES/SHA1 encap", kTripleDesCbc, Auth::kHmacSha1_96, kEsp, true, 1500}, {"3DES/SHA1 decap", kTripleDesCbc, Auth::kHmacSha1_96, kEsp, false, 1500}}},
          {"algorithms", {{"3DES/SHA1 encap", kTripleDesCbc, Auth::kHmacSha1_96, kEsp, true, 1500}, {"DES/MD5 decap", kDesCbc, Auth::kHmacMd5_96, kEsp, false, 1500},
                          {"NULL/SHA1 encap", kNull, Auth::kHmacSha1_96, kEsp, true, 1500}, {"AH/MD5 decap", kNull, Auth::kHmacMd5_96, kAh, false, 1500}}},
          {"small and large", {{"64 encap", kTripleDesCbc, Auth::kHmacSha1_96, kEsp, true, 64}, {"9000 decap", kTripleDesCbc, Auth::kHmacSha1_96, kEsp, false, 9000},
                               {"64 decap", kTripleDesCbc, Auth::kHmacSha1_96, kEsp, false, 64}, {"9000 encap", kTripleDesCbc, Auth::kHmacSha1_96, kEsp, true, 9000}}}};
      for (const auto& [name, kinds] : mixes) {
        std::vector<Flow> flows;
        std::vector<std::vector<unsigned>> queues_of;
        for (std::size_t k = 0; k < kinds.size() && k * card.lanes < card.queues; ++k) {
          // Entries that the pairs above left free would do, but a full table has none: take two back.
          const std::uint32_t in = static_cast<std::uint32_t>(k * half / num_pairs);
          (void)card.sa_command(card::SaCommand::kRemove, in);
          (void)card.sa_command(card::SaCommand::kRemove, half + in);
          esp::SaParams p = bench.params(in, kinds[k].cipher, kinds[k].auth, kinds[k].protocol);
          if (!card.can(p) || kinds[k].bytes + 100 > card.max_packet) continue;
          flows.push_back({kinds[k].name, kinds[k].encap, kinds[k].bytes, {bench.add(std::move(p), half + in, in)}});
          queues_of.push_back({static_cast<unsigned>(k * card.lanes)});
        }
        if (flows.size() < 2) continue;
        std::vector<double> by_flow;
        const double rate = bench.run(flows, queues_of, 600, by_flow);
        json row{{"mix", name}, {"lanes", card.lanes}, {"bytes_per_cycle", rounded(rate)}, {"flows", json::array()}};
        // Of packets, since the card serves queues packet by packet.
        double packets = 0, worst = 1e9;
        for (std::size_t f = 0; f < flows.size(); ++f) packets += by_flow[f] / static_cast<double>(flows[f].bytes);
        for (std::size_t f = 0; f < flows.size(); ++f) {
          const double share = by_flow[f] / static_cast<double>(flows[f].bytes) / packets * static_cast<double>(flows.size());
          worst = std::min(worst, share);
          row["flows"].push_back({{"name", flows[f].name}, {"bytes", flows[f].bytes}, {"bytes_per_cycle", rounded(by_flow[f])}, {"share", rounded(share)}});
        }
        row["worst_share"] = rounded(worst);
        fmt::print("mix {}, {} lanes: {:.3f} octets a cycle, worst flow {:.1f} % of its equal share\n", name, card.lanes, rate, 100 * worst);
        file["mixed"].push_back(std::move(row));
      }
    }
  }
  std::error_code ignored;
  std::filesystem::create_directories(std::filesystem::path(out).parent_path(), ignored);
  std::ofstream(out) << file.dump(1) << "\n";
  return failed ? 1 : 0;
}
