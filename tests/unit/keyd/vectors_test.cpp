#include <doctest/doctest.h>

#include <fstream>

#include "keyd/vectors/ike_vectors.h"

using namespace esplanade;

namespace {

nlohmann::json load(const char* name) {
  std::ifstream in(std::string(ESPLANADE_VECTORS "/") + name);
  REQUIRE(in.good());
  return nlohmann::json::parse(in);
}

}  // namespace

TEST_CASE("ike/vectors: every pre-shared key transcript is met octet for octet") {
  const auto file = load("ike_psk.json");
  unsigned checks = 0;
  std::size_t cases = 0;
  for (const auto& c : file.at("cases")) {
    CAPTURE(c.at("id").get<std::string>());
    auto result = ike::run_ike_vector(c);
    const std::string why = result ? "" : result.error().detail;
    CHECK(why == "");
    if (result) checks += *result;
    ++cases;
  }
  CHECK(cases == file.at("count").get<std::size_t>());
  CHECK(checks > 60 * cases);
  MESSAGE(cases << " transcripts, " << checks << " comparisons");
}

TEST_CASE("ike/vectors: a changed octet anywhere in a case is noticed") {
  auto c = load("ike_psk.json").at("cases").at(0);
  for (const char* key :
       {"psk", "skeyid_d", "skeyid_a", "skeyid_e", "enc_key", "phase1_iv", "hash_i", "hash_r", "g_xy"}) {
    CAPTURE(key);
    auto broken = c;
    std::string hex = broken.at(key);
    hex[0] = hex[0] == '0' ? '1' : '0';
    broken[key] = hex;
    CHECK_FALSE(ike::run_ike_vector(broken));
  }
  c.erase("qm");
  CHECK_FALSE(ike::run_ike_vector(c));
}

TEST_CASE("ike/vectors: the primes of groups 1, 2, 5 and 14 are right") {
  const auto file = load("dh_groups.json");
  for (const auto& c : file.at("cases")) CHECK(ike::run_dh_group_vector(c));
  CHECK(file.at("cases").size() == 4);
}
