#include "host/espscope/replay/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>

namespace esplanade::replay {

namespace {

/// The words of a line. The first that is wrong is the error; what comes after it reads as 0.
class Words {
 public:
  explicit Words(std::string_view line) : rest_(line) {}

  std::string_view word() {
    ++at_;
    const std::size_t end = std::min(rest_.find(' '), rest_.size());
    const std::string_view out = rest_.substr(0, end);
    rest_.remove_prefix(std::min(end + 1, rest_.size()));
    if (out.empty()) bad("is missing");
    return out;
  }
  template <class T>
  T number(T least, T most) {
    T value{};
    const std::string_view text = word();
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc() && end == text.data() + text.size() && value >= least && value <= most) return value;
    bad(fmt::format("is no number from {} to {}", least, most));
    return least;
  }
  std::uint32_t u32(std::uint32_t most = std::numeric_limits<std::uint32_t>::max()) { return number<std::uint32_t>(0, most); }
  std::uint64_t u64() { return number<std::uint64_t>(0, std::numeric_limits<std::uint64_t>::max()); }
  bool flag() { return u32(1) != 0; }

  void bad(std::string what) {
    if (!error_) error_ = Error{Errc::kMalformed, fmt::format("word {} {}", at_, what), at_};
  }
  Result<Step> finish(Step step) {
    if (!rest_.empty()) {
      ++at_;
      bad("is one too many");
    }
    if (error_) return *error_;
    return step;
  }

 private:
  std::string_view rest_;
  std::size_t at_ = 0;
  std::optional<Error> error_;
};

Step packet(Words& w) {
  PacketStep p{};
  p.queue = w.u32(kQueuesMax - 1);
  p.number = w.u64();
  p.record = w.u64();
  p.op = static_cast<card::Op>(w.u32(static_cast<std::uint32_t>(card::Op::kDecap)));
  p.sa = w.u32();
  p.len = w.number<std::uint32_t>(1, kPacketMax);
  p.room = w.u32();
  Shape& s = p.shape;
  s.version = static_cast<std::uint8_t>(w.u32(15));
  const std::uint32_t flags = w.u32(3);
  s.sound = (flags & 1) != 0;
  s.fragment = (flags & 2) != 0;
  s.protocol = static_cast<std::uint8_t>(w.u32(255));
  s.header_len = w.u32(kPacketMax);
  s.total_len = w.u32(kPacketMax);
  s.spi = w.u32();
  s.seq = w.u64();
  p.outcome = w.number<int>(kLost, 255);
  p.out_sa = w.u32();
  p.out_len = w.u32();
  p.out_seq = w.u64();
  p.next_header = static_cast<std::uint8_t>(w.u32(255));
  p.overtaken = w.flag();
  p.cycles = w.u32();
  const std::uint32_t least = s.version == 4 ? 20 : 40;
  if (s.sound && ((s.version != 4 && s.version != 6) || s.header_len < least || s.header_len % 4 != 0 || s.header_len > s.total_len || s.total_len > p.len ||
                  (s.version == 4 && s.header_len > 60) || (s.version == 6 && s.header_len % 8 != 0))) {
    w.bad("ends a packet whose lengths are not those of a sound header");
  }
  return p;
}

Step sa(Words& w) {
  SaStep out{};
  out.index = w.u32(kSaMax - 1);
  out.command = static_cast<card::SaCommand>(w.u32());
  if (out.command != card::SaCommand::kInstall && out.command != card::SaCommand::kUpdate) w.bad("is neither 1 (install) nor 5 (update)");
  const auto octets = from_hex(w.word());
  if (!octets || octets->size() != kKeyless) {
    w.bad("is no keyless SA entry");
  } else {
    std::ranges::copy(*octets, out.entry.begin());
  }
  return out;
}

}  // namespace

Result<Step> parse_step(std::string_view line) {
  Words w(line);
  const std::string_view verb = w.word();
  if (verb == "packet") return w.finish(packet(w));
  if (verb == "ring") return w.finish(RingStep{w.u32(kQueuesMax - 1)});
  if (verb == "sa") return w.finish(sa(w));
  if (verb == "remove") return w.finish(RemoveStep{w.u32(kSaMax - 1)});
  if (verb == "await") {
    const std::uint32_t queue = w.u32(kQueuesMax - 1);
    return w.finish(AwaitStep{queue, w.u64()});
  }
  if (verb == "queue") {
    const std::uint32_t number = w.u32(kQueuesMax - 1), log2_size = w.number<std::uint32_t>(1, card::kRingLog2Max);
    const bool in_order = w.flag();
    return w.finish(QueueStep{number, log2_size, in_order, w.u32(kPacketMax)});
  }
  if (verb == "event") {
    const std::uint64_t record = w.u64();
    const auto type = static_cast<card::EventType>(w.number<std::uint32_t>(1, 9));
    const std::uint32_t index = w.u32();
    return w.finish(EventStep{record, type, index, w.u32()});
  }
  w.bad("is no step");
  return w.finish(RingStep{});
}

}  // namespace esplanade::replay
