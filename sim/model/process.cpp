#include "sim/model/process.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <systemc>

#include "common/base/log.h"
#include "sim/model/die.h"

namespace esplanade::sim {

namespace {

// SystemC calls sc_main without context, and die() comes from anywhere below it.
struct {
  Link* link = nullptr;
  std::function<void()> body;
  Finisher* finisher = nullptr;
} g_process;

}  // namespace

void finish_on_death(Finisher* what) { g_process.finisher = what; }

void die(const std::string& why) {
  log_error("{}", why);
  if (g_process.finisher != nullptr) std::exchange(g_process.finisher, nullptr)->finish();
  if (g_process.link != nullptr) {
    const auto* octets = reinterpret_cast<const Byte*>(why.data());
    static_cast<void>(
        g_process.link->send(LinkFrame{LinkOp::kLastWords, true, 0, 0, {}}, {octets, why.size()}));
  }
  std::_Exit(3);
}

int run_in_systemc(Link& link, std::function<void()> body) {
  g_process.link = &link;
  g_process.body = std::move(body);
  sc_core::sc_report_handler::set_actions("/OSCI/SystemC",
                                          sc_core::SC_DO_NOTHING);  // "Simulation stopped by user."
  ::setenv("SYSTEMC_DISABLE_COPYRIGHT_MESSAGE", "1", 1);
  char name[] = "esp-card-sim";
  char* arguments[] = {name, nullptr};
  return sc_core::sc_elab_and_sim(1, arguments);
}

int run_body() {
  g_process.body();
  return 0;
}

void write_statistics(const std::string& path, const KernelStatistics& s, const DmaStatistics& dma, const InterruptStatistics& interrupts, double wall_s,
                      double cycles_per_s) {
  const std::string text = fmt::format(
      "{{\"cycles\": {}, \"busy_cycles\": {}, \"skipped_cycles\": {}, \"wall_s\": {:.6f}, \"clocking_s\": "
      "{:.6f}, "
      "\"cycles_per_s\": {:.0f}, \"axi_read_bytes\": {}, \"axi_write_bytes\": {}, \"register_accesses\": {}, "
      "\"interrupts\": {}, \"interrupts_raised\": {}, \"interrupt_longest_s\": {:.9f}, \"dma_transfers\": {}, \"dma_to_card_bytes\": {}, \"dma_from_card_bytes\": {}, \"dma_link_s\": {:.9f}}}\n",
      s.cycles, s.busy_cycles, s.skipped_cycles, wall_s, s.clocking_s, cycles_per_s, s.axi_read_bytes,
      s.axi_write_bytes, s.register_accesses, interrupts.messages, interrupts.raised, interrupts.longest_s, dma.transfers, dma.to_card_bytes, dma.from_card_bytes, dma.link_s);
  const std::string part = fmt::format("{}.{}", path, ::getpid());
  std::FILE* file = std::fopen(part.c_str(), "w");
  const bool written = file != nullptr && std::fputs(text.c_str(), file) >= 0;
  const bool closed = file != nullptr && std::fclose(file) == 0;
  if (!written || !closed || std::rename(part.c_str(), path.c_str()) != 0) {
    log_warn("cannot write the statistics to {}: {}", path, std::strerror(errno));
    std::remove(part.c_str());
  }
}

}  // namespace esplanade::sim

int sc_main(int, char**) { return esplanade::sim::run_body(); }
