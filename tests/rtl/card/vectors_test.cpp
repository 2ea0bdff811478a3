// The vector files through real descriptors, both directions, many packets in flight, with and without stalls.
#include <doctest/doctest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "hw/tb/card/card_bench.h"

using namespace esplanade;
using tb::Bench;
using tb::Job;
using nlohmann::json;

namespace {

Bytes hex(const json& j) {
  auto r = from_hex(j.get<std::string>());
  REQUIRE(r);
  return *r;
}

/// Cases of a file that this build does: 3DES-CBC, HMAC-SHA1-96, tunnel mode, IPv4.
std::vector<json> cases_of(const char* file) {
  std::ifstream in(std::string(ESPLANADE_VECTORS) + "/" + file);
  REQUIRE_MESSAGE(in, file);
  const json all = json::parse(in);
  std::vector<json> out;
  for (const json& c : all.at("cases"))
    if (c.at("sa").at("enc") == "3DES-CBC" && c.at("sa").at("auth") == "HMAC-SHA1-96" && c.at("mode") == "tunnel")
      out.push_back(c);
  REQUIRE(out.size() > 10);
  return out;
}

esp::SaParams sa_of(const json& c, bool outbound) {
  esp::SaParams sa;
  sa.outbound = outbound;
  sa.spi = c.at("sa").at("spi").get<std::uint32_t>();
  sa.enc_key = Secret(hex(c.at("sa").at("enc_key")));
  sa.auth_key = Secret(hex(c.at("sa").at("auth_key")));
  sa.check_outer = false;
  sa.replay_window = 0;
  if (c.contains("natt")) {
    sa.natt.emplace();
    sa.natt->src_port = c["natt"].at("sport").get<std::uint16_t>();
    sa.natt->dst_port = c["natt"].at("dport").get<std::uint16_t>();
  }
  if (outbound) {
    const json& t = c.at("tunnel");
    sa.seq = c.at("seq").get<std::uint64_t>() - 1;
    sa.ip_id = t.at("id").get<std::uint16_t>();
    sa.ttl = t.at("ttl").get<std::uint8_t>();
    std::ranges::copy(hex(t.at("src")), sa.src.octets.begin());
    std::ranges::copy(hex(t.at("dst")), sa.dst.octets.begin());
  }
  return sa;
}

void both_directions(const char* file, unsigned stalls) {
  CAPTURE(file);
  CAPTURE(stalls);
  const auto cases = cases_of(file);
  Bench b(tb::seed_of_run() + stalls, stalls, stalls);
  b.start_queue(6);
  // Encap: an SA each, all at once. Decap: an SA for each SPI; nothing but the packet says which.
  std::map<std::uint32_t, bool> inbound;
  std::uint32_t index = 1;
  for (const json& c : cases) {
    REQUIRE(b.install(index++, sa_of(c, true)) == card::SaResult::kOk);
    auto in = sa_of(c, false);
    if (inbound.emplace(in.spi, true).second)
      REQUIRE(b.install(in.spi & (b.sa_entries() - 1), in) == card::SaResult::kOk);
  }
  index = 1;
  std::size_t next = 0, checked = 0;
  std::deque<std::pair<const json*, bool>> expected;
  const auto check = [&] {
    const auto [c, encap] = expected.front();
    expected.pop_front();
    const auto done = b.reap();
    CAPTURE(c->at("id").get<std::string>());
    CAPTURE(encap);
    CHECK(std::string(card::name_of(done.status)) == "Ok");
    CHECK(to_hex(done.packet) == c->at(encap ? "wire" : "plain").get<std::string>());
    CHECK(done.seq == c->at("seq").get<std::uint64_t>());
    CHECK(done.spi == c->at("sa").at("spi").get<std::uint32_t>());
    CHECK(done.canary_ok);
    CHECK(done.next_header == (encap ? 0 : 4));
    CHECK(done.stamps[0] <= done.stamps[1]);
    CHECK(done.stamps[1] <= done.stamps[4]);
    ++checked;
  };
  for (; next < cases.size(); ++next) {
    const json& c = cases[next];
    Job encap{.op = card::Op::kEncap, .source = hex(c.at("plain")), .sa_index = index++};
    std::ranges::copy(hex(c.at("iv")), encap.iv.emplace().begin());
    encap.dst_size = static_cast<std::uint32_t>(c.at("wire").get<std::string>().size() / 2);  // exactly
    Job decap{.op = card::Op::kDecap, .source = hex(c.at("wire"))};
    decap.dst_size = static_cast<std::uint32_t>(c.at("plain").get<std::string>().size() / 2);
    while (b.outstanding() > 60) check();
    b.submit(encap);
    expected.emplace_back(&c, true);
    b.submit(decap);
    expected.emplace_back(&c, false);
  }
  while (!expected.empty()) check();
  CHECK(checked == 2 * cases.size());
  for (const auto& v : b.memory.violations()) FAIL_CHECK(v);
  CHECK(b.read32(card::reg::kErrorCause.at()) == 0);
}

}  // namespace

TEST_CASE("card/vectors: ESP tunnel, IPv4 in IPv4") { both_directions("esp_tunnel_4in4.json", 0); }
TEST_CASE("card/vectors: ESP tunnel with stalls on every channel") { both_directions("esp_tunnel_4in4.json", 40); }
TEST_CASE("card/vectors: ESP in UDP tunnel") { both_directions("esp_natt_tunnel_4in4.json", 10); }

TEST_CASE("card/vectors: wrong packets are dropped for the right reason, and no octet of them gets out") {
  const std::map<std::string, std::string> reasons{
      {"good", "Ok"},          {"icv_bit", "BadIcv"},  {"seq_bit", "BadIcv"},           {"ct_bit", "BadIcv"},
      {"last_ct_bit", "BadIcv"}, {"iv_bit", "BadIcv"}, {"spi", "NoSa"},                 {"bad_pad_content", "BadPadding"},
      {"padlen_too_big", "BadPadding"}, {"seq_zero", "Replay"}, {"not_block_multiple", "BadEspLength"},
      {"truncated", "BadHeader"}, {"dummy_nh59", "Dummy"}, {"long_pad_ok", "Ok"}};
  const auto cases = cases_of("esp_negative.json");
  Bench b(tb::seed_of_run(), 20, 10);
  b.start_queue(4);
  auto sa = sa_of(cases.front(), false);
  sa.replay_window = 64;
  const std::uint32_t index = sa.spi & (b.sa_entries() - 1);
  for (const json& c : cases) {
    const auto id = c.at("id").get<std::string>();
    CAPTURE(id);
    const auto reason = reasons.find(id.substr(id.rfind('/') + 1));
    REQUIRE(reason != reasons.end());
    REQUIRE(b.install(index, sa) == card::SaResult::kOk);  // a fresh window for each
    const auto done = b.run_one({.op = card::Op::kDecap, .source = hex(c.at("wire"))});
    CHECK(std::string(card::name_of(done.status)) == reason->second);
    CHECK((done.status == card::Status::kOk) == (c.at("expect") == "accept"));
    if (done.status == card::Status::kOk) CHECK(to_hex(done.packet) == c.at("plain").get<std::string>());
    else CHECK(done.out_len == 0);
    CHECK(done.canary_ok);
    REQUIRE(b.sa_command(card::SaCommand::kRemove, index) == card::SaResult::kOk);
  }
  for (const auto& v : b.memory.violations()) FAIL_CHECK(v);
}
