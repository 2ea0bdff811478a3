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

TEST_CASE("[R13][R32][R71][R73] every transcript with a pre-shared key, RSA signatures or GSS tokens "
          "is met octet for octet") {
  for (const char* name : {"ike_psk.json", "ike_rsasig.json", "ike_gss_mock.json"}) {
    CAPTURE(name);
    const auto file = load(name);
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
    CHECK(checks > 50 * cases);
    MESSAGE(name << ": " << cases << " transcripts, " << checks << " comparisons");
  }
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
  auto rsa = load("ike_rsasig.json").at("cases").at(0);
  CHECK(ike::run_ike_vector(rsa));
  for (const char* key : {"sig_i", "sig_r", "init_cert_der", "ca_cert_der"}) {
    CAPTURE(key);
    auto broken = rsa;
    std::string hex = broken.at("rsa").at(key);
    hex[hex.size() / 2] = hex[hex.size() / 2] == '0' ? '1' : '0';
    broken["rsa"][key] = hex;
    CHECK_FALSE(ike::run_ike_vector(broken));
  }
  auto gss = load("ike_gss_mock.json").at("cases").at(0);
  for (const char* key : {"token_i", "token_r", "gi_i_utf16le", "gi_r_utf16le"}) {
    CAPTURE(key);
    auto broken = gss;
    std::string hex = broken.at("gss").at(key);
    hex[5] = hex[5] == '4' ? '5' : '4';
    broken["gss"][key] = hex;
    CHECK_FALSE(ike::run_ike_vector(broken));
  }
  c.erase("qm");
  CHECK_FALSE(ike::run_ike_vector(c));
}

TEST_CASE("[R11][R70] no message, in clear or decrypted, holds a secret of the exchange") {
  std::size_t searched = 0;
  for (const char* name : {"ike_psk.json", "ike_rsasig.json", "ike_gss_mock.json"}) {
    const auto file = load(name);
    for (const auto& c : file.at("cases")) {
      CAPTURE(c.at("id").get<std::string>());
      std::vector<std::string> octets{c.at("msg5_plain"), c.at("msg6_plain")};
      for (const auto* list : {&c.at("msg"), &c.at("qm").at("msg")})
        for (const auto& m : *list) octets.push_back(m);
      for (const auto& i : c.at("informational")) {
        octets.push_back(i.at("msg"));
        octets.push_back(i.at("plain"));
      }
      std::vector<std::string> secrets;
      for (const char* key : {"skeyid", "skeyid_d", "skeyid_a", "skeyid_e", "enc_key", "g_xy", "dh_priv_i", "dh_priv_r"})
        secrets.push_back(c.at(key));
      if (c.at("psk").is_string() && c.at("psk").get<std::string>().size() >= 16) secrets.push_back(c.at("psk"));
      for (const auto& k : c.at("qm").at("keys")) secrets.push_back(k.at("keymat"));
      for (const std::string& secret : secrets) {
        REQUIRE(secret.size() >= 16);
        // Any eight octets of it in a row.
        for (std::size_t at = 0; at + 16 <= secret.size(); at += 16)
          for (const std::string& m : octets) {
            ++searched;
            CHECK(m.find(secret.substr(at, 16)) == std::string::npos);
          }
      }
      CHECK(octets[2 + 2].find(c.at("g_xi").get<std::string>()) != std::string::npos);  // the search would find it
    }
  }
  CHECK(searched > 10000);
}

TEST_CASE("[R31] the primes of groups 1, 2, 5 and 14 are right") {
  const auto file = load("dh_groups.json");
  for (const auto& c : file.at("cases")) CHECK(ike::run_dh_group_vector(c));
  CHECK(file.at("cases").size() == 4);
}
