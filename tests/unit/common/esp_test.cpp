// Properties of the reference engine; the published cases run through vector-check.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <random>
#include <set>

#include "common/esp/engine.h"
#include "common/esp/ip.h"
#include "common/esp/natt.h"
#include "common/testing/seed.h"

using namespace esplanade;
using namespace esplanade::esp;

namespace {
SaParams params(bool outbound, Cipher cipher = Cipher::kTripleDesCbc, Auth auth = Auth::kHmacSha1_96) {
  SaParams sa;
  sa.outbound = outbound;
  sa.spi = 0x12345678;
  sa.cipher = cipher;
  sa.auth = auth;
  Bytes key(key_len(cipher));
  for (std::size_t i = 0; i < key.size(); ++i) key[i] = static_cast<Byte>(17 * i + 3);
  sa.enc_key = Secret(std::move(key));
  sa.auth_key = Secret(Bytes(key_len(auth), 0x5a));
  sa.src = parse_address("192.0.2.1").value();
  sa.dst = parse_address("192.0.2.2").value();
  return sa;
}

Bytes ipv4_packet(std::size_t size, std::mt19937_64& rng) {
  Bytes p(size);
  std::ranges::generate(p, [&rng] { return static_cast<Byte>(rng()); });
  p[0] = 0x45;
  p[9] = kProtoUdp;  // not 59: in transport mode that is a dummy packet
  store_be16(&p[2], static_cast<std::uint16_t>(size));
  store_be16(&p[6], 0);
  store_be16(&p[10], ipv4_checksum(ByteView(p).first(20)));
  return p;
}

Bytes ipv6_packet(std::size_t size, std::mt19937_64& rng) {
  Bytes p(size);
  std::ranges::generate(p, [&rng] { return static_cast<Byte>(rng()); });
  p[0] = 0x60;
  store_be16(&p[4], static_cast<std::uint16_t>(size - 40));
  p[6] = kProtoUdp;
  return p;
}

// Gives a packet the addresses of a transport SA.
void address_as(Bytes& packet, const SaParams& sa) {
  const bool v4 = packet[0] >> 4 == 4;
  std::ranges::copy(sa.src.bytes(), packet.begin() + (v4 ? 12 : 8));
  std::ranges::copy(sa.dst.bytes(), packet.begin() + (v4 ? 16 : 24));
  if (v4) store_be16(&packet[10], ipv4_checksum(ByteView(packet).first(20)));
}
}  // namespace

TEST_CASE("engine: what was protected comes back, at every size and with every algorithm") {
  std::mt19937_64 rng(testing::seed());
  for (const Cipher cipher : {Cipher::kNull, Cipher::kDesCbc, Cipher::kTripleDesCbc}) {
    for (const Auth auth : {Auth::kNone, Auth::kHmacMd5_96, Auth::kHmacSha1_96}) {
      if (cipher == Cipher::kNull && auth == Auth::kNone) continue;
      auto out = SoftSa::create(params(true, cipher, auth)), in = SoftSa::create(params(false, cipher, auth));
      REQUIRE(out);
      REQUIRE(in);
      for (std::size_t size = 20; size < 200; ++size) {
        CAPTURE(size);
        const Bytes packet = ipv4_packet(size, rng);
        const auto wire = out->encap(packet);
        REQUIRE(wire);
        const auto back = in->decap(wire->packet);
        REQUIRE(back);
        CHECK(back->packet == packet);
        CHECK(back->seq == wire->seq);
      }
    }
  }
}

TEST_CASE("engine: what was protected comes back, in every mode, protocol and family, with extended numbers across 2^32") {
  std::mt19937_64 rng(testing::seed());
  for (int shape = 0; shape < 64; ++shape) {
    const bool ah = (shape & 1) != 0, transport = (shape & 2) != 0, inner_v6 = (shape & 4) != 0, outer_v6 = (shape & 8) != 0, natt = (shape & 16) != 0, esn = (shape & 32) != 0;
    if ((natt && (ah || outer_v6)) || (transport && inner_v6 != outer_v6)) continue;
    CAPTURE(shape);
    const auto make = [&](bool outbound) {
      SaParams sa = params(outbound, ah ? Cipher::kNull : Cipher::kTripleDesCbc);
      if (ah) sa.protocol = Protocol::kAh;
      if (transport) sa.mode = Mode::kTransport;
      if (natt) sa.natt = Natt{};
      if (outer_v6) {
        sa.src = parse_address("2001:db8::1").value();
        sa.dst = parse_address("2001:db8::2").value();
      }
      sa.esn = esn;
      sa.seq = esn ? 0xfffffff0 : 0;
      return SoftSa::create(std::move(sa));
    };
    auto out = make(true), in = make(false);
    REQUIRE(out);
    REQUIRE(in);
    for (std::size_t size = 60; size < 100; ++size) {
      Bytes packet = inner_v6 ? ipv6_packet(size, rng) : ipv4_packet(size, rng);
      if (transport) address_as(packet, out->params());
      const auto wire = out->encap(packet);
      REQUIRE(wire);
      CHECK(find_spi(wire->packet)->spi == 0x12345678);
      const auto back = in->decap(wire->packet);
      if (!back) FAIL(back.error().detail);
      CHECK(back->packet == packet);
      CHECK(back->seq == wire->seq);
      CHECK(in->decap(wire->packet).error().code == Errc::kReplayed);
    }
    CHECK(in->counters().packets == 40);
    CHECK(in->counters().replay_drops == 40);
  }
}

TEST_CASE("engine: ciphers worked out ahead, side by side, give the packets that they give alone") {
  std::mt19937_64 rng(testing::seed());
  for (int shape = 0; shape < 8; ++shape) {
    CAPTURE(shape);
    const auto make = [shape](bool outbound) {
      SaParams sa = params(outbound, (shape & 1) != 0 ? Cipher::kDesCbc : Cipher::kTripleDesCbc);
      if ((shape & 2) != 0) sa.mode = Mode::kTransport;
      if ((shape & 4) != 0) sa.natt = Natt{};
      return SoftSa::create(std::move(sa)).value();
    };
    SoftSa out = make(true), alone = make(true), in = make(false);
    std::vector<Bytes> packets, wires;
    std::vector<CipherAhead> ahead;
    const std::array<Byte, 8> iv{1, 2, 3, 4, 5, 6, 7, 8};
    for (std::size_t size = 60; size < 160; ++size) {
      packets.push_back(ipv4_packet(size, rng));
      address_as(packets.back(), out.params());
      ahead.push_back(out.foresee_encap(packets.back(), iv).value());
    }
    work_out(ahead);
    for (std::size_t i = 0; i < packets.size(); ++i) {
      CHECK(ahead[i].out.size() == ahead[i].in.size());
      wires.push_back(out.encap(packets[i], iv, &ahead[i]).value().packet);
      CHECK(wires[i] == alone.encap(packets[i], iv).value().packet);
    }
    ahead.clear();
    for (const Bytes& wire : wires) ahead.push_back(in.foresee_decap(wire).value());
    work_out(ahead);
    for (std::size_t i = 0; i < packets.size(); ++i) CHECK(in.decap(wires[i], 65535, &ahead[i]).value().packet == packets[i]);
    CHECK_FALSE(in.foresee_encap(packets[0], iv));
    CHECK_FALSE(in.foresee_decap(packets[0]));
    CHECK_FALSE(out.foresee_decap(wires[0]));
  }
}

TEST_CASE("engine: what was worked out ahead is taken for the same SA, direction, IV and octets, and for no others") {
  std::mt19937_64 rng(testing::seed());
  const std::array<Byte, 8> iv{1, 2, 3, 4, 5, 6, 7, 8}, other_iv{1, 2, 3, 4, 5, 6, 7, 9};
  const Bytes packet = ipv4_packet(100, rng), other_packet = ipv4_packet(100, rng);
  SoftSa out = SoftSa::create(params(true)).value(), same = SoftSa::create(params(true)).value();
  CipherAhead ahead = out.foresee_encap(packet, iv).value();
  ahead.out.assign(ahead.in.size(), 0xee);  // told by the packet where it goes in
  const auto taken = [&ahead](Result<Encapsulated> made) {
    const Bytes& wire = made.value().packet;
    return std::search(wire.begin(), wire.end(), ahead.out.begin(), ahead.out.end()) != wire.end();
  };
  CHECK(taken(out.encap(packet, iv, &ahead)));
  CHECK_FALSE(taken(out.encap(packet, iv)));
  CHECK_FALSE(taken(out.encap(packet, other_iv, &ahead)));
  CHECK_FALSE(taken(out.encap(other_packet, iv, &ahead)));
  CHECK_FALSE(taken(same.encap(packet, iv, &ahead)));
  ahead.decrypt = true;
  CHECK_FALSE(taken(out.encap(packet, iv, &ahead)));
}

TEST_CASE("engine: one flipped bit in what AH covers is refused, and what routers change is not covered") {
  std::mt19937_64 rng(testing::seed());
  const auto make = [](bool outbound) {
    SaParams sa = params(outbound, Cipher::kNull);
    sa.protocol = Protocol::kAh;
    return SoftSa::create(std::move(sa));
  };
  const Bytes wire = make(true)->encap(ipv4_packet(77, rng))->packet;
  for (std::size_t bit = 0; bit < wire.size() * 8; ++bit) {
    const std::size_t at = bit / 8;
    CAPTURE(bit);
    Bytes changed = wire;
    changed[at] = static_cast<Byte>(changed[at] ^ (1u << (bit % 8)));
    store_be16(&changed[10], ipv4_checksum(ByteView(changed).first(20)));
    // RFC 4302 s3.3.3.1.1.1: type of service, DF (the other flags and the offset make it a fragment), time to live,
    // checksum, which is right again here.
    const bool may_change = at == 1 || (at == 6 && bit % 8 >= 6) || at == 8 || at == 10 || at == 11;
    CHECK(static_cast<bool>(make(false)->decap(changed)) == may_change);
  }
}

TEST_CASE("engine: one flipped bit anywhere in an authenticated packet is refused") {
  std::mt19937_64 rng(testing::seed());
  auto out = SoftSa::create(params(true));
  const Bytes wire = out->encap(ipv4_packet(77, rng))->packet;
  for (std::size_t bit = 0; bit < wire.size() * 8; ++bit) {
    CAPTURE(bit);
    Bytes bad = wire;
    bad[bit / 8] = static_cast<Byte>(bad[bit / 8] ^ (1u << (bit % 8)));
    auto in = SoftSa::create(params(false));
    CHECK_FALSE(in->decap(bad));
  }
  auto in = SoftSa::create(params(false));
  CHECK(in->decap(wire));
}

TEST_CASE("engine: every truncation is refused without harm, for ESP, ESP in UDP and AH") {
  std::mt19937_64 rng(testing::seed());
  for (int kind = 0; kind < 3; ++kind) {
    SaParams send = params(true, kind == 2 ? Cipher::kNull : Cipher::kTripleDesCbc), receive = params(false, send.cipher);
    if (kind == 1) send.natt = receive.natt = Natt{};
    if (kind == 2) send.protocol = receive.protocol = Protocol::kAh;
    auto out = SoftSa::create(std::move(send)), in = SoftSa::create(std::move(receive));
    const Bytes wire = out->encap(ipv4_packet(60, rng))->packet;
    for (std::size_t n = 0; n < wire.size(); ++n) {
      CAPTURE(n);
      Bytes cut(wire.begin(), wire.begin() + static_cast<std::ptrdiff_t>(n));
      CHECK_FALSE(in->decap(cut));
      // The same with an IP header that agrees with what is left.
      if (n < 20) continue;
      store_be16(&cut[2], static_cast<std::uint16_t>(n));
      store_be16(&cut[10], ipv4_checksum(ByteView(cut).first(20)));
      CHECK_FALSE(in->decap(cut));
    }
    CHECK(in->decap(wire));
  }
}

TEST_CASE("engine: random octets are refused") {
  std::mt19937_64 rng(testing::seed());
  auto in = SoftSa::create(params(false));
  auto out = SoftSa::create(params(true));
  for (int i = 0; i < 20000; ++i) {
    Bytes junk(rng() % 120);
    std::ranges::generate(junk, [&rng] { return static_cast<Byte>(rng()); });
    if (!junk.empty()) junk[0] = rng() % 2 == 0 ? 0x45 : 0x60;
    if (junk.size() >= 20 && rng() % 2 == 0) {
      store_be16(&junk[2], static_cast<std::uint16_t>(junk.size()));
      store_be16(&junk[10], ipv4_checksum(ByteView(junk).first(std::min<std::size_t>(junk.size(), (junk[0] & 15u) * 4u))));
    }
    CHECK_FALSE(in->decap(junk));
    static_cast<void>(out->encap(junk));
  }
}

TEST_CASE("engine: sequence numbers do not wrap, and the SA says so before") {
  std::mt19937_64 rng(testing::seed());
  SaParams sa = params(true);
  sa.seq = 0xfffffffd;
  auto out = SoftSa::create(std::move(sa));
  const Bytes packet = ipv4_packet(40, rng);
  CHECK(out->encap(packet)->seq == 0xfffffffe);
  CHECK(out->take_limits() == std::vector<Limit>{Limit::kSeqSoon});
  CHECK(out->encap(packet)->seq == 0xffffffff);
  CHECK(out->encap(packet).error().code == Errc::kSeqOverflow);
  CHECK(out->expired());
  CHECK(out->take_limits() == std::vector<Limit>{Limit::kSeqOverflow});
}

TEST_CASE("engine: extended sequence numbers do not wrap either") {
  std::mt19937_64 rng(testing::seed());
  SaParams sa = params(true);
  sa.esn = true;
  sa.seq = 0xfffffffffffffffe;
  auto out = SoftSa::create(std::move(sa));
  const Bytes packet = ipv4_packet(40, rng);
  CHECK(out->encap(packet)->seq == 0xffffffffffffffff);
  CHECK(out->encap(packet).error().code == Errc::kSeqOverflow);
}

TEST_CASE("engine: transport mode refuses fragments and foreign addresses; a tunnel takes both") {
  std::mt19937_64 rng(testing::seed());
  SaParams sa = params(true);
  sa.mode = Mode::kTransport;
  auto transport = SoftSa::create(std::move(sa)), tunnel = SoftSa::create(params(true));
  Bytes packet = ipv4_packet(60, rng);
  CHECK(transport->encap(packet).error().code == Errc::kWrongAddress);
  address_as(packet, transport->params());
  CHECK(transport->encap(packet));
  for (const std::uint16_t fragment : std::initializer_list<std::uint16_t>{0x2000, 0x0001}) {  // more fragments; an offset
    store_be16(&packet[6], fragment);
    store_be16(&packet[10], ipv4_checksum(ByteView(packet).first(20)));
    CHECK(transport->encap(packet).error().code == Errc::kFragment);
    CHECK(tunnel->encap(packet));
    CHECK(find_spi(packet).error().code == Errc::kFragment);
  }
}

TEST_CASE("find_spi: says why a packet has none") {
  const auto code = [](std::uint8_t protocol, std::initializer_list<Byte> payload) {
    Bytes p = from_hex("4500000000000000400000000a0000010a000002").value();
    put(p, ByteView(payload.begin(), payload.size()));
    p[9] = protocol;
    store_be16(&p[2], static_cast<std::uint16_t>(p.size()));
    store_be16(&p[10], ipv4_checksum(ByteView(p).first(20)));
    return find_spi(p).error().code;
  };
  CHECK(code(kProtoEsp, {0, 0, 1, 0, 0, 0, 0}) == Errc::kBadLength);
  CHECK(code(kProtoAh, {4, 4, 0, 0, 0, 0, 1}) == Errc::kTruncated);
  CHECK(code(kProtoUdp, {0x11, 0x94, 0x11, 0x94, 0, 9, 0}) == Errc::kTruncated);
  CHECK(code(kProtoUdp, {0x11, 0x94, 0x11, 0x94, 0, 9, 0, 0, 0xff}) == Errc::kWrongProtocol);  // keepalive
  CHECK(code(kProtoUdp, {0x11, 0x94, 0x11, 0x94, 0, 16, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4}) == Errc::kWrongProtocol);  // IKE
  CHECK(code(1, {8, 0, 0, 0, 0, 0, 0, 0}) == Errc::kWrongProtocol);
}

TEST_CASE("NAT-T: what a datagram on UDP 4500 is, at the borders") {
  CHECK(classify_natt({}) == NattKind::kInvalid);
  CHECK(classify_natt(Bytes{0xff}) == NattKind::kKeepalive);
  CHECK(classify_natt(Bytes{0xfe}) == NattKind::kInvalid);
  CHECK(classify_natt(Bytes{0, 0, 0}) == NattKind::kInvalid);
  CHECK(classify_natt(Bytes{0, 0, 0, 0}) == NattKind::kIke);
  CHECK(classify_natt(Bytes{0, 0, 0, 1}) == NattKind::kEsp);
}

TEST_CASE("address: text of both families, and nothing else") {
  CHECK(to_string(parse_address("2001:db8::1").value()) == "2001:db8::1");
  CHECK(parse_address("192.0.2.1").value().version == 4);
  CHECK_FALSE(parse_address(std::string_view("192.0.2.1\0x", 11)));
  for (const char* text : {"", "192.0.2", "192.0.2.256", "192.0.2.1/24", " 192.0.2.1", "::1%lo", "2001:db8::1::"}) CHECK_FALSE(parse_address(text));
  CHECK_FALSE(parse_address(std::string(100000, '1')));
}

TEST_CASE("[R113] engine: lifetimes by bytes, packets and seconds, soft once and hard for good") {
  std::mt19937_64 rng(testing::seed());
  std::uint64_t now = 100;
  SaParams sa = params(true);
  sa.soft = {100, 0, 10};
  sa.hard = {200, 0, 20};
  auto out = SoftSa::create(std::move(sa), [&now] { return now; });
  const Bytes packet = ipv4_packet(60, rng);
  CHECK(out->encap(packet));
  CHECK(out->take_limits().empty());
  CHECK(out->encap(packet));
  CHECK(out->take_limits() == std::vector<Limit>{Limit::kSoftBytes});
  now = 111;
  CHECK(out->take_limits() == std::vector<Limit>{Limit::kSoftSeconds});
  CHECK(out->encap(packet));  // 180 bytes
  CHECK(out->encap(packet).error().code == Errc::kExpired);
  CHECK(out->take_limits() == std::vector<Limit>{Limit::kHardBytes});

  SaParams timed = params(true);
  timed.hard.seconds = 20;
  auto by_time = SoftSa::create(std::move(timed), [&now] { return now; });
  now += 19;
  CHECK(by_time->encap(packet));
  now += 1;
  CHECK(by_time->encap(packet).error().code == Errc::kExpired);
}

TEST_CASE("[R56] engine: direction, SPI and outer addresses must be the SA's") {
  std::mt19937_64 rng(testing::seed());
  const Bytes packet = ipv4_packet(60, rng);
  auto out = SoftSa::create(params(true)), in = SoftSa::create(params(false));
  const Bytes wire = out->encap(packet)->packet;
  CHECK(in->encap(packet).error().code == Errc::kWrongDirection);
  CHECK(out->decap(wire).error().code == Errc::kWrongDirection);
  SaParams other = params(false);
  other.src = parse_address("192.0.2.9").value();
  CHECK(SoftSa::create(std::move(other))->decap(wire).error().code == Errc::kWrongAddress);
  SaParams spi = params(false);
  spi.spi = 0x12345679;
  CHECK(SoftSa::create(std::move(spi))->decap(wire).error().code == Errc::kUnknownSpi);
  CHECK(find_spi(wire)->spi == 0x12345678);
}

TEST_CASE("validate: what no engine may run is refused, and the reason holds no key") {
  const auto refused = [](auto change) {
    SaParams sa = params(true);
    change(sa);
    const Status s = validate(sa);
    REQUIRE_FALSE(s);
    CHECK(s.error().detail.find("030") == std::string::npos);
    return s.error().code;
  };
  CHECK(refused([](SaParams& s) { s.spi = 255; }) == Errc::kBadConfig);
  CHECK(refused([](SaParams& s) { s.enc_key = Secret(Bytes(8, 1)); }) == Errc::kBadConfig);
  CHECK(refused([](SaParams& s) { s.auth_key = Secret(Bytes(16, 1)); }) == Errc::kBadConfig);
  CHECK(refused([](SaParams& s) { s.enc_key = Secret(from_hex("0123456789abcdef0123456789abcdef1123456789abcde0").value()); }) == Errc::kWeakKey);
  CHECK(refused([](SaParams& s) { s.enc_key = Secret(from_hex("0101010101010101223456789abcdef01123456789abcde0").value()); }) == Errc::kWeakKey);
  CHECK(refused([](SaParams& s) { s.replay_window = 65; }) == Errc::kBadConfig);
  CHECK(refused([](SaParams& s) { s.replay_window = 1056; }) == Errc::kBadConfig);
  CHECK(refused([](SaParams& s) { s.dst = parse_address("2001:db8::1").value(); }) == Errc::kBadConfig);
  CHECK(refused([](SaParams& s) { s.protocol = Protocol::kAh; }) == Errc::kBadConfig);
  CHECK(refused([](SaParams& s) { s.seq = 1ull << 32; }) == Errc::kBadConfig);
  CHECK(validate(params(true)));
}

TEST_CASE("AH: options and extension headers of hostile lengths are refused; those that change on the way are zeroed, the others stay") {
  const auto zeroed = [](const char* hex) {
    Bytes headers = from_hex(hex).value();
    const Status done = zero_mutable(headers);
    return done ? to_hex(headers) : std::string(done.error().detail);
  };
  // RFC 4302 A1; addresses 1.1.1.1 and 2.2.2.2. No operation, record route (it changes), router alert (it does not), end.
  CHECK(zeroed("49ff00241234ffffff33abcd0101010102020202" "01" "070704aabbccdd" "94040000" "00000000") ==
        "49000024123400000033000001010101020202020100000000000000940400000000" "0000");
  // A loose source route of one address that is still to come: it is the destination at the end.
  CHECK(zeroed("47ff001c1234ffffff33abcd0101010102020202" "83070409090909" "00") == "4700001c12340000003300000101010109090909" "00000000000000" "00");
  for (const char* option : {"0700000000000000", "0701000000000000", "0709000000000000", "0101010101010107"}) {
    CAPTURE(std::string(option));
    CHECK(zeroed((std::string("47ff001c1234ffffff33abcd0101010102020202") + option).c_str()) == "IPv4 option has a wrong length");
  }
  const std::string v6 = "6fffffff0000" "00" "40" "00000000000000000000000000000001" "00000000000000000000000000000002";
  CHECK(zeroed((v6 + "3300" "0000" "21" "02aabb").c_str()) ==
        "600000000000" "00" "00" "00000000000000000000000000000001" "00000000000000000000000000000002" "3300" "0000" "21" "020000");
  CHECK(zeroed((v6 + "3300" "0000" "0104aabb").c_str()) == "IPv6 option has a wrong length");
  CHECK(zeroed((v6 + "3300" "0000" "000000" "01").c_str()) == "IPv6 option has a wrong length");
}

TEST_CASE("replay window: agrees with a set of all numbers, with and without ESN") {
  std::mt19937_64 rng(testing::seed());
  for (const std::uint16_t size : std::initializer_list<std::uint16_t>{32, 64, 96, 128, 1024}) {
    for (const bool esn : {false, true}) {
      const std::uint64_t start = esn ? 0xffffff00ull : 0;  // crosses 2^32
      ReplayWindow window(size, esn, start);
      std::set<std::uint64_t> seen;
      if (start != 0) seen.insert(start);
      std::uint64_t top = start;
      for (int i = 0; i < 20000; ++i) {
        std::uint64_t seq = rng() % 8 == 0 ? top + rng() % (3u * size) : top + 2 - std::min<std::uint64_t>(top + 2, rng() % (size + 8u));
        if (esn && seq + size <= top) continue;  // would be taken for a number of the next subspace
        const bool wanted = seq != 0 && (seq > top || (top - seq < size && !seen.contains(seq)));
        const auto got = window.check(static_cast<std::uint32_t>(seq));
        CAPTURE(size);
        CAPTURE(seq);
        CAPTURE(top);
        if (wanted) {
          REQUIRE(got == seq);
          window.mark(seq);
          seen.insert(seq);
          top = std::max(top, seq);
        } else {
          REQUIRE_FALSE(got);
        }
        REQUIRE(window.top() == top);
      }
    }
  }
}
