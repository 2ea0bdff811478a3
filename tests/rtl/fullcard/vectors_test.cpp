// All ESP and AH vectors through the whole card: each whole, 64 and more in flight on all queues, memory that stalls.
// What a build does not offer is skipped and counted; a build that offers all of CAPS may skip nothing.
#include <doctest/doctest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "common/esp/engine.h"
#include "common/esp/ip.h"
#include "hw/tb/fullcard/generator.h"
#include "tests/rtl/fullcard/models.h"

using namespace esplanade;
using namespace esplanade::fullcard;
using nlohmann::json;
using CardStatus = card::Status;
namespace reg = card::reg;

namespace {

Bytes hex(const json& j) {
  auto r = from_hex(j.get<std::string>());
  REQUIRE(r);
  return *r;
}
json cases_of(const std::string& file) {
  std::ifstream in(std::string(ESPLANADE_VECTORS) + "/" + file);
  REQUIRE_MESSAGE(in, file);
  json all = json::parse(in);
  REQUIRE(all.at("cases").size() == all.at("count").get<std::size_t>());
  return all.at("cases");
}
esp::IpAddress address(const json& j) {
  const Bytes octets = hex(j);
  esp::IpAddress out;
  out.version = octets.size() == 4 ? 4 : 6;
  std::ranges::copy(octets, out.octets.begin());
  return out;
}

// Algorithms, SPI and keys of an `sa` object.
esp::SaParams algorithms(const json& sa, esp::Protocol protocol, bool outbound) {
  esp::SaParams out;
  out.protocol = protocol;
  out.outbound = outbound;
  out.spi = sa.at("spi").get<std::uint32_t>();
  const std::string enc = sa.at("enc"), auth = sa.at("auth");
  out.cipher = enc == "3DES-CBC" ? esp::Cipher::kTripleDesCbc : enc == "DES-CBC" ? esp::Cipher::kDesCbc : esp::Cipher::kNull;
  out.auth = auth == "HMAC-SHA1-96" ? esp::Auth::kHmacSha1_96 : auth == "HMAC-MD5-96" ? esp::Auth::kHmacMd5_96 : esp::Auth::kNone;
  REQUIRE((out.cipher != esp::Cipher::kNull || enc == "NULL"));
  REQUIRE((out.auth != esp::Auth::kNone || auth == "NULL"));
  out.enc_key = Secret(hex(sa.at("enc_key")));
  out.auth_key = Secret(hex(sa.at("auth_key")));
  out.check_outer = false;
  if (out.auth == esp::Auth::kNone) out.replay_window = 0;
  return out;
}

// The SA of an ESP or AH case, such that the next number sent, or an accepted one, is the case's.
esp::SaParams params(const json& c, bool outbound) {
  auto out = algorithms(c.at("sa"), c.contains("ah") ? esp::Protocol::kAh : esp::Protocol::kEsp, outbound);
  out.mode = c.at("mode") == "tunnel" ? esp::Mode::kTunnel : esp::Mode::kTransport;
  const std::uint64_t high = c.contains("esn_high") ? c["esn_high"].get<std::uint32_t>() : 0;
  out.esn = c.contains("esn_high");
  out.seq = (high << 32 | c.at("seq").get<std::uint32_t>()) - 1;
  if (c.contains("tunnel")) {
    const json& t = c["tunnel"];
    out.inner_v4 = c.at("inner_version") == 4;
    out.inner_v6 = !out.inner_v4;
    out.src = address(t.at("src"));
    out.dst = address(t.at("dst"));
    out.ttl = t.at("ttl").get<std::uint8_t>();
    out.ip_id = t.contains("id") ? t["id"].get<std::uint16_t>() : std::uint16_t{0};
    out.check_outer = !outbound;
  } else {
    out.src.version = out.dst.version = c.at("inner_version").get<std::uint8_t>();
  }
  if (c.contains("natt")) out.natt = esp::Natt{c["natt"].at("sport").get<std::uint16_t>(), c["natt"].at("dport").get<std::uint16_t>()};
  return out;
}
std::optional<std::array<Byte, 8>> iv_of(const json& c) {
  if (!c.contains("iv") || c["iv"].is_null()) return std::nullopt;
  const Bytes octets = hex(c["iv"]);
  if (octets.size() != 8) return std::nullopt;
  std::array<Byte, 8> iv;
  std::ranges::copy(octets, iv.begin());
  return iv;
}

/// One packet through an SA of its own.
struct Work {
  std::string id;
  esp::SaParams sa;
  Bytes source;
  std::optional<std::array<Byte, 8>> iv{};
  CardStatus status = CardStatus::kOk;
  std::optional<Bytes> packet{};  // what it must give, octet for octet
  Bytes got{};
};

class Bench {
 public:
  explicit Bench(const Build& build, unsigned stalls)
      : card(build.make(), {.seed = seed_of_run() + stalls,
                            .timing = {.read_latency = 20, .write_latency = 10, .stalls = stalls, .long_stalls = 5, .early_writes = true}}) {
    for (unsigned q = 0; q < card.queues; ++q) card.start_queue(q, 6, q % 2 == 1);
  }
  ~Bench() {
    for (const auto& v : card.memory.violations) FAIL_CHECK(v);
    CHECK(card.read32(reg::kErrorCause.at()) == 0);
  }
  bool complete() const {
    const std::uint32_t all = 0x03f33377;  // every bit of CAPS but none that is not defined
    return (card.caps & all) == all;
  }
  bool can(const Work& w) const {
    // An outbound SA does not say which families it will meet.
    const bool inner = w.sa.mode == esp::Mode::kTransport || !w.sa.outbound || card.has(w.source[0] >> 4 == 4 ? reg::kCapsInnerV4 : reg::kCapsInnerV6);
    return inner && card.can(w.sa) && w.source.size() <= card.max_packet && (!w.packet || w.packet->size() <= card.max_packet);
  }

  /// All of it, many at a time in a random order of queues; results are compared and kept in `got`.
  void run(std::vector<Work>& all) {
    std::map<std::uint64_t, std::size_t> flying;  // cookie
    std::map<std::uint32_t, std::uint64_t> holds;  // entry of the table: cookie of its packet, 0: done with
    std::uint32_t next_index = 0;
    const auto check = [&](const Done& done) {
      Work& w = all[flying.at(done.cookie)];
      flying.erase(done.cookie);
      for (auto& [index, cookie] : holds)
        if (cookie == done.cookie) cookie = 0;
      CAPTURE(w.id);
      CAPTURE(w.sa.outbound);
      CHECK(std::string(card::name_of(done.status)) == std::string(card::name_of(w.status)));
      if (w.packet && done.status == CardStatus::kOk) CHECK(to_hex(done.packet) == to_hex(*w.packet));
      if (w.sa.outbound && done.status == CardStatus::kOk) CHECK(done.seq == w.sa.seq + 1);
      w.got = done.packet;
      ++checked;
    };
    const auto pump = [&](std::size_t most) {
      for (const std::uint64_t until = card.cycles() + Card::kCycleLimit; flying.size() > most; card.tick()) {
        for (unsigned q = 0; q < card.queues; ++q) {
          card.ring(q);
          while (auto done = card.poll(q)) check(*done);
        }
        if (card.cycles() > until) card.die("vectors do not come back");
      }
    };
    for (std::size_t i = 0; i < all.size(); ++i) {
      Work& w = all[i];
      if (!can(w)) {
        ++skipped;
        continue;
      }
      std::uint32_t index = w.sa.spi & (card.sa_entries - 1);
      if (w.sa.outbound)
        do {
          index = next_index++ & (card.sa_entries - 1);
        } while (holds.contains(index) && holds[index] != 0);
      if (holds.contains(index)) {
        while (holds[index] != 0) pump(flying.size() - 1);
        REQUIRE(card.sa_command(card::SaCommand::kRemove, index) == card::SaResult::kOk);
      }
      CAPTURE(w.id);
      REQUIRE(card.install(index, w.sa) == card::SaResult::kOk);
      Job job{.op = w.sa.outbound ? card::Op::kEncap : card::Op::kDecap, .source = w.source, .sa_index = index, .iv = w.iv};
      job.dst_size = static_cast<std::uint32_t>(w.packet ? w.packet->size() : w.source.size() + 128);  // exactly
      const auto queue = static_cast<unsigned>(card.rng() % card.queues);
      while (!card.has_room(queue)) pump(flying.size() - 1);
      const std::uint64_t cookie = card.submit(queue, std::move(job));
      flying.emplace(cookie, i);
      holds[index] = cookie;
      if (flying.size() % 8 == 0) card.ring(queue);
      while (flying.size() > 64) pump(64);
    }
    pump(0);
    if (!holds.empty()) REQUIRE(card.sa_command(card::SaCommand::kClear, 0) == card::SaResult::kOk);
  }

  Card card;
  std::size_t checked = 0, skipped = 0;
};

void packets(std::vector<Work>& out, const std::string& file) {
  for (const json& c : cases_of(file)) {
    const std::string id = c.at("id");
    const Bytes plain = hex(c.at("plain")), wire = hex(c.at("wire"));
    out.push_back({id + " encap", params(c, true), plain, iv_of(c), CardStatus::kOk, wire});
    out.push_back({id + " decap", params(c, false), wire, {}, CardStatus::kOk, plain});
    if (c.contains("wire_at_final_dst"))
      out.push_back({id + " decap at the final destination", params(c, false), hex(c["wire_at_final_dst"]), {}, CardStatus::kOk, {}});
  }
}

void both(std::initializer_list<const char*> files) {
  for (const Build& build : builds()) {
    CAPTURE(build.name);
    Bench bench(build, 15);
    std::vector<Work> all;
    for (const char* file : files) packets(all, file);
    // Neighbours of different kinds, not file by file.
    std::shuffle(all.begin(), all.end(), bench.card.rng);
    // More lanes simulate slower and share the code of one: a random eighth.
    if (bench.card.lanes > 1) all.resize(all.size() / 8);
    bench.run(all);
    MESSAGE(build.name, ": ", bench.checked, " checked, ", bench.skipped, " skipped, ", bench.card.cycles(), " cycles");
    if (bench.complete()) CHECK(bench.skipped == 0);
  }
}

}  // namespace

TEST_CASE("fullcard/vectors: ESP in tunnel mode, all families") {
  both({"esp_tunnel_4in4.json", "esp_tunnel_6in4.json", "esp_tunnel_4in6.json", "esp_tunnel_6in6.json", "esp_esn.json"});
}
TEST_CASE("fullcard/vectors: ESP in transport mode and in UDP") {
  both({"esp_transport_v4.json", "esp_transport_v6.json", "esp_natt_tunnel_4in4.json", "esp_natt_transport_v4.json", "esp_options.json"});
}
TEST_CASE("fullcard/vectors: AH") {
  both({"ah_transport_v4.json", "ah_transport_v6.json", "ah_tunnel_4in4.json", "ah_tunnel_6in4.json", "ah_tunnel_4in6.json",
        "ah_tunnel_6in6.json", "ah_options.json"});
}

TEST_CASE("fullcard/vectors: AH over ESP in two passes") {
  const json cases = cases_of("ah_esp_bundle.json");
  const auto sa = [](const json& c, bool ah, bool outbound) {
    auto out = algorithms(c.at(ah ? "ah_sa" : "esp_sa"), ah ? esp::Protocol::kAh : esp::Protocol::kEsp, outbound);
    out.mode = esp::Mode::kTransport;
    out.src.version = out.dst.version = c.at("inner_version").get<std::uint8_t>();
    out.seq = c.at(ah ? "ah_seq" : "esp_seq").get<std::uint32_t>() - 1;
    return out;
  };
  for (const Build& build : builds()) {
    CAPTURE(build.name);
    Bench bench(build, 10);
    for (const bool outbound : {true, false}) {
      std::vector<Work> first, second;
      for (const json& c : cases)
        first.push_back({c.at("id").get<std::string>() + " first pass", sa(c, !outbound, outbound), hex(c.at(outbound ? "plain" : "wire")),
                         outbound ? iv_of(c) : std::nullopt});
      bench.run(first);
      for (std::size_t i = 0; i < cases.size(); ++i) {
        const json& c = cases[i];
        // Where the first pass is not offered, the second would not be either.
        if (first[i].got.empty()) continue;
        second.push_back({c.at("id").get<std::string>() + " second pass", sa(c, outbound, outbound), first[i].got, {}, CardStatus::kOk,
                          hex(c.at(outbound ? "wire" : "plain"))});
      }
      if (bench.complete()) CHECK(second.size() == cases.size());
      bench.run(second);
    }
    if (bench.complete()) CHECK(bench.skipped == 0);
  }
}

TEST_CASE("fullcard/vectors: wrong packets are refused for the right reason") {
  for (const Build& build : builds()) {
    CAPTURE(build.name);
    Bench bench(build, 20);
    std::vector<Work> all;
    for (const json& c : cases_of("esp_negative.json")) {
      const std::string id = c.at("id"), expect = c.at("expect"), kind = id.substr(id.rfind('/') + 1);
      Work w{id, algorithms(c.at("sa"), esp::Protocol::kEsp, false), hex(c.at("wire"))};
      w.sa.inner_v6 = false;
      w.sa.src = esp::source_of(w.source);
      w.sa.dst = esp::destination_of(w.source);
      w.sa.check_outer = true;
      if (c.contains("plain")) w.packet = hex(c["plain"]);
      if (expect == "accept") w.status = CardStatus::kOk;
      else if (expect == "discard-silently") w.status = CardStatus::kDummy;
      else if (kind == "spi") w.status = CardStatus::kNoSa;
      else if (kind == "seq_zero") w.status = CardStatus::kReplay;
      else if (kind == "truncated" && load_be16(&w.source[2]) > w.source.size()) w.status = CardStatus::kBadHeader;
      else if (kind == "not_block_multiple" || kind == "truncated") w.status = CardStatus::kBadEspLength;
      else if (kind == "bad_pad_content" || kind == "padlen_too_big") w.status = CardStatus::kBadPadding;
      else if (kind.ends_with("_bit")) w.status = CardStatus::kBadIcv;
      else FAIL("no status known for " << id);
      all.push_back(std::move(w));
    }
    bench.run(all);
    CHECK(bench.checked > 10);
    if (bench.complete()) CHECK(bench.skipped == 0);
  }
}

TEST_CASE("fullcard/vectors: datagrams on UDP 4500 that are not ESP") {
  for (const Build& build : builds()) {
    CAPTURE(build.name);
    Bench bench(build, 0);
    for (const json& c : cases_of("natt_misc.json")) {
      const std::string id = c.at("id");
      CAPTURE(id);
      Bytes p = *from_hex("450000000000000040110000c0000201c0000202" "1194119400000000");
      put(p, hex(c.at("payload")));
      fix_lengths(p, true);
      const auto done = bench.card.run_one(0, {.op = card::Op::kDecap, .source = p, .dst_size = 256});
      CHECK(std::string(card::name_of(done.status)) == std::string(id == "natt/esp" ? "NoSa" : "WrongProtocol"));
      CHECK(done.sa_index == 0xffffffff);
    }
  }
}

namespace {

esp::SaParams replay_sa(std::uint32_t spi) {
  esp::SaParams sa;
  sa.spi = spi;
  sa.enc_key = Secret(*from_hex("0123456789abcdef23456789abcdef01456789abcdef0123"));
  sa.auth_key = Secret(Bytes(20, 0x0b));
  sa.src = *esp::parse_address("192.0.2.1");
  sa.dst = *esp::parse_address("192.0.2.2");
  sa.inner_v6 = false;
  return sa;
}
struct Sequence {
  std::string id;
  std::uint32_t spi = 0;
  bool esn = false;
  std::vector<Bytes> packets;
  std::vector<bool> icv_ok;
  std::vector<CardStatus> expected;
  std::size_t next = 0, done = 0;
  std::uint64_t top = 0;
  unsigned queue = 0;
};

// Every case of replay.json on an SA of its own, all of them at once; `depth` packets of each in flight.
void replays(const Build& build, std::size_t depth) {
  CAPTURE(build.name);
  CAPTURE(depth);
  Bench bench(build, 10);
  Card& card = bench.card;
  std::vector<Sequence> all;
  std::size_t skipped = 0;
  for (const json& c : cases_of("replay.json")) {
    Sequence s;
    s.id = c.at("id");
    s.esn = c.at("esn");
    const auto index = static_cast<std::uint32_t>(all.size() + 1);
    s.spi = 16 * card.sa_entries + index;
    auto in = replay_sa(s.spi);
    in.outbound = false;
    in.esn = s.esn;
    in.replay_window = c.at("window").get<std::uint16_t>();
    in.seq = c.contains("start_top") ? c["start_top"].get<std::uint64_t>() : 0;
    s.top = c.at("final_top").get<std::uint64_t>();
    // Deep: what the lookup says of an extended number may be older than the packets in front.
    if (!card.can(in) || (depth > 1 && s.esn)) {
      skipped += !card.can(in);
      continue;
    }
    for (const json& event : c.at("events")) {
      const std::uint64_t high = s.esn && event.at(2).is_number() ? event.at(2).get<std::uint32_t>() : 0;
      const std::uint64_t seq = high << 32 | event.at(0).get<std::uint32_t>();
      auto out = replay_sa(s.spi);
      out.esn = s.esn;
      out.seq = seq == 0 ? 0 : seq - 1;
      Bytes inner = *from_hex("4500001c00000000401100000a0000010a0000020007000700080000");
      fix_checksum(inner);
      auto made = esp::SoftSa::create(std::move(out))->encap(inner);
      REQUIRE(made);
      if (seq == 0) store_be32(&made->packet[24], 0);
      s.icv_ok.push_back(event.at(1).get<int>() != 0);
      if (!s.icv_ok.back()) made->packet.back() ^= 1;
      s.packets.push_back(std::move(made->packet));
      const std::string verdict = event.at(s.esn ? 3 : 2);
      s.expected.push_back(verdict == "accept" ? CardStatus::kOk : verdict == "reject-icv" ? CardStatus::kBadIcv : CardStatus::kReplay);
    }
    s.queue = static_cast<unsigned>(card.rng() % card.queues);
    REQUIRE(card.install(index, in) == card::SaResult::kOk);
    all.push_back(std::move(s));
  }
  CHECK(all.size() > 5);
  std::map<std::uint64_t, std::pair<std::size_t, std::size_t>> flying;
  std::size_t left = all.size();
  for (const std::uint64_t until = card.cycles() + 5'000'000; left != 0; card.tick()) {
    if (card.cycles() > until) card.die("replay vectors take too long");
    for (std::size_t i = 0; i < all.size(); ++i) {
      Sequence& s = all[i];
      for (; s.next < s.packets.size() && s.next - s.done < depth && card.has_room(s.queue); ++s.next)
        flying[card.submit(s.queue, {.op = card::Op::kDecap, .source = s.packets[s.next], .dst_size = 64})] = {i, s.next};
    }
    for (unsigned q = 0; q < card.queues; ++q) {
      card.ring(q);
      while (auto done = card.poll(q)) {
        const auto [i, n] = flying.at(done->cookie);
        Sequence& s = all[i];
        CAPTURE(s.id);
        CAPTURE(n);
        CHECK(n == s.done);  // in the order of submission
        if (++s.done == s.packets.size()) --left;
        const bool early = depth > 1 && s.expected[n] == CardStatus::kReplay && done->status == CardStatus::kBadIcv && !s.icv_ok[n];
        if (!early) CHECK(std::string(card::name_of(done->status)) == std::string(card::name_of(s.expected[n])));
      }
    }
  }
  for (const Sequence& s : all) {
    CAPTURE(s.id);
    CHECK(card::get(card.view(s.spi & (card.sa_entries - 1)), card::sa_view::kSeq) == s.top);
  }
  if (bench.complete()) CHECK(skipped == 0);
}

}  // namespace

TEST_CASE("fullcard/vectors: replay windows, one packet at a time of each of many SAs") {
  for (const Build& build : builds()) replays(build, 1);
}
TEST_CASE("fullcard/vectors: replay windows with many packets of an SA in flight") {
  for (const Build& build : builds()) replays(build, 20);
}
