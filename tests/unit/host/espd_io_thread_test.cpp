// A thread for a TUN queue, which a pair of sockets stands in for: every packet comes out, in order, whatever the two sides wait for.
#include <doctest/doctest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <random>
#include <thread>

#include "common/esp/ip.h"
#include "common/testing/seed.h"
#include "host/espd/io_thread.h"

using namespace esplanade;
using namespace esplanade::espd;
using namespace std::chrono_literals;

namespace {

Bytes numbered(std::uint32_t number, std::size_t data = 12) {
  Bytes out = *from_hex("45000000000040004063" "00000a0100010a020001");  // of protocol 99: nothing is put together
  put_be32(out, number);
  out.resize(20 + data);
  store_be16(&out[2], static_cast<std::uint16_t>(out.size()));
  store_be16(&out[10], esp::ipv4_checksum(ByteView(out).first(20)));
  return out;
}
std::uint32_t number_of(ByteView packet) { return load_be32(&packet[20]); }

// The kernel's end of the queue, and the data plane's loop.
struct Rig {
  explicit Rig(bool joins_udp = true) {
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    kernel = pfkey::Fd(ends[0]);
    queue.emplace(pfkey::Fd(ends[1]), joins_udp);
    auto started = IoThread::start(1, *queue, outside, bell, [this](const host::Outcome& o, Clock::time_point when) {
      gone.push_back(o.cookie);
      CHECK(when <= Clock::now());
    });
    REQUIRE(started);
    thread = std::move(*started);
  }
  bool give(const Offload& offload, ByteView packet) const {
    Bytes octets(sizeof offload);
    std::memcpy(octets.data(), &offload, sizeof offload);
    put(octets, packet);
    return ::send(kernel.get(), octets.data(), octets.size(), 0) == static_cast<ssize_t>(octets.size());
  }
  // What was written to the queue, without its header; empty: nothing more.
  Bytes take() const {
    Bytes octets(70000);
    const ssize_t got = ::recv(kernel.get(), octets.data(), octets.size(), 0);
    if (got < static_cast<ssize_t>(sizeof(Offload))) return {};
    return {octets.begin() + sizeof(Offload), octets.begin() + got};
  }
  // As the data plane waits.
  void wait() {
    bell.arm();
    if (!thread->has_received()) {
      pollfd waited{bell.fd(), POLLIN, 0};
      if (::poll(&waited, 1, 100) == 1) bell.answer();
    }
    bell.disarm();
  }
  template <class Done>
  void until(Done done) {
    const auto end = Clock::now() + 20s;
    while (!done()) {
      REQUIRE(Clock::now() < end);
      wait();
    }
  }

  pfkey::Fd kernel;
  Outside outside;
  Doorbell bell = Doorbell::create().value();
  std::optional<TunQueue> queue;
  std::vector<std::uint64_t> gone;
  std::unique_ptr<IoThread> thread;
};

}  // namespace

TEST_CASE("espd/io: what the queue gives comes in order, also when nobody takes it for a while") {
  constexpr std::uint32_t kPackets = 5000;  // more than buffers
  Rig rig;
  std::thread kernel([&] {
    for (std::uint32_t i = 0; i < kPackets;) {
      if (rig.give({}, numbered(i))) {
        ++i;
      } else {
        std::this_thread::yield();
      }
    }
  });
  std::mt19937 random(static_cast<std::uint32_t>(testing::seed()));
  std::uint32_t next = 0;
  rig.until([&] {
    if (random() % 16 == 0) std::this_thread::sleep_for(5ms);
    bool any = true;
    for (std::size_t i = random() % 2000; i > 0 && any; --i) {
      any = *rig.thread->receive([&](ByteView packet, Clock::time_point came) {
        CHECK(came <= Clock::now());
        REQUIRE(number_of(packet) == next);
        ++next;
      });
    }
    rig.thread->ring();
    return next == kPackets;
  });
  kernel.join();
}

TEST_CASE("espd/io: a large packet of more segments than there are buffers loses none") {
  Rig rig;
  constexpr std::size_t kData = 60000, kSegment = 40;
  Bytes large = *from_hex("450000000000400040060000" "0a0100010a020001" "04d20050000000000000004d5010020000000000");
  for (std::size_t i = 0; i < kData; ++i) large.push_back(static_cast<Byte>(i / kSegment));
  for (int round = 0; round < 3; ++round) {
    REQUIRE(rig.give({Offload::kNeedsChecksum, Offload::kTcp4, 40, kSegment, 20, 16}, large));
    std::size_t next = 0;
    rig.until([&] {
      while (*rig.thread->receive([&](ByteView packet, Clock::time_point) {
        REQUIRE(load_be32(&packet[24]) == next * kSegment);  // sequence number
        ++next;
      })) {
      }
      rig.thread->ring();
      return next == kData / kSegment;
    });
  }
}

TEST_CASE("espd/io: what is passed on goes in order, is counted and told, and none is left when the thread ends") {
  constexpr std::uint32_t kPackets = 4000;
  Rig rig;
  std::vector<std::uint32_t> seen;
  std::atomic<std::uint32_t> taken{0};
  std::atomic<bool> ending{false};
  std::thread kernel([&] {
    while (seen.size() < kPackets && !ending) {
      const Bytes packet = rig.take();
      if (packet.empty()) {
        std::this_thread::yield();
      } else {
        seen.push_back(number_of(packet));
        ++taken;
      }
    }
  });
  TunQueue::Written written;
  const auto collect = [&] {
    const auto passed = rig.thread->collect();
    written.packets += passed.tun.packets;
    written.failed += passed.tun.failed;
  };
  host::Outcome outcome{};
  for (std::uint32_t i = 0; i < kPackets; ++i) {
    outcome.cookie = i;
    outcome.packet = numbered(i);
    rig.thread->write(outcome);
    if (i % 16 != 15) continue;
    rig.thread->ring();
    collect();
    // The sockets hold few packets, and one that they do not take is lost, as with a full queue of the kernel.
    for (const auto end = Clock::now() + 20s; i + 1 - taken > 64 && Clock::now() < end; collect()) std::this_thread::yield();
  }
  rig.thread->ring();
  rig.until([&] {
    collect();
    return rig.gone.size() == kPackets;
  });
  CHECK(written.packets == kPackets);
  CHECK(written.failed == 0);
  for (const auto end = Clock::now() + 20s; taken < kPackets && Clock::now() < end;) std::this_thread::yield();
  ending = true;
  kernel.join();
  REQUIRE(seen.size() == kPackets);
  for (std::uint32_t i = 0; i < kPackets; ++i) {
    REQUIRE(seen[i] == i);
    REQUIRE(rig.gone[i] == i);
  }
  // What can be sent nowhere is counted as failed.
  outcome.packet = numbered(1);
  rig.thread->send(outcome, 1500, 0);
  rig.thread->ring();
  std::size_t failed = 0;
  rig.until([&] {
    failed += rig.thread->collect().outside.failed;
    return rig.gone.size() == kPackets + 1;
  });
  CHECK(failed == 1);
  for (std::uint32_t i = 0; i < 20; ++i) {
    outcome.packet = numbered(i);
    rig.thread->write(outcome);
  }
  rig.thread.reset();  // without a ring()
  for (std::uint32_t i = 0; i < 20; ++i) CHECK(number_of(rig.take()) == i);
}

TEST_CASE("espd/io: a queue that is gone is told, after what came before") {
  Rig rig;
  REQUIRE(rig.give({}, numbered(7)));
  rig.until([&] { return rig.thread->has_received(); });
  REQUIRE(rig.give({9, 9, 0, 0, 0, 0}, numbered(8)));  // of no kind: dropped
  REQUIRE(rig.give({}, numbered(9)));
  rig.kernel = pfkey::Fd();
  std::vector<std::uint32_t> got;
  Result<bool> result = true;
  rig.until([&] {
    result = rig.thread->receive([&](ByteView packet, Clock::time_point) { got.push_back(number_of(packet)); });
    return !result;
  });
  CHECK(got == std::vector<std::uint32_t>{7, 9});
  CHECK(result.error().code == Errc::kIo);
}
