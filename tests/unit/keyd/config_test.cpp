#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "keyd/policy/config.h"

using namespace esplanade;
using namespace esplanade::ike;

namespace {

std::string slurp(const std::string& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}
const std::string kExample = slurp(ESPLANADE_SOURCE "/docs/examples/keyd.toml");

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const auto at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}
std::string error_of(const std::string& text) {
  auto c = parse_config(text, "keyd.toml");
  return c ? "" : c.error().detail;
}

}  // namespace

TEST_CASE("ike/config: the example in docs is right, and its defaults are the built-in ones") {
  auto c = parse_config(kExample, "keyd.toml");
  REQUIRE(error_of(kExample) == "");
  REQUIRE(c->connections.size() == 1);
  const Connection& conn = *c->connections[0];
  CHECK(to_string(conn.suites.at(0)) == "3des-sha1-modp2048");
  CHECK(conn.suites.at(0).group == 14);
  CHECK(to_string(conn.local_id) == "gateway.example");
  CHECK(conn.life == std::chrono::hours(8));
  CHECK(conn.children.at(0).life_kilobytes == 100000);
  CHECK(conn.psk.size() == 9);
  const IkeLimits preset;
  CHECK(c->limits.retransmit_base == preset.retransmit_base);
  CHECK(c->limits.retransmit_tries == preset.retransmit_tries);
  CHECK(c->limits.half_open_life == preset.half_open_life);
  CHECK(c->limits.half_open_max == preset.half_open_max);
  CHECK(c->limits.half_open_per_source_max == preset.half_open_per_source_max);
  CHECK(c->limits.restart_delay == preset.restart_delay);
  CHECK(c->limits.keepalive == preset.keepalive);
}

TEST_CASE("ike/config: Windows' names of the groups mean the right ones on the wire") {
  CHECK(parse_mm_suite("3des-sha1-low")->group == 1);
  CHECK(parse_mm_suite("3des-sha1-medium")->group == 2);
  CHECK(parse_mm_suite("3des-sha1-high")->group == 14);
  for (const char* bad : {"aes128-sha1-modp1024", "3des-sha256-modp1024", "3des-sha1-modp1536", "3des-sha1",
                          "", "-", "3des--modp1024"})
    CHECK_FALSE(parse_mm_suite(bad));
  for (const char* bad : {"3des", "aes128-sha1", "null-null", "3des-sha1-", "3des-sha1-modp1024-x"})
    CHECK_FALSE(parse_esp_suite(bad));
}

TEST_CASE("ike/config: what is wrong is named with file, line and reason") {
  struct {
    const char *from, *to, *says;
  } const cases[] = {
      {"port = 500", "port = 0", "keyd.toml:13: ike.port: is not an integer from 1 to 65535"},
      {"port = 500", "prot = 500", "ike.prot: is not a known key here"},
      {"port = 500", "port = \"500\"", "ike.port: is not an integer"},
      {"\"3des-sha1-modp2048\"", "\"aes128-sha1-modp2048\"", "unknown cipher 'aes128' (known: des, 3des)"},
      {"remote_addrs = \"192.0.2.2\"", "remote_addrs = \"peer\"", "is neither an IP address nor %any"},
      {"remote_addrs = \"192.0.2.2\"", "remote_addrs = \"2001:db8::1\"", "is of another IP version"},
      {"local_ts = \"10.1.0.0/16\"", "local_ts = \"10.1.0.1/16\"", "subnet has bits set after its prefix"},
      {"local_ts = \"10.1.0.0/16\"", "", "children.net.local_ts: is missing"},
      {"reqid = 1", "", "reqid: is missing"},
      {"life_time = \"1h\"", "life_time = \"1y\"", "is not a time from 60"},
      {"mode = \"tunnel\"", "mode = \"beet\"", "is neither tunnel nor transport"},
      {"start_action = \"trap\"", "start_action = \"go\"", "is none of: none, trap, start"},
      {"secret = \"change me\"", "secret = \"0xabc\"", "secrets.branch.secret: hex has a wrong length"},
      {"secret = \"change me\"", "secret = \"\"", "secrets.branch.secret: is empty"},
      {"id = [\"192.0.2.2\", \"branch.example\"]", "id = \"192.0.2.9\"", "has no secret"},
      {"[espd]", "[espq]", "espd: is missing"},
      {"[log]", "[log", "keyd.toml:9:"},
      {"auth = \"psk\"", "auth = \"rsa\"", "is not psk"},
  };
  for (const auto& c : cases) {
    CAPTURE(std::string(c.to));
    const std::string says = error_of(replaced(kExample, c.from, c.to));
    CAPTURE(says);
    CHECK(says.find(c.says) != std::string::npos);
    CHECK(says.find('\n') == std::string::npos);
    CHECK(says.find("change me") == std::string::npos);
  }
}

TEST_CASE("ike/config: a cut-off file is refused at every length, without its secret in the message") {
  for (std::size_t n = 0; n < kExample.find("change me") + 9; n += 7) {
    CAPTURE(n);
    const std::string says = error_of(kExample.substr(0, n));
    CHECK(says != "");
    CHECK(says.find("change me") == std::string::npos);
  }
}

TEST_CASE("ike/config: secrets are text, hex or base64") {
  auto psk = [](const char* text) {
    auto c = parse_config(replaced(kExample, "change me", text), "keyd.toml");
    return c ? to_hex(c->connections[0]->psk.reveal()) : "refused";
  };
  CHECK(psk("ab") == "6162");
  CHECK(psk("0x00ff10") == "00ff10");
  CHECK(psk("0sAP8Q") == "00ff10");
  CHECK(psk("0sAP8=") == "00ff");
  CHECK(psk("0sA") == "refused");
  CHECK(psk("0sA!==") == "refused");
}

TEST_CASE("ike/config: a file that others may read is refused, with what to do") {
  char path[] = "/tmp/esplanade-keyd-XXXXXX";
  const int fd = ::mkstemp(path);
  REQUIRE(fd >= 0);
  REQUIRE(::write(fd, kExample.data(), kExample.size()) == static_cast<ssize_t>(kExample.size()));
  REQUIRE(::fchmod(fd, 0640) == 0);
  ::close(fd);
  auto open = load_config(path);
  REQUIRE_FALSE(open);
  CHECK(open.error().code == Errc::kPermission);
  CHECK(open.error().detail.find("chmod 600") != std::string::npos);
  REQUIRE(::chmod(path, 0600) == 0);
  CHECK(load_config(path));
  ::unlink(path);
  CHECK(load_config(path).error().code == Errc::kIo);
  CHECK_FALSE(load_config("/dev/zero"));
  CHECK_FALSE(load_config("/tmp"));
}

TEST_CASE("ike/config: dead peer detection and the limits against floods are read, and refused out of range") {
  auto text = [](const std::string& ike, const std::string& connection, const std::string& child) {
    return "[espd]\npfkey = \"/p\"\nnatt = \"/n\"\n[ike]\n" + ike +
           "\n[connections.c]\nlocal_addrs = \"192.0.2.1\"\nremote_addrs = \"192.0.2.2\"\n" + connection +
           "\n[connections.c.children.n]\nlocal_ts = \"10.1.0.0/16\"\nremote_ts = \"10.2.0.0/16\"\nreqid = 1\n" + child +
           "\n[secrets.s]\nsecret = \"x\"\n";
  };
  auto plain = parse_config(text("", "", ""), "t");
  REQUIRE(plain);
  CHECK(plain->connections.front()->dpd_delay.count() == 30);
  CHECK(plain->connections.front()->dpd_timeout.count() == 150);
  CHECK(plain->limits.cookie_threshold == 100);
  auto set = parse_config(text("cookie_threshold = 7\nsource_rate = 3\nsource_burst = 4\nfragment_size = 576\n"
                               "main_modes_per_peer_max = 2\nquick_modes_per_peer_max = 5\n",
                               "dpd_delay = \"10s\"\ndpd_timeout = \"1m\"\n", "dpd_action = \"restart\"\n"),
                          "t");
  REQUIRE(set);
  CHECK(set->connections.front()->dpd_timeout.count() == 60);
  CHECK(set->connections.front()->children.front().dpd_action == DpdAction::kRestart);
  CHECK(set->limits.cookie_threshold == 7);
  CHECK(set->limits.source_rate == 3);
  CHECK(set->limits.source_burst == 4);
  CHECK(set->limits.main_modes_per_peer_max == 2);
  CHECK(set->limits.quick_modes_per_peer_max == 5);
  CHECK(set->limits.fragment_size == 576);
  CHECK_FALSE(parse_config(text("fragment_size = 100", "", ""), "t"));
  CHECK_FALSE(parse_config(text("source_rate = 0", "", ""), "t"));
  CHECK_FALSE(parse_config(text("", "dpd_timeout = 0", ""), "t"));
  CHECK_FALSE(parse_config(text("", "", "dpd_action = \"hold\""), "t"));
}
