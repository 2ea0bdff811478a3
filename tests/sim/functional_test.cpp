// The functional model against the RTL: both get the same registers, memory and packets over the link, and all that a
// host can see must be the same, but for time: CYCLES, stamps, and what depends on packets being in flight together, so
// one descriptor is under way at a time. Packets to protect bring their IV, since each model makes its own.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <random>

#include "common/testing/seed.h"
#include "sim/front.h"
#include "sim/model.h"
#include "tests/sim/functional_bench.h"

using namespace esplanade;
using namespace esplanade::sim;
using namespace esplanade::sim::functional_bench;
namespace reg = card::reg;

namespace {

constexpr std::uint64_t kBase = 0x40'0000'0000, kControlBase = 0x0180'0000;
constexpr std::uint64_t kSq = kBase + 0x1000, kCq = kBase + 0x2000, kEvents = kBase + 0x3000, kSrc = kBase + 0x10'000,
                        kDst = kBase + 0x20'000, kLists = kBase + 0x30'000;
constexpr std::uint64_t kWindowBytes = 0x40'000;
constexpr unsigned kLog2 = 4, kEventLog2 = 6;

/// A model in a process of its own, as the front has it.
class Model {
 public:
  explicit Model(bool functional) {
    auto platform = read_platform(ESPLANADE_DESCRIPTION, "");
    if (!platform) FAIL(platform.error().detail);
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    const pid_t model = ::fork();
    REQUIRE(model >= 0);
    if (model == 0) {
      const int null = ::open("/dev/null", O_WRONLY);
      ::dup2(null, STDOUT_FILENO);
      ::dup2(null, STDERR_FILENO);
      ::close(ends[0]);
      Link link(ends[1]);
      std::_Exit(run_model(link, *platform, {.wave = {}, .stats_file = {}, .functional = functional, .faults = {}}));
    }
    ::close(ends[1]);
    card_.emplace(std::make_unique<Link>(ends[0]), model, std::chrono::seconds(20));
  }
  ~Model() { card_->close(); }

  void write(std::uint32_t offset, std::uint32_t value) {
    Byte octets[4];
    store_le32(octets, value);
    card_->write_registers(kControlBase + offset, octets);
  }
  std::uint32_t read(std::uint32_t offset) { return load_le32(card_->read_registers(kControlBase + offset, 4).data()); }
  Bytes memory(std::uint64_t at, std::size_t size) { return card_->read_memory(at, size); }
  void put(std::uint64_t at, ByteView octets) { card_->write_memory(at, octets); }

 private:
  std::optional<ModelCard> card_;
};

/// What a host sees of a descriptor's end.
struct Seen {
  Bytes completion;  // without the stamps
  Bytes memory;      // around the destination
};

/// Both models. What is read must be the same.
class Pair {
 public:
  Pair() : rtl_(false), functional_(true) {}

  void write(std::uint32_t offset, std::uint32_t value) {
    rtl_.write(offset, value);
    functional_.write(offset, value);
  }
  void write64(std::uint32_t lo, std::uint64_t value) {
    write(lo, static_cast<std::uint32_t>(value));
    write(lo + 4, static_cast<std::uint32_t>(value >> 32));
  }
  void put(std::uint64_t at, ByteView octets) {
    rtl_.put(at, octets);
    functional_.put(at, octets);
  }
  std::uint32_t read(std::uint32_t offset, const char* what) {
    const std::uint32_t a = rtl_.read(offset), b = functional_.read(offset);
    CAPTURE(std::string(what));
    CAPTURE(fmt::format("{:#06x}", offset));
    CHECK(a == b);
    return a;
  }
  Bytes memory(std::uint64_t at, std::size_t size, const char* what) {
    Bytes a = rtl_.memory(at, size);
    const Bytes b = functional_.memory(at, size);
    CAPTURE(std::string(what));
    CAPTURE(fmt::format("{:#x}", at));
    if (a != b) {
      const auto at_octet = static_cast<std::size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
      FAIL_CHECK(fmt::format("octet {} differs\nrtl        {}\nfunctional {}", at_octet, to_hex(ByteView(a).first(std::min<std::size_t>(size, 128))),
                             to_hex(ByteView(b).first(std::min<std::size_t>(size, 128)))));
    }
    return a;
  }
  /// Until the register reads so on both; false when it does not come.
  bool reaches(std::uint32_t offset, std::uint32_t mask, std::uint32_t value) {
    for (Model* model : {&rtl_, &functional_}) {
      unsigned tries = 0;
      while ((model->read(offset) & mask) != value) {
        if (++tries > 3000) return false;
      }
    }
    return true;
  }
  void registers() {
    for (const card::Reg& r : reg::kAll) {
      const std::string_view name = r.name;
      if (name.starts_with("CYCLES") || name.starts_with("BUSY_CYCLES") || name == "SECONDS" || name == "BUILD") continue;
      for (std::uint32_t n = 0; n < r.count; ++n) read(r.at(n), r.name);
    }
  }

 private:
  Model rtl_, functional_;
};

class Bench {
 public:
  Bench() {
    open_card(pair, {kBase, kEvents, kWindowBytes, kEventLog2}, [](std::uint32_t n) { return 0x1234567u * (n + 1); });
    REQUIRE(pair.reaches(reg::kStatus.offset, 2, 2));  // the generator runs
    REQUIRE(pair.reaches(reg::kSaStatus.offset, 1, 0));
    start_queue(pair, 0, kSq, kCq, kLog2);
  }

  card::SaResult command(card::SaCommand what, std::uint32_t index, const esp::SaParams* sa = nullptr, std::uint32_t spoil = 0) {
    if (sa != nullptr) {
      auto entry = SaTable::encode(*sa, ~0U);
      if (spoil != 0) entry[spoil % entry.size()] ^= static_cast<Byte>(1u << (spoil >> 8) % 8);
      write_entry(pair, entry);
    }
    pair.write(reg::kSaIndex.offset, index);
    pair.write(reg::kSaCommand.offset, static_cast<std::uint32_t>(what));
    REQUIRE(pair.reaches(reg::kSaStatus.offset, 1, 0));
    return static_cast<card::SaResult>(pair.read(reg::kSaStatus.offset, "SA_STATUS") >> 8);
  }
  void view(std::uint32_t index) {
    if (command(card::SaCommand::kView, index) != card::SaResult::kOk) return;
    for (std::uint32_t n = 0; n < 20; ++n) {
      if (n != card::sa_view::kAgeSeconds.lsb / 32) pair.read(reg::kSaView.at(n), "SA_VIEW");
    }
  }
  /// One descriptor; what came of it, on both alike.
  Seen run(const Bytes& descriptor) {
    namespace c = card::completion;
    const Bytes canary(0x2800, 0xa5);
    pair.put(kDst, canary);
    const std::uint32_t slot = tail_ % (1u << kLog2);
    pair.put(kSq + 64 * slot, descriptor);
    pair.write(reg::kSqTail.at(0), ++tail_);
    REQUIRE(pair.reaches(reg::kCqTail.at(0), 0xffffffff, tail_));
    REQUIRE(pair.reaches(reg::kStatus.offset, 1, 1));
    Seen seen;
    // Stamps differ: the words before them.
    seen.completion = pair.memory(kCq + 64 * slot, c::kCycleFetched.lsb / 8, "completion");
    seen.memory = pair.memory(kDst, canary.size(), "destination");
    pair.write(reg::kCqHead.at(0), tail_);
    return seen;
  }
  void events() {
    const std::uint32_t tail = pair.read(reg::kEventTail.offset, "EVENT_TAIL");
    for (; event_head_ != tail; ++event_head_) {
      pair.memory(kEvents + card::kEventBytes * (event_head_ % (1u << kEventLog2)), card::event::kCycle.lsb / 8, "event");
      ++num_events;
    }
    pair.write(reg::kEventHead.offset, tail);
  }
  Pair pair;
  unsigned num_events = 0;

 private:
  std::uint32_t tail_ = 0, event_head_ = 0;
};

class Traffic : public Random {
 public:
  explicit Traffic(std::uint64_t seed) : Random(seed) {}

  void install(Bench& b) {
    const auto index = static_cast<std::uint32_t>(below(percent(5) ? 6000 : 40));
    Sa sa = make(index);
    const auto result = b.command(card::SaCommand::kInstall, index, &sa.params, percent(15) ? static_cast<std::uint32_t>(1 + below(1u << 20)) : 0);
    if (result == card::SaResult::kOk) table_.insert_or_assign(index, std::move(sa));
    ++results[std::string("install ") + card::name_of(result)];
  }
  void command(Bench& b) {
    const auto index = static_cast<std::uint32_t>(below(percent(5) ? 6000 : 40));
    card::SaResult result{};
    const std::uint64_t kind = below(10);
    if (kind < 2) {
      result = b.command(card::SaCommand::kRemove, index);
      if (result == card::SaResult::kOk) table_.erase(index);
      ++results[std::string("remove ") + card::name_of(result)];
    } else if (kind < 4 && table_.contains(index)) {
      // Elsewhere, with other policies.
      Sa& sa = table_.at(index);
      sa.params.src = address(sa.params.src.version);
      sa.params.ttl = static_cast<std::uint8_t>(1 + below(255));
      sa.params.df = static_cast<esp::DfPolicy>(below(3));
      result = b.command(card::SaCommand::kUpdate, index, &sa.params, percent(20) ? static_cast<std::uint32_t>(32 + below(8) * 256) : 0);
      if (sa.peer) sa.peer->update(sa.params);
      ++results[std::string("update ") + card::name_of(result)];
    } else if (kind == 4) {
      result = b.command(static_cast<card::SaCommand>(below(300)), index, nullptr);
      if (result == card::SaResult::kOk) resync(b);
    } else {
      b.view(index);
    }
  }
  void packet(Bench& b) {
    Bytes descriptor(64);
    const bool encap = percent(45);
    const auto put = [&descriptor](card::Field field, std::uint64_t value) { card::set(descriptor, field, value); };
    namespace d = card::descriptor;
    Bytes source;
    std::uint32_t index = static_cast<std::uint32_t>(below(40));
    Sa* sa = nullptr;
    for (auto& [at, candidate] : table_) {
      if (candidate.params.outbound == (encap != percent(3)) && percent(30)) {
        sa = &candidate;
        index = at;
        break;
      }
    }
    const unsigned version = sa != nullptr && sa->params.mode == esp::Mode::kTransport ? sa->params.src.version : percent(70) ? 4 : 6;
    const Bytes plain = ip(version, sa != nullptr && sa->params.mode == esp::Mode::kTransport ? &sa->params : nullptr);
    if (encap || sa == nullptr || !sa->peer) {
      source = plain;
    } else if (!old_.empty() && percent(10)) {
      source = old_[below(old_.size())];
    } else if (auto sent = sa->peer->encap(plain, iv()); sent) {
      source = sent->packet;
      old_.push_back(source);
    } else {
      source = plain;
    }
    if (percent(20)) source[below(source.size())] ^= static_cast<Byte>(1u << below(8));
    if (percent(4)) source.resize(20 + below(source.size()));
    put(d::kOp, encap ? 1 : 2);
    put(d::kSaIndex, percent(95) ? index : any() & 0xffffffff);
    put(d::kCookie, any());
    put(d::kSrcAddr, kSrc);
    put(d::kDstAddr, kDst);
    put(d::kSrcLen, source.size());
    put(d::kDstSize, percent(90) ? 0x2400 : below(source.size() + 80));
    if (encap) {
      put(d::kHostIv, 1);
      std::ranges::copy(iv(), card::octets(std::span<Byte>(descriptor), d::kIv).begin());
    }
    if (percent(15)) lists(b, descriptor, source);
    if (percent(12)) {  // any bit of the descriptor, but for HostIv: without it each model makes an IV of its own
      std::uint64_t bit = below(512);
      if (bit == card::descriptor::kHostIv.lsb) bit = 0;
      descriptor[bit / 8] ^= static_cast<Byte>(1u << bit % 8);
    }
    b.pair.put(kSrc, source);
    const Seen seen = b.run(descriptor);
    ++results[card::name_of(static_cast<card::Status>(card::get(padded(seen.completion), card::completion::kStatus)))];
  }

  std::map<std::string, unsigned> results;

 private:
  static Bytes padded(const Bytes& in) {
    Bytes out = in;
    out.resize(64);
    return out;
  }
  void resync(Bench& b) {  // a random command may have been any
    for (auto it = table_.begin(); it != table_.end();) {
      it = b.command(card::SaCommand::kView, it->first) == card::SaResult::kOk ? std::next(it) : table_.erase(it);
    }
  }
  esp::IpAddress address(unsigned version) {
    esp::IpAddress out;
    out.version = static_cast<std::uint8_t>(version);
    const Bytes random = octets(version == 4 ? 4 : 16);
    std::ranges::copy(random, out.octets.begin());
    return out;
  }
  Sa make(std::uint32_t index) {
    esp::SaParams p;
    p.outbound = percent(50);
    p.protocol = percent(25) ? esp::Protocol::kAh : esp::Protocol::kEsp;
    p.mode = percent(30) ? esp::Mode::kTransport : esp::Mode::kTunnel;
    p.spi = static_cast<std::uint32_t>((1 + below(1u << 19)) << 12 | (index & 0xfff));
    p.cipher = p.protocol == esp::Protocol::kAh ? esp::Cipher::kNull : static_cast<esp::Cipher>(below(3));
    p.auth = static_cast<esp::Auth>(p.cipher == esp::Cipher::kNull ? 1 + below(2) : below(3));
    p.enc_key = Secret(octets(esp::key_len(p.cipher)));
    p.auth_key = Secret(octets(esp::key_len(p.auth)));
    const unsigned version = percent(60) ? 4 : 6;
    p.src = address(version);
    p.dst = address(version);
    if (p.protocol == esp::Protocol::kEsp && version == 4 && percent(25)) p.natt.emplace();
    p.esn = percent(25) && p.auth != esp::Auth::kNone;
    p.seq = percent(60) ? 0 : p.esn ? any() >> 20 : percent(20) ? 0xfffffffa : below(0xf0000010);
    p.replay_window = static_cast<std::uint16_t>(32 * (1 + below(32)));
    p.check_outer = percent(60);
    if (p.mode == esp::Mode::kTunnel && !p.outbound && percent(15)) (percent(50) ? p.inner_v4 : p.inner_v6) = false;
    p.ttl = static_cast<std::uint8_t>(1 + below(255));
    p.ip_id = static_cast<std::uint16_t>(p.outbound ? any() : 0);
    p.df = static_cast<esp::DfPolicy>(below(3));
    if (percent(30)) p.dscp = static_cast<std::uint8_t>(below(64));
    p.ecn_copy = percent(70);
    if (percent(25)) p.soft.packets = 1 + below(4);
    if (percent(25)) p.hard.packets = 3 + below(6);
    if (percent(25)) p.soft.bytes = 1 + below(2000);
    if (percent(25)) p.hard.bytes = 500 + below(4000);
    return Sa(std::move(p));
  }
  /// A whole packet with a transport protocol inside; `ends` gives its addresses.
  Bytes ip(unsigned version, const esp::SaParams* ends) {
    const std::size_t size = (version == 4 ? 20 : 40) + (percent(80) ? below(200) : below(1400));
    Bytes p = octets(size);
    if (version == 4) {
      if (ends != nullptr) std::ranges::copy(ends->src.bytes(), &p[12]), std::ranges::copy(ends->dst.bytes(), &p[16]);
      const std::uint16_t fragment = percent(5) ? 0x2000 : percent(50) ? 0x4000 : 0;
      make_ipv4(p, fragment, percent(50) ? 17 : 6);
    } else {
      p[0] = static_cast<Byte>(0x60 | (p[0] & 15));
      store_be16(&p[4], static_cast<std::uint16_t>(size - 40));
      p[6] = percent(50) ? 17 : 6;
      if (ends != nullptr) std::ranges::copy(ends->src.bytes(), &p[8]), std::ranges::copy(ends->dst.bytes(), &p[24]);
    }
    return p;
  }
  /// Cuts source and destination of the descriptor into segments.
  void lists(Bench& b, Bytes& descriptor, const Bytes& source) {
    const auto make_list = [&](std::uint64_t at, std::uint64_t data, std::uint32_t total) -> std::uint64_t {
      Bytes list;
      std::uint32_t left = total, n = 0;
      while (left > 0 && n < 8) {
        std::uint32_t size = n == 7 || left <= 64 || percent(30) ? left : 64 * static_cast<std::uint32_t>(1 + below((left - 1) / 64));
        if (percent(3)) size ^= static_cast<std::uint32_t>(below(64));
        Byte entry[16]{};
        store_le32(entry, static_cast<std::uint32_t>(data));
        store_le32(entry + 4, static_cast<std::uint32_t>(data >> 32));
        store_le32(entry + 8, size);
        if (percent(3)) entry[below(16)] ^= static_cast<Byte>(1u << below(8));
        put_octets(list, entry);
        data += size;
        left -= std::min(left, size);
        ++n;
      }
      b.pair.put(at, list);
      return n;
    };
    namespace d = card::descriptor;
    const auto dst_size = static_cast<std::uint32_t>(card::get(descriptor, d::kDstSize));
    if (percent(70)) {
      card::set(descriptor, d::kNumSegments, make_list(kLists, kSrc, static_cast<std::uint32_t>(source.size())));
      card::set(descriptor, d::kSrcAddr, kLists);
    }
    if (percent(70) && dst_size != 0) {
      card::set(descriptor, d::kNumDstSegments, make_list(kLists + 0x100, kDst, dst_size));
      card::set(descriptor, d::kDstAddr, kLists + 0x100);
    }
  }
  static void put_octets(Bytes& to, std::span<const Byte> octets) { to.insert(to.end(), octets.begin(), octets.end()); }

  std::map<std::uint32_t, Sa> table_;
  std::vector<Bytes> old_;
};

}  // namespace

TEST_CASE("sim/functional: out of reset every register reads as the RTL's") {
  Pair pair;
  REQUIRE(pair.reaches(reg::kSaStatus.offset, 1, 0));
  pair.registers();
  pair.read(0x0ffc, "no register");
  pair.write(0x0ffc, 1);
  pair.read(reg::kErrorCause.offset, "ERROR_CAUSE");
}

TEST_CASE("sim/functional: doorbells, rings and windows of any value are judged as by the RTL") {
  std::mt19937_64 rng(testing::seed());
  Bench b;
  for (int i = 0; i < 150; ++i) {
    const std::uint32_t q = static_cast<std::uint32_t>(rng() % 4);
    const auto pick = [&rng](std::initializer_list<std::uint32_t> of) { return of.begin()[rng() % of.size()]; };
    switch (rng() % 7) {
      case 0: b.pair.write(reg::kCqHead.at(q), static_cast<std::uint32_t>(rng() % 20) - 2); break;
      case 1: b.pair.write(reg::kQControl.at(q), pick({0, 1, 0x201, 0xf01, 3, 0x402})); break;
      case 2: b.pair.write64(reg::kSqBaseLo.at(q), kSq + pick({0, 0x40, 0x20, 0x40000})); break;
      case 3: b.pair.write(reg::kEventControl.offset, pick({0, 1, 0x601, 0xf01})); break;
      case 4: b.pair.write(reg::kEventHead.offset, static_cast<std::uint32_t>(rng() % 5)); break;
      case 5: b.pair.write(reg::kErrorCause.offset, static_cast<std::uint32_t>(rng())); break;
      default: b.pair.write(reg::kWindowSize.at(0), static_cast<std::uint32_t>(rng())); break;
    }
    if (i % 10 == 9) b.pair.registers();
  }
}

TEST_CASE("sim/functional: random SAs, commands and packets, good and bad, end as on the RTL") {
  Bench b;
  Traffic traffic(testing::seed());
  for (int i = 0; i < 700; ++i) {
    if (traffic.percent(i < 40 ? 80 : 12)) traffic.install(b);
    if (traffic.percent(10)) traffic.command(b);
    traffic.packet(b);
    if (i % 20 == 19) b.events();
    if (i % 100 == 99) {
      b.pair.write(reg::kErrorCause.offset, 0x3ff);
      b.pair.registers();
    }
  }
  for (std::uint32_t index = 0; index < 40; ++index) b.view(index);
  b.events();
  // The run must have been worth it.
  for (const char* name : {"Ok", "BadDescriptor", "BadAddress", "BadAlign", "BadLength", "DstTooSmall", "NoSa", "BadHeader", "Replay", "BadIcv", "Expired"}) {
    CAPTURE(name);
    CHECK(traffic.results[name] > 0);
  }
  CHECK(b.num_events > 0);
  for (const auto& [name, count] : traffic.results) MESSAGE(name, ": ", count);
}
