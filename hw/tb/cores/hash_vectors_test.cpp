// Published vectors through the hash rings, every block of them: NIST CAVP for SHA-1, RFC 1321 for MD5, RFC
// 2202 for HMAC. The files are those of Debian's python3-cryptography-vectors.
#include "hw/tb/cores/hash_driver.h"  // first: it says which OpenSSL calls it means

#include <Vmd5_core.h>
#include <Vmd5_ring.h>
#include <Vsha1_ring.h>
#include <doctest/doctest.h>

#include <string>

#include "hw/tb/cores/response_file.h"

namespace tb = esplanade::tb;

namespace {

const std::string kDir = ESPLANADE_CRYPTOGRAPHY_VECTORS;

template <class Kind, class Model>
unsigned run_hashes(const std::string& name) {
  tb::Clocked<Model> dut;
  dut.reset();
  unsigned cases = 0;
  for (const tb::Response& r : tb::read_responses(kDir + "/hashes/" + name)) {
    if (!r.has("MSG")) continue;  // the file's head
    CAPTURE(cases);
    auto message = r.octets("MSG");
    const std::size_t bits = std::stoul(r.text("LEN"));
    REQUIRE(bits % 8 == 0);
    REQUIRE(message.size() >= bits / 8);
    message.resize(bits / 8);  // an empty message is written as 00
    REQUIRE(tb::digest<Kind>(dut, Kind::kInit, 0, message) == r.octets("MD"));
    ++cases;
  }
  return cases;
}

template <class Kind, class Model>
unsigned run_hmacs(const std::string& name) {
  tb::Clocked<Model> dut;
  dut.reset();
  unsigned cases = 0;
  for (const tb::Response& r : tb::read_responses(kDir + "/HMAC/" + name)) {
    CAPTURE(cases);
    const auto message = r.octets("MSG");
    REQUIRE(8 * message.size() == std::stoul(r.text("LEN")));
    REQUIRE(tb::hmac<Kind>(dut, r.octets("KEY"), message) == r.octets("MD"));
    ++cases;
  }
  return cases;
}

}  // namespace

TEST_CASE("sha1_ring: NIST CAVP short messages") {
  CHECK(run_hashes<tb::Sha1Kind, Vsha1_ring>("SHA1/SHA1ShortMsg.rsp") == 65);
}
TEST_CASE("sha1_ring: NIST CAVP long messages") {
  CHECK(run_hashes<tb::Sha1Kind, Vsha1_ring>("SHA1/SHA1LongMsg.rsp") == 64);
}
TEST_CASE("sha1_ring: HMAC-SHA1 of RFC 2202") {
  CHECK(run_hmacs<tb::Sha1Kind, Vsha1_ring>("rfc-2202-sha1.txt") == 7);
}
TEST_CASE("md5_ring: messages of RFC 1321") {
  CHECK(run_hashes<tb::Md5Kind, Vmd5_ring>("MD5/rfc-1321.txt") == 7);
}
TEST_CASE("md5_ring: HMAC-MD5 of RFC 2202") {
  CHECK(run_hmacs<tb::Md5Kind, Vmd5_ring>("rfc-2202-md5.txt") == 7);
}
TEST_CASE("md5_core: messages of RFC 1321 and HMAC-MD5 of RFC 2202") {
  CHECK(run_hashes<tb::Md5Kind, Vmd5_core>("MD5/rfc-1321.txt") == 7);
  CHECK(run_hmacs<tb::Md5Kind, Vmd5_core>("rfc-2202-md5.txt") == 7);
}
