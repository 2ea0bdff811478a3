// The lane's back against a plain model of results: random packets of every kind, the vectors' wire packets
// rebuilt, errors, segments, rates.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "common/esp/ip.h"
#include "hw/tb/back/back_driver.h"

namespace tb = esplanade::tb;
namespace esp = esplanade::esp;
using esplanade::Byte;
using esplanade::Bytes;
using esplanade::load_be16;
using esplanade::store_be16;
using tb::BackJob;
using tb::BackPauses;

namespace {
constexpr unsigned kDstTooSmall = 5, kReplay = 14, kBadIcv = 15, kBadPadding = 16, kExpired = 20,
                   kBadInner = 26;

/// Ones' complement sum of the IPv4 header at the front, with what lane_back fills in taken as 0.
unsigned header_sum(const Bytes& h, std::size_t ip_len, bool without_protocol) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < ip_len; i += 2) {
    if (i == 2 || i == 10) continue;
    std::uint32_t v = load_be16(&h[i]);
    if (i == 8 && without_protocol) v &= 0xff00;
    sum += v;
  }
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return sum;
}

/// An IP header with options or extension headers; returns its length. Lengths and checksum are rubbish.
std::size_t random_ip(tb::Random& r, Bytes& out, bool v6, std::size_t most) {
  const std::size_t len = v6 ? 40 + 8 * r.between(0, (most - 40) / 8)
                             : 20 + 4 * r.between(0, (std::min<std::size_t>(most, 60) - 20) / 4);
  out = r.octets(len);
  out[0] = static_cast<Byte>(v6 ? 0x60 | (out[0] & 15) : 0x40 | len / 4);
  return len;
}

/// What the result has to be, from the job alone.
Bytes model(const BackJob& j, std::size_t count) {
  Bytes out = j.header;
  if (j.encap && !j.esp) std::copy(j.icv.begin(), j.icv.end(), out.end() - 12);
  out.insert(out.end(), j.stream.begin() + j.skip, j.stream.begin() + static_cast<long>(j.skip + count));
  if (j.encap && j.esp && j.icv_len != 0) out.insert(out.end(), j.icv.begin(), j.icv.end());
  if (!j.header.empty()) {
    const unsigned nh = j.esp ? j.done_next_header : j.next_header;
    if (j.patch_nh) out[j.nh_at] = static_cast<Byte>(nh);
    if (j.natt) store_be16(&out[j.ip_len + 4], static_cast<std::uint16_t>(out.size() - j.ip_len));
    if (j.v6) {
      store_be16(&out[4], static_cast<std::uint16_t>(out.size() - 40));
    } else {
      store_be16(&out[2], static_cast<std::uint16_t>(out.size()));
      store_be16(&out[10], esp::ipv4_checksum(esplanade::ByteView(out).first(j.ip_len)));
    }
  } else if (j.ce) {
    const Bytes outer{0x45, 3};
    esp::copy_ecn_inward(outer, out);
  }
  return out;
}

/// Says what follows from status, answer and room; `count` octets come from the stream.
void finish(BackJob& j, std::size_t count) {
  const Bytes full = model(j, count);
  if (j.encap || !j.esp) j.out_len = static_cast<unsigned>(full.size());
  if (!j.encap && j.esp) j.done_len = static_cast<unsigned>(count);
  j.up_status = j.status == 0 ? j.ah_status : j.status;
  j.up_auth = !j.encap && j.icv_ok;
  if (!j.encap && j.up_status == 0 && full.size() > j.dst_size) {
    j.up_status = kDstTooSmall;
    j.up_auth = false;
  }
  j.up_ok = !j.encap && j.up_status == 0;
  j.final_status = j.up_status == 0 ? j.answer : j.up_status;
  j.found_next_header = !j.encap && j.icv_ok ? (j.esp ? j.done_next_header : j.next_header) : 0;
  if (j.final_status == 0) j.result = full;
}

/// Cuts a result of `len` octets over segments: lengths a multiple of 64 but the last, some more than needed.
void cut(tb::Random& r, BackJob& j, std::size_t len) {
  const std::size_t n = r.between(1, 8);
  std::size_t sum = 0;
  for (std::size_t i = 0; i + 1 < n; ++i) {
    const std::size_t s = r.percent(10) ? 0 : 64 * r.between(1, std::max<std::size_t>(1, len / 64 / n * 2));
    j.segments.push_back(static_cast<unsigned>(s));
    sum += s;
  }
  j.segments.push_back(static_cast<unsigned>(
      sum >= len ? r.between(1, 200) : len - sum + (r.percent(50) ? 0 : r.between(0, 100))));
  sum += j.segments.back();
  j.dst_size = static_cast<unsigned>(std::min<std::size_t>(sum, 65535));
}

std::size_t random_count(tb::Random& r) {
  switch (r.between(0, 9)) {
    case 0:
      return r.between(200, 2000);
    case 1:
      return r.percent(20) ? r.between(2000, 9000) : r.between(0, 64);
    case 2:
      return r.between(0, 3);
    default:
      return r.between(0, 200);
  }
}

BackJob random_job(tb::Random& r) {
  BackJob j;
  j.epoch = r.percent(50);
  j.index = static_cast<unsigned>(r.bits());
  j.spi = static_cast<unsigned>(r.bits());
  j.seq = r.bits();
  j.src_len = static_cast<unsigned>(r.between(20, 9000));
  r.fill(j.icv);
  j.encap = r.percent(50);
  j.op = j.encap ? 1 : 2;
  j.esp = r.percent(65);
  j.tunnel = r.percent(60);
  j.next_header = static_cast<unsigned>(r.between(0, 255));
  j.done_next_header = static_cast<unsigned>(r.between(0, 255));
  j.v6 = r.percent(50);
  std::size_t count = random_count(r);
  const bool keeps_headers = j.encap || !j.tunnel;
  if (keeps_headers) j.ip_len = static_cast<unsigned>(random_ip(r, j.header, j.v6, j.encap ? 96 : 128));
  if (j.esp) {
    j.skip = r.percent(70) ? 16 : 8;
    j.icv_len = r.percent(80) ? 12 : 0;
    if (j.encap) {
      count = (count + 7) / 8 * 8 + (r.percent(50) ? 4 : 0) + 4;
      j.natt = r.percent(30);
      const Bytes tail = r.octets((j.natt ? 8 : 0) + j.skip);
      j.header.insert(j.header.end(), tail.begin(), tail.end());
    }
  } else {
    j.icv_len = 12;
    const std::size_t ah = j.v6 ? 24 : 24 - 0;
    if (j.encap) {
      const Bytes tail = r.octets(ah);
      j.header.insert(j.header.end(), tail.begin(), tail.end());
      j.skip = static_cast<unsigned>(j.header.size());
    } else {
      j.skip = static_cast<unsigned>(j.header.empty() ? 44 + 4 * r.between(0, 20) : j.ip_len + ah);
    }
  }
  if (!j.encap) {
    j.icv_ok = true;
    if (j.tunnel) {
      count = std::max<std::size_t>(count, 40);
      j.ce = r.percent(50);
    } else {
      j.patch_nh = true;
      j.nh_at =
          j.v6 ? (j.ip_len == 40 ? 6 : static_cast<unsigned>(40 + 8 * r.between(0, (j.ip_len - 48) / 8))) : 9;
    }
  }
  if (!j.header.empty() && !j.v6) j.hsum = header_sum(j.header, j.ip_len, j.patch_nh);
  j.stream = r.octets(j.skip + count + (!j.encap && j.esp ? r.between(2, 9) : 0));
  if (!j.encap && j.tunnel) {
    Byte* inner = &j.stream[j.skip];
    if (r.percent(50)) {
      inner[0] = 0x45;
      if (r.percent(20)) store_be16(inner + 6, 0);
      store_be16(inner + 10, esp::ipv4_checksum(esplanade::ByteView(inner, 20)));
    } else {
      inner[0] = static_cast<Byte>(0x60 | (inner[0] & 15));
    }
  }
  switch (r.between(0, 11)) {  // some that fail
    case 0:
      if (!j.encap) j.answer = r.percent(70) ? kReplay : kExpired;
      break;
    case 1:
      if (!j.encap) {
        j.status = r.percent(50) ? kBadIcv : kBadPadding;
        j.icv_ok = j.status == kBadPadding;
      }
      break;
    case 2:
      if (!j.encap && !j.esp) j.ah_status = kBadInner;
      break;
    case 3:  // found, but not run: no number left
      j.status = j.encap ? 19 : kReplay;
      j.icv_ok = false;
      break;
    case 4:  // nothing found
      j.status = 7;
      j.found = j.icv_ok = false;
      j.index = 0xffffffff;
      break;
    case 5:
      j.bus_error = true;
      break;
    case 6: {  // no operation
      BackJob nop;
      nop.op = 0;
      nop.found = nop.encap = nop.esp = nop.tunnel = false;
      nop.src_len = 0;
      return nop;
    }
    default:
      break;
  }
  const std::size_t len = model(j, count).size();
  if (r.percent(25))
    cut(r, j, len);
  else if (!j.encap && r.percent(20))
    j.dst_size = static_cast<unsigned>(len - r.between(0, 1));
  finish(j, count);
  return j;
}

BackJob plain(tb::Random& r, bool encap, std::size_t octets, bool v6 = false) {
  BackJob j;
  j.encap = encap;
  j.op = encap ? 1 : 2;
  j.v6 = v6;
  j.skip = 16;
  j.icv_len = 12;
  r.fill(j.icv);
  std::size_t count = octets;
  if (encap) {
    count = (octets + 2 + 7) / 8 * 8;
    j.header = r.octets((v6 ? 40 : 20) + 16);
    j.header[0] = v6 ? 0x60 : 0x45;
    j.ip_len = v6 ? 40 : 20;
    if (!v6) j.hsum = header_sum(j.header, 20, false);
  } else {
    j.icv_ok = true;
  }
  j.stream = r.octets(16 + count + (encap ? 0 : 8));
  finish(j, count);
  return j;
}

nlohmann::json vectors(const std::string& name) {
  std::ifstream in(std::string(ESPLANADE_VECTORS) + "/" + name + ".json");
  REQUIRE_MESSAGE(in, name);
  return nlohmann::json::parse(in).at("cases");
}
Bytes hex(const nlohmann::json& c, const char* key) {
  auto out = esplanade::from_hex(c.at(key).get<std::string>());
  REQUIRE(out);
  return out.value();
}

/// The vector's packet as lane_front and crypto_lane leave it. What lane_back fills in is rubbish here.
BackJob from_vector(const nlohmann::json& c, bool encap) {
  BackJob j;
  const Bytes wire = hex(c, "wire"), plain_packet = hex(c, "plain"), icv = hex(c, "icv");
  const auto ip = esp::parse_ip(wire).value();
  const bool udp = ip.protocol == esp::kProtoUdp;
  const std::size_t at = ip.upper_at + (udp ? 8 : 0);
  j.encap = encap;
  j.op = encap ? 1 : 2;
  j.esp = ip.protocol != esp::kProtoAh;
  j.tunnel = c.at("mode") == "tunnel";
  j.v6 = ip.version == 6;
  j.ip_len = static_cast<unsigned>(ip.upper_at);
  j.icv_len = static_cast<unsigned>(icv.size());
  std::copy(icv.begin(), icv.end(), j.icv.begin());
  j.icv_ok = !encap;
  const auto head = [&](std::size_t n) {
    j.header.assign(wire.begin(), wire.begin() + static_cast<long>(n));
  };
  if (j.esp) {
    const Bytes iv = hex(c, "iv"), text = hex(c, "padded_plaintext"), ciphered = hex(c, "ciphertext");
    j.skip = static_cast<unsigned>(8 + iv.size());
    j.stream.assign(wire.begin() + static_cast<long>(at), wire.begin() + static_cast<long>(at) + 8);
    esplanade::put(j.stream, iv);
    esplanade::put(j.stream, encap ? ciphered : text);
    j.natt = udp && encap;
    if (encap) head(at + j.skip);
    j.done_next_header = text.back();
    j.done_len = static_cast<unsigned>(text.size() - 2 - text[text.size() - 2]);
  } else {
    const std::size_t end = at + (wire[at + 1] + 2u) * 4;
    j.stream = hex(c, "icv_input");
    j.stream.resize(wire.size());
    j.skip = static_cast<unsigned>(end);
    if (encap) {
      head(end);
      std::fill(j.header.end() - 12, j.header.end(), Byte{0});
    }
    j.next_header = wire[at];
  }
  if (!encap && !j.tunnel) {
    head(ip.upper_at);
    j.patch_nh = true;
    j.nh_at = static_cast<unsigned>(ip.protocol_at);
  }
  j.result = encap ? wire : plain_packet;
  if (encap || !j.esp) j.out_len = static_cast<unsigned>(j.result.size());
  j.up_auth = j.up_ok = !encap;
  j.found_next_header = encap ? 0 : j.esp ? j.done_next_header : j.next_header;
  if (!j.header.empty()) {
    if (!j.v6) j.hsum = header_sum(j.header, j.ip_len, j.patch_nh);
    store_be16(&j.header[j.v6 ? 4 : 2], 0xa5a5);
    if (!j.v6) store_be16(&j.header[10], 0x5aa5);
    if (j.natt) store_be16(&j.header[j.ip_len + 4], 0x1234);
  }
  return j;
}

const BackPauses kStalls{.done = 30,
                         .rd = 40,
                         .up = 40,
                         .aw = 50,
                         .w = 50,
                         .b = 50,
                         .answer_min = 1,
                         .answer_max = 20,
                         .read_latency = 5,
                         .b_latency = 9};

/// Cycles a packet over the middle of many, by the last beat written.
double period(std::vector<BackJob>& jobs) {
  const std::size_t n = jobs.size();
  return static_cast<double>(jobs[3 * n / 4].last_beat_at - jobs[n / 4].last_beat_at) /
         static_cast<double>(n / 2);
}

}  // namespace

TEST_CASE("back: random packets of every kind come out as the plain model says, with and without pauses") {
  tb::Random r(1);
  std::size_t written = 0;
  for (int round = 0; round < 6; ++round) {
    std::vector<BackJob> jobs(500);
    for (auto& j : jobs) j = random_job(r);
    BackPauses pauses = kStalls;
    if (round == 0) pauses = {};
    if (round == 1) pauses = {.w = 85, .answer_min = 20, .answer_max = 20, .read_latency = 9};
    if (round == 2)
      pauses = {.rd = 90, .answer_min = 1, .answer_max = 1, .read_latency = 1, .b_latency = 200};
    CAPTURE(round);
    tb::BackDriver back(static_cast<std::uint64_t>(100 + round));
    REQUIRE_NOTHROW(back.run(jobs, pauses));
    for (const auto& j : jobs) written += j.result.empty() ? 0 : 1;
  }
  CHECK(written > 1000);
}

TEST_CASE("back: every length of header and stream up to three rows joins without a seam") {
  tb::Random r(2);
  std::vector<BackJob> jobs;
  for (unsigned header = 0; header <= 128; header += 4) {
    if (header != 0 && header < 20) continue;
    for (std::size_t count = header == 0 ? 20 : 0; count <= 70; count += header % 16 == 4 ? 1 : 7) {
      BackJob j;
      j.encap = false;
      j.op = 2;
      j.tunnel = header == 0;
      j.icv_ok = true;
      j.v6 = header >= 40;
      j.header = r.octets(header);
      j.ip_len = header;
      j.skip = r.percent(50) ? 8 : 16;
      if (header > 60 || j.v6) j.ip_len = 40;
      if (header != 0) j.header[0] = static_cast<Byte>(j.v6 ? 0x60 : 0x40 | header / 4);
      if (header != 0 && !j.v6) j.hsum = header_sum(j.header, header, false);
      j.stream = r.octets(j.skip + count);
      finish(j, count);
      jobs.push_back(j);
    }
  }
  tb::BackDriver back(2);
  REQUIRE_NOTHROW(back.run(jobs, kStalls));
}

TEST_CASE("back: the vectors' wire and plain packets are rebuilt octet for octet") {
  std::size_t cases = 0;
  for (const char* name :
       {"esp_tunnel_4in4", "esp_tunnel_4in6", "esp_tunnel_6in4", "esp_tunnel_6in6", "esp_transport_v4",
        "esp_transport_v6", "esp_natt_tunnel_4in4", "esp_natt_transport_v4", "esp_esn", "esp_options",
        "ah_tunnel_4in4", "ah_tunnel_4in6", "ah_tunnel_6in4", "ah_tunnel_6in6", "ah_transport_v4",
        "ah_transport_v6", "ah_options"}) {
    CAPTURE(name);
    std::vector<BackJob> jobs;
    for (const auto& c : vectors(name)) {
      jobs.push_back(from_vector(c, true));
      jobs.push_back(from_vector(c, false));
    }
    tb::BackDriver back(3);
    REQUIRE_NOTHROW(back.run(jobs));
    cases += jobs.size();
  }
  CHECK(cases > 5000);
}

TEST_CASE("back: CE of the outer header reaches every ECN-capable inner header, with a right checksum") {
  tb::Random r(4);
  std::vector<BackJob> jobs;
  for (unsigned tos = 0; tos < 256; ++tos) {
    for (int kind = 0; kind < 6; ++kind) {  // 0 to 3: IPv4, checksums 0 to 2 and any; 4, 5: IPv6
      BackJob j = plain(r, false, 60);
      Byte* inner = &j.stream[16];
      inner[0] = kind < 4 ? 0x45 : static_cast<Byte>(0x60 | tos >> 4);
      inner[1] = static_cast<Byte>(kind < 4 ? tos : tos << 4 | (inner[1] & 15));
      if (kind < 4) {
        store_be16(inner + 10, 0);
        if (kind < 3) {  // the identification makes the checksum `kind`
          store_be16(inner + 4, 0);
          std::uint32_t id =
              esp::ipv4_checksum(esplanade::ByteView(inner, 20)) + 0xffffu - static_cast<unsigned>(kind);
          store_be16(inner + 4, static_cast<std::uint16_t>((id & 0xffff) + (id >> 16)));
        }
        store_be16(inner + 10, esp::ipv4_checksum(esplanade::ByteView(inner, 20)));
        if (kind < 3) REQUIRE(load_be16(inner + 10) == kind);
      }
      j.ce = tos % 5 != 0;
      finish(j, 60);
      jobs.push_back(j);
    }
  }
  tb::BackDriver back(4);
  REQUIRE_NOTHROW(back.run(jobs));
}

TEST_CASE("back: long packets cross pages and segments whole") {
  tb::Random r(5);
  std::vector<BackJob> jobs;
  for (int i = 0; i < 40; ++i) {
    BackJob j = plain(r, i % 2 == 0, r.between(4000, 9100), i % 3 == 0);
    if (i % 4 >= 2) cut(r, j, j.result.size());
    jobs.push_back(j);
  }
  tb::BackDriver back(5);
  REQUIRE_NOTHROW(back.run(jobs, {.aw = 20, .w = 20}));
  CHECK(back.bursts() > 120);
}

TEST_CASE("back: packets of 64 octets pass in 9 cycles, long ones at 32 octets a cycle") {
  tb::Random r(6);
  struct Kind {
    bool encap, v6;
    std::size_t octets;
    double most;
  };
  for (const Kind k :
       {Kind{true, false, 64, 9}, Kind{true, true, 64, 9}, Kind{false, false, 64, 9},
        Kind{true, false, 1420, 49}, Kind{false, false, 1420, 47}, Kind{true, false, 9000, 287}}) {
    for (const unsigned answer : {2u, 20u}) {
      std::vector<BackJob> jobs(k.octets > 2000 ? 40 : 400);
      for (auto& j : jobs) j = plain(r, k.encap, k.octets, k.v6);
      tb::BackDriver back(6);
      REQUIRE_NOTHROW(back.run(jobs, {.answer_min = answer, .answer_max = answer, .b_latency = 60}));
      const double cycles = period(jobs);
      std::printf("%s %s %5zu octets, answer after %2u: %6.2f cycles a packet\n", k.encap ? "encap" : "decap",
                  k.v6 ? "v6" : "v4", k.octets, answer, cycles);
      CHECK(cycles <= k.most);
    }
  }
}

TEST_CASE("back: a lone packet of 64 octets is written within 30 cycles of done") {
  tb::Random r(7);
  for (const bool encap : {true, false}) {
    std::vector<BackJob> jobs{plain(r, encap, 64)};
    tb::BackDriver back(7);
    REQUIRE_NOTHROW(back.run(jobs, {.answer_min = 8, .answer_max = 8, .read_latency = 4}));
    const auto cycles = jobs[0].last_beat_at - jobs[0].done_at;
    std::printf("%s: %llu cycles with an answer after 8 and rows after 4\n", encap ? "encap" : "decap",
                static_cast<unsigned long long>(cycles));
    CHECK(cycles <= 30);
  }
}
