#include <doctest/doctest.h>
#include <unistd.h>

#include <fstream>

#include "common/pcap/pcap_file.h"

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
