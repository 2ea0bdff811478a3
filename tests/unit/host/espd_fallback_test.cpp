// When traffic may go in clear, and when not.
#include <doctest/doctest.h>

#include "common/base/log.h"
#include "host/espd/config.h"
#include "host/espd/fallback.h"

using namespace esplanade;
using namespace esplanade::espd;
using namespace std::chrono_literals;
using Verdict = Fallback::Verdict;

namespace {

constexpr std::uint32_t kReqid = 7;
Policy policy(bool clear) {
  log_setup("test", LogLevel::kError);
  Policy p;
  p.name = "test";
  p.reqid = kReqid;
  p.fallback_clear = clear;
  return p;
}
const Fallback::Time kStart{1000s};

}  // namespace

TEST_CASE("[R81] a silent peer: what waits goes in clear, and what follows, under a soft SA") {
  Fallback f;
  CHECK(f.packet(kReqid, kStart) == Verdict::kHold);  // nobody has said anything yet
  CHECK(f.failed(policy(true), true, kStart + 3s));
  CHECK(f.num_soft() == 1);
  CHECK(f.packet(kReqid, kStart + 4s) == Verdict::kClear);
  CHECK(f.packet(8, kStart + 4s) == Verdict::kHold);  // another policy
}

TEST_CASE("[R82] without leave of the policy nothing goes in clear, whatever the IKE daemon says") {
  Fallback f;
  for (bool silent : {true, false}) {
    CHECK_FALSE(f.failed(policy(false), silent, kStart));
    CHECK(f.packet(kReqid, kStart + 1s) == Verdict::kHold);
  }
}

TEST_CASE("[R83] a peer that answers ends it: no clear traffic when negotiation or authentication fails") {
  Fallback f;
  CHECK_FALSE(f.failed(policy(true), false, kStart));
  CHECK(f.packet(kReqid, kStart + 1s) == Verdict::kHold);
  CHECK(f.failed(policy(true), true, kStart + 2s));
  CHECK(f.packet(kReqid, kStart + 3s) == Verdict::kClear);
  CHECK_FALSE(f.failed(policy(true), false, kStart + 4s));
  CHECK(f.packet(kReqid, kStart + 5s) == Verdict::kHold);
}

TEST_CASE("[R84] while traffic goes on, an SA is asked for every five minutes; then the traffic moves to it") {
  Fallback f;
  REQUIRE(f.failed(policy(true), true, kStart));
  std::vector<int> attempts;
  for (int t = 1; t <= 1600; ++t) {
    const Verdict v = f.packet(kReqid, kStart + std::chrono::seconds(t));
    CHECK(v != Verdict::kHold);
    if (v != Verdict::kClearAndAsk) continue;
    attempts.push_back(t);
    CHECK(f.failed(policy(true), true, kStart + std::chrono::seconds(t) + 500ms));  // as silent as before
  }
  CHECK(attempts == std::vector<int>{300, 600, 900, 1200, 1500});
  f.protect(kReqid);
  CHECK(f.num_soft() == 0);
  CHECK(f.packet(kReqid, kStart + 1601s) == Verdict::kHold);
}

TEST_CASE("[R82] a flow that was ever protected never goes in clear again") {
  Fallback f;
  f.protect(kReqid);
  CHECK_FALSE(f.failed(policy(true), true, kStart));
  CHECK(f.packet(kReqid, kStart + 1s) == Verdict::kHold);
}

TEST_CASE("without traffic for five minutes the soft SA is over: the next packet waits and is negotiated for afresh") {
  Fallback f;
  REQUIRE(f.failed(policy(true), true, kStart));
  CHECK(f.packet(kReqid, kStart + 299s) == Verdict::kClear);
  CHECK(f.packet(kReqid, kStart + 599s) == Verdict::kHold);
  CHECK(f.num_soft() == 0);
}

TEST_CASE("until its first SA, traffic of a policy that falls back may come in clear; never of another") {
  Fallback f;
  CHECK(f.open(policy(true)));
  CHECK_FALSE(f.open(policy(false)));
  f.protect(kReqid);
  CHECK_FALSE(f.open(policy(true)));
}

TEST_CASE("fallback is set by the policy, \"none\" by default") {
  auto parse = [](const std::string& line) {
    return parse_config("[[policy]]\nname = \"a\"\nreqid = 7\nlocal_ts = \"10.2.0.0/24\"\nremote_ts = \"10.1.0.0/24\"\nlocal = \"192.0.2.2\"\npeer = \"192.0.2.1\"\n" + line,
                        "f.toml");
  };
  CHECK_FALSE(parse("")->policies[0].fallback_clear);
  CHECK_FALSE(parse("fallback = \"none\"\n")->policies[0].fallback_clear);
  CHECK(parse("fallback = \"clear\"\n")->policies[0].fallback_clear);
  CHECK_FALSE(parse("fallback = true\n"));
}
