// Recordings of a simulated card: files from anywhere.
#include "sim/record.h"
#include "tests/fuzz/fuzz.h"

using namespace esplanade;

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const Bytes key(32, 7);
  const auto recording = sim::parse_recording(ByteView(data, size), key);
  if (recording) {
    std::size_t octets = 0;
    for (const auto& f : recording->frames) octets += f.frame.payload.size();
    fuzz::require(octets <= size, "a recording holds no more than its file");
  }
  return 0;
}
