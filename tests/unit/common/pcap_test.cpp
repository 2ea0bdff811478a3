#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <random>

#include "common/pcap/pcap_file.h"
#include "common/testing/seed.h"

using namespace esplanade;

namespace {
struct File {
  std::string path = "/tmp/esplanade-pcap-test-" + std::to_string(::getpid());
  explicit File(ByteView octets = {}) { std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(octets.data()), static_cast<std::streamsize>(octets.size())); }
  ~File() { ::unlink(path.c_str()); }
  Bytes octets() const {
    std::ifstream in(path, std::ios::binary);
    return Bytes((std::istreambuf_iterator<char>(in)), {});
  }
};

// Reads to the end or to the first error; the number of packets.
Result<int> read_all(const std::string& path) {
  ESPLANADE_TRY(reader, pcap::Reader::open(path));
  for (int n = 0;; ++n) {
    ESPLANADE_TRY(packet, reader.next());
    if (!packet) return n;
  }
}
}  // namespace

TEST_CASE("pcap: what was written is read again; every cut is an error or fewer packets, never a crash") {
  File file;
  auto writer = pcap::Writer::create(file.path);
  REQUIRE(writer);
  writer->write(Bytes(28, 0x45), 1, 2);
  writer->write(Bytes(60, 0x46), 3, 4);
  REQUIRE(writer->close());
  auto reader = pcap::Reader::open(file.path);
  REQUIRE(reader);
  const auto first = reader->next();
  REQUIRE(first);
  CHECK((*first)->ip.size() == 28);
  CHECK((*first)->seconds == 1);
  CHECK((*first)->microseconds == 2);
  CHECK(*read_all(file.path) == 2);

  const Bytes whole = file.octets();
  for (std::size_t n = 0; n < whole.size(); ++n) {
    const File cut(ByteView(whole).first(n));
    const auto count = read_all(cut.path);
    CAPTURE(n);
    CHECK((!count || *count < 2));
  }
}

TEST_CASE("pcap: a link type that is not read is named") {
  Bytes head = from_hex("d4c3b2a1020004000000000000000000ffff000069000000").value();  // 105: IEEE 802.11
  const File file(head);
  const auto reader = pcap::Reader::open(file.path);
  REQUIRE_FALSE(reader);
  CHECK(reader.error().code == Errc::kUnsupported);
  CHECK(reader.error().detail.find("105") != std::string::npos);
}

namespace {
// A capture of one frame, in classic form.
Bytes capture(std::uint8_t link, const char* frame_hex) {
  const Bytes frame = from_hex(frame_hex).value();
  Bytes out = from_hex("a1b2c3d4000200040000000000000000000fffff000000").value();
  out.push_back(link);
  for (const std::uint32_t word : {1u, 2u, static_cast<std::uint32_t>(frame.size()), static_cast<std::uint32_t>(frame.size())}) put_be32(out, word);
  put(out, frame);
  return out;
}
}  // namespace

TEST_CASE("pcap: the IP packet is found behind every link layer, and a frame without one is skipped") {
  const struct {
    std::uint8_t link;
    const char* frame;
    bool found;
  } cases[] = {
      {1, "0202020202020303030303030800" "450000", true},                  // Ethernet
      {1, "02020202020203030303030386dd" "600000", true},                  // with IPv6
      {1, "0202020202020303030303038100" "000788a8" "00080800" "450000", true},  // two tags
      {1, "0202020202020303030303030806" "000108", false},                 // ARP
      {1, "0202020202020303030303038100", false},                          // cut in the tag
      {1, "020202", false},
      {101, "450000", true},                                                // raw IP
      {113, "00000001000602020202020200000800" "450000", true},             // Linux cooked
      {113, "00000001000602020202020200000806" "450000", false},
      {113, "000000010006", false},
      {0, "02000000" "450000", true},                                      // loopback
  };
  for (const auto& c : cases) {
    CAPTURE(c.frame);
    const File file(capture(c.link, c.frame));
    auto reader = pcap::Reader::open(file.path);
    REQUIRE(reader);
    const auto packet = reader->next();
    REQUIRE(packet);
    CHECK(packet->has_value() == c.found);
    if (c.found) CHECK((*packet)->ip.size() == 3);
    CHECK(reader->skipped() == (c.found ? 0u : 1u));
  }
}

TEST_CASE("pcap: pcapng is read, and what is not a capture or not a file is named once") {
  // Section header, interface of raw IP, one packet of 4 octets.
  const File file(from_hex("0a0d0d0a1c0000004d3c2b1a01000000ffffffffffffffff1c000000"
                           "01000000140000006500000000000400" "14000000"
                           "060000002400000000000000000000000000000004000000040000004500000424000000").value());
  CHECK(*read_all(file.path) == 1);
  CHECK(pcap::Reader::open("/no/such").error().detail == "/no/such: No such file or directory");
  CHECK(pcap::Reader::open("/no/such").error().code == Errc::kIo);
  CHECK(pcap::Reader::open("/tmp").error().code == Errc::kMalformed);
  CHECK(pcap::Writer::create("/no/such/x").error().detail == "/no/such/x: No such file or directory");
  auto full = pcap::Writer::create("/dev/full");
  REQUIRE(full);
  full->write(Bytes(28, 0x45), 1, 2);
  CHECK(full->close().error().code == Errc::kIo);
}

TEST_CASE("pcap: random octets behind a valid head are an error or packets, never a crash") {
  std::mt19937_64 rng(testing::seed());
  const Bytes classic = from_hex("a1b2c3d4000200040000000000000000000fffff00000001").value();
  const Bytes ng = from_hex("0a0d0d0a1c0000004d3c2b1a01000000ffffffffffffffff1c0000000100000014000000010000000000040014000000").value();
  for (int i = 0; i < 300; ++i) {
    Bytes octets = i % 2 == 0 ? classic : ng;
    for (std::size_t n = rng() % 200; n > 0; --n) octets.push_back(static_cast<Byte>(rng() % 4 == 0 ? rng() : 0));
    const File file(octets);
    static_cast<void>(read_all(file.path));
  }
}
