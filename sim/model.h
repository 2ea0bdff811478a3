// The model process: SystemC/TLM platform around the Verilated kernel.
#pragma once

#include <string>
#include <vector>

#include "common/base/result.h"
#include "sim/link.h"
#include "sim/platform.h"

namespace esplanade::sim {

struct ModelOptions {
  WaveWindow wave;
  std::string stats_file;  // empty: none
  bool functional = false; // the kernel's functional model instead of its RTL
  std::vector<Fault> faults;
  bool takes_faults = false;  // more may come while it runs (LinkOp::kInject)
};

/// Simulates until the front closes the card or goes away; then writes the statistics. The exit status.
int run_model(Link& link, const Platform& platform, const ModelOptions& options);

}  // namespace esplanade::sim
