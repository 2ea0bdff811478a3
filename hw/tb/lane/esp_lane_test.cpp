// The lane against the vector files and against OpenSSL: both directions, alone and interleaved, with pauses.
#include <doctest/doctest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "hw/tb/lane/lane_driver.h"

namespace tb = esplanade::tb;
using nlohmann::json;
using tb::LaneJob;
using tb::LaneResult;
using tb::Octets;

namespace {

enum Status : unsigned {
  kOk = 0,
  kBadLength = 4,
  kBusError = 6,
  kBadEspLength = 13,
  kBadIcv = 15,
  kBadPadding = 16,
  kBadNextHeader = 17,
  kDummy = 18,
  kUnsupported = 23,
  kBadInner = 26
};

Octets from_hex(const std::string& text) {
  Octets out;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2)
    out.push_back(static_cast<std::uint8_t>(std::stoul(text.substr(i, 2), nullptr, 16)));
  return out;
}

template <std::size_t N>
std::array<std::uint8_t, N> array_from_hex(const std::string& text) {
  const Octets octets = from_hex(text);
  std::array<std::uint8_t, N> out{};
  REQUIRE(octets.size() <= N);
  std::ranges::copy(octets, out.begin());
  return out;
}

json load_cases(const char* name) {
  std::ifstream in(std::string(ESPLANADE_VECTORS) + "/" + name);
  REQUIRE_MESSAGE(in.good(), "cannot open vector file ", name);
  return json::parse(in).at("cases");
}

/// Case done by this lane: 3DES or DES with HMAC-SHA1-96.
bool supported(const json& sa) {
  return (sa.at("enc") == "3DES-CBC" || sa.at("enc") == "DES-CBC") && sa.at("auth") == "HMAC-SHA1-96";
}

tb::EspKeys keys_of(const json& sa) {
  tb::EspKeys keys;
  keys.single_des = sa.at("enc") == "DES-CBC";
  keys.enc = array_from_hex<24>(sa.at("enc_key"));
  keys.auth = array_from_hex<20>(sa.at("auth_key"));
  return keys;
}

LaneJob encap_job(const json& c) {
  LaneJob job;
  job.keys = keys_of(c.at("sa"));
  job.source = from_hex(c.at("plain"));
  job.shape.spi = c.at("sa").at("spi");
  job.shape.seq = c.at("seq");
  job.shape.iv = array_from_hex<8>(c.at("iv"));
  const json& tunnel = c.at("tunnel");
  job.shape.src = array_from_hex<4>(tunnel.at("src"));
  job.shape.dst = array_from_hex<4>(tunnel.at("dst"));
  job.shape.ttl = tunnel.at("ttl");
  job.shape.ip_id = tunnel.at("id");
  if (c.contains("natt")) {
    job.shape.natt = true;
    job.shape.udp_src = c.at("natt").at("sport");
    job.shape.udp_dst = c.at("natt").at("dport");
  }
  return job;
}

LaneJob decap_job(const Octets& wire, const tb::EspKeys& keys) {
  LaneJob job;
  job.encap = false;
  job.keys = keys;
  job.source = wire;
  job.esp_off = static_cast<std::uint8_t>((wire[0] & 15) * 4 + (wire[9] == 17 ? 8 : 0));
  const std::size_t at = job.esp_off;
  if (wire.size() >= at + 8) {
    job.shape.spi = static_cast<std::uint32_t>(tb::load_be64(wire.data() + at) >> 32);
    job.shape.seq = static_cast<std::uint32_t>(tb::load_be64(wire.data() + at));
  }
  return job;
}

void run_vector_file(const char* name, int expected_cases) {
  std::vector<LaneJob> jobs;
  std::vector<Octets> expected;
  std::vector<std::string> ids;
  for (const json cases_of_file = load_cases(name); const json& c : cases_of_file) {
    if (!supported(c.at("sa"))) continue;
    const Octets plain = from_hex(c.at("plain")), wire = from_hex(c.at("wire"));
    jobs.push_back(encap_job(c));
    expected.push_back(wire);
    jobs.push_back(decap_job(wire, keys_of(c.at("sa"))));
    expected.push_back(plain);
    ids.push_back(c.at("id"));
  }
  CHECK(ids.size() == static_cast<std::size_t>(expected_cases));
  for (const tb::Pauses pauses : {tb::Pauses{}, tb::Pauses{30, 30, 30, 30}, tb::Pauses{0, 0, 90, 90}}) {
    tb::LaneDriver lane(7);
    const auto results = lane.run(jobs, pauses);
    for (std::size_t i = 0; i < jobs.size(); ++i) {
      INFO(ids[i / 2], i % 2 ? " decap" : " encap");
      REQUIRE(results[i].status == kOk);
      REQUIRE(results[i].tag == i);
      REQUIRE(results[i].packet == expected[i]);
      CHECK(results[i].next_header == (i % 2 ? 4u : 0u));
    }
  }
}

/// A random job with its right answer; for decap sometimes with TFC octets or long padding.
struct Case {
  LaneJob job;
  unsigned status = kOk;
  Octets packet;
};

Case random_case(tb::Random& random, std::size_t max_len) {
  Case c;
  LaneJob& job = c.job;
  random.fill(job.keys.enc);
  random.fill(job.keys.auth);
  job.keys.single_des = random.percent(20);
  tb::EspShape& s = job.shape;
  s.spi = static_cast<std::uint32_t>(random.bits());
  s.seq = static_cast<std::uint32_t>(random.bits());
  random.fill(s.iv);
  random.fill(s.src);
  random.fill(s.dst);
  s.ttl = static_cast<std::uint8_t>(random.bits());
  s.ip_id = static_cast<std::uint16_t>(random.bits());
  s.df_policy = static_cast<unsigned>(random.between(0, 2));
  s.dscp_set = random.percent(50);
  s.dscp = random.bits() & 0x3f;
  s.ecn_clear = random.percent(50);
  s.natt = random.percent(50);
  s.udp_src = static_cast<std::uint16_t>(random.bits());
  s.udp_dst = static_cast<std::uint16_t>(random.bits());
  Octets inner = tb::random_ipv4(random.between(20, max_len), random.bits());
  if (random.percent(20) && inner.size() >= 40) {  // an IPv6 packet
    inner[0] = static_cast<std::uint8_t>(0x60 | (inner[0] & 15));
    inner[4] = static_cast<std::uint8_t>((inner.size() - 40) >> 8);
    inner[5] = static_cast<std::uint8_t>(inner.size() - 40);
  }
  job.encap = random.percent(50);
  if (job.encap) {
    job.source = inner;
    c.packet = tb::encap(job.keys, s, inner);
    return c;
  }
  c.packet = inner;
  Octets plain = inner;
  if (random.percent(30)) {  // RFC 4303 s2.7: octets behind the inner packet
    const Octets tfc = random.octets(random.between(1, 100));
    plain.insert(plain.end(), tfc.begin(), tfc.end());
  }
  std::size_t pad = (8 - (plain.size() + 2) % 8) % 8;
  if (random.percent(30)) pad += 8 * random.between(0, (255 - pad) / 8);
  for (std::size_t i = 1; i <= pad; ++i) plain.push_back(static_cast<std::uint8_t>(i));
  plain.push_back(static_cast<std::uint8_t>(pad));
  plain.push_back(inner[0] >> 4 == 6 ? 41 : 4);
  job.source = tb::wrap(s, 0, false, tb::esp_from_plain(job.keys, s, plain));
  job.esp_off = s.natt ? 28 : 20;
  if (random.percent(20)) {  // IPv4 options before ESP
    const std::size_t options = 4 * random.between(1, 10);
    job.source.insert(job.source.begin() + 20, options, 1);
    job.esp_off = static_cast<std::uint8_t>(job.esp_off + options);
  }
  return c;
}

LaneJob good_decap(tb::Random& random, const Octets& plain) {
  LaneJob job;
  random.fill(job.keys.enc);
  random.fill(job.keys.auth);
  random.fill(job.shape.iv);
  job.encap = false;
  job.source = tb::wrap(job.shape, 0, false, tb::esp_from_plain(job.keys, job.shape, plain));
  return job;
}

}  // namespace

TEST_CASE("lane: vectors of tunnel mode IPv4 in IPv4") { run_vector_file("esp_tunnel_4in4.json", 174); }

TEST_CASE("lane: vectors of ESP in UDP") { run_vector_file("esp_natt_tunnel_4in4.json", 42); }

TEST_CASE("lane: vectors of tunnel mode IPv6 in IPv4") {
  std::vector<LaneJob> jobs;
  std::vector<Octets> expected;
  for (const json cases_of_file = load_cases("esp_tunnel_6in4.json"); const json& c : cases_of_file) {
    if (!supported(c.at("sa"))) continue;
    jobs.push_back(encap_job(c));
    expected.push_back(from_hex(c.at("wire")));
    jobs.push_back(decap_job(expected.back(), jobs.back().keys));
    expected.push_back(from_hex(c.at("plain")));
  }
  REQUIRE(!jobs.empty());
  tb::LaneDriver lane(8);
  const auto results = lane.run(jobs);
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    CAPTURE(i);
    REQUIRE(results[i].status == kOk);
    REQUIRE(results[i].packet == expected[i]);
  }
}

TEST_CASE("lane: negative vectors are refused for the right reason, good ones beside them pass") {
  // Cases that the lane cannot know about belong to the shell: unknown SPI, replay.
  const std::map<std::string, unsigned> status{{"good", kOk},
                                               {"icv_bit", kBadIcv},
                                               {"seq_bit", kBadIcv},
                                               {"ct_bit", kBadIcv},
                                               {"last_ct_bit", kBadIcv},
                                               {"iv_bit", kBadIcv},
                                               {"bad_pad_content", kBadPadding},
                                               {"padlen_too_big", kBadPadding},
                                               {"seq_zero", kOk},
                                               {"not_block_multiple", kBadEspLength},
                                               {"truncated", kBadEspLength},
                                               {"dummy_nh59", kDummy},
                                               {"long_pad_ok", kOk},
                                               {"spi", kBadIcv}};
  std::vector<LaneJob> jobs;
  std::vector<json> cases;
  for (const json cases_of_file = load_cases("esp_negative.json"); const json& c : cases_of_file) {
    if (!supported(c.at("sa"))) continue;
    jobs.push_back(decap_job(from_hex(c.at("wire")), keys_of(c.at("sa"))));
    cases.push_back(c);
  }
  REQUIRE(cases.size() == 28);
  tb::LaneDriver lane(9);
  const auto results = lane.run(jobs);
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const std::string id = cases[i].at("id");
    INFO(id);
    const std::string name = id.substr(id.rfind('/') + 1);
    REQUIRE(status.contains(name));
    CHECK(results[i].status == status.at(name));
    if (cases[i].at("expect") == "accept") CHECK(results[i].packet == from_hex(cases[i].at("plain")));
    if (results[i].status != kOk) CHECK(results[i].out_len == 0);
  }
}

TEST_CASE("lane: random packets, many in flight, equal OpenSSL under all pauses") {
  const std::array<tb::Pauses, 5> pauses{
      {{}, {50, 0, 0, 0}, {0, 60, 0, 0}, {0, 0, 70, 70}, {40, 40, 40, 40}}};
  for (std::size_t round = 0; round < 10; ++round) {
    tb::Random random(100 + round);
    std::vector<LaneJob> jobs;
    std::vector<Case> cases;
    for (int i = 0; i < 150; ++i) {
      cases.push_back(random_case(random, round % 2 ? 200 : 1500));
      if (random.percent(10)) cases.back().job.discard = true;
      jobs.push_back(cases.back().job);
    }
    tb::LaneDriver lane(round);
    const auto results = lane.run(jobs, pauses[round % pauses.size()]);
    for (std::size_t i = 0; i < cases.size(); ++i) {
      CAPTURE(round);
      CAPTURE(i);
      CAPTURE(cases[i].job.encap);
      CAPTURE(cases[i].job.source.size());
      REQUIRE(results[i].tag == i);
      REQUIRE(results[i].status == kOk);
      REQUIRE(results[i].out_len == cases[i].packet.size());
      if (!cases[i].job.discard) REQUIRE(results[i].packet == cases[i].packet);
    }
  }
}

TEST_CASE("lane: every inner length at the edges of block, beat and buffer") {
  tb::Random random(2);
  std::vector<LaneJob> jobs;
  std::vector<Octets> expected;
  for (std::size_t len = 20; len <= 2048; len += (len < 160 || len > 1960) ? 1 : 61) {
    LaneJob job;
    random.fill(job.keys.enc);
    random.fill(job.keys.auth);
    random.fill(job.shape.iv);
    job.source = tb::random_ipv4(len, random.bits());
    const Octets wire = tb::encap(job.keys, job.shape, job.source);
    jobs.push_back(job);
    expected.push_back(wire.size() <= 2048 ? wire : Octets{});
    LaneJob back = job;
    back.encap = false;
    back.source = wire;
    jobs.push_back(back);
    expected.push_back(wire.size() <= 2048 ? job.source : Octets{});
  }
  tb::LaneDriver lane(3);
  const auto results = lane.run(jobs);
  int refused = 0;
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    CAPTURE(jobs[i].source.size());
    CAPTURE(jobs[i].encap);
    REQUIRE(results[i].status == (expected[i].empty() ? kBadLength : kOk));
    REQUIRE(results[i].packet == expected[i]);
    if (expected[i].empty()) ++refused;
  }
  CHECK(refused > 50);
}

TEST_CASE("lane: ESP lengths from nothing to the smallest packet are refused or accepted exactly") {
  tb::Random random(4);
  const LaneJob good = good_decap(random, tb::padded(tb::random_ipv4(20, 1)));
  std::vector<LaneJob> jobs;
  for (std::size_t len = 20; len <= good.source.size(); ++len) {
    jobs.push_back(good);
    jobs.back().source.resize(len);
  }
  tb::LaneDriver lane(4);
  const auto results = lane.run(jobs);
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    const std::size_t esp_len = jobs[i].source.size() - 20;
    CAPTURE(esp_len);
    const bool fits = esp_len >= 8 + 8 + 8 + 12 && (esp_len - 28) % 8 == 0;
    CHECK(results[i].status == (!fits ? kBadEspLength : esp_len + 20 == good.source.size() ? kOk : kBadIcv));
  }
}

TEST_CASE("lane: one flipped bit anywhere in ESP is refused") {
  tb::Random random(5);
  const LaneJob good = good_decap(random, tb::padded(tb::random_ipv4(60, 2)));
  std::vector<LaneJob> jobs;
  for (std::size_t bit = 20 * 8; bit < good.source.size() * 8; ++bit) {
    LaneJob job = good;
    job.source[bit / 8] ^= static_cast<std::uint8_t>(1u << (bit % 8));
    if (bit < 28 * 8) {  // SPI and sequence number: the lane authenticates what the shell looked up
      job.shape.spi = static_cast<std::uint32_t>(tb::load_be64(job.source.data() + 20) >> 32);
      job.shape.seq = static_cast<std::uint32_t>(tb::load_be64(job.source.data() + 20));
    }
    jobs.push_back(job);
  }
  jobs.push_back(good);
  tb::LaneDriver lane(5);
  const auto results = lane.run(jobs);
  for (std::size_t i = 0; i + 1 < jobs.size(); ++i) REQUIRE(results[i].status == kBadIcv);
  CHECK(results.back().status == kOk);
}

TEST_CASE("lane: all pad lengths; one wrong pad octet is refused") {
  tb::Random random(6);
  std::vector<LaneJob> jobs;
  std::vector<unsigned> expected;
  for (std::size_t pad = 0; pad < 256; ++pad) {
    const std::size_t len = 20 + (8 - (20 + pad + 2) % 8) % 8;
    Octets plain = tb::random_ipv4(len, pad);
    for (std::size_t i = 1; i <= pad; ++i) plain.push_back(static_cast<std::uint8_t>(i));
    plain.push_back(static_cast<std::uint8_t>(pad));
    plain.push_back(4);
    jobs.push_back(good_decap(random, plain));
    expected.push_back(kOk);
    if (pad > 0) {
      Octets wrong = plain;
      wrong[len + random.between(0, pad - 1)] ^= static_cast<std::uint8_t>(random.between(1, 255));
      jobs.push_back(good_decap(random, wrong));
      expected.push_back(kBadPadding);
    }
    Octets greedy = plain;  // pad length one more than there is: the octet before is not 0
    greedy[greedy.size() - 2] = static_cast<std::uint8_t>(pad + 1);
    if (pad < 255) {
      jobs.push_back(good_decap(random, greedy));
      expected.push_back(kBadPadding);
    }
  }
  tb::LaneDriver lane(6);
  const auto results = lane.run(jobs);
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    CAPTURE(i);
    REQUIRE(results[i].status == expected[i]);
  }
}

TEST_CASE("lane: what is inside must be what the trailer and the SA say") {
  tb::Random random(7);
  const Octets inner = tb::random_ipv4(60, 3);  // padded with 2 octets
  std::vector<LaneJob> jobs;
  std::vector<unsigned> expected;
  const auto add = [&](const Octets& plain, unsigned status) {
    jobs.push_back(good_decap(random, plain));
    expected.push_back(status);
  };
  const auto changed = [&](std::size_t at, unsigned value) {
    Octets plain = tb::padded(inner);
    plain[at] = static_cast<std::uint8_t>(value);
    return plain;
  };
  const std::size_t next_header = tb::padded(inner).size() - 1;
  add(tb::padded(inner), kOk);
  for (unsigned nh = 0; nh < 256; ++nh)
    add(changed(next_header, nh), nh == 4 ? kOk : nh == 59 ? kDummy : nh == 41 ? kBadInner : kBadNextHeader);
  for (unsigned v = 0; v < 16; ++v) add(changed(0, v << 4 | 5), v == 4 ? kOk : kBadInner);
  for (unsigned ihl = 0; ihl < 16; ++ihl) add(changed(0, 0x40 | ihl), ihl >= 5 ? kOk : kBadInner);
  for (unsigned len = 0; len < 256; ++len) add(changed(3, len), len >= 20 && len <= 60 ? kOk : kBadInner);
  add(changed(2, 1), kBadInner);
  jobs.push_back(jobs.front());
  jobs.back().inner_v4 = false;
  expected.push_back(kBadInner);
  // Pad length past the payload; a packet of padding only.
  add(Octets{1, 2, 3, 4, 5, 6, 6, 4}, kBadInner);
  add(Octets{1, 2, 3, 4, 5, 6, 7, 4}, kBadPadding);
  add(Octets{1, 2, 3, 4, 5, 6, 6, 59}, kDummy);
  tb::LaneDriver lane(7);
  const auto results = lane.run(jobs);
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    CAPTURE(i);
    REQUIRE(results[i].status == expected[i]);
    if (results[i].status == kOk) CHECK(results[i].out_len >= 20);
  }
  CHECK(results.front().packet == inner);
}

TEST_CASE("lane: unsupported algorithms and bus errors end the job and nothing else") {
  tb::Random random(8);
  std::vector<LaneJob> jobs;
  std::vector<Case> cases;
  for (int i = 0; i < 60; ++i) {
    Case c = random_case(random, 300);
    if (i % 5 == 1) {
      c.job.err_beat = static_cast<int>(random.between(0, (c.job.source.size() + 63) / 64 - 1));
      c.status = kBusError;
    } else if (i % 5 == 3) {
      c.job.keys.single_des = false;
      (random.percent(50) ? c.job.cipher : c.job.auth) = random.percent(50) ? 0 : 15;
      c.status = kUnsupported;
    }
    jobs.push_back(c.job);
    cases.push_back(c);
  }
  tb::LaneDriver lane(8);
  const auto results = lane.run(jobs, {20, 20, 20, 20});
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    CAPTURE(i);
    REQUIRE(results[i].status == cases[i].status);
    if (cases[i].status == kOk) REQUIRE(results[i].packet == cases[i].packet);
    if (cases[i].status != kOk) CHECK(results[i].cycle_ciphered == 0);
  }
}

TEST_CASE("lane: a flush at any moment leaves it idle and whole") {
  tb::Random random(9);
  tb::LaneDriver lane(9);
  for (int round = 0; round < 60; ++round) {
    std::vector<LaneJob> jobs;
    std::vector<Case> cases;
    for (int i = 0; i < 6; ++i) {
      cases.push_back(random_case(random, 200));
      jobs.push_back(cases.back().job);
    }
    lane.run_and_flush(jobs, random.between(1, 900));
    REQUIRE(!lane.busy());
    const auto results = lane.run(jobs);
    for (std::size_t i = 0; i < jobs.size(); ++i) {
      REQUIRE(results[i].status == kOk);
      REQUIRE(results[i].packet == cases[i].packet);
    }
  }
}
