#include "host/vector_check/cases.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "common/esp/engine.h"
#include "common/esp/ip.h"
#include "common/esp/natt.h"
#include "host/vector_check/runner.h"
#include "keyd/vectors/ike_vectors.h"

namespace esplanade::host {

namespace {
using Json = nlohmann::json;

// A field of a case is missing or of the wrong type: thrown inside this file only, caught in run_file.
struct BadCase : std::runtime_error {
  using std::runtime_error::runtime_error;
};

Bytes hex(const Json& object, const char* key) {
  auto octets = from_hex(object.at(key).get_ref<const std::string&>());
  if (!octets) throw BadCase(fmt::format("{}: {} at {}", key, octets.error().detail, octets.error().at));
  return std::move(octets).value();
}

// A number that the type holds: the library itself would cut it.
template <class T>
T number(const Json& value, const char* what) {
  if (!value.is_number_unsigned() || value.get<std::uint64_t>() > std::numeric_limits<T>::max()) {
    throw BadCase(fmt::format("{}: not an integer from 0 to {}", what, std::numeric_limits<T>::max()));
  }
  return static_cast<T>(value.get<std::uint64_t>());
}
template <class T>
T number_of(const Json& object, const char* key) {
  return number<T>(object.at(key), key);
}
template <class T>
T number_or_zero(const Json& object, const char* key) {
  return object.contains(key) ? number_of<T>(object, key) : T{0};
}

esp::IpAddress address(const Json& object, const char* key) {
  const Bytes octets = hex(object, key);
  if (octets.size() != 4 && octets.size() != 16) throw BadCase(fmt::format("{}: not an address", key));
  esp::IpAddress out;
  out.version = octets.size() == 4 ? 4 : 6;
  std::ranges::copy(octets, out.octets.begin());
  return out;
}

std::optional<std::array<Byte, 8>> iv_of(const Json& c) {
  if (!c.contains("iv") || c["iv"].is_null()) return std::nullopt;
  const Bytes octets = hex(c, "iv");
  if (octets.size() != 8) return std::nullopt;  // the NULL cipher has none
  std::array<Byte, 8> iv;
  std::ranges::copy(octets, iv.begin());
  return iv;
}

// Algorithms, SPI and keys of an `sa` object.
esp::SaParams algorithms(const Json& sa, esp::Protocol protocol, bool outbound) {
  esp::SaParams out;
  out.protocol = protocol;
  out.outbound = outbound;
  out.spi = number_of<std::uint32_t>(sa, "spi");
  const std::string enc = sa.at("enc"), auth = sa.at("auth");
  out.cipher = enc == "3DES-CBC" ? esp::Cipher::kTripleDesCbc : enc == "DES-CBC" ? esp::Cipher::kDesCbc : esp::Cipher::kNull;
  out.auth = auth == "HMAC-SHA1-96" ? esp::Auth::kHmacSha1_96 : auth == "HMAC-MD5-96" ? esp::Auth::kHmacMd5_96 : esp::Auth::kNone;
  if ((out.cipher == esp::Cipher::kNull && enc != "NULL") || (out.auth == esp::Auth::kNone && auth != "NULL")) {
    throw BadCase(fmt::format("algorithm {} or {} is not known", enc, auth));
  }
  out.enc_key = Secret(hex(sa, "enc_key"));
  out.auth_key = Secret(hex(sa, "auth_key"));
  return out;
}

// The SA of an ESP or AH case, such that the next number sent, or an accepted one, is the case's.
esp::SaParams params(const Json& c, bool outbound) {
  esp::SaParams out = algorithms(c.at("sa"), c.contains("ah") ? esp::Protocol::kAh : esp::Protocol::kEsp, outbound);
  out.mode = c.at("mode") == "tunnel" ? esp::Mode::kTunnel : esp::Mode::kTransport;
  const std::uint64_t high = number_or_zero<std::uint32_t>(c, "esn_high");
  out.esn = c.contains("esn_high");
  out.seq = (high << 32 | number_of<std::uint32_t>(c, "seq")) - 1;
  if (c.contains("tunnel")) {
    const Json& t = c["tunnel"];
    out.inner_v4 = c.at("inner_version") == 4;
    out.inner_v6 = !out.inner_v4;
    out.src = address(t, "src");
    out.dst = address(t, "dst");
    out.ttl = number_of<std::uint8_t>(t, "ttl");
    out.ip_id = number_or_zero<std::uint16_t>(t, "id");
  } else {
    out.src.version = out.dst.version = number_of<std::uint8_t>(c, "inner_version");
    out.check_outer = false;  // source-routed packets change their destination on the way
  }
  if (c.contains("natt")) out.natt = esp::Natt{number_of<std::uint16_t>(c["natt"], "sport"), number_of<std::uint16_t>(c["natt"], "dport")};
  return out;
}

Status run_packet(const Json& c, Runner& runner, Report&) {
  const std::string id = c.at("id");
  const Bytes plain = hex(c, "plain"), wire = hex(c, "wire");
  ESPLANADE_CHECK(runner.encap(id + " encap", params(c, true), plain, iv_of(c), {card::Status::kOk, wire}));
  ESPLANADE_CHECK(runner.decap(id + " decap", params(c, false), wire, {card::Status::kOk, plain}));
  // A source-routed packet as its last hop sees it: the same ICV; its headers differ from `plain` by the route.
  if (c.contains("wire_at_final_dst")) {
    ESPLANADE_CHECK(runner.decap(id + " decap at the final destination", params(c, false), hex(c, "wire_at_final_dst"), {card::Status::kOk, std::nullopt}));
  }
  return ok();
}

card::Status negative_status(const Json& c, ByteView wire) {
  const std::string id = c.at("id");
  const std::string expect = c.at("expect");
  if (expect == "accept") return card::Status::kOk;
  if (expect == "discard-silently") return card::Status::kDummy;
  const std::string kind = id.substr(id.rfind('/') + 1);
  if (kind == "spi") return card::Status::kNoSa;
  if (kind == "seq_zero") return card::Status::kReplay;
  // Cut below what its IP header promises, a packet is bad before ESP is looked at.
  if (kind == "truncated" && load_be16(&wire[2]) > wire.size()) return card::Status::kBadHeader;
  if (kind == "not_block_multiple" || kind == "truncated") return card::Status::kBadEspLength;
  if (kind == "bad_pad_content" || kind == "padlen_too_big") return card::Status::kBadPadding;
  if (kind.ends_with("_bit")) return card::Status::kBadIcv;
  throw BadCase(fmt::format("no status known for a case of kind {}", kind));
}

Status run_negative(const Json& c, Runner& runner, Report&) {
  const std::string id = c.at("id");
  const Bytes wire = hex(c, "wire");
  esp::SaParams sa = algorithms(c.at("sa"), esp::Protocol::kEsp, false);
  if (wire.size() < 20 || wire[0] >> 4 != 4) throw BadCase("wire: not an IPv4 packet");
  sa.src = esp::source_of(wire);
  sa.dst = esp::destination_of(wire);
  Expected expected{negative_status(c, wire), std::nullopt};
  if (c.contains("plain")) expected.packet = hex(c, "plain");
  return runner.decap(id, std::move(sa), wire, std::move(expected));
}

// Packets with the numbers of a replay case, made by an outbound twin of its SA.
Bytes replay_packet(std::uint64_t seq, bool esn, bool icv_ok) {
  esp::SaParams sa;
  sa.spi = 0x1001;
  sa.enc_key = Secret(from_hex("0123456789abcdef23456789abcdef01456789abcdef0123").value());
  sa.auth_key = Secret(Bytes(20, 0x0b));
  sa.src = esp::parse_address("192.0.2.1").value();
  sa.dst = esp::parse_address("192.0.2.2").value();
  sa.esn = esn;
  // Number 0 cannot be sent: take 1 and rewrite the field. It is refused before the ICV is looked at.
  sa.seq = seq == 0 ? 0 : seq - 1;
  auto twin = esp::SoftSa::create(std::move(sa));
  static const Bytes kInner = [] {  // UDP without data, 10.0.0.1 to 10.0.0.2
    Bytes packet = from_hex("4500001c00000000401100000a0000010a0000020007000700080000").value();
    store_be16(&packet[10], esp::ipv4_checksum(ByteView(packet).first(20)));
    return packet;
  }();
  auto made = twin->encap(kInner);
  if (!made) throw BadCase("no packet for sequence number: " + made.error().detail);
  if (seq == 0) store_be32(&made->packet[24], 0);
  if (!icv_ok) made->packet.back() ^= 1;
  return std::move(made->packet);
}

Status run_replay(const Json& c, Runner& runner, Report& report) {
  const std::string id = c.at("id");
  const bool esn = c.at("esn");
  std::vector<Bytes> packets;
  std::vector<card::Status> expected;
  for (const Json& event : c.at("events")) {
    const std::string verdict = event.at(esn ? 3 : 2);
    const std::uint64_t high = esn && event.at(2).is_number() ? number<std::uint32_t>(event.at(2), "event") : 0;
    packets.push_back(replay_packet(high << 32 | number<std::uint32_t>(event.at(0), "event"), esn, number<std::uint8_t>(event.at(1), "event") != 0));
    expected.push_back(verdict == "accept" ? card::Status::kOk : verdict == "reject-icv" ? card::Status::kBadIcv : card::Status::kReplay);
  }
  esp::SaParams sa;
  sa.outbound = false;
  sa.spi = 0x1001;
  sa.enc_key = Secret(from_hex("0123456789abcdef23456789abcdef01456789abcdef0123").value());
  sa.auth_key = Secret(Bytes(20, 0x0b));
  sa.src = esp::parse_address("192.0.2.1").value();
  sa.dst = esp::parse_address("192.0.2.2").value();
  sa.esn = esn;
  sa.replay_window = number_of<std::uint16_t>(c, "window");
  sa.seq = number_or_zero<std::uint64_t>(c, "start_top");
  ESPLANADE_TRY(ran, runner.decap_sequence(std::move(sa), packets));
  if (!ran) return ok();
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (ran->outcomes[i].status != expected[i]) {
      report.fail(id, fmt::format("event {}: status {}, expected {}", i, name_of(ran->outcomes[i].status), name_of(expected[i])));
      return ok();
    }
  }
  const auto top = number_of<std::uint64_t>(c, "final_top");
  if (ran->view.seq != top) {
    report.fail(id, fmt::format("top of the window is {}, expected {}", ran->view.seq, top));
  } else {
    report.pass();
  }
  return ok();
}

Status run_bundle(const Json& c, Runner& runner, Report& report) {
  const std::string id = c.at("id");
  const auto sa = [&c](bool ah, bool outbound) {
    esp::SaParams out = algorithms(c.at(ah ? "ah_sa" : "esp_sa"), ah ? esp::Protocol::kAh : esp::Protocol::kEsp, outbound);
    out.mode = esp::Mode::kTransport;
    out.check_outer = false;
    out.src.version = out.dst.version = number_of<std::uint8_t>(c, "inner_version");
    out.seq = number_of<std::uint32_t>(c, ah ? "ah_seq" : "esp_seq") - 1;
    return out;
  };
  const Bytes plain = hex(c, "plain"), wire = hex(c, "wire");
  for (const bool outbound : {true, false}) {
    ESPLANADE_TRY(first, runner.once(sa(!outbound, outbound), outbound ? plain : wire, outbound ? iv_of(c) : std::nullopt));
    if (!first) continue;
    ESPLANADE_TRY(second, runner.once(sa(outbound, outbound), first->packet, std::nullopt));
    if (!second) continue;
    if (second->packet == (outbound ? wire : plain)) {
      report.pass();
    } else {
      report.fail(id + (outbound ? " encap" : " decap"), fmt::format("status {} then {}, or other octets", name_of(first->status), name_of(second->status)));
    }
  }
  return ok();
}

Status run_natt(const Json& c, Runner&, Report& report) {
  const std::string id = c.at("id");
  const esp::NattKind kind = esp::classify_natt(hex(c, "payload"));
  const esp::NattKind wanted = id == "natt/keepalive" ? esp::NattKind::kKeepalive
                               : id == "natt/ike"     ? esp::NattKind::kIke
                               : id == "natt/esp"     ? esp::NattKind::kEsp
                               : id == "natt/short"   ? esp::NattKind::kInvalid
                                                      : throw BadCase("unknown kind of datagram");
  kind == wanted ? report.pass() : report.fail(id, "taken for another kind of datagram");
  return ok();
}

// IKE cases run through keyd's own code; no card is asked.
Status run_ike(const Json& c, Runner&, Report& report) {
  const auto ran = c.contains("prime") ? ike::run_dh_group_vector(c) : ike::run_ike_vector(c);
  if (ran) {
    report.pass();
  } else if (ran.error().code == Errc::kUnsupported) {
    report.skip("keyd does not do this yet: " + ran.error().detail);
  } else {
    report.fail(c.contains("id") ? c["id"].get<std::string>() : fmt::format("group {}", c.at("group").get<int>()), ran.error().detail);
  }
  return ok();
}

using Run = Status (*)(const Json&, Runner&, Report&);

Run kind_of(const Json& c) {
  if (c.contains("cky_i") || c.contains("prime")) return run_ike;
  if (c.contains("events")) return run_replay;
  if (c.contains("expect")) return run_negative;
  if (c.contains("esp_sa")) return run_bundle;
  if (c.contains("payload")) return run_natt;
  if (c.contains("plain") && c.contains("wire")) return run_packet;
  throw BadCase("not a kind of case that this program knows");
}

Status run_cases(const Json& file, Runner& runner, Report& report) {
  std::size_t count = 0;
  try {
    for (const Json& c : file.at("cases")) {
      ++count;
      const Run run = kind_of(c);
      if (run == nullptr) {
        report.skip("IKE transcripts are checked by keyd's own tests");
        continue;
      }
      if (const Status ran = run(c, runner, report); !ran) return Error{ran.error().code, fmt::format("case {}: {}", count, ran.error().detail)};
    }
  } catch (const Json::exception& error) {
    return Error{Errc::kMalformed, fmt::format("case {}: {}", count, error.what())};
  } catch (const BadCase& error) {
    return Error{Errc::kMalformed, fmt::format("case {}: {}", count, error.what())};
  }
  if (count == 0) return Error{Errc::kMalformed, "no cases"};
  return ok();
}
}  // namespace

Status run_file(const std::string& path, Backend& backend, Report& report) {
  std::error_code unknown;
  std::ifstream in(path);
  if (!in || std::filesystem::is_directory(path, unknown)) return Error{Errc::kIo, fmt::format("cannot open: {}", std::strerror(in ? EISDIR : errno))};
  Json file;
  try {
    file = Json::parse(in);
  } catch (const std::ios_base::failure&) {
    return Error{Errc::kIo, "cannot be read"};
  } catch (const Json::exception& error) {
    return Error{Errc::kMalformed, fmt::format("not JSON: {}", error.what())};
  }
  Runner runner(backend, report);
  const Status ran = run_cases(file, runner, report);
  // Also after an error: what is in flight must not meet the next file.
  const Status finished = runner.finish();
  return ran ? finished : ran;
}

}  // namespace esplanade::host
