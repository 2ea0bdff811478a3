// Two passes through a stub card that answers by rule: the result is the packet behind an octet that says which SA did it.
#include "esplanade/bundle_queue.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "tests/unit/driver/stub_device.h"

using namespace esplanade;
using test::StubDevice;
namespace cpl = card::completion;
namespace desc = card::descriptor;

namespace {
constexpr std::size_t kEntries = 16;

struct Seen {
  std::uint64_t cookie;
  card::Status status;
  Bytes packet;
  std::optional<BundleQueue::Pass> first;
};

struct Rig {
  StubDevice device;
  BundleQueue queue{PacketQueue::create(device, 0, 4).value()};
  std::uint64_t taken = 0;
  std::vector<Seen> seen;
  card::Status answer = card::Status::kOk;
  std::uint8_t next_header = 50;

  // Does all that the doorbell has announced. A result is one octet longer than its packet and begins with the SA's index;
  // decapsulation takes an octet away and finds SA 40 plus that octet.
  void work() {
    const MutableBytes m = device.last->data();
    for (; taken != device.registers[card::reg::kSqTail.at()]; ++taken) {
      const ByteView d = m.subspan(taken % kEntries * 64, 64);
      const std::uint64_t base = device.last->address();
      const ByteView in = m.subspan(card::get(d, desc::kSrcAddr) - base, card::get(d, desc::kSrcLen));
      const bool encap = card::get(d, desc::kOp) == static_cast<std::uint64_t>(card::Op::kEncap);
      Bytes out;
      if (answer == card::Status::kOk) {
        if (encap) out.push_back(static_cast<Byte>(card::get(d, desc::kSaIndex)));
        out.insert(out.end(), in.begin() + (encap ? 0 : 1), in.end());
      }
      std::ranges::copy(out, m.subspan(card::get(d, desc::kDstAddr) - base).begin());
      const MutableBytes c = m.subspan(kEntries * 64 + taken % kEntries * 64, 64);
      std::ranges::fill(c, Byte{0});
      card::set(c, cpl::kOp, card::get(d, desc::kOp));
      card::set(c, cpl::kStatus, static_cast<std::uint64_t>(answer));
      card::set(c, cpl::kCookie, card::get(d, desc::kCookie));
      card::set(c, cpl::kOutLen, out.size());
      card::set(c, cpl::kSaIndex, encap ? card::get(d, desc::kSaIndex) : 40u + in[0]);
      card::set(c, cpl::kSpi, 0x1000 + (encap ? card::get(d, desc::kSaIndex) : 40u + in[0]));
      card::set(c, cpl::kNextHeader, next_header);
      card::set(c, cpl::kPhase, taken / kEntries % 2 == 0 ? 1 : 0);
    }
  }
  void reap() {
    REQUIRE(queue.reap([this](const Completed& c, const std::optional<BundleQueue::Pass>& first) {
      seen.push_back({c.cookie, c.status, Bytes(c.packet.begin(), c.packet.end()), first});
    }));
  }
};
const Bytes kPacket{7, 8, 9};
}  // namespace

TEST_CASE("bundle: outbound, ESP is done first and AH around it") {
  Rig rig;
  REQUIRE(rig.queue.submit_encap(5, 6, kPacket, 1234));
  REQUIRE(rig.queue.flush());
  rig.work();
  rig.reap();
  CHECK(rig.seen.empty());
  CHECK(rig.queue.in_flight() == 1);
  rig.work();  // the second pass was handed over by reap()
  rig.reap();
  REQUIRE(rig.seen.size() == 1);
  CHECK(rig.seen[0].cookie == 1234);
  CHECK(rig.seen[0].packet == Bytes{6, 5, 7, 8, 9});
  REQUIRE(rig.seen[0].first);
  CHECK(rig.seen[0].first->sa_index == 5);
  CHECK(rig.seen[0].first->spi == 0x1005);
  CHECK(rig.queue.in_flight() == 0);
}

TEST_CASE("bundle: inbound, AH is undone first; both SAs are told") {
  Rig rig;
  REQUIRE(rig.queue.submit_decap(Bytes{6, 5, 7, 8, 9}, 77));
  REQUIRE(rig.queue.flush());
  rig.work();
  rig.reap();
  rig.next_header = 4;
  rig.work();
  rig.reap();
  REQUIRE(rig.seen.size() == 1);
  CHECK(rig.seen[0].packet == kPacket);
  CHECK(rig.seen[0].cookie == 77);
  CHECK(rig.seen[0].first->sa_index == 46);
}

TEST_CASE("bundle: AH that holds no ESP is refused, and its packet is not given out") {
  Rig rig;
  rig.next_header = 6;
  REQUIRE(rig.queue.submit_decap(Bytes{6, 5, 7}, 1));
  REQUIRE(rig.queue.flush());
  rig.work();
  rig.reap();
  REQUIRE(rig.seen.size() == 1);
  CHECK(rig.seen[0].status == card::Status::kBadNextHeader);
  CHECK(rig.seen[0].packet.empty());
  CHECK_FALSE(rig.seen[0].first);
}

TEST_CASE("bundle: a failure of either pass ends the packet with its status") {
  for (const bool second : {false, true}) {
    CAPTURE(second);
    Rig rig;
    REQUIRE(rig.queue.submit_decap(Bytes{6, 5, 7}, 1));
    REQUIRE(rig.queue.flush());
    if (second) {
      rig.work();
      rig.reap();
    }
    rig.answer = card::Status::kBadIcv;
    rig.work();
    rig.reap();
    REQUIRE(rig.seen.size() == 1);
    CHECK(rig.seen[0].status == card::Status::kBadIcv);
    CHECK(rig.seen[0].first.has_value() == second);
  }
}

TEST_CASE("bundle: plain packets pass once; many of both go through a full ring") {
  Rig rig;
  std::size_t sent = 0;
  for (int turn = 0; turn < 400 && rig.seen.size() < 200; ++turn) {
    for (; sent < 200; ++sent) {
      const Status s = sent % 3 == 0 ? rig.queue.submit({card::Op::kEncap, 9, kPacket, sent}) : rig.queue.submit_encap(5, 6, kPacket, sent);
      if (!s) {
        REQUIRE(s.error().code == Errc::kRingFull);
        break;
      }
    }
    REQUIRE(rig.queue.flush());
    rig.work();
    rig.reap();
  }
  REQUIRE(rig.seen.size() == 200);
  std::vector<std::uint64_t> cookies;
  for (const Seen& s : rig.seen) {
    CHECK(s.packet == (s.cookie % 3 == 0 ? Bytes{9, 7, 8, 9} : Bytes{6, 5, 7, 8, 9}));
    cookies.push_back(s.cookie);
  }
  std::ranges::sort(cookies);
  for (std::size_t i = 0; i < cookies.size(); ++i) CHECK(cookies[i] == i);
}

TEST_CASE("bundle: a first result that is too long for a second pass ends with BadLength") {
  Rig rig;
  const Bytes longest(2048, 1);
  REQUIRE(rig.queue.submit_encap(5, 6, ByteView(longest).first(2048), 3));
  REQUIRE(rig.queue.flush());
  // The stub's result of 2049 octets would not fit: answer as a card does that has a longer MAX_PACKET than the slot.
  rig.device.info_.max_packet = 100;
  rig.answer = card::Status::kOk;
  const MutableBytes m = rig.device.last->data();
  card::set(m.subspan(0, 64), desc::kSrcLen, 200);
  rig.work();
  rig.reap();
  REQUIRE(rig.seen.size() == 1);
  CHECK(rig.seen[0].status == card::Status::kBadLength);
  CHECK(rig.seen[0].packet.empty());
}
