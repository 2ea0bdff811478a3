#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "keyd/policy/config.h"
#include "keyd/shell/settings.h"

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
  CHECK(conn.auth == AuthMethod::kPsk);
  CHECK(c->secrets_file == "keyd-secrets.toml");
  const IkeLimits preset;
  CHECK(c->limits.retransmit_base == preset.retransmit_base);
  CHECK(c->limits.retransmit_tries == preset.retransmit_tries);
  CHECK(c->limits.half_open_life == preset.half_open_life);
  CHECK(c->limits.half_open_max == preset.half_open_max);
  CHECK(c->limits.half_open_per_source_max == preset.half_open_per_source_max);
  CHECK(c->limits.restart_delay == preset.restart_delay);
  CHECK(c->limits.keepalive == preset.keepalive);
  CHECK(c->limits.no_answer == preset.no_answer);
  CHECK(conn.qm_limit == 0);
  CHECK(conn.life_kilobytes == 0);
  CHECK_FALSE(conn.master_key_pfs);
  CHECK_FALSE(conn.children.at(0).pfs);
  CHECK(conn.children.at(0).idle == std::chrono::minutes(5));
  CHECK(c->warnings.empty());
}

TEST_CASE("[R15] Windows' names of the groups mean the right ones on the wire") {
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
      {"port = 500", "port = 0", "keyd.toml:20: ike.port: is not an integer from 1 to 65535"},
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
      {"local_ts = \"10.1.0.0/16\"", "local_ts = \"10.1.0.9-10.1.0.5\"", "ends before it begins"},
      {"local_ts = \"10.1.0.0/16\"", "local_ts = \"10.1.0.9-2001:db8::1\"", "not an address, subnet or range"},
      {"\"3des-sha1\"]", "\"3des-sha1-modp1024\"]", "pfs = true"},
      {"\"3des-sha1\"]", "\"null-none\"]", "neither encrypts nor authenticates"},
      {"\npfs = false", "\nbundle = true", "bundle: needs both ah_proposals and esp_proposals"},
      {"\npfs = false", "\nah_proposals = \"sha256\"", "unknown integrity algorithm 'sha256' (known: md5, sha1)"},
      {"idle_time = \"5m\"", "idle_time = 10", "neither 0 (never) nor 300 to 3600 s"},
      {"qm_limit = 0", "qm_limit = -1", "qm_limit: is not an integer from 0 to 2147483647"},
      {"master_key_pfs = false", "master_key_pfs = 1", "master_key_pfs"},
      {"start_action = \"trap\"", "start_action = \"go\"", "is none of: none, trap, start"},
      {"[espd]", "[espq]", "espd: is missing"},
      {"[log]", "[log", "keyd.toml:15:"},
      {"auth = \"psk\"", "auth = \"rsa\"", "is none of: psk, pubkey, gss"},
      {"auth = \"psk\"", "auth = \"gss\"", "local.gss_name: is missing"},
      {"auth = \"psk\"", "auth = \"gss\"\ngss_name = \"host/gw\"", "gss_name: is not a principal"},
      {"auth = \"psk\"", "auth = \"gss\"\ngss_name = \"host/gw@X\"", "remote: has another auth than local"},
      {"auth = \"psk\"", "auth = \"pubkey\"", "local.certs: is missing"},
      {"auth = \"psk\"", "auth = \"pubkey\"\ncerts = \"/nonexistent/x.pem\"", "/nonexistent/x.pem: No such file"},
      {"auth = \"psk\"", "certs = \"x\"", "local.certs: is not a known key here"},
      {"id = \"gateway.example\"", "id = \"XX=1\"", "unknown or empty part 'XX'"},
      {"secrets = \"keyd-secrets.toml\"", "secrets = 5", "secrets: is not a string"},
  };
  for (const auto& c : cases) {
    CAPTURE(std::string(c.to));
    const std::string says = error_of(replaced(kExample, c.from, c.to));
    CAPTURE(says);
    CHECK(says.find(c.says) != std::string::npos);
    CHECK(says.find('\n') == std::string::npos);
  }
}

TEST_CASE("ike/config: traffic is an address, a subnet, a range or dynamic, in IPv4 or IPv6, with protocol and port") {
  auto ts = [](const char* text) {
    auto c = parse_config(replaced(kExample, "\"10.2.0.0/16\"", std::string("\"") + text + '"'), "keyd.toml");
    return !c ? "refused" : c->connections[0]->children[0].remote_ts ? to_string(*c->connections[0]->children[0].remote_ts) : "dynamic";
  };
  CHECK(ts("10.2.0.7") == "10.2.0.7");
  CHECK(ts("10.2.0.0/24[17/1701]") == "10.2.0.0/24[17/1701]");
  CHECK(ts("10.2.0.5-10.2.0.9") == "10.2.0.5-10.2.0.9");
  CHECK(ts("10.2.0.5-10.2.0.9[6/0]") == "10.2.0.5-10.2.0.9[6/0]");
  CHECK(ts("dynamic") == "dynamic");
  CHECK(ts("2001:db8::/32") == "refused");  // the other end is IPv4
  CHECK(ts("10.2.0.5-") == "refused");
}

TEST_CASE("ike/config: a cut-off file is refused at every length") {
  for (std::size_t n = 0; n < kExample.find("start_action") ; n += 7) {
    CAPTURE(n);
    CHECK(error_of(kExample.substr(0, n)) != "");
  }
}

TEST_CASE("ike/config: a file that others may write is refused, with what to do") {
  char path[] = "/tmp/esplanade-keyd-XXXXXX";
  const int fd = ::mkstemp(path);
  REQUIRE(fd >= 0);
  REQUIRE(::write(fd, kExample.data(), kExample.size()) == static_cast<ssize_t>(kExample.size()));
  REQUIRE(::fchmod(fd, 0664) == 0);
  ::close(fd);
  auto open = read_config_text(path);
  REQUIRE_FALSE(open);
  CHECK(open.error().code == Errc::kPermission);
  CHECK(open.error().detail.find("chmod go-w") != std::string::npos);
  REQUIRE(::chmod(path, 0644) == 0);
  CHECK(read_config_text(path));
  ::unlink(path);
  CHECK(read_config_text(path).error().code == Errc::kIo);
  CHECK_FALSE(read_config_text("/dev/zero"));
  CHECK_FALSE(read_config_text("/tmp"));
}

TEST_CASE("ike/config: dead peer detection and the limits against floods are read, and refused out of range") {
  auto text = [](const std::string& ike, const std::string& connection, const std::string& child) {
    return "[espd]\npfkey = \"/p\"\nnatt = \"/n\"\n[ike]\n" + ike +
           "\n[connections.c]\nlocal_addrs = \"192.0.2.1\"\nremote_addrs = \"192.0.2.2\"\n" + connection +
           "\n[connections.c.children.n]\nlocal_ts = \"10.1.0.0/16\"\nremote_ts = \"10.2.0.0/16\"\nreqid = 1\n" + child + "\n";
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
