#include "sim/model.h"

#include "esp_card_model.h"
#include "sim/model/platform_model.h"

namespace esplanade::sim {

namespace {

struct EspCardTraits {
  static bool idle(const Vesp_card& card) { return card_model::idle(card); }
  static bool interrupt(const Vesp_card& card) { return card.__SYM__interrupt != 0; }
  static void skip(Vesp_card& card, std::uint64_t cycles, std::uint32_t clock_hz) {
    card_model::skip(card, cycles, clock_hz);
  }
};

}  // namespace

int run_model(std::unique_ptr<Link> link, const Platform& platform, const ModelOptions& options) {
  return run_platform<Vesp_card, EspCardTraits>(std::move(link), platform, options);
}

}  // namespace esplanade::sim
