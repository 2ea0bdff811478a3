#include "sim/faults.h"

#include <fmt/format.h>

#include <toml++/toml.h>
#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <iterator>

namespace esplanade::sim {

namespace {

struct Point {
  FaultPoint point;
  const char* name;
  const char* keys;  // beside point and when, separated by blanks
  const char* doc;
};
constexpr std::array<Point, 14> kPoints{{
    {FaultPoint::kAxiReadError, "axi-read-error", "count", "a burst that the kernel reads is answered SLVERR, with zeros"},
    {FaultPoint::kAxiWriteError, "axi-write-error", "count", "a burst that the kernel writes is answered SLVERR and not done"},
    {FaultPoint::kDmaStall, "dma-stall", "count cycles", "answers to bursts come `cycles` later"},
    {FaultPoint::kDmaReorder, "dma-reorder", "cycles", "a write is answered at once and reaches memory `cycles` later, behind those that follow it"},
    {FaultPoint::kCompletionLost, "completion-lost", "count", "a completion is answered OKAY and never reaches memory"},
    {FaultPoint::kCompletionDuplicated, "completion-duplicated", "count", "a completion is written into the next place of the ring too"},
    {FaultPoint::kMemoryBitFlip, "memory-bit-flip", "address bit", "bit `bit` of the octet at `address` of card memory flips"},
    {FaultPoint::kSaBitFlip, "sa-bit-flip", "address bit", "bit `bit` of the state of SA `address` flips"},
    {FaultPoint::kPacketBitFlip, "packet-bit-flip", "address bit", "bit `bit` (0 to 63) of row `address` of the packet buffer flips"},
    {FaultPoint::kInterruptLost, "interrupt-lost", "count", "the interrupt line rises and nobody hears"},
    {FaultPoint::kLaneHung, "lane-hung", "port cycles", "AXI4 master `port` is neither answered nor ready, for `cycles` (0: for ever)"},
    {FaultPoint::kLinkDown, "link-down", "count", "the next `count` accesses of the host (0: all) read all ones and write nothing"},
    {FaultPoint::kRemoval, "removal", "", "the card is gone"},
    {FaultPoint::kReset, "reset", "", "the kernel is reset, whatever it does"},
}};

const Point& info(FaultPoint point) { return *std::ranges::find(kPoints, point, &Point::point); }

bool takes(const Point& point, std::string_view key) {
  const std::string_view keys = point.keys;
  for (std::size_t at = keys.find(key); at != std::string_view::npos; at = keys.find(key, at + 1)) {
    const std::size_t end = at + key.size();
    if ((at == 0 || keys[at - 1] == ' ') && (end == keys.size() || keys[end] == ' ')) return true;
  }
  return false;
}

std::optional<std::uint64_t> number(std::string_view text) {
  const int base = text.starts_with("0x") ? 16 : 10;
  if (base == 16) text.remove_prefix(2);
  std::uint64_t out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out, base);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return out;
}

Result<Fault> take_fault(const std::string& path, const toml::table& table) {
  const auto bad = [&](const toml::node& at, const std::string& why) {
    return Error{Errc::kBadConfig, fmt::format("{}:{}: {}", path, at.source().begin.line, why)};
  };
  const auto name = table["point"].value<std::string>();
  const auto* point = std::ranges::find_if(kPoints, [&](const Point& p) { return name == p.name; });
  if (point == kPoints.end()) return bad(table, "[[fault]] needs a point; esp-card-sim --faults lists them");
  Fault fault;
  fault.point = point->point;
  if (fault.point == FaultPoint::kDmaStall || fault.point == FaultPoint::kDmaReorder) fault.cycles = 10'000;
  for (const auto& [key, value] : table) {
    if (key == "point") continue;
    if (key == "when") {
      const auto text = value.value<std::string>();
      auto when = parse_trigger(text.value_or("?"));
      if (!when) return bad(value, when.error().detail);
      fault.when = *when;
      continue;
    }
    if (!takes(*point, key.str())) return bad(value, fmt::format("{} takes {}, not {}", point->name, *point->keys != '\0' ? point->keys : "no keys", key.str()));
    const auto given = value.value_exact<std::int64_t>();
    if (!given || *given < 0) return bad(value, fmt::format("{} must be a non-negative integer", key.str()));
    const auto n = static_cast<std::uint64_t>(*given);
    if (key == "count") fault.count = n;
    if (key == "cycles") fault.cycles = n;
    if (key == "address") fault.address = n;
    if (key == "bit") fault.bit = n;
    if (key == "port") fault.port = n;
  }
  return fault;
}

}  // namespace

Result<Trigger> parse_trigger(std::string_view text) {
  const Error bad{Errc::kBadConfig, fmt::format("\"{}\" is no trigger: now, cycle=N, packet=N, sa=INDEX, register=NAME or 0xOFFSET, error; *N behind "
                                                "sa and register means the Nth time, +N behind all N cycles later", text.substr(0, 60))};
  using Kind = Trigger::Kind;
  Trigger out;
  if (const std::size_t plus = text.find('+'); plus != std::string_view::npos) {
    const auto delay = number(text.substr(plus + 1));
    if (!delay) return bad;
    out.delay = *delay;
    text = text.substr(0, plus);
  }
  if (text == "now") return out;
  if (text == "error") {
    out.kind = Kind::kError;
    return out;
  }
  const std::size_t equals = text.find('=');
  if (equals == std::string_view::npos) return bad;
  const std::string_view kind = text.substr(0, equals);
  std::string_view what = text.substr(equals + 1);
  if (const std::size_t star = what.find('*'); star != std::string_view::npos && (kind == "sa" || kind == "register")) {
    const auto nth = number(what.substr(star + 1));
    if (!nth || *nth == 0) return bad;
    out.nth = *nth;
    what = what.substr(0, star);
  }
  if (kind == "register") {
    out.kind = Kind::kRegister;
    if (const auto offset = number(what)) {
      out.number = *offset;
    } else if (!what.empty() && what[0] >= 'A' && what[0] <= 'Z') {
      out.register_name = what;
    } else {
      return bad;
    }
    return out;
  }
  const auto n = number(what);
  if (!n) return bad;
  out.number = *n;
  if (kind == "cycle") {
    out.kind = Kind::kCycle;
  } else if (kind == "packet" && *n > 0) {
    out.kind = Kind::kPacket;
  } else if (kind == "sa") {
    out.kind = Kind::kSa;
  } else {
    return bad;
  }
  return out;
}

const char* fault_name(FaultPoint point) { return point == FaultPoint::kWaves ? "waves" : info(point).name; }

std::string list_faults() {
  std::string out;
  for (const Point& p : kPoints) out += fmt::format("{:<22} {:<14} {}\n", p.name, p.keys, p.doc);
  return out;
}

Result<std::vector<Fault>> parse_faults(const std::string& name, std::string_view text) {
  toml::table file;
  try {
    file = toml::parse(text);
  } catch (const toml::parse_error& error) {
    return Error{Errc::kBadConfig, fmt::format("{}:{}: {}", name, error.source().begin.line, error.description())};
  }
  std::vector<Fault> out;
  for (const auto& [key, value] : file) {
    const toml::array* list = value.as_array();
    if (key != "fault" || list == nullptr) return Error{Errc::kBadConfig, fmt::format("{}:{}: only [[fault]] may stand here", name, value.source().begin.line)};
    for (const toml::node& node : *list) {
      const toml::table* table = node.as_table();
      if (table == nullptr) return Error{Errc::kBadConfig, fmt::format("{}:{}: fault must be an array of tables", name, node.source().begin.line)};
      ESPLANADE_TRY(fault, take_fault(name, *table));
      out.push_back(std::move(fault));
    }
  }
  return out;
}

Result<std::vector<Fault>> read_faults(const std::string& path) {
  std::ifstream file(path);
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  if (!file) return Error{Errc::kIo, fmt::format("{}: cannot be read", path)};
  return parse_faults(path, text);
}

}  // namespace esplanade::sim
