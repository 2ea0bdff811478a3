// espd's configuration: what is right is read, what is wrong is refused with its place and the reason.
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "host/espd/config.h"

using namespace esplanade;
using namespace esplanade::espd;

namespace {

const std::string kGood = R"(card = "soft"
run_dir = "/run/x"
log_level = "warn"
[tun]
name = "t0"
mtu = 1300
[[policy]]
name = "a"
reqid = 1
local_ts = "10.2.0.0/24"
remote_ts = "10.1.0.0/24"
local = "192.0.2.2"
peer = "192.0.2.1"
udp_encap = "always"
mode = "tunnel"
action = "protect"
df = "set"
path_mtu = 1280
)";

std::string replaced(const std::string& from, const std::string& to) {
  std::string text = kGood;
  const auto at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

}  // namespace

TEST_CASE("espd/config: a good one is read") {
  const auto c = parse_config(kGood, "f.toml");
  REQUIRE(c);
  CHECK(c->cards == std::vector<std::string>{"soft"});
  CHECK(c->status_socket() == "/run/x/espd.sock");
  CHECK(c->log_level == LogLevel::kWarn);
  CHECK(c->tun_name == "t0");
  CHECK(c->tun_mtu == 1300);
  REQUIRE(c->policies.size() == 1);
  CHECK(c->policies[0].reqid == 1);
  CHECK(to_string(c->policies[0].remote_ts) == "10.1.0.0/24");
  CHECK(c->policies[0].udp_encap == UdpEncap::kAlways);
  CHECK(c->policies[0].df == esp::DfPolicy::kSet);
  CHECK(c->policies[0].path_mtu == 1280);
}

TEST_CASE("espd/config: a tunnel over IPv6, whose path takes 1,280 octets at least") {
  std::string text = replaced("192.0.2.2", "2001:db8::2");
  text.replace(text.find("192.0.2.1"), 9, "2001:db8::1");
  const auto c = parse_config(text, "f.toml");
  REQUIRE(c);
  CHECK(esp::to_string(c->policies[0].peer) == "2001:db8::1");
  text.replace(text.find("1280"), 4, "1279");
  const auto wrong = parse_config(text, "f.toml");
  REQUIRE_FALSE(wrong);
  CHECK(wrong.error().detail.find("path_mtu: is not an integer from 1280") != std::string::npos);
}

TEST_CASE("espd/config: cards in use at once are some of the list, and only where a lost one is replaced") {
  const auto with = [](const std::string& lines) { return parse_config(replaced("card = \"soft\"", lines), "f.toml"); };
  CHECK(with("card = \"soft\"")->cards_in_use == 1);
  CHECK(with("card = [\"0\", \"1\", \"soft\"]\ncards_in_use = 2")->cards_in_use == 2);
  for (const char* number : {"0", "4", "-1", "\"2\"", "2.0"}) {
    const auto c = with(std::string("card = [\"0\", \"1\", \"soft\"]\ncards_in_use = ") + number);
    REQUIRE(!c);
    CHECK(c.error().detail == "f.toml:2:16: cards_in_use: is not an integer from 1 to 3");
  }
  CHECK(with("card = [\"0\", \"1\"]\ncards_in_use = 2\non_card_loss = \"drop\"").error().detail == "f.toml:2:16: cards_in_use: is more than 1, which needs on_card_loss = \"recover\"");
  CHECK(with("card = []\ncards_in_use = 1").error().detail.find("list of 1 to 8") != std::string::npos);
}

TEST_CASE("espd/config: cards that stand in for each other") {
  std::string text = kGood;
  text.replace(text.find("\"soft\""), 6, "[\"0000:3b:00.1\", \"sim\", \"soft\"]\non_card_loss = \"drop\"");
  const auto c = parse_config(text, "f.toml");
  REQUIRE(c);
  CHECK(c->cards == std::vector<std::string>{"0000:3b:00.1", "sim", "soft"});
  CHECK(!c->recover);
  CHECK(parse_config(kGood, "f.toml")->recover);
}

TEST_CASE("espd/config: a wrong one is refused with line, column and reason") {
  struct Case {
    std::string from, to, place, reason;
  };
  const Case cases[] = {
      {"card = \"soft\"", "card = 3", "f.toml:1:8: card", "an XRT device"},
      {"card = \"soft\"", "card = [\"sim\", 3]", "f.toml:1:16: card", "an XRT device"},
      {"card = \"soft\"", "card = []", "f.toml:1:8: card", "a list of 1 to 8"},
      {"card = \"soft\"", "on_card_loss = \"pray\"", "f.toml:1:16: on_card_loss", "recover, drop"},
      {"card = \"soft\"", "card = \"soft", "f.toml:1:", ""},
      {"card = \"soft\"", "cart = \"soft\"", "f.toml:1:8: cart", "not a known key"},
      {"run_dir = \"/run/x\"", "run_dir = \"x\"", "f.toml:2:11: run_dir", "absolute"},
      {"run_dir = \"/run/x\"", "run_dir = \"/" + std::string(100, 'x') + "\"", "f.toml:2:11: run_dir",
       "too long"},
      {"\"warn\"", "\"loud\"", "f.toml:3:13: log_level", "not one of debug"},
      {"[tun]", "[[tun]]", "f.toml:4:", "not a table"},
      {"\"t0\"", "\"t/0\"", "f.toml:5:8: name", "interface name"},
      {"\"t0\"", "\"a-name-too-long-0\"", "f.toml:5:8: name", "interface name"},
      {"mtu = 1300", "mtu = 575", "f.toml:6:7: mtu", "576"},
      {"mtu = 1300", "mtu = 1300.5", "f.toml:6:7: mtu", "integer"},
      {"[[policy]]", "[policy]", "f.toml:7:", "[[policy]]"},
      {"name = \"a\"\n", "", "f.toml:7:", "missing"},
      {"reqid = 1", "reqid = 0", "f.toml:9:9: reqid", "integer from 1"},
      {"reqid = 1", "reqid = 4294967296", "f.toml:9:9: reqid", "integer from 1"},
      {"10.2.0.0/24", "10.2.0.0/33", "f.toml:10:12: local_ts", "0 to 32"},
      {"10.2.0.0/24", "10.2.0.1/24", "f.toml:10:12: local_ts", "10.2.0.0/24"},
      {"10.2.0.0/24", "10.2.0/24", "f.toml:10:12: local_ts", ""},
      {"10.2.0.0/24", "10.2.0.0/", "f.toml:10:12: local_ts", "0 to 32"},
      {"10.1.0.0/24", "2001:db8::/32", "f.toml:11:13: remote_ts", "IP version"},
      {"10.1.0.0/24", "10.1.0.0/24[tcp/0x50]", "f.toml:11:13: remote_ts", "port"},
      {"10.1.0.0/24\"\nlocal", "10.1.0.0/24[tcp]\"\nlocal_ports = 3\nlocal", "f.toml:12:15: local_ports", "not a known key"},
      {"192.0.2.2", "2001:db8::1", "f.toml:13:8: peer", "IP version of local"},
      {"192.0.2.1", "192.0.2.2", "f.toml:13:8: peer", "same address"},
      {"192.0.2.1\"", "any\"\nfallback = \"clear\"", "f.toml:13:8: peer", "must know whom"},
      {"192.0.2.1\"", "anyone\"", "f.toml:13:8: peer", ""},
      {"\"always\"", "true", "f.toml:14:13: udp_encap", "not a string"},
      {"\"set\"", "\"ignore\"", "f.toml:17:6: df", "copy, clear, set"},
      {"1280", "575", "f.toml:18:12: path_mtu", "from 576"},
      {"\"tunnel\"", "\"tunnels\"", "f.toml:15:8: mode", "tunnel, transport"},
      {"\"tunnel\"", "\"transport\"", "f.toml:10:12: local_ts", "the address local alone"},
      {"\"protect\"", "\"encrypt\"", "f.toml:16:10: action", "protect, bypass, discard"},
      {"\"protect\"", "\"bypass\"", "f.toml:", "not a known key"},
      {"\"protect\"", "\"protect\"\nipsec = \"ah\"", "f.toml:14:13: udp_encap", "AH has no form in UDP"},
      {"\"protect\"", "\"protect\"\nipsec = \"esp+ah\"", "f.toml:17:9: ipsec", "esp, ah, ah+esp"},
      {"mtu = 1300", "table = 255", "f.toml:6:9: table", "256 to 32765"},
      {"mtu = 1300", "threads = 17", "f.toml:6:11: threads", "0 to 16"},
      {"run_dir", "guard = \"on\"\nrun_dir", "f.toml:2:9: guard", "true nor false"},
      {"run_dir", "on_stop = \"pray\"\nrun_dir", "f.toml:2:11: on_stop", "block, open"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.to);
    const auto got = parse_config(replaced(c.from, c.to), "f.toml");
    REQUIRE_FALSE(got);
    CHECK(got.error().code == Errc::kBadConfig);
    CAPTURE(got.error().detail);
    CHECK(got.error().detail.starts_with(c.place));
    CHECK(got.error().detail.find(c.reason) != std::string::npos);
    CHECK(got.error().detail.find('\n') == std::string::npos);
  }
}

TEST_CASE("espd/config: policies that take each other's place are refused") {
  const auto second = [](const char* name, const char* reqid, const char* remote) {
    return kGood + "[[policy]]\nname = \"" + name + "\"\nreqid = " + reqid +
           "\nlocal_ts = \"10.2.0.0/24\"\nremote_ts = \"" + remote +
           "\"\nlocal = \"192.0.2.2\"\npeer = \"192.0.2.3\"\n";
  };
  CHECK(parse_config(second("b", "2", "10.3.0.0/24"), "f"));
  CHECK_FALSE(parse_config(second("a", "2", "10.3.0.0/24"), "f"));
  CHECK_FALSE(parse_config(second("b", "1", "10.3.0.0/24"), "f"));
  CHECK_FALSE(parse_config(second("b", "2", "10.1.0.0/24"), "f"));
  CHECK_FALSE(parse_config(second("b", "2", "10.1.0.7[tcp/80]"), "f"));
  const auto covered = parse_config(second("b", "2", "10.1.0.128/25"), "f");
  REQUIRE_FALSE(covered);
  CHECK(covered.error().detail.find("never get a packet") != std::string::npos);
  CHECK(parse_config(second("b", "2", "10.1.0.0/16"), "f"));
}

TEST_CASE("espd/config: exceptions, transport mode, AH") {
  const auto c = parse_config(R"(on_stop = "open"
guard = false
[tun]
table = 300
threads = 2
[[policy]]
name = "ssh"
action = "bypass"
local_ts = "0.0.0.0/0"
remote_ts = "192.0.2.1[tcp/22]"
[[policy]]
name = "never"
action = "discard"
local_ts = "0.0.0.0/0"
remote_ts = "192.0.2.1[udp/137-139]"
[[policy]]
name = "host"
mode = "transport"
ipsec = "ah+esp"
reqid = 3
local_ts = "192.0.2.2"
remote_ts = "192.0.2.1"
local = "192.0.2.2"
peer = "192.0.2.1"
)", "f");
  if (!c) FAIL(c.error().detail);
  CHECK_FALSE(c->block_on_stop);
  CHECK_FALSE(c->guard);
  CHECK(c->table == 300);
  CHECK(c->tun_threads == 2);
  REQUIRE(c->policies.size() == 3);
  CHECK(c->policies[0].action == Action::kBypass);
  CHECK(c->policies[1].action == Action::kDiscard);
  CHECK(c->policies[2].mode == esp::Mode::kTransport);
  CHECK(c->policies[2].ipsec == Ipsec::kAhEsp);
}

TEST_CASE("espd/config: what a running espd cannot take over is named") {
  const Config now = *parse_config(kGood, "f");
  CHECK_FALSE(needs_restart(now, now));
  Config next = now;
  next.policies.clear();
  next.log_level = LogLevel::kDebug;
  next.block_on_stop = false;
  CHECK_FALSE(needs_restart(now, next));
  next.cards = {"sim"};
  CHECK(needs_restart(now, next) == "card");
  next = now;
  next.table = 7;
  CHECK(needs_restart(now, next) == "tun.table");
}

TEST_CASE("espd/config: no policy, an empty file, a cut file and odd files are refused") {
  CHECK_FALSE(parse_config("", "f"));
  CHECK_FALSE(parse_config("policy = []", "f"));
  for (std::size_t n = 0; n + 1 < kGood.size(); ++n) {
    CAPTURE(n);
    const auto got =
        parse_config(std::string_view(kGood).substr(0, n), "f");  // must not crash; a cut may be whole
    if (n < kGood.find("peer")) CHECK_FALSE(got);
  }
  CHECK_FALSE(load_config("/nonexistent"));
  CHECK_FALSE(load_config("/"));
  CHECK_FALSE(load_config("/dev/zero"));
  char name[] = "/tmp/esplanade-config-XXXXXX";
  REQUIRE(::mkdtemp(name) != nullptr);
  const std::string folder = name;
  std::ofstream(folder + "/big") << std::string((1 << 20) + 1, '#');
  CHECK_FALSE(load_config(folder + "/big"));
  REQUIRE(::mkfifo((folder + "/fifo").c_str(), 0600) == 0);
  CHECK_FALSE(load_config(folder + "/fifo"));
  std::ofstream(folder + "/good") << kGood;
  CHECK(load_config(folder + "/good"));
  std::filesystem::remove_all(folder);
}
