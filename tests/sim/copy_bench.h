// A bench around copy_kernel, in the place of the front: it talks to a model process over the link.
#pragma once

#include "common/testing/seed.h"
#include "copy_kernel_pins.h"

#include "sim/model/platform_model.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <random>
#include <utility>

#include "sim/front.h"
#include "tests/sim/host_memory.h"

namespace esplanade::sim {

inline constexpr std::uint64_t kDdr = 0x40'0000'0000, kDdrBytes = 1 << 20;
inline constexpr std::uint64_t kHost = 0x20'0000'0000, kHostBytes = 1 << 16;

struct CopyTraits {
  static bool idle(const Vcopy_kernel& k) { return k.rootp->copy_kernel__DOT__idle != 0; }
};

enum Register : std::uint32_t {
  kSrc = 0x00,
  kDst = 0x08,
  kBeats = 0x10,
  kSkip = 0x14,
  kGo = 0x18,
  kFault = 0x1c,
  kNoAnswer = 0x20,
  kBusyCycles = 0x24
};

class Bench {
 public:
  explicit Bench(const Timing& timing = {}, const ModelOptions& options = {}) {
    Platform platform;
    platform.kernel = "copy_kernel";
    platform.control_range = 0x10000;
    platform.memories = {{"DDR[0]", false, kDdr, kDdrBytes}, {"HOST[0]", true, kHost, 2 * kHostBytes}};
    platform.timing = timing;
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    const pid_t model = ::fork();
    REQUIRE(model >= 0);
    if (model == 0) {
      const int null = ::open("/dev/null", O_WRONLY);
      ::dup2(null, STDOUT_FILENO);
      ::dup2(null, STDERR_FILENO);
      ::close(ends[0]);
      Link link(ends[1]);
      std::_Exit(run_platform<KernelPins, CopyTraits>(link, platform, options));
    }
    ::close(ends[1]);
    card_.emplace(std::make_unique<Link>(ends[0]), model, std::chrono::seconds(10));
    host_.emplace(kHost, kHostBytes);
    card_->set_host_memory(std::make_unique<HostMemoryClient>(host_->take_client()));
  }
  ~Bench() { card_->close(); }

  ModelCard& card() { return *card_; }
  Bytes& host_memory() { return host_->bytes(); }

  void write(std::uint32_t offset, std::uint32_t value) {
    Byte octets[4];
    std::memcpy(octets, &value, 4);
    card_->write_registers(offset, octets);
  }
  std::uint32_t read(std::uint32_t offset) {
    const Bytes octets = card_->read_registers(offset, 4);
    std::uint32_t value = 0;
    std::memcpy(&value, octets.data(), 4);
    return value;
  }
  /// Runs one copy; STATUS at its end, or all ones for a lost card.
  std::uint32_t copy(std::uint64_t from, std::uint64_t to, std::uint32_t beats, std::uint32_t skip = 0) {
    for (const auto& [offset, address] : {std::pair{kSrc, from}, std::pair{kDst, to}}) {
      write(offset, static_cast<std::uint32_t>(address));
      write(offset + 4U, static_cast<std::uint32_t>(address >> 32));
    }
    write(kBeats, beats);
    write(kSkip, skip);
    write(kGo, 1);
    std::uint32_t status = read(kGo);
    while ((status & 1) != 0 && status != 0xffffffff) status = read(kGo);
    return status;
  }

 private:
  std::optional<ModelCard> card_;
  std::optional<test::HostMemoryServer> host_;
};

inline Bytes random_octets(std::mt19937& random, std::size_t size) {
  Bytes out(size);
  for (auto& octet : out) octet = static_cast<Byte>(random());
  return out;
}

}  // namespace esplanade::sim
