// The SA file of espcap. What its errors look like on the command line is in tools_test.sh.
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "host/espcap/sa_file.h"

using namespace esplanade;
using namespace esplanade::host;

namespace {
const std::string kSa = "[[sa]]\ndirection = \"out\"\nspi = 0x1000\nsrc = \"192.0.2.1\"\ndst = \"192.0.2.2\"\n";
const std::string kKeys = "enc_key = \"0123456789abcdef23456789abcdef01456789abcdef0123\"\nauth_key = \"" + std::string(40, 'b') + "\"\n";

Result<std::vector<FileSa>> read(const std::string& text) {
  const std::string path = "/tmp/esplanade-sa-test-" + std::to_string(::getpid());
  std::ofstream(path) << text;
  ::chmod(path.c_str(), 0600);
  auto out = read_sa_file(path);
  ::unlink(path.c_str());
  return out;
}
std::string why(const std::string& text) {
  const auto out = read(text);
  return out ? "accepted" : out.error().detail.substr(out.error().detail.find(':'));
}
}  // namespace

TEST_CASE("SA file: every key is read") {
  const auto sas = read(kSa + kKeys + "mode = \"transport\"\nseq = 9\nreplay_window = 128\nfrom = \"10.0.0.0/8\"\nto = \"10.1.2.3\"\nnatt = {src_port = 1, dst_port = 2}\n");
  REQUIRE(sas);
  REQUIRE(sas->size() == 1);
  const FileSa& sa = sas->front();
  CHECK(sa.params.outbound);
  CHECK(sa.params.mode == esp::Mode::kTransport);
  CHECK(sa.params.cipher == esp::Cipher::kTripleDesCbc);
  CHECK(sa.params.seq == 9);
  CHECK(sa.params.replay_window == 128);
  CHECK(sa.params.natt->dst_port == 2);
  CHECK(sa.from->length == 8);
  CHECK(sa.to->length == 32);
  CHECK(read(kSa + kKeys + kSa + "protocol = \"ah\"\nauth_key = \"" + std::string(40, 'b') + "\"\n")->size() == 2);
}

TEST_CASE("SA file: what is wrong is said with line and key, and no key material is in it") {
  CHECK(why("") == ": no [[sa]] in it");
  CHECK(why(kSa + kKeys + "colour = 1\n").find(":8: sa[0].colour: ") == 0);
  CHECK(why(kSa) == ":1: sa[0].enc_key: is missing");
  CHECK(why(kSa + kKeys + "cipher = \"aes\"\n").find(":8: sa[0].cipher: is none of \"3des-cbc\"") == 0);
  CHECK(why(kSa + kKeys + "from = \"10.0.0.0/33\"\n").find(":8: sa[0].from: ") == 0);
  CHECK(why(kSa + kKeys + "replay_window = 33\n").find("not a multiple of 32") != std::string::npos);
  CHECK(why("[[sa]]\ndirection = \"sideways\"\n").find(":2: sa[0].direction: ") == 0);
  CHECK(why("sa = 5\n").find(":1: sa: ") == 0);
  for (const char* bad : {"deadbeefdeadbeefdeadbeef", "deadbeefx", "0101010101010101deadbeefdeadbeefdeadbeefcafecafe"}) {
    const std::string said = why(kSa + "enc_key = \"" + bad + "\"\nauth_key = \"" + std::string(40, 'b') + "\"\n");
    CHECK(said != "accepted");
    CHECK(said.find("dead") == std::string::npos);
  }
}

TEST_CASE("prefix: holds what shares its bits") {
  const auto holds = [](const char* cidr, const char* address) { return parse_cidr(cidr).value().holds(esp::parse_address(address).value()); };
  CHECK(holds("10.2.0.0/15", "10.3.255.255"));
  CHECK_FALSE(holds("10.2.0.0/15", "10.4.0.0"));
  CHECK(holds("0.0.0.0/0", "255.255.255.255"));
  CHECK_FALSE(holds("0.0.0.0/0", "::1"));
  CHECK(holds("10.0.0.1", "10.0.0.1"));
  CHECK_FALSE(holds("10.0.0.1/32", "10.0.0.0"));
  CHECK(holds("2001:db8::/33", "2001:db8:7fff::1"));
  CHECK_FALSE(holds("2001:db8::/33", "2001:db8:8000::1"));
  CHECK(holds("::1/128", "::1"));
  for (const char* bad : {"", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/33", "::/129", "10.0.0.0/8x", "10.0.0.0/8/8", "x/8"}) CHECK_FALSE(parse_cidr(bad));
}
