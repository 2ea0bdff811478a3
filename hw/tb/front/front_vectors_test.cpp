// The front on the ESP and AH vector files, both directions, with and without pauses.
#include <doctest/doctest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "hw/tb/front/front_bench.h"

using namespace esplanade;
using namespace esplanade::tb;
using nlohmann::json;

namespace {

Bytes hex(const json& j) {
  auto r = from_hex(j.get<std::string>());
  REQUIRE(r);
  return *r;
}

json cases_of(const char* file) {
  std::ifstream in(std::string(ESPLANADE_VECTORS) + "/" + file);
  REQUIRE_MESSAGE(in, file);
  json all = json::parse(in).at("cases");
  REQUIRE(all.size() > 5);
  return all;
}

esp::SaParams sa_of(const json& c, const json& j, bool ah, bool transport) {
  esp::SaParams sa;
  sa.protocol = ah ? esp::Protocol::kAh : esp::Protocol::kEsp;
  sa.mode = transport ? esp::Mode::kTransport : esp::Mode::kTunnel;
  sa.spi = j.at("spi").get<std::uint32_t>();
  const std::string enc = j.at("enc"), auth = j.at("auth");
  sa.cipher = enc == "3DES-CBC" ? esp::Cipher::kTripleDesCbc : enc == "DES-CBC" ? esp::Cipher::kDesCbc : esp::Cipher::kNull;
  sa.auth = auth == "HMAC-SHA1-96" ? esp::Auth::kHmacSha1_96 : auth == "HMAC-MD5-96" ? esp::Auth::kHmacMd5_96 : esp::Auth::kNone;
  sa.enc_key = Secret(hex(j.at("enc_key")));
  sa.auth_key = Secret(hex(j.at("auth_key")));
  sa.check_outer = false;
  sa.replay_window = 64;
  if (c.contains("natt")) sa.natt = esp::Natt{c["natt"].at("sport").get<std::uint16_t>(), c["natt"].at("dport").get<std::uint16_t>()};
  if (c.contains("esn_high")) sa.esn = true;
  if (c.contains("seq")) sa.seq = (c.contains("esn_high") ? c["esn_high"].get<std::uint64_t>() << 32 : 0) + c["seq"].get<std::uint64_t>() - 1;
  if (c.contains("tunnel")) {
    const json& t = c["tunnel"];
    sa.src.version = sa.dst.version = t.at("version").get<std::uint8_t>();
    std::ranges::copy(hex(t.at("src")), sa.src.octets.begin());
    std::ranges::copy(hex(t.at("dst")), sa.dst.octets.begin());
    sa.ttl = t.at("ttl").get<std::uint8_t>();
    sa.ip_id = t.at("id").get<std::uint16_t>();
  }
  return sa;
}

/// The reference engine must make the vector's packet: expectations come from it.
void require_wire(const esp::SaParams& sa, const Bytes& plain, const std::array<Byte, 8>& iv, const Bytes& wire) {
  auto soft = esp::SoftSa::create(copy(sa));
  REQUIRE(soft);
  const auto out = soft->encap(plain, iv);
  REQUIRE(out);
  REQUIRE(to_hex(out->packet) == to_hex(wire));
}

void both_directions(const char* file, bool ah) {
  CAPTURE(file);
  Random random(std::hash<std::string>{}(file));
  std::vector<Packet> packets;
  for (const json& c : cases_of(file)) {
    CAPTURE(c.at("id").get<std::string>());
    const auto sa = sa_of(c, c.at("sa"), ah, c.at("mode") == "transport");
    std::array<Byte, 8> iv{};
    if (c.contains("iv")) std::ranges::copy(hex(c["iv"]), iv.begin());
    const Bytes plain = hex(c.at("plain")), wire = hex(c.at("wire"));
    require_wire(sa, plain, iv, wire);
    for (const bool encap : {true, false}) {
      Packet p = encap ? encap_packet(copy(sa), plain, iv, random) : decap_packet(copy(sa), wire, random);
      p.name = c.at("id").get<std::string>() + (encap ? " encap" : " decap");
      CHECK_MESSAGE(p.expected.run, p.name);
      if (ah && c.contains("icv_input")) {  // the high number of ESN is not in the stream
        Bytes covered = p.expected.stream;
        if (sa.esn) {
          Byte high[4];
          store_be32(high, c.at("esn_high").get<std::uint32_t>());
          covered.insert(covered.end(), high, high + 4);
        }
        CHECK(to_hex(covered) == c["icv_input"].get<std::string>());
      }
      packets.push_back(std::move(p));
    }
  }
  Front front(random);
  front.run(packets, {});
  front.run(packets, {.source = 30, .lookup = 30, .slots = 30, .sa_latency = 5});
}

}  // namespace

TEST_CASE("front/vectors: ESP tunnels of all four family mixes") {
  for (const char* file : {"esp_tunnel_4in4.json", "esp_tunnel_4in6.json", "esp_tunnel_6in4.json", "esp_tunnel_6in6.json"})
    both_directions(file, false);
}
TEST_CASE("front/vectors: ESP transport") {
  for (const char* file : {"esp_transport_v4.json", "esp_transport_v6.json", "esp_options.json"}) both_directions(file, false);
}
TEST_CASE("front/vectors: ESP in UDP and extended numbers") {
  for (const char* file : {"esp_natt_transport_v4.json", "esp_natt_tunnel_4in4.json", "esp_esn.json"}) both_directions(file, false);
}
TEST_CASE("front/vectors: AH tunnels of all four family mixes") {
  for (const char* file : {"ah_tunnel_4in4.json", "ah_tunnel_4in6.json", "ah_tunnel_6in4.json", "ah_tunnel_6in6.json"})
    both_directions(file, true);
}
TEST_CASE("front/vectors: AH transport, with options and extension headers too") {
  for (const char* file : {"ah_transport_v4.json", "ah_transport_v6.json", "ah_options.json"}) both_directions(file, true);
}

TEST_CASE("front/vectors: AH over ESP, each layer by its own SA") {
  Random random(77);
  std::vector<Packet> packets;
  for (const json& c : cases_of("ah_esp_bundle.json")) {
    auto esp_sa = sa_of(c, c.at("esp_sa"), false, true);
    esp_sa.seq = c.at("esp_seq").get<std::uint64_t>() - 1;
    auto ah_sa = sa_of(c, c.at("ah_sa"), true, true);
    ah_sa.seq = c.at("ah_seq").get<std::uint64_t>() - 1;
    std::array<Byte, 8> iv{};
    std::ranges::copy(hex(c.at("iv")), iv.begin());
    const Bytes plain = hex(c.at("plain")), wire = hex(c.at("wire"));
    auto soft = esp::SoftSa::create(copy(esp_sa));
    REQUIRE(soft);
    const auto inner = soft->encap(plain, iv);
    REQUIRE(inner);
    require_wire(ah_sa, inner->packet, {}, wire);
    packets.push_back(encap_packet(copy(esp_sa), plain, iv, random));
    packets.push_back(encap_packet(copy(ah_sa), inner->packet, {}, random));
    packets.push_back(decap_packet(copy(ah_sa), wire, random));
    packets.push_back(decap_packet(copy(esp_sa), inner->packet, random));
    for (std::size_t i = packets.size() - 4; i < packets.size(); ++i) packets[i].name = c.at("id");
  }
  Front front(random);
  front.run(packets, {.source = 10, .lookup = 10, .slots = 10});
}

TEST_CASE("front/vectors: wrong packets get as far as the reference engine says") {
  Random random(78);
  std::vector<Packet> packets;
  for (const json& c : cases_of("esp_negative.json")) {
    packets.push_back(decap_packet(sa_of(c, c.at("sa"), false, false), hex(c.at("wire")), random));
    packets.back().name = c.at("id");
  }
  Front front(random);
  front.run(packets, {.source = 10, .lookup = 10, .slots = 10});
}
