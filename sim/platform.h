// What the simulator knows of the platform: a kernel's description (hw/xclbin/esp_card.toml is one), as it travels
// inside the .xclbin.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "sim/faults.h"

namespace esplanade::sim {

struct MemoryRegion {
  std::string tag;
  bool host;                 // in the host's buffers, reached through XRT's second socket
  std::uint64_t base, size;  // bytes
};

/// Timing and limits in kernel clock cycles; hw/xclbin/esp_card.toml says what each means.
struct Timing {
  std::uint32_t quantum_cycles = 64;
  std::uint32_t ddr_read_latency = 60, ddr_write_latency = 30, ddr_bytes_per_cycle = 64;
  std::uint32_t ddr_banks = 16, ddr_row_bytes = 1024, ddr_row_miss_latency = 0, ddr_refresh_interval = 0, ddr_refresh_cycles = 0;
  std::uint32_t host_read_latency = 60, host_write_latency = 1;
  std::uint32_t pcie_generation = 3, pcie_lanes = 16, pcie_latency = 100, pcie_payload = 256, pcie_tags = 64;
  std::uint32_t irq_latency = 20, irq_gap = 0;
  std::uint32_t reset_cycles = 32, reset_delay = 0, link_down_resets = 1;
  std::uint32_t max_outstanding = 32;
  std::uint32_t stall_percent = 0, stall_seed = 1;
  std::uint32_t access_cycles_max = 10'000;
  std::uint32_t quiet_cycles_max = 4'000'000;
  std::uint32_t idle_follows_wall = 0;  // 0: an idle card's time stands still; 1: it follows the wall clock
};

/// Addresses of registers whose values are secret.
struct SecretRange {
  std::uint64_t from, size;  // bytes
};

struct Platform {
  std::string kernel;
  std::size_t units = 1;  // compute units; unit n has the register range from control_base + n * control_range
  std::uint64_t control_base = 0, control_range = 0;  // bytes
  std::uint32_t clock_mhz = 300;
  std::vector<MemoryRegion> memories;
  std::vector<SecretRange> secrets;
  Timing timing;
};

/// What the platform is made of: a description and, where not empty, what overrides it.
struct PlatformText {
  std::string path, description, overrides_path, overrides;
};
/// Reads both files; `overrides` may be empty. kIo.
Result<PlatformText> read_platform_text(const std::string& path, const std::string& overrides);
Result<Platform> parse_platform(const PlatformText& text);

/// Reads the description at `path`; then the [sim] table of `overrides`, unless that is empty. An error names
/// the file, the line where there is one, and the key: kBadConfig or kIo.
Result<Platform> read_platform(const std::string& path, const std::string& overrides);

/// Waves of the kernel clock cycles from..to, both included, or of `cycles` from when `trigger` comes; no file, no waves.
struct WaveWindow {
  std::string file;
  std::uint64_t from = 0, to = std::numeric_limits<std::uint64_t>::max();
  std::optional<Trigger> trigger;
  std::uint64_t cycles = 0;
};

/// `file[:from[:to]]` or `file:trigger[:cycles]` (2,000 cycles if not said); an empty text means no waves. Error: kBadConfig.
Result<WaveWindow> parse_wave(const std::string& text);

}  // namespace esplanade::sim
