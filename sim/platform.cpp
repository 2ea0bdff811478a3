#include "sim/platform.h"

#include <fmt/format.h>

#include <toml++/toml.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>

namespace esplanade::sim {

namespace {

struct TimingKey {
  const char* name;
  std::uint32_t Timing::*member;
  std::uint32_t least, most;
};

constexpr std::size_t kUnitsMax = 16;
constexpr std::uint64_t kWaveCycles = 2'000;
constexpr std::uint32_t kNoLimit = std::numeric_limits<std::uint32_t>::max();
constexpr std::array<TimingKey, 27> kTimingKeys{{
    {"quantum_cycles", &Timing::quantum_cycles, 1, 1'000'000},
    {"ddr_read_latency", &Timing::ddr_read_latency, 1, 1'000'000},
    {"ddr_write_latency", &Timing::ddr_write_latency, 1, 1'000'000},
    {"ddr_bytes_per_cycle", &Timing::ddr_bytes_per_cycle, 1, 1'000'000},
    {"ddr_banks", &Timing::ddr_banks, 1, 1'024},
    {"ddr_row_bytes", &Timing::ddr_row_bytes, 64, 1 << 20},
    {"ddr_row_miss_latency", &Timing::ddr_row_miss_latency, 0, 1'000'000},
    {"ddr_refresh_interval", &Timing::ddr_refresh_interval, 0, kNoLimit},
    {"ddr_refresh_cycles", &Timing::ddr_refresh_cycles, 0, 1'000'000},
    {"host_read_latency", &Timing::host_read_latency, 1, 1'000'000},
    {"host_write_latency", &Timing::host_write_latency, 1, 1'000'000},
    {"pcie_generation", &Timing::pcie_generation, 1, 5},
    {"pcie_lanes", &Timing::pcie_lanes, 1, 16},
    {"pcie_latency", &Timing::pcie_latency, 0, 1'000'000},
    {"pcie_payload", &Timing::pcie_payload, 128, 4'096},
    {"pcie_tags", &Timing::pcie_tags, 1, 1'024},
    {"irq_latency", &Timing::irq_latency, 0, 1'000'000},
    {"irq_gap", &Timing::irq_gap, 0, kNoLimit},
    {"reset_cycles", &Timing::reset_cycles, 1, 1'000'000},
    {"reset_delay", &Timing::reset_delay, 0, 1'000'000},
    {"link_down_resets", &Timing::link_down_resets, 0, 1},
    {"max_outstanding", &Timing::max_outstanding, 1, 256},
    {"stall_percent", &Timing::stall_percent, 0, 99},
    {"stall_seed", &Timing::stall_seed, 0, kNoLimit},
    {"access_cycles_max", &Timing::access_cycles_max, 100, kNoLimit},
    {"quiet_cycles_max", &Timing::quiet_cycles_max, 1'000, kNoLimit},
    {"idle_follows_wall", &Timing::idle_follows_wall, 0, 1},
}};

Error bad(const std::string& path, const toml::source_region& at, const std::string& why) {
  return Error{Errc::kBadConfig, fmt::format("{}:{}: {}", path, at.begin.line, why)};
}

Result<toml::table> parse(const std::string& path, const std::string& text) {
  try {
    return toml::parse(text);
  } catch (const toml::parse_error& error) {
    return bad(path, error.source(), std::string(error.description()));
  }
}

/// Takes every key of [sim]; an unknown one is an error, for a typo would otherwise change nothing, silently.
Status take_timing(const std::string& path, const toml::table& file, Timing& timing) {
  const toml::node* node = file.get("sim");
  if (node == nullptr) return ok();
  const toml::table* table = node->as_table();
  if (table == nullptr) return bad(path, node->source(), "sim must be a table");
  for (const auto& [name, value] : *table) {
    const std::string_view given = name.str();
    const auto* key = std::ranges::find_if(kTimingKeys, [given](const TimingKey& k) { return given == k.name; });
    if (key == kTimingKeys.end()) return bad(path, value.source(), fmt::format("[sim] has no {}", given));
    const auto number = value.value_exact<std::int64_t>();
    if (!number || *number < key->least || *number > key->most) {
      return bad(path, value.source(),
                 fmt::format("{} must be an integer from {} to {}", key->name, key->least, key->most));
    }
    timing.*key->member = static_cast<std::uint32_t>(*number);
  }
  return ok();
}

Result<std::uint64_t> number_at(const std::string& path, const toml::table& table, const char* table_name,
                                const char* key) {
  const auto number = table[key].value_exact<std::int64_t>();
  if (!number || *number < 0) {
    return bad(path, table.source(), fmt::format("{} needs a non-negative integer {}", table_name, key));
  }
  return static_cast<std::uint64_t>(*number);
}

/// [kernel] secret_registers: pairs of offset and bytes, the same in each compute unit.
Status take_secrets(const std::string& path, const toml::table& kernel, Platform& platform) {
  const toml::node* node = kernel.get("secret_registers");
  if (node == nullptr) return ok();
  const toml::array* list = node->as_array();
  if (list == nullptr) return bad(path, node->source(), "secret_registers must be a list of [offset, bytes]");
  for (const toml::node& item : *list) {
    const toml::array* pair = item.as_array();
    const auto offset = pair != nullptr && pair->size() == 2 ? (*pair)[0].value_exact<std::int64_t>() : std::nullopt;
    const auto size = pair != nullptr && pair->size() == 2 ? (*pair)[1].value_exact<std::int64_t>() : std::nullopt;
    if (!offset || !size || *offset < 0 || *size <= 0) return bad(path, item.source(), "secret_registers must be a list of [offset, bytes]");
    for (std::size_t unit = 0; unit < platform.units; ++unit) {
      platform.secrets.push_back({platform.control_base + unit * platform.control_range + static_cast<std::uint64_t>(*offset), static_cast<std::uint64_t>(*size)});
    }
  }
  return ok();
}

Status take_memories(const std::string& path, const toml::table& file, Platform& platform) {
  const toml::array* list = file["memory"].as_array();
  if (list == nullptr) return Error{Errc::kBadConfig, path + ": no [[memory]]"};
  for (const toml::node& node : *list) {
    const toml::table* table = node.as_table();
    if (table == nullptr) return bad(path, node.source(), "memory must be an array of tables");
    ESPLANADE_TRY(base, number_at(path, *table, "[[memory]]", "base"));
    ESPLANADE_TRY(size, number_at(path, *table, "[[memory]]", "size"));
    if (base % 4096 != 0 || size % 4096 != 0 || size == 0) {
      return bad(path, table->source(), "base and size must be multiples of 4096");
    }
    platform.memories.push_back({(*table)["tag"].value_or(std::string("?")),
                                 (*table)["type"].value_or(std::string()) == "host", base, size});
  }
  return ok();
}

}  // namespace

Result<PlatformText> read_platform_text(const std::string& path, const std::string& overrides) {
  PlatformText out{path, {}, overrides, {}};
  for (auto [from, to] : {std::pair{&path, &out.description}, std::pair{&overrides, &out.overrides}}) {
    if (from->empty()) continue;
    std::ifstream file(*from, std::ios::binary);
    to->assign(std::istreambuf_iterator<char>(file), {});
    if (!file) return Error{Errc::kIo, fmt::format("{}: File could not be opened for reading: {}", *from, std::strerror(errno))};
  }
  return out;
}

Result<Platform> read_platform(const std::string& path, const std::string& overrides) {
  ESPLANADE_TRY(text, read_platform_text(path, overrides));
  return parse_platform(text);
}

Result<Platform> parse_platform(const PlatformText& text) {
  const std::string& path = text.path;
  ESPLANADE_TRY(file, parse(path, text.description));
  Platform platform;
  const toml::table* kernel = file["kernel"].as_table();
  if (kernel == nullptr) return Error{Errc::kBadConfig, path + ": no [kernel]"};
  platform.kernel = (*kernel)["name"].value_or(std::string("kernel"));
  ESPLANADE_TRY(base, number_at(path, *kernel, "[kernel]", "control_base"));
  ESPLANADE_TRY(range, number_at(path, *kernel, "[kernel]", "control_range"));
  ESPLANADE_TRY(mhz, number_at(path, *kernel, "[kernel]", "clock_mhz"));
  if (mhz == 0 || mhz > 10'000) return bad(path, kernel->source(), "clock_mhz must be from 1 to 10000");
  const toml::array* instances = (*kernel)["instances"].as_array();
  if (instances == nullptr || instances->empty() || instances->size() > kUnitsMax) {
    return bad(path, kernel->source(),
               fmt::format("[kernel] needs instances, a list of 1 to {} names", kUnitsMax));
  }
  if (range == 0) return bad(path, kernel->source(), "control_range must not be 0");
  platform.units = instances->size();
  platform.control_base = base;
  platform.control_range = range;
  platform.clock_mhz = static_cast<std::uint32_t>(mhz);
  ESPLANADE_CHECK(take_secrets(path, *kernel, platform));
  ESPLANADE_CHECK(take_memories(path, file, platform));
  ESPLANADE_CHECK(take_timing(path, file, platform.timing));
  if (!text.overrides_path.empty()) {
    ESPLANADE_TRY(more, parse(text.overrides_path, text.overrides));
    ESPLANADE_CHECK(take_timing(text.overrides_path, more, platform.timing));
  }
  return platform;
}

Result<WaveWindow> parse_wave(const std::string& text) {
  WaveWindow window;
  const auto bad = [&] {
    return Error{Errc::kBadConfig,
                 "ESPLANADE_SIM_WAVE must be file[:from[:to]] with cycle numbers, or file:trigger[:cycles], not " + text};
  };
  std::vector<std::string> parts;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(':', at), text.size());
    parts.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  if (text.empty()) return window;
  if (parts.size() > 3 || parts[0].empty()) return bad();
  window.file = parts[0];
  if (parts.size() > 1 && !parts[1].empty() && std::ranges::find_if(parts[1], [](char c) { return c < '0' || c > '9'; }) != parts[1].end()) {
    auto trigger = parse_trigger(parts[1]);
    if (!trigger) return trigger.error();
    window.trigger = *trigger;
    window.cycles = kWaveCycles;
    window.from = window.to;  // until then none
    parts.erase(parts.begin() + 1);
    if (parts.size() == 1) return window;
    char* end = nullptr;
    window.cycles = std::strtoull(parts[1].c_str(), &end, 10);
    return parts[1].empty() || *end != '\0' || window.cycles == 0 ? Result<WaveWindow>(bad()) : Result<WaveWindow>(window);
  }
  for (std::size_t i = 1; i < parts.size(); ++i) {
    char* end = nullptr;
    const unsigned long long cycle = std::strtoull(parts[i].c_str(), &end, 10);
    if (parts[i].empty() || *end != '\0' || parts[i][0] == '-') return bad();
    (i == 1 ? window.from : window.to) = cycle;
  }
  if (window.from > window.to) return bad();
  return window;
}

}  // namespace esplanade::sim
