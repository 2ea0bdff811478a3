// What SystemC and the end of a model have one of in a process.
#pragma once

#include <functional>
#include <string>

#include "sim/link.h"
#include "sim/model/dma_engine.h"
#include "sim/model/interrupts.h"
#include "sim/model/kernel_base.h"

namespace esplanade::sim {

/// What must still happen when the model dies: waves closed, statistics written.
class Finisher {
 public:
  virtual ~Finisher() = default;
  virtual void finish() = 0;
};

/// Runs `body` as SystemC's sc_main. Once a process. `link` is where die() sends its last words.
int run_in_systemc(Link& link, std::function<void()> body);
/// Names what die() finishes; null for nothing.
void finish_on_death(Finisher* what);

/// The statistics file, whole or not at all: readers wait for its name. Trouble goes to the log.
void write_statistics(const std::string& path, const KernelStatistics& s, const DmaStatistics& dma, const InterruptStatistics& interrupts, double wall_s,
                      double cycles_per_s);

}  // namespace esplanade::sim
