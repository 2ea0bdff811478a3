// UDP 4500: what a datagram is, and the headers that the card is given for it.
#include <doctest/doctest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "common/esp/ip.h"
#include "host/espd/outside.h"

using namespace esplanade;
using namespace esplanade::espd;

TEST_CASE("espd/outside: datagrams on 4500 are told apart as the vectors say") {
  std::ifstream file(std::string(ESPLANADE_VECTORS) + "/natt_misc.json");
  const auto vectors = nlohmann::json::parse(file);
  std::size_t seen = 0;
  for (const auto& c : vectors["cases"]) {
    const std::string id = c["id"];
    CAPTURE(id);
    const Natt wanted = id == "natt/keepalive" ? Natt::kKeepalive
                        : id == "natt/ike"     ? Natt::kIke
                        : id == "natt/esp"     ? Natt::kEsp
                                               : Natt::kShort;
    CHECK(classify(*from_hex(c["payload"].get<std::string>())) == wanted);
    ++seen;
  }
  CHECK(seen == 4);
}

TEST_CASE("espd/outside: every length below a marker is short, but for the keepalive") {
  CHECK(classify({}) == Natt::kShort);
  CHECK(classify(Bytes{0xff}) == Natt::kKeepalive);
  CHECK(classify(Bytes{0xff, 0xff}) == Natt::kShort);
  CHECK(classify(Bytes{0, 0, 0}) == Natt::kShort);
  CHECK(classify(Bytes{0, 0, 0, 0}) == Natt::kIke);
  CHECK(classify(Bytes{0, 0, 0, 1}) == Natt::kEsp);
}

TEST_CASE("espd/outside: synthesized headers pass for a whole IP packet") {
  Bytes packet(28 + 50, Byte{0xaa});
  Path path;
  path.src = *esp::parse_address("192.0.2.1");
  path.dst = *esp::parse_address("192.0.2.2");
  path.src_port = 1025;
  path.dst_port = 4500;
  path.tos = 3;
  write_headers(packet, path, esp::kProtoUdp);
  const auto parsed = esp::parse_ip(packet);  // checks lengths and checksum
  REQUIRE(parsed);
  CHECK(parsed->protocol == esp::kProtoUdp);
  CHECK(parsed->total_len == packet.size());
  CHECK(parsed->upper_at == 20);
  CHECK(esp::source_of(packet) == path.src);
  CHECK(esp::destination_of(packet) == path.dst);
  CHECK(to_hex(ByteView(packet).subspan(20, 8)) == "04011194003a0000");
  CHECK(packet[1] == 3);
  CHECK(packet[28] == 0xaa);
}

TEST_CASE("espd/outside: over IPv6, which the sockets give no header of, the card sees plain ESP") {
  Bytes packet(40 + 50, Byte{0xaa});
  Path path;
  path.src = *esp::parse_address("2001:db8::1");
  path.dst = *esp::parse_address("2001:db8::2");
  path.src_port = path.dst_port = 4500;
  path.tos = 0xb9;
  path.ttl = 17;
  write_headers(packet, path, esp::kProtoEsp);
  const auto parsed = esp::parse_ip(packet);
  REQUIRE(parsed);
  CHECK(parsed->total_len == packet.size());
  CHECK(parsed->protocol == esp::kProtoEsp);
  CHECK(esp::source_of(packet) == path.src);
  CHECK(esp::destination_of(packet) == path.dst);
  CHECK(to_hex(ByteView(packet).first(8)) == "6b90000000323211");
  CHECK(packet[40] == 0xaa);
}
