// What comes over espd's two sockets: PF_KEYv2 messages and NAT-T frames.
#include "common/pfkey/natt_frame.h"
#include "common/pfkey/sa_message.h"
#include "tests/fuzz/fuzz.h"

using namespace esplanade;
using fuzz::require;

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  fuzz::Input in(ByteView(data, size));
  const std::uint8_t which = in.u8();
  const ByteView body = in.rest();
  if (which % 2 == 0) {
    auto m = pfkey::parse(body);
    if (!m) return 0;
    auto octets = pfkey::serialize(*m);
    if (octets) {
      auto again = pfkey::parse(octets->reveal());
      require(again && again->seq == m->seq && again->src == m->src && again->sa == m->sa,
              "a message is written as it was read");
    }
    if (!pfkey::is_move(*m)) {
      auto sa = pfkey::sa_params(std::move(*m), (which & 2) != 0);
      if (sa) (void)esp::validate(*sa);
    }
  } else if (auto f = pfkey::parse_natt_frame(body)) {
    const Bytes again = pfkey::serialize(*f);
    require(again.size() == body.size(), "a frame keeps its length");
  }
  return 0;
}
