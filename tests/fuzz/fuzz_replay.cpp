// Plans of a replay, which are made of recordings from anywhere: each line, and the stand-ins for its packets.
#include "esplanade/sa_table.h"
#include "host/espscope/replay/stand_in.h"
#include "tests/fuzz/fuzz.h"

using namespace esplanade;
using namespace esplanade::replay;

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  Random random(1);
  std::optional<StandInSa> sa;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const auto step = parse_step(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (!step) continue;
    if (const auto* s = std::get_if<SaStep>(&*step)) {
      auto params = SaTable::decode(s->entry);
      if (!params) continue;
      if (auto made = StandInSa::create(std::move(*params), random)) sa = std::move(*made);
    }
    if (const auto* p = std::get_if<PacketStep>(&*step)) {
      for (const bool as_recorded : {true, false}) fuzz::require(make_packet(*p, sa ? &*sa : nullptr, as_recorded, random).size() == p->len, "a stand-in has the recorded length");
    }
  }
  return 0;
}
