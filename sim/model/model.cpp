// The model of one kernel. add_xrt_emulation compiles it for each simulator, with the names of the two
// headers.
#include ESPLANADE_KERNEL_PINS  // struct KernelPins, by mkpins.py

#include "sim/model/platform_model.h"

#ifdef ESPLANADE_KERNEL_TRAITS
#include ESPLANADE_KERNEL_TRAITS  // struct KernelTraits
#else
namespace esplanade::sim {
struct KernelTraits {};
}  // namespace esplanade::sim
#endif

namespace esplanade::sim {

int run_model(Link& link, const Platform& platform, const ModelOptions& options) {
  return run_platform<KernelPins, KernelTraits>(link, platform, options);
}

}  // namespace esplanade::sim
