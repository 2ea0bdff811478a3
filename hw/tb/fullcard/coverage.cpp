#include "hw/tb/fullcard/coverage.h"

#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

namespace esplanade::fullcard {

namespace reg = card::reg;

namespace {
constexpr const char* kCiphers[] = {"NULL", "DES", "3DES"};
constexpr const char* kAuths[] = {"none", "MD5", "SHA1"};
constexpr std::size_t kSizes[] = {64, 128, 256, 576, 1500, 2048, 9216};

std::string size_class(std::size_t bytes) {
  std::size_t from = 28;
  for (const std::size_t to : kSizes) {
    if (bytes <= to) return fmt::format("{:04}-{:04}", from, to);
    from = to + 1;
  }
  return "above";
}
std::string algorithms(esp::Protocol protocol, esp::Cipher cipher, esp::Auth auth) {
  if (protocol == esp::Protocol::kAh) return fmt::format("AH {}", kAuths[static_cast<int>(auth)]);
  return fmt::format("ESP {} {}", kCiphers[static_cast<int>(cipher)], kAuths[static_cast<int>(auth)]);
}
std::string form(esp::Protocol protocol, bool tunnel, unsigned outer, unsigned inner, bool natt) {
  return fmt::format("{}{} {} {}", protocol == esp::Protocol::kAh ? "AH" : "ESP", natt ? " UDP" : "", tunnel ? "tunnel" : "transport",
                     tunnel ? fmt::format("{}in{}", inner, outer) : fmt::format("v{}", outer));
}
// What random traffic cannot reach by its nature, and the test that does.
struct Elsewhere {
  const char* cell;
  const char* test;
};
constexpr Elsewhere kElsewhere[] = {
    {"event: Error", "card/registers: an error writes an event with the cause bits"},
    {"event: HardSeconds", "fullcard/scoreboard: lifetimes in seconds end with an event, with and without traffic"},
    {"event: SoftSeconds", "fullcard/scoreboard: lifetimes in seconds end with an event, with and without traffic"},
    {"status: BusError", "fullcard/hostile: a bus error on a packet read or write ends that packet alone"},
    {"status: HostIvRefused", "fullcard/hostile: without a seed no IV and no packet; without test mode no IV from the host"},
    {"status: NoSeed", "fullcard/hostile: without a seed no IV and no packet; without test mode no IV from the host"},
    {"status: Poisoned", "sad: any flipped bit of a row poisons its entry, once told"},
    {"status: Unsupported", "front/headers: IPv6 chains up to and over the octets looked at"},
};
const char* reached_by(const std::string& cell) {
  const auto it = std::ranges::find(kElsewhere, cell, &Elsewhere::cell);
  return it == std::end(kElsewhere) ? nullptr : it->test;
}
const char* way(bool encap) { return encap ? "encap" : "decap"; }
}  // namespace

void Coverage::packet(const esp::SaParams& sa, bool encap, unsigned inner, std::size_t bytes, card::Status status, const char* kind) {
  const bool tunnel = sa.mode == esp::Mode::kTunnel;
  ++cells_["kind"][fmt::format("{} {}", way(encap), kind)];
  if (status != card::Status::kOk) return;
  const std::string a = algorithms(sa.protocol, sa.cipher, sa.auth);
  const std::string f = form(sa.protocol, tunnel, sa.src.version, inner, sa.natt.has_value());
  const std::string s = size_class(bytes);
  ++cells_["algorithms"][fmt::format("{} {}", way(encap), a)];
  ++cells_["form"][fmt::format("{} {}", way(encap), f)];
  ++cells_["algorithms x size"][fmt::format("{} {} {}", way(encap), a, s)];
  ++cells_["algorithms x form"][fmt::format("{} {} | {}", way(encap), a, f)];
  if (sa.esn) ++cells_["option"][fmt::format("{} ESN", way(encap))];
  if (!encap && sa.auth != esp::Auth::kNone) ++cells_["window"][fmt::format("{}", sa.replay_window)];
  if (encap && tunnel) {
    if (sa.src.version == 4) ++cells_["option"][fmt::format("DF policy {}", static_cast<int>(sa.df))];
    ++cells_["option"][sa.dscp ? "DSCP set" : "DSCP copied"];
    ++cells_["option"][sa.ecn_copy ? "ECN copied" : "ECN cleared"];
  }
}

std::vector<std::string> Coverage::holes(const Card& card) const {
  std::vector<std::string> out;
  const auto want = [&](const std::string& group, const std::string& cell) {
    const auto g = cells_.find(group);
    if (g == cells_.end() || !g->second.contains(cell)) out.push_back(group + ": " + cell);
  };
  for (const bool encap : {true, false})
    for (int cipher = 0; cipher < 3; ++cipher)
      for (int auth = 0; auth < 3; ++auth)
        for (const auto protocol : {esp::Protocol::kEsp, esp::Protocol::kAh})
          for (const bool tunnel : {true, false})
            for (const unsigned outer : {4u, 6u})
              for (const unsigned inner : {4u, 6u})
                for (const bool natt : {false, true}) {
                  if (!tunnel && inner != outer) continue;
                  if (tunnel && !card.has(inner == 4 ? reg::kCapsInnerV4 : reg::kCapsInnerV6)) continue;
                  esp::SaParams sa;
                  sa.outbound = encap;
                  sa.spi = 256;
                  sa.protocol = protocol;
                  sa.mode = tunnel ? esp::Mode::kTunnel : esp::Mode::kTransport;
                  sa.cipher = static_cast<esp::Cipher>(cipher);
                  sa.auth = static_cast<esp::Auth>(auth);
                  sa.src.version = sa.dst.version = static_cast<std::uint8_t>(outer);
                  sa.replay_window = 0;
                  sa.inner_v4 = inner == 4;
                  sa.inner_v6 = inner == 6;
                  if (natt) sa.natt.emplace();
                  Bytes key = Bytes(esp::key_len(sa.cipher));  // any keys that are not weak
                  for (std::size_t i = 0; i < key.size(); ++i) key[i] = static_cast<Byte>(17 * i + 3);
                  sa.enc_key = Secret(std::move(key));
                  sa.auth_key = Secret(Bytes(esp::key_len(sa.auth), 1));
                  if (!card.can(sa) || !esp::validate(sa)) continue;
                  const std::string a = algorithms(sa.protocol, sa.cipher, sa.auth);
                  want("algorithms x form", fmt::format("{} {} | {}", way(encap), a, form(protocol, tunnel, outer, inner, natt)));
                  std::size_t from = 28;
                  for (const std::size_t to : kSizes) {
                    // The last class of a build ends at what it takes.
                    if (from + 200 < card.max_packet) want("algorithms x size", fmt::format("{} {} {:04}-{:04}", way(encap), a, from, to));
                    from = to + 1;
                  }
                }
  for (unsigned s = 0; s <= 26; ++s)
    if (const std::string name = card::name_of(static_cast<card::Status>(s)); name != "?") want("status", name);
  for (unsigned e = 1; e <= 9; ++e) want("event", card::name_of(static_cast<card::EventType>(e)));
  std::ranges::sort(out);
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

void Coverage::report(const Card& card, std::uint64_t packets) const {
  const auto missing = holes(card);
  nlohmann::json file{{"seed", seed_of_run()}, {"packets", packets}, {"lanes", card.lanes}, {"holes", nlohmann::json::array()}};
  std::size_t unexplained = 0;
  for (const std::string& cell : missing) {
    const char* test = reached_by(cell);
    file["holes"].push_back({{"cell", cell}, {"reached_by", test == nullptr ? "" : test}});
    if (test == nullptr) ++unexplained;
  }
  for (const auto& [group, cells] : cells_) {
    const bool wide = group.find(" x ") != std::string::npos;
    if (wide) fmt::print("coverage {}: {} cells, listed in the JSON file\n", group, cells.size());
    for (const auto& [cell, n] : cells) {
      if (!wide) fmt::print("coverage {:<12} {:<40} {:>9}\n", group, cell, n);
      file["coverage"][group][cell] = n;
    }
  }
  fmt::print("coverage: {} holes, {} of them not reached by a test of their own\n", missing.size(), unexplained);
  for (const std::string& cell : missing) {
    const char* test = reached_by(cell);
    fmt::print("  hole {}: {}\n", cell, test == nullptr ? "not reached" : test);
  }
  const char* path = std::getenv("ESPLANADE_COVERAGE");
  if (path == nullptr || *path == 0) return;
  std::error_code ignored;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), ignored);
  std::ofstream(path) << file.dump(1) << "\n";
}

}  // namespace esplanade::fullcard
